//! Memory is bounded: the oldest events go first. The counters still count every event.

use axiom_local::Server;
use serde_json::Value;

use crate::common::{TIME, one, post};

fn send(server: &Server, numbers: std::ops::Range<u32>, extra: &str) {
    let events: Vec<String> = numbers
        .map(|n| format!(r#"{{"_time":"{TIME}","n":{n}{extra}}}"#))
        .collect();
    let answer = post("/v1/ingest/logs", format!("[{}]", events.join(","))).send(server.addr());
    assert_eq!(answer.status, 200);
}

fn kept(server: &Server) -> Vec<u64> {
    server
        .all_events()
        .iter()
        .map(|event| event.get("n").and_then(Value::as_u64).unwrap())
        .collect()
}

#[test]
fn the_oldest_events_go_when_there_are_too_many() {
    let server = Server::builder().max_events_kept(5).start().unwrap();
    send(&server, 0..3, "");
    send(&server, 3..9, "");
    assert_eq!(kept(&server), [4, 5, 6, 7, 8]);
    assert_eq!((server.ingested(), server.evicted()), (9, 4));
    assert_eq!(server.ingested_in("logs"), 9);
    // The sequence numbers tell a reader who follows along that events are missing.
    assert_eq!(server.events_from(2)[0].sequence(), 4);
    assert_eq!(server.events_from(7).len(), 2);
    assert_eq!(server.events_from(9).len(), 0);
    assert_eq!(server.events_from(u64::MAX).len(), 0);
}

#[test]
fn the_oldest_events_go_when_they_are_too_large() {
    let server = Server::builder().max_bytes_kept(10_000).start().unwrap();
    let large = format!(r#","text":"{}""#, "x".repeat(2_000));
    send(&server, 0..8, &large);
    assert_eq!(kept(&server), [4, 5, 6, 7]);
    // This event alone is larger than all that may be kept.
    let huge = format!(r#","text":"{}""#, "x".repeat(20_000));
    send(&server, 8..9, &huge);
    assert_eq!(kept(&server), [0; 0]);
    assert_eq!((server.ingested(), server.evicted()), (9, 9));
}

#[test]
fn large_labels_count_as_memory_too() {
    let server = Server::builder().max_bytes_kept(200_000).start().unwrap();
    let labels = format!(r#"{{"l":"{}"}}"#, "x".repeat(10_000));
    for n in 0..20 {
        one(&format!("\"n\":{n}"))
            .header("X-Axiom-Event-Labels", &labels)
            .send(server.addr());
    }
    assert!(
        (1..=4).contains(&server.all_events().len()),
        "{}",
        server.all_events().len()
    );
}

#[test]
fn the_latest_violations_are_kept_and_all_are_counted() {
    let server = Server::start().unwrap();
    let body = "{}\n".repeat(6_000);
    for _ in 0..2 {
        post("/v1/ingest/logs", &body).send(server.addr());
    }
    assert_eq!(server.violations_seen(), 12_000);
    let kept = server.violations();
    assert_eq!(kept.len(), 10_000);
    assert_eq!((kept[0].request, kept[0].event), (0, Some(2_000)));
    assert_eq!(server.violations_from(11_999).len(), 1);
    assert_eq!(server.violations_from(12_000).len(), 0);
    assert_eq!(server.violations_from(5).len(), 10_000);
}

#[test]
fn a_violation_quotes_no_more_than_a_reader_wants() {
    let server = Server::start().unwrap();
    let name = "é".repeat(100_000);
    one(&format!("\"{name}\":1")).send(server.addr());
    one(&format!("\"{name}\":true")).send(server.addr());
    assert_eq!(server.violations().len(), 3);
    for violation in server.violations() {
        assert!(violation.reason.len() < 600, "{}", violation.reason.len());
    }
}

#[test]
fn a_compact_event_is_the_same_event() {
    let server = Server::start().unwrap();
    one("\"a\":1")
        .header("X-Axiom-Event-Labels", r#"{"l":2}"#)
        .send(server.addr());
    let event = &server.all_events()[0];
    let compact = event.compact();
    assert_eq!(compact.fields(), event.fields());
    assert_eq!(compact.to_string(), event.to_string());
    assert_eq!(
        (compact.sequence(), compact.dataset()),
        (event.sequence(), "logs")
    );
    assert_eq!(compact.into_fields()["l"], 2);
}
