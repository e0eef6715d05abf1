//! What a record costs the thread that makes it: `cargo bench --bench hot_path`.
//!
//! Prints, side by side, a bare registry, fmt's JSON into a sink, tracing-opentelemetry with a batch exporter that throws
//! its spans away (to it, an event outside of spans is nothing), and this layer delivering to a local endpoint: nanoseconds and allocations per operation on the calling thread. Each subject runs in a
//! process of its own, as the global default, and the endpoint in another, so that nothing of one slows another.
//!
//! Operations come in bursts of 200 every 4 ms (50,000 a second), which is how services record. `--tight` leaves out
//! the pauses: the endpoint sets the pace then. `--alone` flushes after each burst, so that the calling thread is timed
//! while nobody else works: what the code costs, without what it costs to share two processors.

mod workloads;

use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::Span;
use tracing_subscriber::prelude::*;

use workloads::WORKLOADS;

const SUBJECTS: [&str; 4] = ["registry", "fmt-json", "opentelemetry", "axiom"];
const BURST: u64 = 200;
const PAUSE: Duration = Duration::from_millis(4);
const BURSTS: u64 = 250;
/// Each subject runs this often; the median is printed.
const ROUNDS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Bursts,
    Tight,
    Alone,
}

impl Mode {
    const fn flag(self) -> &'static str {
        match self {
            Self::Bursts => "--bursts",
            Self::Tight => "--tight",
            Self::Alone => "--alone",
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let is_set = |flag: &str| args.iter().any(|arg| arg == flag);
    let mode = [Mode::Tight, Mode::Alone]
        .into_iter()
        .find(|mode| is_set(mode.flag()))
        .unwrap_or(Mode::Bursts);
    match args.iter().position(|arg| arg == "--subject") {
        Some(at) => measure(&args[at + 1], &args[at + 2], mode),
        None if is_set("--serve") => serve(),
        None if is_set("--bench") => compare(mode),
        // `cargo test --benches` only wants to see that it runs.
        None => {}
    }
}

/// The endpoint: prints its address, and ends with its standard input.
fn serve() {
    let server = axiom_local::Server::builder()
        .max_events_kept(1)
        .start()
        .unwrap();
    println!("{}", server.url());
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Runs every subject in turn, several times, and prints the medians as a table.
fn compare(mode: Mode) {
    let program = std::env::current_exe().unwrap();
    let mut endpoint = Command::new(&program)
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(endpoint.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let mut results: Vec<Vec<Vec<[f64; 4]>>> =
        vec![vec![Vec::new(); WORKLOADS.len()]; SUBJECTS.len()];
    for _ in 0..ROUNDS {
        for (subject, results) in SUBJECTS.iter().zip(&mut results) {
            let mut command = Command::new(&program);
            command.args(["--subject", subject, url.trim(), mode.flag()]);
            let output = command.output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let text = String::from_utf8(output.stdout).unwrap();
            for (line, results) in text.lines().zip(results) {
                let numbers: Vec<f64> = line.split(' ').map(|text| text.parse().unwrap()).collect();
                results.push([numbers[0], numbers[1], numbers[2], numbers[3]]);
            }
        }
    }
    drop(endpoint.stdin.take());
    endpoint.wait().unwrap();
    println!(
        "ns per operation on the calling thread: mean, p99, p99.9 (allocations), median of {ROUNDS} runs"
    );
    print!("{:<18}", "");
    SUBJECTS.iter().for_each(|subject| print!("{subject:>30}"));
    println!();
    for (at, workload) in WORKLOADS.iter().enumerate() {
        print!("{:<18}", workload.name);
        for results in &results {
            let [mean, p99, p999, allocations] = median(&results[at]);
            print!(
                "{:>30}",
                format!("{mean:.0}, {p99:.0}, {p999:.0} ({allocations:.1})")
            );
        }
        println!();
    }
}

/// Takes spans and does nothing with them: neither encoding nor network.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(batch);
        Ok(())
    }
}

fn median(runs: &[[f64; 4]]) -> [f64; 4] {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// Measures one subject and prints a line of numbers for each operation.
fn measure(subject: &str, url: &str, mode: Mode) {
    let mut guard = None;
    match subject {
        "registry" => tracing_subscriber::registry().init(),
        "fmt-json" => {
            let layer = tracing_subscriber::fmt::layer()
                .json()
                .with_writer(io::sink);
            tracing_subscriber::registry().with(layer).init();
        }
        "opentelemetry" => {
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(Nowhere)
                .build();
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
            tracing_subscriber::registry().with(layer).init();
        }
        "axiom" => {
            let (layer, held) = axiom_layer::builder()
                .token("xaat-bench")
                .dataset("bench")
                .url(url)
                // A tight loop outruns any network: let it wait for room rather than measure drops.
                .overflow(axiom_layer::Overflow::Block {
                    timeout: Duration::from_secs(10),
                })
                .build()
                .unwrap();
            tracing_subscriber::registry().with(layer).init();
            guard = Some(held);
        }
        other => panic!("no subject {other}"),
    }
    let mut out = io::stdout().lock();
    for workload in WORKLOADS {
        let operation = workload.operation;
        let entered = workload.surroundings();
        let rest = |since: Instant| match (mode, &guard) {
            (Mode::Tight, _) => {}
            (Mode::Alone, Some(guard)) => drop(guard.flush(Duration::from_secs(10))),
            _ => std::thread::sleep(PAUSE.saturating_sub(since.elapsed())),
        };
        let mean = mean(operation, rest);
        let [p99, p999] = percentiles(operation, rest);
        let allocations = allocation_counter::measure(|| (0..BURST).for_each(operation));
        let allocations = allocations.count_total as f64 / BURST as f64;
        writeln!(out, "{mean} {p99} {p999} {allocations}").unwrap();
        drop(entered);
        black_box(Span::current());
    }
    if let Some(guard) = guard {
        let stats = guard.shutdown(Duration::from_secs(30)).unwrap();
        assert_eq!(stats.delivered(), stats.recorded());
    }
}

/// Whole bursts are timed, so that the clock costs nothing.
fn mean(operation: fn(u64), rest: impl Fn(Instant)) -> f64 {
    let mut spent = Duration::ZERO;
    for burst in 0..2 * BURSTS {
        let start = Instant::now();
        (0..BURST).for_each(operation);
        // The first half warms up.
        if burst >= BURSTS {
            spent += start.elapsed();
        }
        rest(start);
    }
    spent.as_nanos() as f64 / (BURSTS * BURST) as f64
}

/// Each operation is timed; the clock's own cost, about 20 to 40 ns, is in the figures of all subjects.
fn percentiles(operation: fn(u64), rest: impl Fn(Instant)) -> [f64; 2] {
    let mut times = Vec::with_capacity((BURSTS * BURST) as usize);
    for _ in 0..BURSTS {
        let burst = Instant::now();
        for seq in 0..BURST {
            let start = Instant::now();
            operation(seq);
            times.push(start.elapsed().as_nanos() as f64);
        }
        rest(burst);
    }
    times.sort_by(f64::total_cmp);
    [0.99, 0.999].map(|quantile| times[(times.len() as f64 * quantile) as usize])
}
