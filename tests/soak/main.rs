//! A long run with faults of every kind: the ledger stays exact and memory flat.
//!
//! 20 seconds, in which refusals are probed every second; `AXIOM_SOAK_SECONDS=1800 cargo test --test soak` for half an hour.
//! From 120 on, refusals rest for their 30 seconds, and the account's allowance is used up for a while too. `AXIOM_SOAK_SEED`
//! chooses other faults. The producer is a process of its own, so that its memory is measured alone. `AXIOM_SOAK_HTTP2=1` runs it
//! over HTTP/2 with TLS, with faults of HTTP/2 among the others.

mod plan;
mod producer;

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axiom_local::Server;
use serde_json::Value;

use plan::{Pace, Plan};
use producer::{PRODUCER, RATE, TAIL};

const SEED: u64 = 20_261_124;

/// How often it is looked at what was stored, so that the server need not keep it.
const LOOK: Duration = Duration::from_secs(1);

fn set(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().unwrap())
}

fn seconds() -> u64 {
    set("AXIOM_SOAK_SECONDS", 20)
}

/// What the server has stored, looked at as it comes.
#[derive(Default)]
struct Stored {
    seen: HashSet<u64>,
    next: u64,
    copies: u64,
}

impl Stored {
    fn look(&mut self, server: &Server) {
        for event in server.events_from(self.next) {
            self.next = event.sequence() + 1;
            let seq = event.get("attributes.seq").and_then(Value::as_u64).unwrap();
            self.copies += u64::from(!self.seen.insert(seq));
        }
        let evicted = server.evicted();
        assert!(evicted <= self.next, "events were forgotten unseen");
    }
}

#[test]
fn the_ledger_is_exact_and_memory_flat_under_random_faults() {
    if let Ok(url) = std::env::var(PRODUCER) {
        return producer::run(&url, seconds());
    }
    let seed = set("AXIOM_SOAK_SEED", SEED);
    let over_http2 = set("AXIOM_SOAK_HTTP2", 0) == 1;
    let server = Server::builder().max_bytes_kept(1 << 30).tls(over_http2);
    let server = server.start().unwrap();
    let mut plan = Plan::new(seed, seconds(), over_http2);
    plan.hold(&server);
    let mut command = Command::new(std::env::current_exe().unwrap());
    if let Some(trusted) = server.ca_file() {
        command
            .env("SSL_CERT_FILE", trusted)
            .env_remove("SSL_CERT_DIR");
    }
    let mut child = command
        .args(["--exact", "--nocapture"])
        .arg("the_ledger_is_exact_and_memory_flat_under_random_faults")
        .env(PRODUCER, server.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        // The test may have failed and listen no more.
        lines
            .map(Result::unwrap)
            .all(|line| tell.send(line).is_ok())
    });
    let (mut stored, mut result) = (Stored::default(), Value::Null);
    loop {
        match told.recv_timeout(LOOK) {
            Ok(line) => match line.split_once(' ') {
                Some(("filled", _)) => plan.start(&server),
                Some(("second", second)) => plan.second(&server, second.parse().unwrap()),
                Some(("done", _)) => {
                    plan.end(&server);
                    writeln!(stdin, "go").unwrap();
                }
                Some(("result", json)) => result = serde_json::from_str(json).unwrap(),
                _ => {}
            },
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        stored.look(&server);
    }
    assert!(reader.join().unwrap());
    assert!(child.wait().unwrap().success());

    let by_http2 = server.requests().iter().filter(|one| one.http2).count();
    assert_eq!(by_http2 > 0, over_http2);
    let injected = plan::injected(&server);
    eprintln!(
        "seed {seed}: {} requests, {injected:?}",
        server.requests_seen()
    );
    eprintln!(
        "{result} stored once {} copies {}",
        stored.seen.len(),
        stored.copies
    );
    let number = |name: &str| result[name].as_u64().unwrap();
    let (recorded, delivered) = (number("recorded"), number("delivered"));
    let dropped: BTreeMap<String, u64> = serde_json::from_value(result["dropped"].clone()).unwrap();
    let fill = Pace::of(seconds()).fill;
    assert_eq!(recorded, fill + RATE * seconds() + TAIL);
    assert_eq!(number("pending"), 0);
    let lost: u64 = dropped.values().sum();
    assert_eq!(recorded, delivered + lost);
    // A record whose answer got lost after it was stored may be refused when it is sent again.
    let stored = stored.seen.len() as u64;
    assert!(
        (delivered..=recorded).contains(&stored),
        "{stored} stored of {delivered} delivered"
    );
    for (reason, number) in &dropped {
        let most = plan::explained(&server, reason);
        assert!(*number <= most, "{number} dropped as {reason}, not {most}");
    }
    // Both 430s look alike in the requests.
    assert_eq!(dropped.contains_key("quota"), plan.costs_records());
    let missing: Vec<_> = plan.missing(&server).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
    let rules: HashSet<_> = server.violations().iter().map(|found| found.rule).collect();
    assert!(rules.is_empty(), "{rules:?}");
    let kib = |name: &str| result[name].as_f64().unwrap();
    let (early, late) = (kib("rss_early"), kib("rss_late"));
    assert!(
        (late / early - 1.0).abs() < 0.05,
        "memory went from {early} to {late} KiB"
    );
}
