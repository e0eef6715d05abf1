//! How much gets through when nobody paces it: `cargo bench --bench throughput`.
//!
//! One or four threads record events as fast as they can for some seconds, against a server in another process that
//! answers at once or after 50 ms; then the layer is shut down, which delivers what is left. Printed are the events
//! recorded and delivered in a second of all that time, the share that was lost, the processor time of the process for a
//! delivered event, and the most memory that the process had.
//!
//! Two servers, because on a small machine the server sets the pace: `axiom-local`, which judges every event as Axiom does,
//! and one that only unpacks the body and counts its lines. `--only counting` measures against one of them.

mod http;
mod load;
mod server;

use std::env;
use std::process::{Command, Stdio};

use load::Load;
use server::Server;

/// Each row is measured this often; the medians are printed.
const ROUNDS: usize = 3;
/// What a run tells, in this order.
const COLUMNS: [&str; 5] = [
    "recorded/s",
    "delivered/s",
    "lost",
    "CPU ns per delivered event",
    "peak memory",
];

fn main() {
    let args: Vec<String> = env::args().collect();
    let is_set = |flag: &str| args.iter().any(|arg| arg == flag);
    let after = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        Some(&args[at + 1..])
    };
    // `cargo test --benches` only wants to see that it runs.
    let measures = is_set("--bench");
    if let Some(words) = after("--serve") {
        return server::serve(&words[0], words[1].parse().unwrap());
    }
    if let Some(words) = after("--load") {
        return load::run(&Load::read(words), measures);
    }
    let only = after("--only").map(|words| words[0].as_str());
    let mut rows = Vec::new();
    for server in server::KINDS {
        if only.is_some_and(|only| only != server) {
            continue;
        }
        for delay_ms in [0, 50] {
            for block in [true, false] {
                for producers in [1, 4] {
                    let load = Load {
                        url: String::new(),
                        producers,
                        block,
                    };
                    rows.push((server, delay_ms, load, Vec::new()));
                }
            }
        }
    }
    let rounds = if measures { ROUNDS } else { 1 };
    for _ in 0..rounds {
        for (server, delay_ms, load, runs) in &mut rows {
            runs.push(one(server, *delay_ms, load, measures));
        }
    }
    if !measures {
        return;
    }
    println!("Medians of {rounds} runs.\n");
    println!(
        "| server | answers after | overflow | producers | {} |",
        COLUMNS.join(" | ")
    );
    println!("|{}", " --- |".repeat(4 + COLUMNS.len()));
    for (server, delay_ms, load, runs) in &rows {
        let [recorded, delivered, lost, cpu, peak] = median(runs);
        println!(
            "| {server} | {delay_ms} ms | {} | {} | {recorded:.0} | {delivered:.0} | {} | {cpu:.0} | {:.0} MB |",
            if load.block { "Block" } else { "DropNewest" },
            load.producers,
            if lost == 0.0 {
                "0".to_owned()
            } else {
                format!("{:.1} %", lost * 100.0)
            },
            peak / 1e6
        );
    }
}

/// One run, in a process of its own.
fn one(server: &str, delay_ms: u64, load: &Load, measures: bool) -> [f64; COLUMNS.len()] {
    let server = Server::start(server, delay_ms);
    let load = Load {
        url: server.url.clone(),
        ..load.clone()
    };
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg("--load").args(load.words());
    if measures {
        command.arg("--bench");
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{load:?}: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|text| text.parse().unwrap())
        .collect();
    let [recorded, delivered, seconds, cpu, peak] = numbers[..] else {
        panic!("{text}");
    };
    // The figures are of what arrived, not of what the layer believes. Some of it may have come twice: a request that is
    // not answered in time is sent again.
    assert!(server.stop() as f64 >= delivered, "{load:?}");
    [
        recorded / seconds,
        delivered / seconds,
        (recorded - delivered) / recorded,
        cpu / delivered,
        peak,
    ]
}

fn median(runs: &[[f64; COLUMNS.len()]]) -> [f64; COLUMNS.len()] {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}
