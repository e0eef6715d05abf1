//! Finds out why records do not arrive: one check after the other, and one diagnosis with its fix.
//!
//! The caller's thread reads the configuration and waits. The rest happens on a thread named
//! `axiom-layer-doctor` with a runtime of its own, fenced like the worker's, and through the worker's own transport.

mod diagnosis;
mod examination;
mod probe;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

pub use self::diagnosis::{Check, Diagnosis, Problem, State, Step};
use self::diagnosis::{Finding, Verdict};
use self::examination::{Examination, Note};
use crate::config::Config;
use crate::life;
use crate::process::{fence, witness};
use crate::report::BuildError;
use crate::worker;

/// How long a diagnosis may take in all.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// A longer one means this: it can still be added to a clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// What is left of the time for handing over the verdict.
const HANDOVER: u32 = 20;

/// Diagnoses a configuration, or why there is none.
pub(crate) fn diagnose(config: Result<Config, BuildError>, timeout: Duration) -> Diagnosis {
    let timeout = timeout.min(LONGEST);
    let deadline = Instant::now() + timeout;
    let prepared = config.and_then(|config| {
        let settings = life::worker_settings(&config)?;
        Ok((config, settings))
    });
    let (config, settings) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Diagnosis::of_configuration(&error),
    };
    let token = config.token.clone();
    let (notes, noted) = mpsc::channel();
    let inner = deadline - timeout / HANDOVER;
    let spawned = std::thread::Builder::new()
        .name("axiom-layer-doctor".into())
        .spawn(move || {
            fence::raise();
            witness::attend();
            let verdict = match worker::runtime(2) {
                Ok(runtime) => {
                    let mut examination = Examination::new(config, settings, inner, notes.clone());
                    let verdict = runtime.block_on(examination.run());
                    // A name that is still being resolved is not waited for.
                    runtime.shutdown_background();
                    verdict
                }
                Err(error) => Finding::system("no event queue", &error).into(),
            };
            // Whoever asked has stopped waiting.
            drop(notes.send(Note::Verdict(verdict)));
        });
    let diagnosis = match spawned {
        Ok(_detached) => listen(&noted, deadline, timeout),
        Err(error) => {
            let checked = vec![Check::new(Step::Configuration, State::Passed, "")];
            Diagnosis::new(checked, Finding::system("no thread", &error).into())
        }
    };
    diagnosis.hiding(&token)
}

fn listen(noted: &Receiver<Note>, deadline: Instant, timeout: Duration) -> Diagnosis {
    let mut checks: Vec<Check> = Vec::new();
    let verdict: Verdict = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match noted.recv_timeout(left) {
            Ok(Note::Check(check)) => checks.push(check),
            Ok(Note::Verdict(verdict)) => break verdict,
            Err(RecvTimeoutError::Timeout) => break Finding::overdue(timeout).into(),
            Err(RecvTimeoutError::Disconnected) => break Finding::defect().into(),
        }
    };
    Diagnosis::new(checks, verdict)
}
