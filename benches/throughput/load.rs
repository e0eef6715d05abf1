//! The process that records.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use axiom_layer::Overflow;
use cpu_time::ProcessTime;
use tracing::info;
use tracing_subscriber::prelude::*;

/// How long it records.
const TIME: Duration = Duration::from_secs(3);
/// How often a producer reads the clock: once in so many events.
const STRIDE: u64 = 256;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) url: String,
    pub(crate) producers: u64,
    /// Waits for room when the queue is full, instead of dropping the newest.
    pub(crate) block: bool,
}

impl Load {
    pub(crate) fn words(&self) -> [String; 3] {
        [
            self.url.clone(),
            self.producers.to_string(),
            self.block.to_string(),
        ]
    }

    pub(crate) fn read(words: &[String]) -> Self {
        Self {
            url: words[0].clone(),
            producers: words[1].parse().unwrap(),
            block: words[2].parse().unwrap(),
        }
    }
}

/// Prints `recorded delivered seconds cpu peak`: the processor time in nanoseconds, the memory in bytes.
pub(crate) fn run(load: &Load, measures: bool) {
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-bench")
        .dataset("bench")
        .url(&load.url)
        .overflow(match load.block {
            true => Overflow::Block { timeout: LONG },
            false => Overflow::DropNewest,
        })
        .build()
        .unwrap();
    tracing_subscriber::registry().with(layer).init();
    let time = if measures { TIME } else { Duration::ZERO };
    let cpu = ProcessTime::now();
    let start = Instant::now();
    let recorded: u64 = thread::scope(|scope| {
        let producers: Vec<_> = (0..load.producers)
            .map(|producer| scope.spawn(move || record(producer, start + time)))
            .collect();
        producers
            .into_iter()
            .map(|producer| producer.join().unwrap())
            .sum()
    });
    let ended = guard.shutdown(LONG);
    let seconds = start.elapsed().as_secs_f64();
    let stats = ended.unwrap_or_else(|error| error.stats().clone());
    assert_eq!(stats.recorded(), recorded);
    assert_eq!(stats.pending(), 0);
    println!(
        "{recorded} {} {seconds} {} {}",
        stats.delivered(),
        cpu.elapsed().as_nanos(),
        peak_memory()
    );
}

/// Records events until then, and says how many.
fn record(producer: u64, until: Instant) -> u64 {
    let mut seq = 0;
    loop {
        for seq in seq..seq + STRIDE {
            info!(
                seq,
                producer,
                path = "/api/v1/customers/4711/orders",
                latency_ms = seq as f64 * 0.137,
                cached = seq.is_multiple_of(3),
                method = "GET",
                "request served"
            );
        }
        seq += STRIDE;
        if Instant::now() >= until {
            return seq;
        }
    }
}

/// The most memory that the process had, as Linux tells it; 0 elsewhere.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
