//! How many instructions a record costs the thread that makes it: `cargo bench --bench instructions`.
//!
//! A busy machine needs more time for the same work, but not more instructions. So the counts of two days can be compared, and this
//! program checks them: it fails when a workload needs over 3 % more than the figure kept in `benches/instructions.toml`, and asks
//! for a lower figure when it needs over 3 % less. `cargo bench --bench instructions -- --keep` writes the figures anew.
//!
//! Each workload runs in a process of its own, once with a bare registry and once with this layer, under valgrind's tool callgrind, which
//! counts only while a thread is inside of [`counted_operations`]. What comes before is therefore not in the figures, nor is what the
//! layer's own thread does. The kernel is not either, and under valgrind it is the kernel that reads the clock.
//!
//! From run to run a count changes by less than 0.01 %, because times differ in their digits. On another processor it may change by
//! about 1 %, because the C library then copies memory in another way.
//!
//! Why this is not built on gungraun, which also uses callgrind: it compares with the previous run, kept in `target`, or with fixed
//! upper limits, and it needs a second program, installed in exactly the version of its library. What it would save here is
//! to start valgrind and to read one number.

mod workloads;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, ensure};
use tracing_subscriber::prelude::*;

use workloads::{WORKLOADS, Workload};

/// After so many operations all callsites are known and all buffers are large enough.
const WARM_UP: u64 = 500;
/// Many enough to fill several chunks of the queue, so that the price of beginning a chunk is in the figure. Few enough, together with the
/// warm-up, for one batch: the layer's thread then sleeps all the time.
const COUNTED: u64 = 1_000;

/// In percent of the kept figure.
const TOLERANCE: f64 = 3.0;

/// The name of the function inside which callgrind counts, in whichever way the compiler completes it.
const TOGGLE: &str = "--toggle-collect=*counted_operations*";

/// How the file of the kept figures begins.
const HEADER: &str = "\
# Instructions of one operation on the calling thread. `cargo bench --bench instructions` checks them, and with `-- --keep` writes them.
";

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = env::args().collect();
    let is_set = |flag: &str| args.iter().any(|arg| arg == flag);
    if let Some(at) = args.iter().position(|arg| arg == "--subject") {
        run(&args[at + 1], args[at + 2].parse()?);
    } else if is_set("--bench") {
        return compare(is_set("--keep"));
    }
    // `cargo test --benches` only wants to see that it runs.
    Ok(ExitCode::SUCCESS)
}

/// What runs under callgrind: one workload, with a bare registry or with this layer.
fn run(subject: &str, workload: usize) {
    let workload = WORKLOADS[workload];
    let mut guard = None;
    match subject {
        "registry" => tracing_subscriber::registry().init(),
        "axiom" => {
            let (layer, held) = axiom_layer::builder()
                .token("xaat-bench")
                .dataset("bench")
                // Nothing is sent there: the records do not fill a batch, and the run does not take an hour.
                .url("http://127.0.0.1:9")
                .flush_interval(Duration::from_secs(60 * 60))
                .diagnostics(false)
                .build()
                .unwrap();
            tracing_subscriber::registry().with(layer).init();
            guard = Some(held);
        }
        other => panic!("no subject {other}"),
    }
    let _surroundings = workload.surroundings();
    (0..WARM_UP).for_each(workload.operation);
    counted_operations(black_box(workload.operation));
    if let Some(guard) = guard {
        let stats = guard.stats();
        assert_eq!(stats.dropped(), 0);
        assert!(stats.recorded() >= WARM_UP + COUNTED, "{stats:?}");
        // When dropped, it would wait for a delivery.
        std::mem::forget(guard);
    }
}

/// Callgrind counts from the beginning of this function to its end.
#[inline(never)]
fn counted_operations(operation: fn(u64)) {
    (WARM_UP..WARM_UP + COUNTED).for_each(operation);
}

/// Counts all workloads, prints them beside the kept figures, and checks or replaces these.
fn compare(keep: bool) -> anyhow::Result<ExitCode> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let toolchain = toolchain()?;
    println!("instructions per operation on the calling thread, {toolchain}");
    match value(&kept, "toolchain") {
        Some(before) if before != toolchain => println!(
            "The kept figures were taken with {before}, so part of a difference may be the compiler's."
        ),
        _ => {}
    }
    println!(
        "{:<18}{:>10}{:>10}{:>10}{:>12}",
        "", "registry", "axiom", "kept", "difference"
    );
    let mut file = format!("{HEADER}toolchain = \"{toolchain}\"\n\n");
    let mut remarks = Vec::new();
    let mut is_passed = true;
    for (at, Workload { name, .. }) in WORKLOADS.iter().enumerate() {
        let registry = count("registry", at)?;
        let axiom = count("axiom", at)?;
        writeln!(file, "\"{name}\" = {axiom}")?;
        print!("{name:<18}{registry:>10}{axiom:>10}");
        let Some(kept) = value(&kept, name) else {
            println!("{:>10}", "none");
            remarks.push(format!("FAILED: no figure is kept for `{name}`."));
            is_passed = false;
            continue;
        };
        let kept: u64 = kept.parse()?;
        let percent = (axiom as f64 / kept as f64 - 1.0) * 100.0;
        println!("{kept:>10}{percent:>+10.1} %");
        if percent > TOLERANCE {
            is_passed = false;
            let profile = profile("axiom", at);
            remarks.push(format!(
                "FAILED: `{name}` needs {percent:.1} % more instructions than the {kept} that are kept. Where they are spent: \
                 callgrind_annotate {}",
                profile.display()
            ));
        } else if percent < -TOLERANCE {
            remarks.push(format!(
                "`{name}` needs {:.1} % fewer instructions than the {kept} that are kept. Please lower the kept figure: until \
                 then, nobody notices when they come back.",
                -percent
            ));
        }
    }
    if keep {
        fs::write(&path, file)?;
        println!("These figures are kept now.");
        return Ok(ExitCode::SUCCESS);
    }
    for remark in &remarks {
        println!("\n{remark}");
    }
    if !remarks.is_empty() {
        println!(
            "\nIf that is as it should be: `cargo bench --bench instructions -- --keep` writes the new figures."
        );
    }
    Ok(ExitCode::from(u8::from(!is_passed)))
}

/// What the file assigns to `key`: each of its lines is a comment or `key = value`, both perhaps quoted.
fn value<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    file.lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| (name.trim_matches('"'), value.trim_matches('"')))
        .find_map(|(name, value)| (name == key).then_some(value))
}

/// The version of the compiler, and the kind of machine that it compiles for. The figures depend on both.
fn toolchain() -> anyhow::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let version = text.lines().next().unwrap_or_default();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(format!("{version}, {}", host.unwrap_or_default()))
}

/// The file in which callgrind leaves its counts, function by function.
fn profile(subject: &str, workload: usize) -> PathBuf {
    let name = WORKLOADS[workload].name.replace(' ', "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{subject}.{name}"))
}

/// The instructions of one operation.
fn count(subject: &str, workload: usize) -> anyhow::Result<u64> {
    let profile = profile(subject, workload);
    let output = Command::new("valgrind")
        // The layer and valgrind would read options from the environment.
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .args(["--tool=callgrind", TOGGLE])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe()?)
        .args(["--subject", subject, &workload.to_string()])
        .output()
        .context("valgrind, which counts the instructions, can not be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    let text = fs::read_to_string(&profile)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.context("callgrind left no total")?.parse()?;
    ensure!(
        total > COUNTED,
        "callgrind did not find what to count: {said}"
    );
    Ok((total + COUNTED / 2) / COUNTED)
}
