//! What a program that says hello costs to build with each subject: the crates below it, and the seconds that a build
//! from nothing takes. Sources are fetched before.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use crate::measure::{cargo, workspace};
use crate::subjects::Subject;

/// What goes into the program or builds it, on this machine, each package once.
const TREE: [&str; 9] = [
    "tree",
    "--locked",
    "--quiet",
    "--no-default-features",
    "--edges=normal,build",
    "--prefix=none",
    "--format={p}",
    "--no-dedupe",
    "--package",
];

pub(crate) fn compare(subjects: &[&Subject], builds: bool, release: bool) {
    let profile = if release { "release" } else { "dev" };
    let (title, line) = match builds {
        true => (
            format!(" seconds to build ({profile}, from nothing) | program |"),
            " --- | --- |",
        ),
        false => (String::new(), ""),
    };
    println!("| hello, world with | crates |{title}");
    println!("| --- | --- |{line}");
    // Fetching is not building. Without a network it may still be that all is there.
    drop(cargo().args(["fetch", "--locked", "--quiet"]).status());
    let mut seen = BTreeSet::new();
    for subject in subjects {
        // Two rows may be one package.
        if !seen.insert(subject.package) {
            continue;
        }
        print!("| {} | {} |", subject.name, crates(subject.package));
        if builds {
            match build(subject.package, release) {
                Ok((time, bytes)) => print!(
                    " {:.1} | {:.1} MB |",
                    time.as_secs_f64(),
                    bytes as f64 / 1e6
                ),
                Err(why) => print!(" {why} | |"),
            }
        }
        println!();
    }
}

fn crates(package: &str) -> String {
    match cargo().args(TREE).arg(package).output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let unique: BTreeSet<&str> = text.lines().map(str::trim).collect();
            // The program itself is not counted.
            unique.len().saturating_sub(1).to_string()
        }
        _ => "unknown".to_owned(),
    }
}

fn build(package: &str, release: bool) -> Result<(Duration, u64), String> {
    let target = workspace().join("target/cost").join(package);
    // There is nothing to remove the first time.
    fs::remove_dir_all(&target).ok();
    let mut cargo = cargo();
    cargo
        .args([
            "build",
            "--locked",
            "--quiet",
            "--no-default-features",
            "--package",
            package,
        ])
        .arg("--target-dir")
        .arg(&target);
    if release {
        cargo.arg("--release");
    }
    let start = Instant::now();
    let built = cargo.status().is_ok_and(|status| status.success());
    let time = start.elapsed();
    let program = target
        .join(if release { "release" } else { "debug" })
        .join(package);
    let size = fs::metadata(program).map_or(0, |metadata| metadata.len());
    fs::remove_dir_all(&target).ok();
    if built {
        Ok((time, size))
    } else {
        Err("does not build".to_owned())
    }
}
