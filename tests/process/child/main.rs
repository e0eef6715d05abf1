//! An application, as plain as can be: it records, says on standard output what it did, and ends in the way it is told to.
//!
//! `process_child SCENARIO [key=value …]`. Where to send comes from the environment.

mod end;
#[cfg(unix)]
mod forks;
mod late;
#[path = "../../common/no_tokio.rs"]
mod no_tokio;
mod panics;
#[cfg(unix)]
mod signals;
mod steady;

use std::collections::HashMap;
use std::io::BufRead;
use std::time::Duration;

use axiom_layer::{AxiomLayer, Builder, Guard, Stats};
use tracing_subscriber::prelude::*;

/// What the test asked for.
struct Wanted(HashMap<String, String>);

impl Wanted {
    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str, default: u64) -> u64 {
        self.0
            .get(key)
            .map_or(default, |text| text.parse().unwrap())
    }

    fn duration(&self, key: &str, default: Duration) -> Duration {
        self.0
            .get(key)
            .map_or(default, |text| Duration::from_millis(text.parse().unwrap()))
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let scenario = args.next().expect("a scenario");
    let wanted = Wanted(
        args.map(|arg| {
            let (key, value) = arg.split_once('=').unwrap_or((&arg, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect(),
    );
    match scenario.as_str() {
        "end" => end::run(&wanted),
        "panic" => panics::run(&wanted),
        "late" => late::run(&wanted),
        "steady" => steady::run(&wanted),
        #[cfg(unix)]
        "signal" => signals::run(&wanted),
        #[cfg(unix)]
        "fork" => forks::run(&wanted),
        other => panic!("there is no scenario {other}"),
    }
}

/// A deadline that no test waits for.
const LONG: Duration = Duration::from_secs(60);

/// By default nothing leaves before the end, or before it is asked for.
fn builder(wanted: &Wanted) -> Builder {
    axiom_layer::builder()
        .service_name("child")
        .flush_interval(wanted.duration("flush_ms", LONG))
        .shutdown_timeout(wanted.duration("shutdown_ms", LONG))
        .exit_hooks(wanted.has("hooks"))
        .thread_names(wanted.has("names"))
}

fn build(wanted: &Wanted) -> (AxiomLayer, Guard) {
    builder(wanted).build().unwrap()
}

/// The layer as the global subscriber.
fn start(wanted: &Wanted) -> Guard {
    let (layer, guard) = build(wanted);
    tracing_subscriber::registry()
        .with(no_tokio::filter())
        .with(layer)
        .init();
    guard
}

fn record(seqs: std::ops::Range<u64>) {
    for seq in seqs {
        tracing::info!(seq, "recorded");
    }
}

/// A line for the test. Never lost in a buffer: standard output is flushed at each.
fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn ledger(who: &str, stats: &Stats) -> String {
    let dropped: serde_json::Map<String, serde_json::Value> = stats
        .dropped_by_reason()
        .map(|(reason, events)| (reason.to_string(), events.into()))
        .collect();
    serde_json::json!({
        "who": who,
        "recorded": stats.recorded(),
        "delivered": stats.delivered(),
        "dropped": dropped,
        "pending": stats.pending(),
        "retried": stats.retried(),
    })
    .to_string()
}

/// The next line from the test.
fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// For ever: something else ends the process.
fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}
