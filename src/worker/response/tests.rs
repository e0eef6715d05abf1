use std::time::UNIX_EPOCH;

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};

use super::*;
use crate::worker::allowance::HINT_CAP;

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
fn a_success_of_a_gateways_is_one_whatever_it_says_but_for_axioms_own_counts() {
    let read = |status, body| outcome(&answer(status, &[], body), 10, UNIX_EPOCH, Peer::Gateway);
    for (body, expected) in [
        (r#"{"ingested":10,"failed":0}"#, 0),
        (r#"{"ingested":7,"failed":3}"#, 3),
        (r#"{"ingested":7}"#, 3),
        (r#"{"failed":3}"#, 3),
        ("ok", 0),
        ("<html>thank you</html>", 0),
        (r#"{"ok":true}"#, 0),
        (r#"{"text":"Success","code":0}"#, 0),
        (r#"{"errors":false,"items":[]}"#, 0),
        (r#"{"ingested":"all"}"#, 0),
        ("[]", 0),
        ("\u{1f980}", 0),
    ] {
        for status in [200, 201, 202] {
            let Outcome::Accepted { failed, .. } = read(status, body) else {
                panic!("{status} {body}");
            };
            assert_eq!(failed, expected, "{status} {body}");
        }
    }
    // Everything else means the same as it does from Axiom.
    for (status, body) in [
        (302, ""),
        (400, "ok"),
        (401, "ok"),
        (404, "ok"),
        (413, "ok"),
        (429, "ok"),
        (503, "ok"),
    ] {
        let answer = answer(status, &[], body);
        let axioms = outcome(&answer, 10, UNIX_EPOCH, Peer::Axiom);
        assert_eq!(read(status, body), axioms);
        assert!(!matches!(axioms, Outcome::Accepted { .. }), "{status}");
    }
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
