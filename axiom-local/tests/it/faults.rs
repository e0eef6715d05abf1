//! Each fault as a client meets it, and which request it happens to.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use axiom_local::{Fault, Server};
use serde_json::{Value, json};

use crate::common::{PATIENCE, TIME, one, post, read_answer, read_to_end};

/// Starts a server and sends a request, which gets the fault. Returns the server and the connection.
fn meet(fault: Fault) -> (Server, TcpStream) {
    let server = Server::start().unwrap();
    server.fault(fault);
    let stream = one("\"n\":1").start(server.addr());
    (server, stream)
}

/// Waits until the request has been read and dealt with, as far as its fault allows.
fn dealt_with(server: &Server) {
    assert!(server.wait_until(PATIENCE, |s| s.requests().iter().any(|r| r.events == 1)));
}

#[test]
fn a_status_comes_with_its_headers_and_stores_nothing() {
    let fault = Fault::status(429)
        .header("X-RateLimit-Reset", "1790000000")
        .header("x-twice", "a")
        .header("X-Twice", "b")
        .header("content-type", "text/plain")
        .body("slow down");
    let (server, mut stream) = meet(fault);
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers["x-ratelimit-reset"], "1790000000");
    assert_eq!(answer.headers["x-twice"], "a, b");
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert_eq!(answer.body, b"slow down");
    let request = &server.requests()[0];
    assert_eq!(
        (request.status, request.events, request.ingested),
        (Some(429), 1, 0)
    );
    assert_eq!(request.fault.as_deref(), Some("status 429"));
    assert_eq!(server.ingested(), 0);
    // The connection can still be used.
    assert_eq!(one("\"n\":1").send_on(&mut stream).status, 200);
}

#[test]
fn a_limit_on_the_wire_goes_by_size_and_before_other_faults_and_breaks_no_rule() {
    let server = Server::start().unwrap();
    let small = one("\"n\":1");
    let large = one(&format!("\"m\":\"{}\"", "x".repeat(1_000)));
    server.max_wire_bytes(Some(small.body.len()));
    server.always(Some(Fault::status(503)));
    assert_eq!(large.send(server.addr()).status, 413);
    assert_eq!(small.send(server.addr()).status, 503);
    server.always(None);
    assert_eq!(small.send(server.addr()).status, 200);
    server.max_wire_bytes(None);
    assert_eq!(large.send(server.addr()).status, 200);
    let fault = format!("over {} bytes", small.body.len());
    let faults: Vec<_> = server.requests().into_iter().map(|r| r.fault).collect();
    let expected = [Some(fault), Some("status 503".into()), None, None];
    assert_eq!(faults, expected);
    assert_eq!((server.ingested(), server.violations()), (2, vec![]));
}

#[test]
fn a_status_without_a_body_has_a_message() {
    for (code, status, message) in [
        (503, 503, "Service Unavailable"),
        (430, 430, "status 430"),
        (42, 500, "Internal Server Error"),
        (1_000, 500, "Internal Server Error"),
        (100, 500, "Internal Server Error"),
    ] {
        let (_server, mut stream) = meet(Fault::status(code));
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!(answer.status, status, "{code}");
        assert_eq!(answer.json(), json!({"message": message}), "{code}");
    }
}

#[test]
fn a_delay_serves_later() {
    let start = Instant::now();
    let (server, mut stream) = meet(Fault::delay(Duration::from_millis(300)));
    assert!(server.wait_until(PATIENCE, |s| s.requests().len() == 1));
    assert_eq!(server.ingested(), 0);
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.ingested(), 1);
}

#[test]
fn a_client_that_leaves_during_a_delay_has_stored_nothing() {
    let (server, stream) = meet(Fault::delay(Duration::from_millis(300)));
    assert!(server.wait_until(PATIENCE, |s| s.requests().len() == 1));
    drop(stream);
    // This delay begins later and ends later, so the first one is over when it ends.
    server.fault(Fault::delay(Duration::from_millis(400)));
    assert_eq!(one("\"n\":2").send(server.addr()).status, 200);
    assert_eq!(server.ingested(), 1);
    assert_eq!(server.all_events()[0].get("n").unwrap(), 2);
    assert_eq!(server.requests()[0].status, None);
}

#[test]
fn any_fault_can_come_later() {
    for fault in [
        Fault::status(500),
        Fault::close_before_answer(),
        Fault::close_before_read(),
    ] {
        let start = Instant::now();
        let (_server, mut stream) = meet(fault.after(Duration::from_millis(200)));
        let mut buffer = [0; 64];
        // Whatever comes, an answer, an end or a reset, it comes no sooner than the delay.
        drop(stream.read(&mut buffer));
        assert!(start.elapsed() >= Duration::from_millis(200));
    }
}

#[test]
fn a_hang_never_answers_and_keeps_the_connection_open() {
    for (fault, stored) in [(Fault::hang(), 0), (Fault::hang_after_store(), 1)] {
        let (server, mut stream) = meet(fault);
        dealt_with(&server);
        assert_eq!(server.ingested(), stored);
        assert_eq!(server.requests()[0].ingested as u64, stored);
        assert_eq!(server.requests()[0].status, None);
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "{error}"
        );
        // Other requests are served meanwhile.
        assert_eq!(one("\"n\":2").send(server.addr()).status, 200);
    }
}

#[test]
fn a_close_before_reading_does_not_wait_for_the_body() {
    let server = Server::start().unwrap();
    server.fault(Fault::close_before_read());
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = post("/v1/ingest/logs", vec![b' '; 1_000_000]);
    stream.write_all(request.head().as_bytes()).unwrap();
    assert_eq!(read_to_end(&mut stream).unwrap(), b"");
    let request = &server.requests()[0];
    assert_eq!((request.status, request.wire_bytes), (None, 0));
}

#[test]
fn a_close_ends_the_stream_without_an_answer() {
    for (fault, stored) in [
        (Fault::close_before_answer(), 0),
        (Fault::close_after_store(), 1),
    ] {
        let (server, mut stream) = meet(fault);
        assert_eq!(read_to_end(&mut stream).unwrap(), b"");
        assert_eq!(server.ingested(), stored);
        assert_eq!(server.requests()[0].events, 1);
        assert_eq!(server.requests()[0].status, None);
    }
}

#[test]
fn a_reset_is_a_reset() {
    for (fault, stored) in [(Fault::reset(), 0), (Fault::reset_after_store(), 1)] {
        let (server, mut stream) = meet(fault);
        let error = read_to_end(&mut stream).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(server.ingested(), stored);
    }
}

#[test]
fn a_cut_body_ends_halfway() {
    let (server, mut stream) = meet(Fault::cut_body());
    let text = String::from_utf8(read_to_end(&mut stream).unwrap()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let promised = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned))
        .unwrap();
    assert_eq!(body.len(), promised.parse::<usize>().unwrap() / 2);
    assert_eq!(server.ingested(), 1);
}

#[test]
fn garbage_is_a_200_that_stored_nothing() {
    let (server, mut stream) = meet(Fault::garbage("<html>Log in to the Wi-Fi</html>"));
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!((answer.status, &answer.body[..6]), (200, &b"<html>"[..]));
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!((server.ingested(), server.requests()[0].events), (0, 1));
}

#[test]
fn failed_events_are_counted_and_the_rest_is_stored() {
    let server = Server::start().unwrap();
    let body = format!(
        r#"[{{"_time":"2026-01-01T00:00:01Z","n":1}},{{"_time":"{TIME}","n":2}},{{"_time":"{TIME}","n":3}}]"#
    );
    server.faults([Some(Fault::fail_events(2)), Some(Fault::fail_events(10))]);
    let answer = post("/v1/ingest/logs", &body).send(server.addr()).json();
    assert_eq!(
        (&answer["ingested"], &answer["failed"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(answer["failures"].as_array().unwrap().len(), 2);
    assert_eq!(
        answer["failures"][0]["timestamp"],
        "2026-01-01T00:00:01.000000000Z"
    );
    let kept: Vec<Value> = server
        .events("logs")
        .iter()
        .map(|e| e.get("n").unwrap().clone())
        .collect();
    assert_eq!(kept, [3]);
    let answer = post("/v1/ingest/logs", &body).send(server.addr()).json();
    assert_eq!(
        (&answer["ingested"], &answer["failed"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(server.ingested(), 1);
}

#[test]
fn messages_are_in_the_answer() {
    let messages =
        json!([{"priority": "warn", "code": "schema_rules_drop:a", "count": 2, "msg": "x"}]);
    let (server, mut stream) = meet(Fault::messages(messages.clone()));
    let answer = read_answer(&mut stream).unwrap().json();
    assert_eq!(
        (&answer["messages"], &answer["ingested"]),
        (&messages, &json!(1))
    );
    assert_eq!(server.ingested(), 1);
}

#[test]
fn a_trickle_arrives_at_its_rate() {
    // At each tick these rates send 45 bytes, 1.9 on average, and one.
    for (rate, bytes) in [(450, 90), (19, 19), (5, 3)] {
        let start = Instant::now();
        let (server, mut stream) = meet(Fault::trickle(rate));
        let body = read_of_body(&mut stream, bytes);
        assert_eq!(body.len(), bytes);
        // The first tick comes at once. A tick lasts a tenth of a second or, at lower rates, as long as one byte takes.
        let tick = 1.0 / f64::from(rate.min(10));
        let least = Duration::from_secs_f64((bytes as f64 / f64::from(rate) - tick).max(0.0));
        // A byte in each tick would take nine seconds for the first.
        let most = least + Duration::from_secs(5);
        assert!(
            (least..most).contains(&start.elapsed()),
            "{rate}: {:?}",
            start.elapsed()
        );
        assert_eq!(server.ingested(), 1);
    }
    let (_server, mut stream) = meet(Fault::trickle(1_000));
    assert_eq!(read_answer(&mut stream).unwrap().json()["ingested"], 1);
}

/// Reads the head and this many bytes of the body.
fn read_of_body(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).unwrap();
    body
}

/// Sends `n` requests, one after the other on one connection. Returns the statuses of their answers.
fn statuses(server: &Server, n: usize) -> Vec<u16> {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (0..n)
        .map(|_| one("\"n\":1").send_on(&mut stream).status)
        .collect()
}

#[test]
fn the_queue_goes_first_then_the_standing_fault() {
    let server = Server::start().unwrap();
    server.faults([Some(Fault::status(500)), None]);
    server.fault(Fault::status(503));
    assert_eq!(statuses(&server, 4), [500, 200, 503, 200]);
    server.always(Some(Fault::status(502)));
    server.fault(Fault::status(429));
    assert_eq!(statuses(&server, 3), [429, 502, 502]);
    server.always(None);
    assert_eq!(statuses(&server, 1), [200]);
    server.faults([Some(Fault::status(500)), Some(Fault::status(500))]);
    server.no_faults();
    assert_eq!(statuses(&server, 1), [200]);
}

#[test]
fn chance_is_repeatable_from_its_seed() {
    let draw = || {
        let server = Server::start().unwrap();
        server.with_probability(7, 0.3, Fault::status(503));
        server.with_probability(8, 0.3, Fault::status(429));
        statuses(&server, 60)
    };
    let first = draw();
    assert_eq!(first, draw());
    for status in [200, 503, 429] {
        assert!(first.contains(&status), "{first:?}");
    }
}

#[test]
fn a_fault_comes_before_the_checks_and_the_checks_are_noted_all_the_same() {
    let server = Server::builder().token("xaat-right").start().unwrap();
    server.fault(Fault::status(503));
    let request = one("\"a\":1,\"a\":2").without("User-Agent");
    assert_eq!(request.send(server.addr()).status, 503);
    assert_eq!(server.violations().len(), 1, "{:?}", server.violations());
}
