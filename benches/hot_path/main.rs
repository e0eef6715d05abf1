//! What a record costs the thread that makes it: `cargo bench --bench hot_path`.
//!
//! Prints a ladder, from a program without a subscriber to OpenTelemetry, with this layer delivering to a local endpoint
//! in its place ([`subjects`] has the rungs), for 1, 4 and 16 threads: nanoseconds and allocations per operation on the
//! calling threads. Each subject runs in a process of its own, as the global default, and the endpoint in another, so
//! that nothing of one slows another.
//!
//! Operations come in bursts of 200 every 4 ms (50,000 a second over all threads), which is how services record.
//! `--tight` leaves out the pauses: the endpoint sets the pace then. `--alone` flushes after each burst, so that the
//! calling thread is timed while nobody else works: what the code costs, without what it costs to share two processors.
//! `--threads 1` and `--only axiom` (several with commas) measure a part of it.

mod floor;
mod measure;
mod subjects;
mod table;
#[path = "../workloads/mod.rs"]
mod workloads;

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use measure::{Mode, Numbers, Size};
use subjects::SUBJECTS;
use workloads::WORKLOADS;

const THREADS: [usize; 3] = [1, 4, 16];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let is_set = |flag: &str| args.iter().any(|arg| arg == flag);
    let value = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1).cloned()
    };
    // `cargo test --benches` only wants to see that it runs.
    let size = match is_set("--bench") {
        true => Size::Full,
        false => Size::Glance,
    };
    let mode = Mode::ALL
        .into_iter()
        .find(|mode| is_set(mode.flag()))
        .unwrap_or(match size {
            Size::Full => Mode::Bursts,
            Size::Glance => Mode::Tight,
        });
    if is_set("--serve") {
        return serve();
    }
    let threads: Vec<usize> = match value("--threads") {
        Some(list) => list.split(',').map(|text| text.parse().unwrap()).collect(),
        // Flushing after each burst only leaves one thread alone.
        None if mode == Mode::Alone => vec![1],
        None if size == Size::Glance => vec![1, 4],
        None => THREADS.to_vec(),
    };
    if let Some(subject) = value("--subject") {
        let url = value("--url").unwrap();
        return subjects::run(&subject, &url, |flush| {
            for &threads in &threads {
                for workload in WORKLOADS {
                    let numbers = measure::measure(workload, threads, mode, size, flush);
                    println!("{}", numbers.map(|number| number.to_string()).join(" "));
                }
            }
        });
    }
    let only = value("--only");
    let chosen: Vec<&str> = SUBJECTS
        .into_iter()
        .filter(|name| {
            only.as_ref()
                .is_none_or(|only| only.split(',').any(|one| one == *name))
        })
        .collect();
    let results = compare(&chosen, &threads, mode, size);
    if size == Size::Full {
        table::print(&chosen, &threads, &results, size.rounds());
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

/// Runs every subject in turn, several times: for each subject, and for each number of threads and workload, the medians.
fn compare(subjects: &[&str], threads: &[usize], mode: Mode, size: Size) -> Vec<Vec<Numbers>> {
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
    let list: Vec<String> = threads.iter().map(ToString::to_string).collect();
    let mut runs = vec![vec![Vec::new(); threads.len() * WORKLOADS.len()]; subjects.len()];
    for _ in 0..size.rounds() {
        for (subject, runs) in subjects.iter().zip(&mut runs) {
            let mut command = Command::new(&program);
            command.args(["--subject", subject, "--url", url.trim(), mode.flag()]);
            command.args(["--threads", &list.join(",")]);
            if size == Size::Full {
                command.arg("--bench");
            }
            let output = command.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{subject}: {errors}");
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(text.lines().count(), runs.len(), "{subject}: {text}");
            for (line, runs) in text.lines().zip(runs) {
                let numbers: Vec<f64> = line.split(' ').map(|text| text.parse().unwrap()).collect();
                runs.push(Numbers::try_from(numbers).unwrap());
            }
        }
    }
    drop(endpoint.stdin.take());
    endpoint.wait().unwrap();
    let medians = |runs: Vec<Vec<Numbers>>| runs.iter().map(|runs| table::median(runs)).collect();
    runs.into_iter().map(medians).collect()
}
