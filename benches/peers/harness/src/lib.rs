//! What every subject runs: it is set up as its documentation says, does one workload, and prints one line of numbers.
//!
//! `SUBJECT paced W URL` records in bursts of 200 operations every 4 ms, which is how services record. `SUBJECT tight W
//! URL` records as fast as it can for some seconds. `W` is the number of a workload, from 0.

pub mod workloads;

use std::env;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cpu_time::ProcessTime;

pub use workloads::Workloads;

pub const BURST: u64 = 200;
const PAUSE: Duration = Duration::from_millis(4);
/// A second each to warm up and for the percentiles, two for the mean and the processor time.
const WARM_UP: u64 = 250;
const TIMED: u64 = 500;
const SAMPLED: u64 = 250;
const TIGHT: Duration = Duration::from_secs(3);
/// How often the clock is read in a tight loop: once in so many operations.
const STRIDE: u64 = 256;

/// How many records of its own kind a subject makes, so that what arrives can be compared with it.
#[derive(Debug, Clone, Copy)]
pub struct Records {
    /// Of an event outside of spans.
    pub alone: u64,
    /// Of an event inside of one.
    pub inside: u64,
    /// Of a span.
    pub span: u64,
}

impl Records {
    /// Of this many bursts, and of this many operations in all.
    fn of(self, workload: usize, bursts: u64, operations: u64) -> u64 {
        match workload {
            0 => operations * self.alone,
            1 => bursts * workloads::OUTER * self.span + operations * self.inside,
            2 => operations * self.span,
            _ => operations * 2 * (self.span + self.inside),
        }
    }
}

/// Runs what the arguments say. `start` sets the subject up as the default of the process, to send to a URL, and gives
/// back how to wait until everything was sent, and how to end.
pub fn run<F: Fn(), E: FnOnce()>(
    records: Records,
    workloads: Workloads,
    start: impl FnOnce(&str) -> (F, E),
) {
    let args: Vec<String> = env::args().skip(1).collect();
    let [mode, workload, url] = args.as_slice() else {
        panic!("usage: paced|tight WORKLOAD URL");
    };
    let workload: usize = workload.parse().expect("the number of a workload");
    let (flush, end) = start(url);
    match mode.as_str() {
        "paced" => paced(records, workloads, workload, flush, end),
        "tight" => tight(records, workloads, workload, end),
        other => panic!("no mode {other}"),
    }
}

/// Prints `mean p50 p99 allocations cpu recorded began`, times in nanoseconds, for one operation each.
fn paced(
    records: Records,
    workloads: Workloads,
    workload: usize,
    flush: impl Fn(),
    end: impl FnOnce(),
) {
    let operation = workloads.operations[workload];
    // Runs one burst, below spans if the workload is about those, and waits for the turn of the next.
    let burst = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        if workload == 1 {
            (workloads.in_spans)(work);
        } else {
            work();
        }
        std::thread::sleep(PAUSE.saturating_sub(start.elapsed()));
    };
    let all = || (0..BURST).for_each(operation);
    let began = now();

    (0..WARM_UP).for_each(|_| burst(&mut || all()));
    flush();

    // Whole bursts are timed, so that the clock costs nothing.
    let cpu = ProcessTime::now();
    let mut spent = Duration::ZERO;
    for _ in 0..TIMED {
        burst(&mut || {
            let start = Instant::now();
            all();
            spent += start.elapsed();
        });
    }
    // What was recorded last is paid for as well.
    flush();
    let cpu = cpu.elapsed();

    // The clock's own cost, 20 to 40 ns, is in the percentiles of all subjects.
    let mut times = Vec::with_capacity((SAMPLED * BURST) as usize);
    for _ in 0..SAMPLED {
        burst(&mut || {
            for seq in 0..BURST {
                let start = Instant::now();
                operation(seq);
                times.push(start.elapsed().as_nanos() as u64);
            }
        });
    }

    let mut allocations = 0;
    burst(&mut || allocations = allocation_counter::measure(all).count_total);
    end();

    times.sort_unstable();
    let quantile = |quantile: f64| times[(times.len() as f64 * quantile) as usize];
    let per = |total: f64, bursts: u64| total / (bursts * BURST) as f64;
    let bursts = WARM_UP + TIMED + SAMPLED + 1;
    println!(
        "{} {} {} {} {} {} {began}",
        per(spent.as_nanos() as f64, TIMED),
        quantile(0.5),
        quantile(0.99),
        per(allocations as f64, 1),
        per(cpu.as_nanos() as f64, TIMED),
        records.of(workload, bursts, bursts * BURST),
    );
}

/// Prints `recorded began cpu peak`: how many records, since when (Unix time in nanoseconds), the processor time for all
/// of it in nanoseconds, and the most memory that the process had, in bytes.
fn tight(records: Records, workloads: Workloads, workload: usize, end: impl FnOnce()) {
    let operation = workloads.operations[workload];
    let began = now();
    let cpu = ProcessTime::now();
    let start = Instant::now();
    let mut operations = 0;
    while start.elapsed() < TIGHT {
        (operations..operations + STRIDE).for_each(operation);
        operations += STRIDE;
    }
    end();
    println!(
        "{} {began} {} {}",
        records.of(workload, 0, operations),
        cpu.elapsed().as_nanos(),
        peak_memory()
    );
}

/// Nanoseconds since 1970: the clock that this process shares with the server's.
fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

/// The most memory that the process had, as Linux tells it; 0 elsewhere.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
