//! How an operation is timed, on one thread or on several.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::workloads::Workload;

const BURST: u64 = 200;
/// Between the starts of two bursts, if there is one thread; more threads have as much longer ones, and start them at the
/// same moments, so that they meet.
const PAUSE: Duration = Duration::from_millis(4);
/// Over all threads.
const BURSTS: u64 = 250;

/// Nanoseconds for an operation, the thread's processor time for it, quantiles, and allocations: see [`COLUMNS`].
pub(crate) type Numbers = [f64; 6];
pub(crate) const COLUMNS: [&str; 6] = ["mean", "cpu", "p50", "p99", "p99.9", "allocations"];
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    Bursts,
    Tight,
    Alone,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Bursts, Self::Tight, Self::Alone];

    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Bursts => "--bursts",
            Self::Tight => "--tight",
            Self::Alone => "--alone",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Size {
    Full,
    /// Everything once, for whoever only wants to see that it runs.
    Glance,
}

impl Size {
    /// Each subject runs this often; the median is printed.
    pub(crate) const fn rounds(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Glance => 1,
        }
    }

    /// Of each thread.
    const fn bursts(self, threads: usize) -> u64 {
        match self {
            Self::Full => BURSTS / threads as u64,
            Self::Glance => 1,
        }
    }
}

/// What a thread has measured.
#[derive(Debug, Default)]
struct Measured {
    spent: Duration,
    cpu: Duration,
    times: Vec<u64>,
    allocations: u64,
}

pub(crate) fn measure(
    workload: Workload,
    threads: usize,
    mode: Mode,
    size: Size,
    flush: &(dyn Fn() + Sync),
) -> Numbers {
    let bursts = size.bursts(threads);
    let ready = Barrier::new(threads);
    let measured: Vec<Measured> = thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    ready.wait();
                    let mut turns = Turns {
                        next: Instant::now(),
                        period: PAUSE * threads as u32,
                        mode,
                        flush,
                    };
                    one_thread(workload, bursts, &mut turns)
                })
            })
            .collect();
        all.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let operations = (threads as u64 * bursts * BURST) as f64;
    let sum = |of: fn(&Measured) -> f64| measured.iter().map(of).sum::<f64>();
    let mut times: Vec<u64> = measured.iter().flat_map(|one| one.times.clone()).collect();
    times.sort_unstable();
    let [p50, p99, p999] =
        QUANTILES.map(|quantile| times[(times.len() as f64 * quantile) as usize] as f64);
    [
        sum(|one| one.spent.as_nanos() as f64) / operations,
        sum(|one| one.cpu.as_nanos() as f64) / operations,
        p50,
        p99,
        p999,
        sum(|one| one.allocations as f64) / (threads as u64 * BURST) as f64,
    ]
}

/// When the next burst begins.
struct Turns<'a> {
    next: Instant,
    period: Duration,
    mode: Mode,
    flush: &'a (dyn Fn() + Sync),
}

impl Turns<'_> {
    fn rest(&mut self) {
        match self.mode {
            Mode::Tight => {}
            Mode::Alone => (self.flush)(),
            Mode::Bursts => {
                let now = Instant::now();
                // One that was late does not hurry after it.
                self.next = (self.next + self.period).max(now);
                thread::sleep(self.next - now);
            }
        }
    }
}

fn one_thread(workload: Workload, bursts: u64, turns: &mut Turns<'_>) -> Measured {
    let operation = workload.operation;
    let all = || (0..BURST).for_each(operation);
    // The spans around the operations are opened anew for each burst: OpenTelemetry keeps the events of a span until it ends.
    let mut measured = Measured::default();
    for _ in 0..bursts {
        let around = workload.surroundings();
        all();
        drop(around);
        turns.rest();
    }
    // Whole bursts are timed, so that the clocks cost nothing.
    for _ in 0..bursts {
        let around = workload.surroundings();
        let (start, cpu) = (Instant::now(), ThreadTime::now());
        all();
        measured.cpu += cpu.elapsed();
        measured.spent += start.elapsed();
        drop(around);
        turns.rest();
    }
    // Each operation is timed; the clock's own cost, about 20 to 40 ns, is in the figures of all subjects.
    measured.times.reserve((bursts * BURST) as usize);
    for _ in 0..bursts {
        let around = workload.surroundings();
        for seq in 0..BURST {
            let start = Instant::now();
            operation(seq);
            measured.times.push(start.elapsed().as_nanos() as u64);
        }
        drop(around);
        turns.rest();
    }
    let around = workload.surroundings();
    measured.allocations = allocation_counter::measure(all).count_total;
    drop(around);
    turns.rest();
    measured
}
