//! This layer beside its peers: `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! Builds every subject alone, runs each in a process of its own against a server in another, and prints one table. See
//! `benches/peers/README.md`.

mod cost;
mod count;
#[path = "../../../throughput/http.rs"]
mod http;
mod measure;
mod server;
mod subjects;
mod table;

use std::env;

use subjects::{SUBJECTS, Subject};

const USAGE: &str = "usage: peers [--rounds N] [--only NAME[,NAME…]] [--cost [--release] | --crates]
--rounds  how often each subject runs; the medians are printed. 3 unless told otherwise.
--only    some subjects instead of all.
--cost    instead: what a program that says hello costs to build with each: crates, and seconds from nothing.
--release with --cost: of an optimised build.
--crates  instead: the crates alone, without building.";

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let is_set = |flag: &str| args.iter().any(|arg| arg == flag);
    let value = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1).map(String::as_str)
    };
    if let Some(kind) = value("--serve") {
        return server::serve(kind);
    }
    if is_set("--help") {
        return println!("{USAGE}");
    }
    let only: Option<Vec<&str>> = value("--only").map(|names| names.split(',').collect());
    let chosen: Vec<&Subject> = SUBJECTS
        .iter()
        .filter(|subject| {
            only.as_ref()
                .is_none_or(|only| only.contains(&subject.name))
        })
        .collect();
    assert!(!chosen.is_empty(), "no such subject\n{USAGE}");
    if is_set("--cost") || is_set("--crates") {
        return cost::compare(&chosen, !is_set("--crates"), is_set("--release"));
    }
    let rounds = value("--rounds").map_or(3, |text| text.parse().expect("a number of rounds"));
    table::print(&measure::all(&chosen, rounds), rounds);
}
