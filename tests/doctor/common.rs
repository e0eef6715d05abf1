//! Settings without fault, and what must hold for every diagnosis.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axiom_layer::Builder;
use axiom_layer::doctor::{Diagnosis, Problem, State, Step};

use crate::relay::{listen, read_request};

pub(crate) const TOKEN: &str = "xaat-5ec2e7f0-0123-4567";

/// Its first label is too long to be asked for: no question leaves the machine.
pub(crate) const NOWHERE: &str =
    "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid";

/// The time of a diagnosis that is meant to use it up. A tenth of it is for a machine that is busy with other tests.
pub(crate) const SHORT: Duration = Duration::from_secs(3);

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(5);

pub(crate) fn builder(url: &str) -> Builder {
    axiom_layer::builder()
        .token(TOKEN)
        .dataset("logs")
        .service_name("doctor-test")
        .url(url)
}

/// Diagnoses within the time, and without the token.
pub(crate) fn diagnose(builder: &Builder, timeout: Duration) -> Diagnosis {
    let start = Instant::now();
    let diagnosis = builder.doctor_within(timeout);
    let took = start.elapsed();
    assert!(took < timeout + SLACK, "{took:?}\n{diagnosis}");
    let shown = format!("{diagnosis} {diagnosis:?}");
    assert!(!shown.contains(TOKEN), "{shown}");
    diagnosis
}

/// This one diagnosis: the check at fault, the cause, and words of what is wrong and of the fix.
#[track_caller]
pub(crate) fn assert_wrong(
    diagnosis: &Diagnosis,
    step: Step,
    problem: Problem,
    what: &str,
    fix: &str,
) {
    assert_eq!(diagnosis.cause(), Some(problem), "{diagnosis}");
    assert!(!diagnosis.is_healthy() && diagnosis.query().is_none());
    assert!(diagnosis.what().contains(what), "{what}: {diagnosis}");
    let given = diagnosis.fix().unwrap();
    assert!(given.contains(fix), "{fix}: {diagnosis}");
    for text in [diagnosis.what(), given] {
        assert!(!text.contains('\n') && !text.is_empty(), "{diagnosis}");
        assert!(diagnosis.to_string().contains(text), "{diagnosis}");
    }
    let failed: Vec<_> = diagnosis
        .checks()
        .iter()
        .filter(|check| check.state() == State::Failed)
        .map(|check| check.step())
        .collect();
    assert_eq!(failed, [step], "{diagnosis}");
    // What was not done is not called good.
    let is_before = |at: Step| at < step;
    for check in diagnosis.checks() {
        let at = check.step();
        let is_done = matches!(check.state(), State::Passed | State::NotNeeded);
        assert!(
            at == step || at == Step::Clock || is_done == is_before(at),
            "{diagnosis}"
        );
    }
}

/// Answers one request with these bytes.
pub(crate) fn answering(answer: &'static str) -> SocketAddr {
    listen(move |mut stream| {
        if read_request(&stream).is_ok() {
            stream.write_all(answer.as_bytes()).ok();
        }
    })
}
