//! The result: what was checked, and the one diagnosis. Values and their text, nothing else.

use std::fmt;
use std::time::Duration;

use crate::config::Secret;
use crate::report::BuildError;
use crate::worker::{Trouble, Words};

/// What [`doctor`](crate::doctor()) found out.
///
/// `Display` is the report for a person: a line for each check, then the diagnosis and its fix.
#[derive(Debug, Clone)]
#[must_use = "a diagnosis is to be read"]
pub struct Diagnosis {
    checks: Vec<Check>,
    verdict: Verdict,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Check {
    step: Step,
    state: State,
    detail: String,
}

/// What a check looks at, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// The settings and the environment, as [`Builder::build`](crate::Builder::build) checks them.
    Configuration,
    /// The address of the host, or of the proxy that leads to it.
    Name,
    /// A TCP connection to it.
    Connection,
    /// The TLS handshake and the certificate.
    Tls,
    /// One record, sent as records are sent. Once for each dataset.
    Probe,
    /// This machine's clock beside the server's.
    Clock,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// All is well.
    Passed,
    /// Something is wrong.
    Failed,
    /// There was nothing to check.
    NotNeeded,
    /// Something failed before.
    NotReached,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// A setting is missing or wrong.
    Configuration,
    /// The host's name does not resolve.
    Name,
    /// Nothing listens at that address and port.
    ConnectionRefused,
    /// Attempts to connect go unanswered, as behind a firewall that drops them.
    ConnectionTimeout,
    /// Any other way not to reach the host, such as no route, or a machine that allows no such connection.
    Network,
    /// The port does not speak TLS.
    NotTls,
    /// The certificate was issued by nobody whom this machine trusts, or was revoked.
    CertificateUntrusted,
    /// The certificate is not valid at this time.
    CertificateExpired,
    /// The certificate is another host's, or nobody serves a host of that name there.
    CertificateName,
    /// Any other failure to set up TLS: silence, no common version, a client certificate that is asked for.
    Tls,
    /// The proxy that the environment names can not be reached, wants a password or refuses.
    Proxy,
    /// The connection ended before the answer did.
    ConnectionClosed,
    /// The request was taken and never answered.
    NoAnswer,
    /// The token was refused (401, 403).
    Unauthorized,
    /// No such dataset or path (404, 405, 410), or not at this address (421).
    NotFound,
    /// The endpoint does not understand records (400 and other 4xx).
    BadRequest,
    /// Even one small record is too large (413).
    TooLarge,
    /// Too many requests (429, or what HTTP/2 has for it).
    RateLimited,
    /// The account's ingest allowance is used up (430).
    Quota,
    /// The account has to be paid for (402).
    Payment,
    /// The headers of a request are too large (431). The labels are most of them.
    HeadersTooLarge,
    /// The endpoint is in trouble (5xx, 408, 425).
    ServerError,
    /// The endpoint answers with a redirect, which records do not follow.
    Redirect,
    /// An answer that Axiom would not give: a web page, nothing, no HTTP, a broken HTTP/2.
    NotAxiom,
    /// The request was accepted, the record was not; for example, the dataset is at its limit of fields.
    Rejected,
    /// The record was stored in part, as with a locked schema.
    Warning,
    /// This machine's clock is minutes off: records are stored under a wrong `_time`.
    Clock,
    /// The system gives no thread, no files, no memory, no local ports or no certificates, or is too slow.
    System,
    /// A defect in this crate.
    Internal,
}

impl Diagnosis {
    pub(super) fn new(mut checks: Vec<Check>, verdict: Verdict) -> Self {
        const STEPS: [Step; 5] = [
            Step::Name,
            Step::Connection,
            Step::Tls,
            Step::Probe,
            Step::Clock,
        ];
        for step in STEPS {
            if !checks.iter().any(|check| check.step == step) {
                checks.push(Check::new(step, State::NotReached, ""));
            }
        }
        // Stable: the datasets keep their order.
        checks.sort_by_key(|check| check.step);
        Self { checks, verdict }
    }

    pub(super) fn of_configuration(error: &BuildError) -> Self {
        let what = error.what();
        let fix = match error.how_to_fix() {
            fix if fix.is_empty() => "correct this setting".to_owned(),
            fix => fix,
        };
        let check = Check::new(Step::Configuration, State::Failed, what.clone());
        let finding = Finding::new(Problem::Configuration, Words::new(what, fix));
        Self::new(vec![check], finding.into())
    }

    /// Takes the token out of everything: it may be part of the address.
    pub(super) fn hiding(mut self, token: &Secret) -> Self {
        let hide = |text: &mut String| *text = token.hide_in(text);
        self.checks
            .iter_mut()
            .for_each(|check| hide(&mut check.detail));
        match &mut self.verdict {
            Verdict::Well { what, query } => {
                hide(what);
                hide(query);
            }
            Verdict::Wrong(finding) => {
                hide(&mut finding.words.what);
                hide(&mut finding.words.fix);
            }
        }
        self
    }

    /// Whether records arrive: every check passed.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.cause().is_none()
    }

    /// What is wrong; `None` when all is well.
    #[must_use]
    pub fn cause(&self) -> Option<Problem> {
        match &self.verdict {
            Verdict::Wrong(finding) => Some(finding.problem),
            Verdict::Well { .. } => None,
        }
    }

    /// The diagnosis in one sentence. When all is well: what arrived where.
    #[must_use]
    pub fn what(&self) -> &str {
        match &self.verdict {
            Verdict::Wrong(finding) => &finding.words.what,
            Verdict::Well { what, .. } => what,
        }
    }

    /// What fixes it; `None` when all is well.
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Wrong(finding) => Some(&finding.words.fix),
            Verdict::Well { .. } => None,
        }
    }

    /// The query that finds the probe in Axiom; `None` unless all is well.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Wrong(_) => None,
            Verdict::Well { query, .. } => Some(query),
        }
    }

    /// What was checked, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        writeln!(f)?;
        match &self.verdict {
            Verdict::Wrong(Finding { words, .. }) => {
                write!(f, "diagnosis: {}\nfix: {}", words.what, words.fix)
            }
            Verdict::Well { what, query } => write!(
                f,
                "diagnosis: {what}\nto find it in Axiom: {query}\n\
                 if records are missing all the same: keep the guard until the program ends, and see what the filter (RUST_LOG) lets through"
            ),
        }
    }
}

impl Check {
    pub(super) fn new(step: Step, state: State, detail: impl Into<String>) -> Self {
        Self {
            step,
            state,
            detail: detail.into(),
        }
    }

    /// What was looked at.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// How it ended.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What was seen, in a few words; empty if it was not reached.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, state) = (self.step.as_str(), self.state.as_str());
        match self.detail.is_empty() {
            true => write!(f, "{step:<13}  {state}"),
            false => write!(f, "{step:<13}  {state:<11}  {}", self.detail),
        }
    }
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Name => "name",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Probe => "probe",
            Self::Clock => "clock",
        }
    }
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "failed",
            Self::NotNeeded => "not needed",
            Self::NotReached => "not reached",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Well { what: String, query: String },
    Wrong(Finding),
}

/// What is wrong, and the words for it.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    problem: Problem,
    words: Words,
}

impl From<Finding> for Verdict {
    fn from(finding: Finding) -> Self {
        Self::Wrong(finding)
    }
}

impl Finding {
    pub(super) fn new(problem: Problem, words: Words) -> Self {
        Self { problem, words }
    }

    pub(super) fn system(what: &str, error: &std::io::Error) -> Self {
        let words = Words::of_system(format!("the system gives {what}"), error);
        Self::new(Problem::System, words)
    }

    /// The deadline passed while the thread was held up by something that has no deadline of its own.
    pub(super) fn overdue(timeout: Duration) -> Self {
        let words = Words::new(
            format!("this machine did not get through within {timeout:?}"),
            "see whether it is overloaded, or whether reading its certificates hangs; then try again",
        );
        Self::new(Problem::System, words)
    }

    pub(super) fn defect() -> Self {
        let words = Words::new(
            "the doctor itself panicked",
            "this is a defect in axiom-layer; please report it",
        );
        Self::new(Problem::Internal, words)
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Client
            | Trouble::Files
            | Trouble::FilesOfAll
            | Trouble::Threads
            | Trouble::Memory
            | Trouble::Ports => Self::System,
            Trouble::Name => Self::Name,
            Trouble::Refused => Self::ConnectionRefused,
            Trouble::ConnectTimeout => Self::ConnectionTimeout,
            Trouble::NoRoute | Trouble::Forbidden | Trouble::Network => Self::Network,
            Trouble::NotTls => Self::NotTls,
            Trouble::Untrusted | Trouble::Revoked => Self::CertificateUntrusted,
            Trouble::Expired => Self::CertificateExpired,
            Trouble::WrongName | Trouble::UnknownName => Self::CertificateName,
            Trouble::ClientCertificate
            | Trouble::NoCommonTls
            | Trouble::TlsBroken
            | Trouble::OtherProtocol
            | Trouble::Tls => Self::Tls,
            Trouble::Proxy => Self::Proxy,
            Trouble::Closed | Trouble::Unprocessed => Self::ConnectionClosed,
            Trouble::NotHttp | Trouble::Http2 | Trouble::OnlyHttp1 => Self::NotAxiom,
            Trouble::TooMany => Self::RateLimited,
            Trouble::Timeout => Self::NoAnswer,
        }
    }
}
