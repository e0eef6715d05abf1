//! A long run with faults of every kind: the ledger stays exact and memory flat.
//!
//! Two minutes; `AXIOM_SOAK_SECONDS=1800 cargo test --test soak` for half an hour. The producer is a
//! process of its own, so that its memory is measured alone.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use axiom_local::{Fault, Server};
use serde_json::Value;
use tracing_subscriber::prelude::*;

const RATE: u64 = 5_000;
/// Records made at the start while the endpoint hangs: they fill most of the queue, so that its memory is all there.
const FILL: u64 = 140_000;
const QUEUE_BYTES: usize = 32 << 20;
const SEED: u64 = 20_261_124;
/// Set for the producer: the URL to ship to.
const PRODUCER: &str = "AXIOM_SOAK_PRODUCER";

fn seconds() -> u64 {
    let set = std::env::var("AXIOM_SOAK_SECONDS").ok();
    set.map_or(120, |text| text.parse().unwrap())
}

/// What fails, and how often, of a hundred requests. Without 413, which says something of a body's size that chance
/// would not mean.
fn faults() -> Vec<(f64, Fault)> {
    let after = |seconds: &str| Fault::status(429).header("Retry-After", seconds);
    vec![
        (4.0, Fault::status(500)),
        (4.0, Fault::status(503)),
        (3.0, Fault::status(502)),
        (3.0, Fault::status(504).body("<html>bad gateway</html>")),
        (2.0, after("1")),
        (3.0, Fault::reset()),
        (3.0, Fault::reset_after_store()),
        (3.0, Fault::close_before_read()),
        (3.0, Fault::close_before_answer()),
        (2.0, Fault::close_after_store()),
        (2.0, Fault::hang()),
        (2.0, Fault::hang_after_store()),
        (2.0, Fault::garbage("<html>please log in</html>")),
        (2.0, Fault::cut_body()),
        (2.0, Fault::fail_events(3)),
        (3.0, Fault::delay(Duration::from_millis(300))),
        (2.0, Fault::trickle(400)),
        (1.0, Fault::status(302).header("Location", "/login")),
    ]
}

#[test]
fn the_ledger_is_exact_and_memory_flat_under_random_faults() {
    if let Ok(url) = std::env::var(PRODUCER) {
        return produce(&url);
    }
    let server = Server::builder().max_events_kept(400_000).start().unwrap();
    for (at, (percent, fault)) in faults().into_iter().enumerate() {
        server.with_probability(SEED + at as u64, percent / 100.0, fault);
    }
    server.always(Some(Fault::hang()));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("the_ledger_is_exact_and_memory_flat_under_random_faults")
        .env(PRODUCER, server.url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut seen, mut next, mut copies) = (HashSet::new(), 0, 0);
    let mut look = || {
        for event in server.events_from(next) {
            next = event.sequence() + 1;
            let seq = event.get("attributes.seq").and_then(Value::as_u64).unwrap();
            copies += u64::from(!seen.insert(seq));
        }
        assert!(server.evicted() <= next, "events were forgotten unseen");
    };
    let mut result = Value::Null;
    for line in lines.map(Result::unwrap) {
        // A line every second.
        server.always(None);
        look();
        if let Ok(value) = serde_json::from_str::<Value>(&line) {
            result = value;
        }
    }
    look();
    assert!(child.wait().unwrap().success());
    eprintln!("{result} stored once {} copies {copies}", seen.len());
    let number = |name: &str| result[name].as_u64().unwrap();
    assert_eq!(
        number("recorded"),
        number("delivered") + number("dropped") + number("pending")
    );
    assert_eq!(number("pending"), 0);
    assert_eq!(number("recorded"), FILL + RATE * seconds());
    // A record whose answer got lost after it was stored may be refused when it is sent again.
    let stored = seen.len() as u64;
    let (delivered, dropped) = (number("delivered"), number("dropped"));
    assert!(
        (delivered..=delivered + dropped).contains(&stored),
        "{stored} stored"
    );
    // Only what the endpoint itself refused may be missing.
    assert_eq!(number("dropped"), number("rejected"));
    let rules: HashSet<_> = server.violations().iter().map(|found| found.rule).collect();
    assert!(rules.is_empty(), "{rules:?}");
    let (early, late) = (
        result["rss_early"].as_f64().unwrap(),
        result["rss_late"].as_f64().unwrap(),
    );
    assert!(
        (late / early - 1.0).abs() < 0.05,
        "memory went from {early} to {late} KiB"
    );
}

fn produce(url: &str) {
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-soak")
        .dataset("soak")
        .url(url)
        .service_name("soak")
        .queue_max_bytes(QUEUE_BYTES)
        .flush_interval(Duration::from_millis(200))
        .request_timeout(Duration::from_secs(2))
        .diagnostics(false)
        .build()
        .unwrap();
    let _default = tracing_subscriber::registry().with(layer).set_default();
    for seq in 0..FILL {
        tracing::info!(seq, path = "/api/v1/orders", cached = true, "soak");
    }
    println!("filled");
    let start = Instant::now();
    let mut memory = Vec::new();
    for second in 0..seconds() {
        for seq in second * RATE..(second + 1) * RATE {
            let seq = FILL + seq;
            tracing::info!(seq, path = "/api/v1/orders", cached = true, "soak");
            let due = Duration::from_secs_f64((seq + 1 - FILL) as f64 / RATE as f64);
            let ahead = due.saturating_sub(start.elapsed());
            // Paces the load; nothing waits for it.
            if ahead > Duration::from_millis(2) {
                std::thread::sleep(ahead);
            }
        }
        memory.push(rss_kib());
        println!("second {second}");
    }
    let ended = guard.shutdown(Duration::from_secs(60));
    let stats = ended.unwrap_or_else(|error| error.stats().clone());
    let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len() as f64;
    let quarter = memory.len() / 4;
    let result = serde_json::json!({
        "recorded": stats.recorded(),
        "delivered": stats.delivered(),
        "dropped": stats.dropped(),
        "rejected": stats.dropped_for(axiom_layer::DropReason::Rejected),
        "pending": stats.pending(),
        "retried": stats.retried(),
        "rss_early": mean(&memory[quarter..2 * quarter]),
        "rss_late": mean(&memory[3 * quarter..]),
    });
    println!("{result}");
}

fn rss_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}
