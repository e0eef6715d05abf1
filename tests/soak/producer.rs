//! The application: records at a steady rate, whatever becomes of them, and says how it stands.
//!
//! On standard output: `filled`, `second N`, `done` and `result JSON`. After `done` it waits for a line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axiom_layer::Overflow;
use tracing_subscriber::prelude::*;

use crate::plan::Pace;

/// Set for the producer: the URL to ship to.
pub(crate) const PRODUCER: &str = "AXIOM_SOAK_PRODUCER";

/// Records a second.
pub(crate) const RATE: u64 = 5_000;
/// Records made at the end, for the shutdown to deliver.
pub(crate) const TAIL: u64 = 20_000;

/// No time that anything takes: a machine that is busy is only to be waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks whether a refusal's pause is over.
const LOOK: Duration = Duration::from_millis(200);

fn record(seq: u64) {
    tracing::info!(seq, path = "/api/v1/orders", cached = true, "soak");
}

pub(crate) fn run(url: &str, seconds: u64) {
    let pace = Pace::of(seconds);
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-soak")
        .dataset("soak")
        .url(url)
        .service_name("soak")
        .queue_max_bytes(pace.queue_bytes)
        // A machine that is too slow for the rate records later, and drops nothing.
        .overflow(Overflow::Block { timeout: PATIENCE })
        .flush_interval(Duration::from_millis(50))
        .request_timeout(Duration::from_secs(2))
        .refused_pause(Duration::from_secs(pace.pause))
        .diagnostics(false)
        .build()
        .unwrap();
    let _default = tracing_subscriber::registry().with(layer).set_default();
    (0..pace.fill).for_each(record);
    println!("filled {:?}", guard.stats());
    let start = Instant::now();
    let mut memory = Vec::new();
    let mut seq = pace.fill;
    for second in 0..seconds {
        for nth in second * RATE..(second + 1) * RATE {
            record(seq);
            seq += 1;
            let due = Duration::from_secs_f64((nth + 1) as f64 / RATE as f64);
            let ahead = due.saturating_sub(start.elapsed());
            // Paces the load; nothing waits for it.
            if ahead > Duration::from_millis(2) {
                std::thread::sleep(ahead);
            }
        }
        memory.push(rss_kib());
        println!("second {second}");
    }
    println!("done {:?}", guard.stats());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    // What a refusal holds back would be given up at the shutdown.
    let end = Instant::now() + PATIENCE;
    while guard.flush(PATIENCE).is_err_and(|error| error.is_blocked()) && Instant::now() < end {
        std::thread::sleep(LOOK);
    }
    (seq..seq + TAIL).for_each(record);
    let ended = guard.shutdown(PATIENCE);
    let stats = ended.unwrap_or_else(|error| error.stats().clone());
    let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len() as f64;
    let quarter = memory.len() / 4;
    let dropped: BTreeMap<&str, u64> = stats
        .dropped_by_reason()
        .map(|(reason, number)| (reason.as_str(), number))
        .collect();
    let result = serde_json::json!({
        "recorded": stats.recorded(),
        "delivered": stats.delivered(),
        "dropped": dropped,
        "pending": stats.pending(),
        "retried": stats.retried(),
        "rss_early": mean(&memory[quarter..2 * quarter]),
        "rss_late": mean(&memory[3 * quarter..]),
    });
    println!("result {result}");
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
