//! What an answer means: one pure function from status, headers and body to an [`Outcome`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use serde_json::Value;

use super::words::EMPTY;
use crate::config::{HIDDEN, SHORTEST_TOKEN};
use crate::diag::Cause;

/// No hint of the server's is followed for longer. Axiom's rate limits are counted by the minute
/// (docs, "API limits"), so a reset further away is a mistake or a clock that is wrong.
pub(crate) const HINT_CAP: Duration = Duration::from_secs(300);

/// Our clock is trusted to compute a wait until it differs by more than this from the server's.
const TRUSTED_SKEW: Duration = Duration::from_secs(2);

/// Failures quoted from one answer.
const SAMPLES: usize = super::digest::ELEMENTS as usize;

/// Characters quoted from what a server says.
const QUOTED: usize = 200;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Takes the token out of what the server says, of which diagnostics quote parts: servers and proxies
    /// may quote the request. A token shorter than any of Axiom's stays: it could be a word of the answer.
    pub(crate) fn hide(&mut self, token: &str) {
        if token.len() < SHORTEST_TOKEN {
            return;
        }
        let is_in = |bytes: &[u8]| {
            let mut windows = bytes.windows(token.len());
            windows.any(|window| window == token.as_bytes())
        };
        if is_in(&self.body) {
            let body = String::from_utf8_lossy(&self.body).replace(token, HIDDEN);
            self.body = Bytes::from(body);
        }
        // JSON can spell it in other ways, and some encoders write `\/` and `\u0026`.
        if self.body.contains(&b'\\')
            && let Ok(mut body) = serde_json::from_slice(&self.body)
        {
            hide_in(&mut body, token);
            self.body = Bytes::from(body.to_string());
        }
        for value in self.headers.values_mut() {
            if is_in(value.as_bytes()) {
                *value = HeaderValue::from_static(HIDDEN);
            }
        }
    }
}

fn hide_in(value: &mut Value, token: &str) {
    match value {
        Value::String(text) => *text = text.replace(token, HIDDEN),
        Value::Array(values) => values.iter_mut().for_each(|value| hide_in(value, token)),
        Value::Object(fields) => fields.values_mut().for_each(|value| hide_in(value, token)),
        _ => {}
    }
}

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
    /// A gateway that passes records on to Axiom. Vector's and Fluent Bit's HTTP sources answer with nothing but a status.
    Gateway,
}

/// Reads an answer to a request of `sent` records, received at `now` by our own clock.
pub(crate) fn outcome(answer: &Answer, sent: u32, now: SystemTime, peer: Peer) -> Outcome {
    let detail = || explain(answer);
    match answer.status {
        200..=299 if answer.body.trim_ascii().is_empty() => match peer {
            Peer::Gateway => Outcome::Accepted {
                failed: 0,
                samples: Vec::new(),
                warnings: Vec::new(),
            },
            // Nobody can tell whether the records are stored. Sent again, they would be refused in the same way.
            Peer::Axiom => Outcome::Refused {
                cause: Cause::UnexpectedAnswer,
                detail: detail(),
            },
        },
        200..=299 => accepted(answer, sent).unwrap_or_else(|| Outcome::Retry {
            cause: Cause::UnexpectedAnswer,
            detail: detail(),
            after: None,
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

/// Reads the body of a 200 leniently: fields may be missing, but one of the two counts must be there.
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

/// When the server wants to hear from us again: `Retry-After`, else the first of these headers that
/// names a time to come (epoch seconds, as Axiom documents them).
fn hint<const N: usize>(
    answer: &Answer,
    now: SystemTime,
    resets: [&str; N],
    capped: bool,
) -> Option<Duration> {
    let now = server_time(&answer.headers, now);
    let read = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::trim);
    let until = |seconds: u64| Duration::from_secs(seconds).checked_sub(now);
    let retry_after = read(RETRY_AFTER.as_str()).and_then(|text| match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => until(http_date(text)?),
    });
    let wait = retry_after.or_else(|| {
        resets
            .iter()
            .find_map(|name| until(read(name)?.parse().ok()?))
    })?;
    Some(if capped { wait.min(HINT_CAP) } else { wait }).filter(|wait| !wait.is_zero())
}

/// Time since 1970 by our clock, or by the server's if ours is plainly wrong.
fn server_time(headers: &HeaderMap, now: SystemTime) -> Duration {
    let ours = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    date(headers)
        .filter(|theirs| theirs.abs_diff(ours) > TRUSTED_SKEW)
        .unwrap_or(ours)
}

/// How far our clock, which says `now`, is from the server's, and whether it is ahead.
pub(crate) fn clock_skew(headers: &HeaderMap, now: SystemTime) -> Option<(bool, Duration)> {
    let ours = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let theirs = date(headers)?;
    Some((ours > theirs, ours.abs_diff(theirs)))
}

/// When the server says it answered, since 1970.
fn date(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(DATE)?.to_str().ok()?;
    http_date(text).map(Duration::from_secs)
}

fn http_date(text: &str) -> Option<u64> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    u64::try_from(date.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        Answer {
            status,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn read(status: u16, headers: &[(&'static str, &str)], body: &str) -> Outcome {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        outcome(&answer(status, headers, body), 1_000, now, Peer::Axiom)
    }

    fn wait(outcome: &Outcome) -> Option<Duration> {
        match outcome {
            Outcome::Retry { after, .. } | Outcome::Quota { after, .. } => *after,
            other => panic!("{other:?} has no wait"),
        }
    }

    #[test]
    fn a_200_counts_only_what_it_confirms() {
        for (body, expected) in [
            (r#"{"ingested":1000,"failed":0}"#, Some(0)),
            (r#"{"ingested":997,"failed":3,"failures":[]}"#, Some(3)),
            (r#"{"ingested":900}"#, Some(100)),
            (r#"{"failed":5}"#, Some(5)),
            (r#"{"ingested":0,"failed":99999}"#, Some(1_000)),
            (r#"{"ingested":5000,"failed":0}"#, Some(0)),
            (r#"{"ok":true}"#, None),
            ("<html>hello</html>", None),
            (r#"{"ingested":1000,"fai"#, None),
            ("[]", None),
        ] {
            match (read(200, &[], body), expected) {
                (Outcome::Accepted { failed, .. }, Some(expected)) => {
                    assert_eq!(failed, expected, "{body}");
                }
                (
                    Outcome::Retry {
                        cause: Cause::UnexpectedAnswer,
                        ..
                    },
                    None,
                ) => {}
                (other, _) => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_status_without_a_body_is_a_refusal_of_axioms_and_a_success_of_a_gateways() {
        for (status, body) in [(200, ""), (200, " \r\n"), (201, ""), (202, ""), (204, "")] {
            let answer = answer(status, &[], body);
            assert!(
                matches!(
                    outcome(&answer, 1_000, UNIX_EPOCH, Peer::Axiom),
                    Outcome::Refused {
                        cause: Cause::UnexpectedAnswer,
                        ..
                    }
                ),
                "{status}"
            );
            assert!(
                matches!(
                    outcome(&answer, 1_000, UNIX_EPOCH, Peer::Gateway),
                    Outcome::Accepted { failed: 0, .. }
                ),
                "{status}"
            );
        }
    }

    #[test]
    fn a_gateway_that_says_more_is_read_as_axiom_is() {
        let read =
            |status, body| outcome(&answer(status, &[], body), 10, UNIX_EPOCH, Peer::Gateway);
        let counted = read(200, r#"{"ingested":7,"failed":3}"#);
        assert!(matches!(counted, Outcome::Accepted { failed: 3, .. }));
        for body in ["<html>log in</html>", r#"{"ok":true}"#] {
            let cause = Cause::UnexpectedAnswer;
            assert!(matches!(read(200, body), Outcome::Retry { cause: said, .. } if said == cause));
        }
        assert!(matches!(read(400, ""), Outcome::Unreadable { .. }));
        assert!(matches!(read(503, ""), Outcome::Retry { .. }));
    }

    #[test]
    fn hiding_the_token_leaves_the_meaning_of_an_answer() {
        let body = r#"{"ingested":999,"failed":1,"failures":[{"error":"xaat-0123456789ab"}]}"#;
        for (token, quote) in [
            ("xaat-0123456789ab", "(hidden)"),
            ("ingested", "xaat-0123456789ab"),
            ("", "xaat-0123456789ab"),
        ] {
            let mut answer = answer(200, &[], body);
            answer.hide(token);
            let Outcome::Accepted {
                failed, samples, ..
            } = outcome(&answer, 1_000, UNIX_EPOCH, Peer::Axiom)
            else {
                panic!("a 200 that counts is an answer");
            };
            assert_eq!(failed, 1);
            assert!(samples[0].starts_with(quote), "{samples:?}");
        }
    }

    #[test]
    fn the_token_is_hidden_however_json_spells_it() {
        let token = "abc/def&ghi+jkl==";
        for said in [
            r#"{"message":"no such token: abc\/def\u0026ghi+jkl=="}"#,
            r#"{"error":"no such token: abc\/def&ghi\u002bjkl=="}"#,
        ] {
            let mut answer = answer(401, &[], said);
            answer.hide(token);
            let Outcome::Refused { detail, .. } = outcome(&answer, 1_000, UNIX_EPOCH, Peer::Axiom)
            else {
                panic!("a 401 refuses");
            };
            assert_eq!(detail, "HTTP 401: no such token: (hidden)");
        }
    }

    #[test]
    fn failures_and_messages_are_quoted() {
        let body = r#"{"ingested":999,"failed":1,
            "failures":[{"timestamp":"2026-01-01T00:00:00Z","error":"too many fields"}],
            "messages":[{"priority":"warn","code":"schema_rules_drop:a","count":2,"msg":"dropped"}]}"#;
        assert_eq!(
            read(200, &[], body),
            Outcome::Accepted {
                failed: 1,
                samples: vec!["too many fields (record of 2026-01-01T00:00:00Z)".into()],
                warnings: vec!["schema_rules_drop:a: dropped".into()],
            }
        );
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in [408, 425, 500, 501, 502, 503, 504, 599] {
            assert!(
                matches!(
                    read(status, &[], ""),
                    Outcome::Retry {
                        cause: Cause::ServerError,
                        after: None,
                        ..
                    }
                ),
                "{status}"
            );
        }
        for status in [301, 302, 303, 307, 308, 304, 600] {
            assert!(
                matches!(
                    read(status, &[("location", "/login")], ""),
                    Outcome::Retry {
                        cause: Cause::UnexpectedAnswer,
                        ..
                    }
                ),
                "{status}"
            );
        }
        for (status, expected) in [
            (401, Cause::Unauthorized),
            (403, Cause::Unauthorized),
            (402, Cause::Payment),
            (404, Cause::NotFound),
            (405, Cause::NotFound),
            (410, Cause::NotFound),
            (431, Cause::HeadersTooLarge),
        ] {
            assert!(
                matches!(read(status, &[], ""), Outcome::Refused { cause, .. } if cause == expected),
                "{status}"
            );
        }
        assert!(matches!(read(421, &[], ""), Outcome::Misdirected { .. }));
        for status in [400, 415, 422] {
            assert!(matches!(read(status, &[], ""), Outcome::Unreadable { .. }));
        }
        assert_eq!(read(413, &[], ""), Outcome::Split);
    }

    #[test]
    fn limits_tell_when_to_come_back() {
        let reset = |seconds: i64| (NOW as i64 + seconds).to_string();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let (soon, past, far) = (reset(5), reset(-5), reset(315_360_000));
        for (headers, expected) in [
            (vec![("x-ratelimit-reset", soon.as_str())], seconds(5)),
            (vec![("x-ingestlimit-reset", soon.as_str())], seconds(5)),
            (vec![("x-ratelimit-reset", past.as_str())], None),
            (vec![("x-ratelimit-reset", far.as_str())], Some(HINT_CAP)),
            (vec![("x-ratelimit-reset", "soon")], None),
            (vec![], None),
            (vec![("retry-after", "7")], seconds(7)),
            (vec![("retry-after", "0")], None),
            (
                vec![("retry-after", "7"), ("x-ratelimit-reset", soon.as_str())],
                seconds(7),
            ),
            (
                vec![("retry-after", "Mon, 21 Sep 2026 14:13:29 GMT")],
                seconds(9),
            ),
            (vec![("retry-after", "99999999999999999999")], None),
            (
                vec![
                    ("x-ratelimit-reset", soon.as_str()),
                    ("date", "Mon, 21 Sep 2026 15:13:20 GMT"),
                ],
                None,
            ),
        ] {
            assert_eq!(wait(&read(429, &headers, "")), expected, "{headers:?}");
        }
        assert_eq!(
            wait(&read(430, &[("x-ingestlimit-reset", &far)], "")),
            seconds(315_360_000)
        );
        assert_eq!(
            wait(&read(430, &[("x-ingestlimit-reset", &past)], "")),
            None
        );
        assert_eq!(wait(&read(503, &[("retry-after", "7")], "")), seconds(7));
        assert_eq!(wait(&read(425, &[("retry-after", "7")], "")), seconds(7));
    }

    #[test]
    fn what_the_server_says_is_one_short_line() {
        let Outcome::Refused { detail, .. } = read(
            403,
            &[("x-axiom-trace-id", "abc")],
            "{\"message\":\"no\\nentry\"}",
        ) else {
            panic!("a 403 refuses");
        };
        assert_eq!(detail, "HTTP 403: no entry (trace abc)");
        let Outcome::Refused { detail, .. } = read(404, &[], &"x".repeat(10_000)) else {
            panic!("a 404 refuses");
        };
        assert!(detail.len() < 300, "{detail}");
    }
}
