//! The handle: waiting, files, following along, and stopping.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axiom_local::{Fault, Rule, Server};
use serde_json::{Value, json};

use crate::common::{PATIENCE, TIME, one, post};

/// A directory that is removed when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("axiom-local-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn events_are_in_the_file_before_the_answer_and_a_restart_appends() {
    let scratch = Scratch::new("files");
    let dir = scratch.0.join("new/deep");
    for round in 1..=2 {
        let server = Server::builder().dir(&dir).start().unwrap();
        let body = format!(
            "{{\"_time\":\"{TIME}\",\"s\":\"a\\nb\",\"n\":{round}}}\n{{\"n\":\n3,\"_time\":\"{TIME}\"}}"
        );
        let answer = post("/v1/ingest/my-logs", body)
            .header("X-Axiom-Event-Labels", r#"{"env":"prod"}"#)
            .send(server.addr());
        assert_eq!(answer.status, 200);
        let text = std::fs::read_to_string(dir.join("my-logs.ndjson")).unwrap();
        let rows: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), 2 * round);
        let last = &rows[2 * round - 2..];
        assert_eq!(
            last[0],
            json!({"_time": TIME, "s": "a\nb", "n": round, "env": "prod"})
        );
        assert_eq!(last[1], json!({"_time": TIME, "n": 3, "env": "prod"}));
        // The file has no event that was refused or that failed.
        server.fault(Fault::fail_events(1));
        post("/v1/ingest/my-logs", "{}").send(server.addr());
        post("/v1/ingest/my-logs", "[1]").send(server.addr());
        assert_eq!(
            std::fs::read_to_string(dir.join("my-logs.ndjson")).unwrap(),
            text
        );
    }
}

#[test]
fn many_datasets_do_not_use_up_the_descriptors() {
    let scratch = Scratch::new("many");
    let server = Server::builder().dir(&scratch.0).start().unwrap();
    for round in 0..2 {
        for n in 0..100 {
            let path = format!("/v1/ingest/set-{n}");
            post(&path, format!(r#"{{"_time":"{TIME}","round":{round}}}"#)).send(server.addr());
        }
    }
    for n in 0..100 {
        let text = std::fs::read_to_string(scratch.0.join(format!("set-{n}.ndjson"))).unwrap();
        assert_eq!(text.lines().count(), 2);
    }
    assert_eq!(server.datasets().len(), 100);
    #[cfg(target_os = "linux")]
    {
        let open = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|file| file.starts_with(&scratch.0))
            .count();
        assert!((1..=64).contains(&open), "{open} files are open");
    }
}

#[test]
fn a_server_that_can_not_start_says_why() {
    let taken = Server::start().unwrap();
    let port = taken.addr().port();
    let error = Server::builder().port(port).start().unwrap_err();
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    let scratch = Scratch::new("file-in-the-way");
    std::fs::write(&scratch.0, "").unwrap();
    let error = Server::builder()
        .dir(scratch.0.join("x"))
        .start()
        .unwrap_err();
    std::fs::remove_file(&scratch.0).unwrap();
    assert!(error.to_string().contains("file-in-the-way"), "{error}");
}

#[test]
fn wait_until_gives_up_at_its_timeout_and_looks_at_once() {
    let server = Server::start().unwrap();
    let start = Instant::now();
    assert!(!server.wait_until(Duration::from_millis(100), |s| s.ingested() > 0));
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(server.wait_until(Duration::ZERO, |s| s.ingested() == 0));
    assert!(server.wait_until(Duration::MAX, |s| s.ingested() == 0));
}

#[test]
fn what_a_request_did_shows_all_at_once() {
    const REQUESTS: usize = 200;
    let server = Server::start().unwrap();
    let addr = server.addr();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(addr).unwrap();
                let body = format!(r#"[{{"_time":"{TIME}","a":1,"a":2}},{{"_time":"{TIME}"}}]"#);
                for _ in 0..REQUESTS / 4 {
                    assert_eq!(
                        post("/v1/ingest/logs", &body).send_on(&mut stream).status,
                        200
                    );
                }
            })
        })
        .collect();
    let done = server.wait_until(PATIENCE, |s| {
        // Each of these reads happens a moment after the one before, so a number may be ahead of an earlier one, but never
        // behind.
        let answered = s.requests().iter().filter(|r| r.status.is_some()).count();
        let events = s.events("logs").len();
        let ingested = s.ingested();
        let violations = s.violations_seen();
        let total: usize = s.requests().iter().map(|r| r.ingested).sum();
        assert!(
            events >= 2 * answered,
            "{events} events of {answered} requests"
        );
        assert!(ingested >= events as u64);
        assert!(2 * violations >= ingested);
        assert!(total as u64 >= ingested);
        answered == REQUESTS
    });
    assert!(done);
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    assert_eq!((server.ingested(), server.violations_seen()), (400, 200));
}

#[test]
fn following_along_misses_nothing_and_repeats_nothing() {
    let server = Server::start().unwrap();
    let (mut next, mut seen) = (0, Vec::new());
    for n in 0..5 {
        one(&format!("\"n\":{n}")).send(server.addr());
        for event in server.events_from(next) {
            next = event.sequence() + 1;
            seen.push(event.get("n").unwrap().clone());
            assert_eq!(event.request(), n);
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn clear_forgets_what_arrived_but_not_the_counts() {
    let server = Server::start().unwrap();
    one("\"a\":1,\"a\":1").send(server.addr());
    server.clear();
    assert_eq!(server.all_events().len(), 0);
    assert_eq!((server.requests().len(), server.violations().len()), (0, 0));
    assert_eq!(
        (
            server.ingested(),
            server.requests_seen(),
            server.violations_seen()
        ),
        (1, 1, 1)
    );
    // "a" may have another type now.
    one("\"a\":\"x\"").send(server.addr());
    assert_eq!(server.violations(), []);
    assert_eq!(server.events("logs")[0].sequence(), 1);
    assert_eq!(server.requests()[0].status, Some(200));
    one("\"a\":1").send(server.addr());
    assert_eq!(server.violations_from(1)[0].rule, Rule::TypeChanged);
}

#[test]
fn a_dropped_server_is_gone_at_once_whatever_its_connections_do() {
    let server = Server::start().unwrap();
    let addr = server.addr();
    server.faults([
        Some(Fault::hang()),
        Some(Fault::delay(Duration::from_secs(3_600))),
        Some(Fault::trickle(1)),
        None,
    ]);
    let mut streams: Vec<TcpStream> = (1..=3)
        .map(|n| {
            let stream = one("\"n\":1").start(addr);
            assert!(server.wait_until(PATIENCE, |s| s.requests().len() == n));
            stream
        })
        .collect();
    // Two more connections: one has sent half of its body, the other nothing at all.
    let mut half = TcpStream::connect(addr).unwrap();
    let request = one("\"n\":1");
    half.write_all(request.head().as_bytes()).unwrap();
    half.write_all(&request.body[..5]).unwrap();
    assert!(server.wait_until(PATIENCE, |s| s.requests().len() == 4));
    streams.push(half);
    streams.push(TcpStream::connect(addr).unwrap());
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(TcpStream::connect(addr).is_err());
    for stream in &mut streams {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Each connection ends or is reset. None is left open.
        while stream.read(&mut [0; 256]).is_ok_and(|n| n > 0) {}
    }
}
