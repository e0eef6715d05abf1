//! Builds the subjects and runs them, each workload in a process of its own.

use std::env;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Kind, Server};
use crate::subjects::Subject;

pub(crate) const WORKLOADS: usize = 4;
/// Longer than any run takes that comes to its end.
const PATIENCE: Duration = Duration::from_secs(90);

/// Medians of one workload at the rate of a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paced {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) allocations: f64,
    /// Nanoseconds of processor time for one operation.
    pub(crate) cpu: f64,
    pub(crate) recorded: f64,
    /// None if the server could not count.
    pub(crate) delivered: Option<f64>,
}

/// Medians of the tight loop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tight {
    pub(crate) recorded: f64,
    pub(crate) delivered: Option<f64>,
    pub(crate) delivered_per_second: f64,
    /// Nanoseconds of processor time for one delivered record.
    pub(crate) cpu: f64,
    pub(crate) peak_bytes: f64,
}

/// One row: a text where a run failed.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) paced: Vec<Result<Paced, String>>,
    pub(crate) tight: Result<Tight, String>,
}

/// Runs everything `rounds` times, all subjects in turn, so that whatever else the machine does befalls them alike.
pub(crate) fn all(subjects: &[&'static Subject], rounds: usize) -> Vec<Row> {
    let builds: Vec<Result<PathBuf, String>> =
        subjects.iter().map(|subject| build(subject)).collect();
    let mut paced = vec![vec![Vec::new(); WORKLOADS]; subjects.len()];
    let mut tight = vec![Vec::new(); subjects.len()];
    for round in 1..=rounds {
        for (at, (subject, build)) in subjects.iter().zip(&builds).enumerate() {
            eprintln!("round {round} of {rounds}: {}", subject.name);
            for (workload, results) in paced[at].iter_mut().enumerate() {
                results.push(build.clone().and_then(|program| {
                    let (numbers, arrived) = run(&program, subject.server, "paced", workload)?;
                    let [mean, p50, p99, allocations, cpu, recorded, _] = numbers[..] else {
                        return Err("does not say what it measured".to_owned());
                    };
                    Ok([
                        mean,
                        p50,
                        p99,
                        allocations,
                        cpu,
                        recorded,
                        arrived.map_or(f64::NAN, |(records, _)| records),
                    ])
                }));
            }
            tight[at].push(build.clone().and_then(|program| {
                let (numbers, arrived) = run(&program, subject.server, "tight", subject.tight)?;
                let [recorded, began, cpu, peak] = numbers[..] else {
                    return Err("does not say what it measured".to_owned());
                };
                let (records, last) = arrived.unwrap_or((f64::NAN, f64::NAN));
                let seconds = (last - began) / 1e9;
                Ok([recorded, records, records / seconds, cpu / records, peak])
            }));
        }
    }
    let known = |number: f64| (!number.is_nan()).then_some(number);
    subjects
        .iter()
        .zip(paced)
        .zip(tight)
        .map(|((subject, paced), tight)| Row {
            name: subject.name,
            version: version(subject).unwrap_or_default(),
            paced: paced
                .into_iter()
                .map(|runs| {
                    let [mean, p50, p99, allocations, cpu, recorded, delivered] = medians(runs)?;
                    Ok(Paced {
                        mean,
                        p50,
                        p99,
                        allocations,
                        cpu,
                        recorded,
                        delivered: known(delivered),
                    })
                })
                .collect(),
            tight: medians(tight).map(|[recorded, delivered, per_second, cpu, peak_bytes]| Tight {
                recorded,
                delivered: known(delivered),
                delivered_per_second: per_second,
                cpu,
                peak_bytes,
            }),
        })
        .collect()
}

/// The median of each column, or why there is none.
fn medians<const N: usize>(runs: Vec<Result<[f64; N], String>>) -> Result<[f64; N], String> {
    let runs: Vec<[f64; N]> = runs.into_iter().collect::<Result<_, _>>()?;
    Ok(std::array::from_fn(|column| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }))
}

pub(crate) fn workspace() -> PathBuf {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR"));
    runner.parent().unwrap_or(runner).to_owned()
}

pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    // What cargo sets for this program is not meant for those that it builds.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_")
            || name.to_string_lossy().starts_with("CARGO_MANIFEST_")
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Alone, so that no peer's features are switched on in another.
fn build(subject: &Subject) -> Result<PathBuf, String> {
    eprintln!("building {}", subject.package);
    let target = workspace().join("target");
    let status = cargo()
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "-p",
            subject.package,
        ])
        .arg("--target-dir")
        .arg(&target)
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if status.success() {
        Ok(target.join("release").join(subject.package))
    } else {
        Err("does not build".to_owned())
    }
}

/// The locked version of the crate that a subject is named after. Others may be there in several versions.
fn version(subject: &Subject) -> Option<String> {
    let output = cargo()
        .args(["tree", "--depth=1", "--edges=normal", "--prefix=none", "-p"])
        .arg(subject.package)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| {
        let version = line.strip_prefix(subject.krate)?.strip_prefix(" v")?;
        version.split(' ').next().map(str::to_owned)
    })
}

type Numbers = Vec<f64>;

/// Runs a subject once: what it printed, and what arrived (records, and when the last came) if that could be counted.
fn run(
    program: &Path,
    kind: Kind,
    mode: &str,
    workload: usize,
) -> Result<(Numbers, Option<(f64, f64)>), String> {
    let mut server = Server::start(kind);
    let mut process = Command::new(program)
        .args([mode, &workload.to_string(), &server.url])
        // The only way to tell tracing-layer-axiom where to.
        .env("AXIOM_URL", &server.url)
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("does not run: {error}"))?;
    let mut output = process.stdout.take().expect("its output");
    let text = thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let start = Instant::now();
    let status = loop {
        match process.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            _ => {
                drop(process.kill());
                drop(process.wait());
                return Err(format!("does not end in {} s", PATIENCE.as_secs()));
            }
        }
    };
    if !status.success() {
        return Err(format!("fails: {status}"));
    }
    let text = text.join().ok().and_then(Result::ok).unwrap_or_default();
    // A peer may print as well: the numbers are a line of nothing else.
    let numbers = |line: &str| line.split(' ').map(|text| text.parse().ok()).collect();
    let numbers: Numbers = text
        .lines()
        .rev()
        .find_map(numbers)
        .ok_or("does not say what it measured")?;
    let arrived = server.arrived();
    let arrived = (arrived.unclear == 0).then_some((arrived.records as f64, arrived.last as f64));
    Ok((numbers, arrived))
}
