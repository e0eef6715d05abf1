//! What an answer means: one pure function from status, headers and body to an [`Outcome`].

use std::time::{Duration, SystemTime};

use reqwest::header::LOCATION;
use serde_json::Value;

use super::allowance::hint;
use super::answer::Answer;
use super::words::EMPTY;
use crate::report::Cause;

/// Failures quoted from one answer.
const SAMPLES: usize = super::digest::ELEMENTS as usize;

/// Characters quoted from what a server says.
const QUOTED: usize = 200;

/// What is to become of the batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The endpoint has it, except for `failed` records that it dropped.
    Accepted {
        failed: u32,
        samples: Vec<String>,
        warnings: Vec<String>,
    },
    /// Send the same again, after a while.
    Retry {
        cause: Cause,
        detail: String,
        after: Option<Duration>,
    },
    /// Another connection would be the right one.
    Misdirected { detail: String },
    /// The body was too large.
    Split,
    /// The endpoint can not read it. Perhaps one record is to blame.
    Unreadable { detail: String },
    /// Nothing will be taken until somebody mends the configuration.
    Refused { cause: Cause, detail: String },
    /// The allowance is used up, for so long if that is known.
    Quota {
        detail: String,
        after: Option<Duration>,
    },
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Axiom, which says how many records it took.
    Axiom,
    /// A gateway that passes records on to Axiom. A status of success is one, whatever it says or does not say; the counts of
    /// Axiom's own answer are believed where it passes that on.
    Gateway,
}

/// Reads an answer to a request of `sent` records, received at `now` by our own clock.
pub(crate) fn outcome(answer: &Answer, sent: u32, now: SystemTime, peer: Peer) -> Outcome {
    let detail = || explain(answer);
    match answer.status {
        200..=299 => accepted(answer, sent).unwrap_or_else(|| match peer {
            Peer::Gateway => Outcome::Accepted {
                failed: 0,
                samples: Vec::new(),
                warnings: Vec::new(),
            },
            // Nobody can tell whether the records are stored. Sent again, they would be refused in the same way.
            Peer::Axiom if answer.body.trim_ascii().is_empty() => Outcome::Refused {
                cause: Cause::UnexpectedAnswer,
                detail: detail(),
            },
            Peer::Axiom => Outcome::Retry {
                cause: Cause::UnexpectedAnswer,
                detail: detail(),
                after: None,
            },
        }),
        429 => Outcome::Retry {
            cause: Cause::RateLimited,
            detail: detail(),
            after: hint(
                answer,
                now,
                ["x-ratelimit-reset", "x-ingestlimit-reset"],
                true,
            ),
        },
        430 => Outcome::Quota {
            detail: detail(),
            after: hint(
                answer,
                now,
                ["x-ingestlimit-reset", "x-ratelimit-reset"],
                false,
            ),
        },
        // 425: the same request may be sent again, later (RFC 8470, 5.2).
        408 | 425 | 500..=599 => Outcome::Retry {
            cause: Cause::ServerError,
            detail: detail(),
            after: hint(answer, now, [], true),
        },
        413 => Outcome::Split,
        401 | 403 | 407 => Outcome::Refused {
            cause: Cause::Unauthorized,
            detail: detail(),
        },
        402 => Outcome::Refused {
            cause: Cause::Payment,
            detail: detail(),
        },
        404 | 405 | 410 => Outcome::Refused {
            cause: Cause::NotFound,
            detail: detail(),
        },
        // RFC 9110, 15.5.20: over a different connection, the request may be sent again.
        421 => Outcome::Misdirected { detail: detail() },
        // Smaller bodies have the same headers.
        431 => Outcome::Refused {
            cause: Cause::HeadersTooLarge,
            detail: detail(),
        },
        400..=499 => Outcome::Unreadable { detail: detail() },
        // Followed, a redirect would turn the POST into a GET and its 200 into a false success.
        _ => Outcome::Retry {
            cause: Cause::UnexpectedAnswer,
            detail: detail(),
            after: None,
        },
    }
}

/// Reads the body of a success leniently: fields may be missing. `None`: neither of the two counts is there.
fn accepted(answer: &Answer, sent: u32) -> Option<Outcome> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let count = |name: &str| body.get(name).and_then(Value::as_u64);
    let (ingested, failed) = (count("ingested"), count("failed"));
    let sent = u64::from(sent);
    let failed = match (ingested, failed) {
        (None, None) => return None,
        // A record that is in neither count was not confirmed.
        (Some(ingested), failed) => failed.unwrap_or(0).max(sent.saturating_sub(ingested)),
        (None, Some(failed)) => failed,
    };
    let failed = u32::try_from(failed.min(sent)).unwrap_or(u32::MAX);
    let list = |name: &str| {
        body.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .map_or(String::new(), quoted)
    };
    Some(Outcome::Accepted {
        failed,
        samples: list("failures")
            .take(SAMPLES)
            .map(|failure| {
                format!(
                    "{} (record of {})",
                    text(failure, "error"),
                    text(failure, "timestamp")
                )
            })
            .collect(),
        warnings: list("messages")
            .take(SAMPLES)
            .map(|message| format!("{}: {}", text(message, "code"), text(message, "msg")))
            .collect(),
    })
}

/// What the server says of a failure, in one line: its message, its redirect, or its first words.
fn explain(answer: &Answer) -> String {
    let status = answer.status;
    if let Some(target) = answer
        .headers
        .get(LOCATION)
        .filter(|_| (300..400).contains(&status))
    {
        let target = String::from_utf8_lossy(target.as_bytes());
        return format!("HTTP {status}, a redirect to {}", quoted(&target));
    }
    let body = String::from_utf8_lossy(&answer.body);
    let json: Option<Value> = serde_json::from_str(&body).ok();
    let message = json.as_ref().and_then(|json| {
        ["message", "error"]
            .iter()
            .find_map(|name| json.get(name)?.as_str())
    });
    let said = match message {
        Some(message) => quoted(message),
        None if body.trim().is_empty() => EMPTY.to_owned(),
        None => format!("the body {:?}", quoted(body.trim())),
    };
    let trace = answer
        .headers
        .get("x-axiom-trace-id")
        .and_then(|id| id.to_str().ok())
        .map_or(String::new(), |id| format!(" (trace {})", quoted(id)));
    format!("HTTP {status}: {said}{trace}")
}

fn quoted(text: &str) -> String {
    let kept = text
        .chars()
        .take(QUOTED)
        .map(|char| if char.is_control() { ' ' } else { char });
    let mut line: String = kept.collect();
    if text.chars().nth(QUOTED).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
