//! What is counted by the process: memory, threads, context switches, and a process for a test alone.

use std::process::Command;

/// Runs a test in a process of its own, for what is counted by the process.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "AXIOM_LAYER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "there is no test {name}: {text}");
    print!("{text}{errors}");
}

/// A field of `/proc/self/status`, such as `VmHWM` in KiB.
pub(crate) fn of_process(field: &str) -> u64 {
    of_status("/proc/self/status", field).unwrap()
}

fn of_status(path: &str, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// How often a thread of that name gave up the processor, by its own will or not.
pub(crate) fn switches(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .map(|task| task.unwrap().path())
        .filter(|task| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
        })
        .map(|task| {
            of_status(
                task.join("status").to_str().unwrap(),
                "voluntary_ctxt_switches",
            )
            .unwrap_or(0)
        })
        .sum()
}
