//! The checks themselves, in order, up to the first that fails. Runs on the doctor's own thread.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout_at;

use super::diagnosis::{Check, Finding, Problem, State, Step, Verdict};
use super::probe::{self, Ids};
use crate::config::{Config, Destination, TokenFile};
use crate::report::Cause;
use crate::worker::{
    self, ADDRESS, Answer, NoAnswer, Outcome, Place, Transport, Trouble, Words, forwarder, outcome,
    proxy, shown,
};

/// The share of the time, in tenths, after which the name must be resolved and the connection stand. What is left is for
/// TLS and the answer, so that no step is blamed for another's slowness.
const NAME_TENTHS: u32 = 4;
const CONNECTION_TENTHS: u32 = 7;

/// A clock that is further off than this is a finding: an answer may be a minute old, and queries look back by minutes.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// What the one who waits gets to hear.
#[derive(Debug)]
pub(super) enum Note {
    Check(Check),
    Verdict(Verdict),
}

pub(super) struct Examination {
    destinations: Vec<Destination>,
    settings: worker::Settings,
    /// Members that each record carries because they do not travel in the header.
    labels: Box<[u8]>,
    ids: Ids,
    /// The host and port of the proxy.
    proxy: Option<(String, u16)>,
    /// The same, where it reads the requests and may answer them itself.
    forwarder: Option<String>,
    /// The file that the token was read from.
    token_file: Option<String>,
    start: Instant,
    deadline: Instant,
    notes: Sender<Note>,
}

impl fmt::Debug for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examination").finish_non_exhaustive()
    }
}

impl Examination {
    pub(super) fn new(
        config: Config,
        settings: worker::Settings,
        deadline: Instant,
        notes: Sender<Note>,
    ) -> Self {
        Self {
            labels: config.labels.members().into(),
            ids: Ids::new(),
            proxy: proxy(&config.events.url, config.loopback),
            forwarder: forwarder(&config.events.url, config.loopback),
            token_file: config.token_file.as_ref().map(TokenFile::shown),
            destinations: std::iter::once(config.events).chain(config.spans).collect(),
            settings,
            start: Instant::now(),
            deadline,
            notes,
        }
    }

    pub(super) async fn run(&mut self) -> Verdict {
        match self.examine().await {
            Ok(well) => well,
            Err(finding) => finding.into(),
        }
    }

    async fn examine(&mut self) -> Result<Verdict, Finding> {
        let addresses: Vec<_> = self.destinations.iter().map(describe).collect();
        self.note(Step::Configuration, State::Passed, addresses.join(", "));
        let addresses = self.resolve().await?;
        self.connect(&addresses).await?;
        let clock = self.probe().await?;
        if let Some(finding) = clock {
            return Err(finding);
        }
        Ok(self.well())
    }

    // Steps.

    async fn resolve(&self) -> Result<Vec<SocketAddr>, Finding> {
        let (host, port) = self.peer();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            self.note(Step::Name, State::NotNeeded, "the host is an IP address");
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let until = self.share(NAME_TENTHS);
        let mut trouble = Trouble::Name;
        let detail = match timeout_at(until.into(), lookup_host((bare, port))).await {
            Ok(Ok(found)) => {
                let found: Vec<_> = found.collect();
                if !found.is_empty() {
                    let list: Vec<_> = found.iter().map(|at| at.ip().to_string()).collect();
                    let detail = format!("{} is {}", self.peer_name(), list.join(", "));
                    self.note(Step::Name, State::Passed, detail);
                    return Ok(found);
                }
                "no address".to_owned()
            }
            Ok(Err(error)) => {
                trouble = Trouble::exhausted(&error).unwrap_or(trouble);
                error.to_string()
            }
            Err(_) => format!("no answer within {}", self.since_start()),
        };
        Err(self.unreached(Step::Name, trouble, &detail))
    }

    /// To all addresses at once; the first connection will do, as it does for the client.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<(), Finding> {
        let until = self.share(CONNECTION_TENTHS);
        let attempt = async |address: &SocketAddr| {
            let connected = timeout_at(until.into(), TcpStream::connect(address)).await;
            let error = match connected {
                Ok(Ok(_connection)) => return Ok(*address),
                Ok(Err(error)) => error,
                Err(_) => io::Error::from(io::ErrorKind::TimedOut),
            };
            Err((*address, error))
        };
        let mut attempts: FuturesUnordered<_> = addresses.iter().map(attempt).collect();
        let (mut trouble, mut details) = (Trouble::Network, Vec::new());
        while let Some(ended) = attempts.next().await {
            let (address, error) = match ended {
                Ok(address) => {
                    let detail = format!("{address} accepts{}", self.via());
                    self.note(Step::Connection, State::Passed, detail);
                    return Ok(());
                }
                Err(failed) => failed,
            };
            match Trouble::of_connection(&error) {
                Some(Trouble::ConnectTimeout) if error.raw_os_error().is_none() => {
                    trouble = Trouble::ConnectTimeout;
                    details.push(format!("{address} stays silent for {}", self.since_start()));
                    continue;
                }
                // Of several addresses, the one that leads furthest tells most; many machines have no way to IPv6.
                Some(found)
                    if found.is_of_machine()
                        || matches!(trouble, Trouble::Network | Trouble::NoRoute) =>
                {
                    trouble = found;
                }
                _ => {}
            }
            details.push(format!("{address}: {error}"));
        }
        Err(self.unreached(Step::Connection, trouble, &details.join(", ")))
    }

    /// One record for each dataset. The result is what is wrong with the clock.
    async fn probe(&mut self) -> Result<Option<Finding>, Finding> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut settings = self.settings.transport.clone();
        settings.request_timeout = settings.request_timeout.min(left);
        let limit = settings.request_timeout;
        let transport = match Transport::new(&settings) {
            Ok(transport) => transport,
            Err(no_answer) => return Err(self.unanswered(0, no_answer, limit)),
        };
        let mut clock = None;
        for index in 0..self.destinations.len() {
            let line = probe::line(&self.ids, &self.labels, index > 0);
            let body = probe::body(&line, &mut self.settings.encoder)
                .map_err(|error| Finding::system("no memory to compress", &error))?;
            let url = self.destinations[index].url.clone();
            let sent = timeout_at(self.deadline.into(), transport.post(url, body)).await;
            let sent = sent.unwrap_or_else(|_| {
                Err(NoAnswer {
                    trouble: Trouble::Timeout,
                    detail: String::new(),
                    is_unprocessed: false,
                })
            });
            let mut answer = match sent {
                Ok(answer) => answer,
                Err(no_answer) => return Err(self.unanswered(index, no_answer, limit)),
            };
            answer.hide(settings.credentials.token());
            if index == 0 {
                self.note_tls();
                clock = self.clock(&answer);
            }
            self.judge(index, &answer, line.len())?;
        }
        Ok(clock)
    }

    fn clock(&self, answer: &Answer) -> Option<Finding> {
        let Some((is_ahead, by)) = worker::clock_skew(&answer.headers, SystemTime::now()) else {
            let detail = "the answer has no date to compare with";
            self.note(Step::Clock, State::NotNeeded, detail);
            return None;
        };
        if by <= CLOCK_TOLERANCE {
            self.note(Step::Clock, State::Passed, "as the server's");
            return None;
        }
        let direction = if is_ahead { "ahead of" } else { "behind" };
        let detail = format!("{} {direction} the server's", in_words(by));
        self.note(Step::Clock, State::Failed, detail.clone());
        let words = Words::new(
            format!(
                "records arrive, but this machine's clock is {detail}, and so is every `_time`"
            ),
            "set the clock and keep it set (NTP; `timedatectl set-ntp true` on Linux); until then, widen the time range of queries by as much",
        );
        Some(Finding::new(Problem::Clock, words))
    }

    // What they mean.

    /// There was no connection to the host, or to the proxy.
    fn unreached(&self, step: Step, trouble: Trouble, detail: &str) -> Finding {
        let trouble = match self.proxy {
            Some(_) if !trouble.is_of_machine() => Trouble::Proxy,
            _ => trouble,
        };
        let detail = format!("{detail}{}", self.via());
        self.fail(step, 0, trouble, &detail)
    }

    /// A request got no answer, though there had been a connection before.
    fn unanswered(&self, index: usize, no_answer: NoAnswer, limit: Duration) -> Finding {
        let NoAnswer {
            trouble, detail, ..
        } = no_answer;
        let is_https = self.destinations[index].url.scheme() == "https";
        let (trouble, detail) = match trouble {
            // The connection stood a moment ago: it is the handshake that is not answered.
            Trouble::ConnectTimeout if is_https => {
                (Trouble::Tls, "no answer to the handshake".to_owned())
            }
            Trouble::Timeout => (trouble, format!("no answer within {}", seconds(limit))),
            _ => (trouble, detail),
        };
        let is_past_tls = matches!(
            trouble,
            Trouble::Timeout
                | Trouble::Closed
                | Trouble::NotHttp
                | Trouble::Http2
                | Trouble::OnlyHttp1
                | Trouble::TooMany
                | Trouble::Unprocessed
        );
        if is_https && !is_past_tls {
            return self.fail(Step::Tls, index, trouble, &detail);
        }
        if index == 0 {
            self.note_tls();
        }
        self.fail(Step::Probe, index, trouble, &detail)
    }

    fn judge(&self, index: usize, answer: &Answer, bytes: usize) -> Result<(), Finding> {
        let (problem, cause, detail) =
            match outcome(answer, 1, SystemTime::now(), self.settings.peer) {
                Outcome::Accepted {
                    failed: 0,
                    warnings,
                    ..
                } => match warnings.into_iter().next() {
                    None => {
                        let detail = format!("arrived in {}", self.place(index).name);
                        self.note(Step::Probe, State::Passed, detail);
                        return Ok(());
                    }
                    Some(warning) => (Problem::Warning, Cause::Warning, warning),
                },
                Outcome::Accepted { samples, .. } => {
                    let detail = samples.into_iter().next();
                    let detail = detail.unwrap_or_else(|| "no reason given".to_owned());
                    (Problem::Rejected, Cause::Rejected, detail)
                }
                Outcome::Retry {
                    cause,
                    detail,
                    after,
                } => {
                    let problem = match cause {
                        Cause::RateLimited => Problem::RateLimited,
                        Cause::ServerError => Problem::ServerError,
                        _ if (300..400).contains(&answer.status) => Problem::Redirect,
                        _ => Problem::NotAxiom,
                    };
                    (problem, cause, again(detail, after))
                }
                Outcome::Quota { detail, after } => {
                    (Problem::Quota, Cause::Quota, again(detail, after))
                }
                Outcome::Split => {
                    let detail = format!("even a record of {bytes} bytes is too large (HTTP 413)");
                    (Problem::TooLarge, Cause::TooLarge, detail)
                }
                Outcome::Misdirected { detail } => (Problem::NotFound, Cause::NotFound, detail),
                Outcome::Unreadable { detail } => (Problem::BadRequest, Cause::BadRequest, detail),
                Outcome::Refused { detail, .. } if answer.status == 407 => {
                    return Err(self.fail(Step::Probe, index, Trouble::Proxy, &detail));
                }
                Outcome::Refused { cause, detail } => {
                    let problem = match cause {
                        Cause::NotFound => Problem::NotFound,
                        Cause::Payment => Problem::Payment,
                        Cause::HeadersTooLarge => Problem::HeadersTooLarge,
                        Cause::UnexpectedAnswer => Problem::NotAxiom,
                        _ => Problem::Unauthorized,
                    };
                    (problem, cause, detail)
                }
            };
        let state = match problem {
            Problem::Warning => format!("stored in part: {detail}"),
            _ => format!("{}: {detail}", self.place(index).name),
        };
        self.note(Step::Probe, State::Failed, state);
        let mut words = Words::for_answer(cause, self.place(index), &detail)
            .unwrap_or_else(|| Words::new(detail, "see what the endpoint says"));
        if problem == Problem::Redirect {
            words.fix = format!(
                "if this is where the endpoint has moved, write it into the address ({ADDRESS}); else a proxy or a login page stands before it"
            );
        } else if is_page(answer) && answer.status >= 400 {
            words.fix.push_str(
                "; the answer is a web page, so it may come from a proxy, a firewall or another server than Axiom's",
            );
        }
        Err(Finding::new(problem, words))
    }

    fn well(&self) -> Verdict {
        let trace = self.ids.trace();
        let filter = format!("where trace_id == \"{trace}\"");
        let query = match &self.destinations[0].dataset {
            Some(dataset) => format!("['{}'] | {filter}", dataset.replace('\'', "\\'")),
            None => filter,
        };
        let names: Vec<_> = (0..self.destinations.len())
            .map(|index| self.place(index).name)
            .collect();
        Verdict::Well {
            what: format!(
                "all is well: \"{}\" arrived in {} at {}, with the trace id {trace}",
                probe::NAME,
                names.join(" and "),
                self.place(0).host(),
            ),
            query,
        }
    }

    // Words.

    fn fail(&self, step: Step, index: usize, trouble: Trouble, detail: &str) -> Finding {
        self.note(step, State::Failed, detail);
        Finding::new(trouble.into(), trouble.words(self.place(index), detail))
    }

    fn note_tls(&self) {
        let (state, detail) = match self.destinations[0].url.scheme() {
            "https" => (State::Passed, "the certificate is trusted"),
            _ => (State::NotNeeded, "plain http"),
        };
        self.note(Step::Tls, state, detail);
    }

    fn note(&self, step: Step, state: State, detail: impl Into<String>) {
        // Whoever asked may have stopped waiting.
        drop(
            self.notes
                .send(Note::Check(Check::new(step, state, detail))),
        );
    }

    fn place(&self, index: usize) -> Place<'_> {
        let destination = &self.destinations[index];
        Place {
            name: destination.dataset.as_deref().unwrap_or("the endpoint"),
            url: &destination.url,
            is_for_spans: index > 0,
            forwarder: self.forwarder.as_deref(),
            token_file: self.token_file.as_deref(),
        }
    }

    /// Whom the connection is made to.
    fn peer(&self) -> (String, u16) {
        let url = &self.destinations[0].url;
        self.proxy.clone().unwrap_or_else(|| {
            (
                url.host_str().unwrap_or_default().to_owned(),
                url.port_or_known_default().unwrap_or_default(),
            )
        })
    }

    fn peer_name(&self) -> String {
        self.peer().0
    }

    fn via(&self) -> String {
        match &self.proxy {
            Some((host, port)) => format!(" (the proxy {host}:{port}, from the environment)"),
            None => String::new(),
        }
    }

    fn share(&self, tenths: u32) -> Instant {
        let total = self.deadline.saturating_duration_since(self.start);
        self.start + total / 10 * tenths
    }

    fn since_start(&self) -> String {
        seconds(self.start.elapsed())
    }
}

fn describe(destination: &Destination) -> String {
    let url = shown(&destination.url);
    match &destination.dataset {
        Some(dataset) => format!("dataset {dataset} at {url}"),
        None => url,
    }
}

/// Whether the body is a web page.
fn is_page(answer: &Answer) -> bool {
    answer.body.trim_ascii_start().starts_with(b"<")
}

fn again(detail: String, after: Option<Duration>) -> String {
    match after {
        Some(after) => format!("{detail}; it may be tried again in {}", in_words(after)),
        None => detail,
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// To two units, as a person would say it.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{minutes} min"),
        7_200..=172_799 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        for (seconds, words) in [
            (5, "5 s"),
            (119, "119 s"),
            (600, "10 min"),
            (7_260, "2 h 1 min"),
            (864_000, "10 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Duration::from_millis(4_700)), "5 s");
    }
}
