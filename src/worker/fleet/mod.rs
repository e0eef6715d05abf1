//! A fleet of workers behind one rate limit, in virtual time.
//!
//! Each simulated worker is what the real one decides with: its `Schedule` (with the `RateLimit` in it), its
//! `Destination` (with `Backoff` and the batches of a real queue) and `response::outcome` on whole answers. Made up are
//! the time, the network and the endpoint. One record stands for many events, so that a batch of 10,000 has few.
//!
//! `cargo test -p axiom-layer --lib fleet -- --nocapture --include-ignored` prints the tables of `docs/fleet.md`.

mod endpoint;
mod simulation;
mod tests;

use std::time::Duration;

use self::simulation::Simulation;

const MINUTE: Duration = Duration::from_secs(60);

/// How much a process records.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// One record in this time, at a phase of its own.
    Every(Duration),
    /// One record a minute, in the same moment as all others.
    Together,
}

/// What happens, and to whom.
#[derive(Debug, Clone)]
struct Scenario {
    workers: usize,
    load: Load,
    /// A batch of 10,000 events has so many records.
    batch: u32,
    /// The workers after so many of them are quiet: one record a minute.
    busy: usize,
    /// Until then all of them are.
    busy_from: Duration,
    datasets: usize,
    flush_interval: Duration,
    endpoint: endpoint::Rules,
    lasts: Duration,
    /// Figures are of the time from here on.
    counted_from: Duration,
    /// All processes are replaced at once.
    restart: Option<Duration>,
    /// Figures without what this is about: no pace, no spread, ticks that start with the first record.
    is_plain: bool,
    seed: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            workers: 1_000,
            load: Load::Every(Duration::from_secs(1)),
            batch: 5,
            busy: usize::MAX,
            busy_from: Duration::ZERO,
            datasets: 1,
            flush_interval: Duration::from_secs(1),
            endpoint: endpoint::Rules::default(),
            lasts: 10 * MINUTE,
            counted_from: Duration::ZERO,
            restart: None,
            is_plain: false,
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
struct Figures {
    requests: u64,
    accepted: u64,
    /// Answers with 429.
    limited: u64,
    /// Of the limit, in percent.
    goodput: f64,
    /// Requests in the busiest 100 ms and in the busiest second, against the mean.
    burst_100_ms: f64,
    burst_1_s: f64,
    /// Requests that were accepted, of the worker with the fewest against the mean.
    slowest: f64,
    /// The longest time from a record to its first attempt, while nothing failed.
    longest_wait: Duration,
    /// From the end of the outage, or the restart, until all that was recorded by then has been delivered.
    caught_up: Option<Duration>,
    /// Requests that were accepted, of each dataset.
    by_dataset: [u64; 2],
    /// Requests in each 100 ms, from the beginning of the simulation.
    tenths: Vec<u32>,
}

impl Figures {
    /// The most requests in one of the slots of 100 ms between these times.
    fn busiest(&self, from: Duration, to: Duration) -> u32 {
        self.slots(from, to).iter().copied().max().unwrap_or(0)
    }

    fn between(&self, from: Duration, to: Duration) -> u32 {
        self.slots(from, to).iter().sum()
    }

    fn slots(&self, from: Duration, to: Duration) -> &[u32] {
        let slot = |time: Duration| ((time.as_millis() / 100) as usize).min(self.tenths.len());
        &self.tenths[slot(from)..slot(to)]
    }
}

fn run(scenario: &Scenario) -> Figures {
    Simulation::new(scenario.clone()).run()
}
