//! The one way this crate speaks of its own trouble: a hook, or a line on standard error.
//!
//! Runs on the worker's thread and under the guard, never where the application records. It never
//! uses `tracing`: a layer that logs about itself feeds itself.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the same cause is spoken of.
const EVERY: Duration = Duration::from_secs(60);

/// What a diagnostic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// No answer of the endpoint: name resolution, connection, TLS, a time-out, or a proxy that lets nothing through
    /// (407 too).
    Unreachable,
    /// This machine gives no connection: the HTTP client can not be set up, or open files, memory or local ports are used up.
    Client,
    /// The endpoint is in trouble (5xx, 408, 425).
    ServerError,
    /// Too many requests (429, or what HTTP/2 has for it).
    RateLimited,
    /// The account's ingest allowance is used up (430).
    Quota,
    /// The account has to be paid for (402).
    Payment,
    /// The token was refused (401, 403).
    Unauthorized,
    /// The endpoint finds the headers of a request too large (431). The labels are most of them.
    HeadersTooLarge,
    /// No such dataset or path (404, 405, 410), or not at this address (421).
    NotFound,
    /// The endpoint does not understand what it is sent (400 and other 4xx).
    BadRequest,
    /// The endpoint refused single records.
    Rejected,
    /// A record was too large for the endpoint (413).
    TooLarge,
    /// An answer that Axiom would not give: a redirect, HTML, nothing (see [`gateway`](crate::Builder::gateway)), another protocol
    /// than HTTP.
    UnexpectedAnswer,
    /// The endpoint took the records and warned (`messages`, as for a locked schema).
    Warning,
    /// The queue was full.
    QueueFull,
    /// Records were lost because a deadline passed while shutting down.
    Shutdown,
    /// Records came after the guard was gone.
    AfterShutdown,
    /// No token is set, so that the layer is inert ([`if_token_present`](crate::Builder::if_token_present)).
    NoToken,
    /// A defect in this crate.
    Internal,
}

/// One piece of trouble: what is wrong, what it does to the records, and what fixes it.
///
/// `Display` joins the three to one line.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    cause: Cause,
    what: String,
    effect: String,
    fix: String,
    suppressed: u64,
}

impl Diagnostic {
    pub(crate) fn new(
        cause: Cause,
        what: impl Into<String>,
        effect: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            cause,
            what: what.into(),
            effect: effect.into(),
            fix: fix.into(),
            suppressed: 0,
        }
    }

    /// What it is about.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// How many records wait or were lost.
    #[must_use]
    pub fn effect(&self) -> &str {
        &self.effect
    }

    /// What fixes it.
    #[must_use]
    pub fn fix(&self) -> &str {
        &self.fix
    }

    /// How often the same cause came up since it was last reported, beyond this time.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}; {}", self.what, self.effect, self.fix)?;
        match self.suppressed {
            0 => Ok(()),
            times => write!(f, " (and {times} more since the last report)"),
        }
    }
}

/// The application's own way to hear of our trouble.
#[derive(Clone)]
pub(crate) struct Hook(pub(crate) Arc<dyn Fn(&Diagnostic) + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// Where diagnostics go.
#[derive(Debug, Clone, Default)]
pub(crate) enum Sink {
    #[default]
    Stderr,
    Hook(Hook),
    Off,
}

impl Sink {
    /// `wanted`: trouble is written to stderr when there is no hook.
    pub(crate) fn new(hook: Option<&Hook>, wanted: bool) -> Self {
        match hook {
            Some(hook) => Self::Hook(hook.clone()),
            None if wanted => Self::Stderr,
            None => Self::Off,
        }
    }
}

/// Lets each cause through once a minute.
#[derive(Debug, Default)]
pub(crate) struct Diag {
    sink: Sink,
    spoken: Mutex<HashMap<(Cause, String), Spoken>>,
}

#[derive(Debug)]
struct Spoken {
    at: Instant,
    suppressed: u64,
}

impl Diag {
    pub(crate) fn new(sink: Sink) -> Self {
        Self {
            sink,
            spoken: Mutex::default(),
        }
    }

    pub(crate) fn has_hook(&self) -> bool {
        matches!(self.sink, Sink::Hook(_))
    }

    /// Reports, unless the same cause was reported for the same `place` within the last minute.
    pub(crate) fn report(&self, place: &str, now: Instant, mut diagnostic: Diagnostic) {
        if matches!(self.sink, Sink::Off) {
            return;
        }
        match self.admit(place, now, diagnostic.cause) {
            Some(suppressed) => diagnostic.suppressed = suppressed,
            None => return,
        }
        match &self.sink {
            Sink::Off => {}
            // Nobody is left to tell that standard error is closed.
            Sink::Stderr => drop(writeln!(std::io::stderr(), "axiom-layer: {diagnostic}")),
            Sink::Hook(hook) => {
                // The hook is the application's: its panic must not become the worker's.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (hook.0)(&diagnostic))) {
                    std::mem::forget(payload);
                }
            }
        }
    }

    /// How many reports were held back since the last one, if it is time for another.
    fn admit(&self, place: &str, now: Instant, cause: Cause) -> Option<u64> {
        let mut all = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Spoken {
            at: now,
            suppressed: 0,
        };
        match all.get_mut(&(cause, place.to_owned())) {
            Some(spoken) if now.saturating_duration_since(spoken.at) < EVERY => {
                spoken.suppressed += 1;
                None
            }
            Some(spoken) => Some(std::mem::replace(spoken, fresh()).suppressed),
            None => {
                all.insert((cause, place.to_owned()), fresh());
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collecting() -> (Diag, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&seen);
        let diag = Diag::new(Sink::Hook(Hook(Arc::new(move |diagnostic| {
            hook.lock().unwrap().push(diagnostic.to_string());
        }))));
        (diag, seen)
    }

    fn trouble(cause: Cause) -> Diagnostic {
        Diagnostic::new(cause, "it broke", "3 records wait", "mend it")
    }

    #[test]
    fn a_cause_is_reported_once_a_minute_for_each_place() {
        let (diag, seen) = collecting();
        let start = Instant::now();
        diag.report("a", start, trouble(Cause::Unreachable));
        diag.report(
            "a",
            start + Duration::from_secs(59),
            trouble(Cause::Unreachable),
        );
        diag.report("b", start, trouble(Cause::Unreachable));
        diag.report("a", start, trouble(Cause::Quota));
        assert_eq!(seen.lock().unwrap().len(), 3);
        diag.report(
            "a",
            start + Duration::from_secs(60),
            trouble(Cause::Unreachable),
        );
        assert_eq!(
            seen.lock().unwrap()[3],
            "it broke; 3 records wait; mend it (and 1 more since the last report)"
        );
    }

    #[test]
    fn a_hook_that_panics_is_survived() {
        let diag = Diag::new(Sink::Hook(Hook(Arc::new(|_| panic!("on purpose")))));
        diag.report("a", Instant::now(), trouble(Cause::Internal));
    }
}
