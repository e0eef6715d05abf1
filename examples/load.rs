//! Load, for measuring: `cargo run --release --example load -- --events 50000 --threads 4 --shape request`
//!
//! Sends to whatever the environment names (AXIOM_TOKEN, AXIOM_DATASET, AXIOM_URL, …). The last line on
//! standard output is one JSON object: the ledger and two times. Exits with 0 only if everything that was
//! recorded was delivered, with 1 if not, and with 2 if it was called wrongly.
//!
//! `--exit` says how it ends: by dropping the guard; by forgetting it; or, with the guard forgotten, by
//! `process::exit(0)`, a panic, `abort()` or SIGTERM. `--hooks` enables the exit hooks. What the ledger says is then
//! what was known before the end.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use axiom_layer::{Builder, Compression, Endpoint, Format, Overflow, Stats};
use tracing_subscriber::prelude::*;

const USAGE: &str = "usage: load [--events N] [--threads T] [--rate R] [--shape event|span|request]
            [--overflow drop-newest|drop-oldest|block] [--queue-bytes B] [--flush-interval-ms M]
            [--exit guard|forget|process-exit|panic|abort|sigterm] [--hooks] [--format ndjson|json|csv] [--compression zstd|gzip|none]
            [--endpoint edge|datasets|api-datasets|api-ingest]
N is steps per thread; R is steps a second over all threads, 0 (the default) for as fast as possible.
The default of --overflow is block: a producer that outruns the network waits instead of losing records.";

/// How long the end may take. Longer than any outage that a measurement plays through.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq)]
enum Exit {
    Guard,
    Forget,
    Process,
    Panic,
    Abort,
    Sigterm,
}

#[derive(Clone, Copy)]
enum Shape {
    Event,
    Span,
    Request,
}

struct Options {
    events: u64,
    threads: u64,
    rate: u64,
    shape: Shape,
    exit: Exit,
    builder: Builder,
}

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            events: 50_000,
            threads: 4,
            rate: 0,
            shape: Shape::Event,
            exit: Exit::Guard,
            builder: axiom_layer::builder().overflow(Overflow::Block {
                timeout: SHUTDOWN_TIMEOUT,
            }),
        };
        while let Some(name) = args.next() {
            if name == "--hooks" {
                options.builder = options.builder.exit_hooks(true);
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            let wrong = || format!("{name} can not be {value:?}");
            let number = || value.parse::<u64>().map_err(|_| wrong());
            let builder = options.builder.clone();
            match name.as_str() {
                "--events" => options.events = number()?,
                "--threads" => options.threads = number()?,
                "--rate" => options.rate = number()?,
                "--shape" => {
                    options.shape = match value.as_str() {
                        "event" => Shape::Event,
                        "span" => Shape::Span,
                        "request" => Shape::Request,
                        _ => return Err(wrong().into()),
                    }
                }
                "--exit" => {
                    options.exit = match value.as_str() {
                        "guard" => Exit::Guard,
                        "forget" => Exit::Forget,
                        "process-exit" => Exit::Process,
                        "panic" => Exit::Panic,
                        "abort" => Exit::Abort,
                        "sigterm" => Exit::Sigterm,
                        _ => return Err(wrong().into()),
                    }
                }
                "--overflow" => {
                    options.builder = builder.overflow(match value.as_str() {
                        "drop-newest" => Overflow::DropNewest,
                        "drop-oldest" => Overflow::DropOldest,
                        "block" => Overflow::Block {
                            timeout: SHUTDOWN_TIMEOUT,
                        },
                        _ => return Err(wrong().into()),
                    })
                }
                "--queue-bytes" => {
                    options.builder = builder.queue_max_bytes(usize::try_from(number()?)?)
                }
                "--flush-interval-ms" => {
                    options.builder = builder.flush_interval(Duration::from_millis(number()?))
                }
                "--format" => {
                    options.builder = builder.format(match value.as_str() {
                        "ndjson" => Format::Ndjson,
                        "json" => Format::JsonArray,
                        "csv" => Format::Csv,
                        _ => return Err(wrong().into()),
                    })
                }
                "--compression" => {
                    options.builder = builder.compression(match value.as_str() {
                        "zstd" => Compression::Zstd,
                        "gzip" => Compression::Gzip,
                        "none" => Compression::None,
                        _ => return Err(wrong().into()),
                    })
                }
                "--endpoint" => {
                    options.builder = builder.endpoint(match value.as_str() {
                        "edge" => Endpoint::Edge,
                        "datasets" => Endpoint::Datasets,
                        "api-datasets" => Endpoint::ApiDatasets,
                        "api-ingest" => Endpoint::ApiIngest,
                        _ => return Err(wrong().into()),
                    })
                }
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("load: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let builder = options.builder.clone().service_name("load");
    let (layer, guard) = match builder.shutdown_timeout(SHUTDOWN_TIMEOUT).build() {
        Ok(built) => built,
        Err(error) => {
            eprintln!("load: {error}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::registry().with(layer).init();
    let start = Instant::now();
    produce(&options);
    let produced = start.elapsed();
    if options.exit == Exit::Guard {
        let ended = guard.shutdown(SHUTDOWN_TIMEOUT);
        let stats = ended.unwrap_or_else(|error| error.stats().clone());
        print_result(&stats, produced, start.elapsed());
        return if stats.delivered() == stats.recorded() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let stats = guard.stats();
    print_result(&stats, produced, start.elapsed());
    std::mem::forget(guard);
    leave(options.exit);
    if stats.delivered() == stats.recorded() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Ends the process in some hard way, or returns.
fn leave(exit: Exit) {
    match exit {
        Exit::Guard | Exit::Forget => {}
        Exit::Process => std::process::exit(0),
        Exit::Panic => panic!("on purpose"),
        Exit::Abort => std::process::abort(),
        Exit::Sigterm => {
            let kill = std::process::Command::new("kill")
                .arg(std::process::id().to_string())
                .status();
            eprintln!("load: kill: {kill:?}");
            // The signal ends the process from another thread.
            loop {
                thread::park();
            }
        }
    }
}

fn produce(options: &Options) {
    let start = Barrier::new(usize::try_from(options.threads).unwrap_or(1));
    thread::scope(|scope| {
        for thread in 0..options.threads {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let began = Instant::now();
                for seq in 0..options.events {
                    pace(began, seq, options);
                    step(thread, seq, options.shape);
                }
            });
        }
    });
}

/// Waits until it is this step's turn, in naps of at least a millisecond.
fn pace(began: Instant, seq: u64, options: &Options) {
    if options.rate == 0 {
        return;
    }
    let turn = seq as f64 * options.threads as f64 / options.rate as f64;
    let ahead = Duration::from_secs_f64(turn).saturating_sub(began.elapsed());
    if ahead >= Duration::from_millis(1) {
        thread::sleep(ahead);
    }
}

fn step(thread: u64, seq: u64, shape: Shape) {
    let path = [
        "/api/v1/customers/4711/orders",
        "/api/v1/warehouses/12/stock/88",
    ][(seq % 2) as usize];
    let latency_ms = (seq % 1_000) as f64 * 0.137;
    let cached = seq.is_multiple_of(3);
    match shape {
        Shape::Event => tracing::info!(thread, seq, path, latency_ms, cached, "load"),
        Shape::Span => {
            let _span =
                tracing::info_span!("load", thread, seq, path, latency_ms, cached).entered();
        }
        Shape::Request => {
            let _root = tracing::info_span!("request", thread, seq, path).entered();
            tracing::info!(
                thread,
                seq,
                path,
                latency_ms,
                cached,
                step = "first",
                "load"
            );
            let _child = tracing::info_span!("query", thread, seq, latency_ms).entered();
            tracing::info!(
                thread,
                seq,
                path,
                latency_ms,
                cached,
                step = "second",
                "load"
            );
        }
    }
}

fn print_result(stats: &Stats, produced: Duration, total: Duration) {
    let dropped: serde_json::Map<String, serde_json::Value> = stats
        .dropped_by_reason()
        .map(|(reason, events)| (reason.to_string(), events.into()))
        .collect();
    let result = serde_json::json!({
        "recorded": stats.recorded(),
        "delivered": stats.delivered(),
        "dropped": dropped,
        "pending": stats.pending(),
        "produce_seconds": produced.as_secs_f64(),
        "total_seconds": total.as_secs_f64(),
    });
    println!("{result}");
}
