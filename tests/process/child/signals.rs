//! Waits for a signal, with and without a handler of the application's own.
#![expect(unsafe_code, reason = "signal is C's")]

use std::time::Duration;

use axiom_layer::{DropReason, Guard};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use tokio::signal::unix::{SignalKind, signal};

use crate::{LONG, Wanted, hear, ledger, record, say, start, wait_for_the_end};

/// What started the tests may ignore them, as a shell does for what runs in the background; a process inherits that.
fn reset_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: no handler is installed, and no other thread runs yet.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

pub(crate) fn run(wanted: &Wanted) {
    if !wanted.has("ignored") {
        reset_signals();
    }
    match wanted.text("handler") {
        "" => {
            let guard = start(wanted);
            record(0..1_000);
            say("ready");
            if !wanted.has("once") {
                wait_for_the_end();
            }
            // Ends after the signal was ignored.
            say(hear());
            drop(guard);
        }
        "plain-before" => {
            let signals = Signals::new([SIGTERM]).unwrap();
            let guard = start(wanted);
            plain(signals, &guard);
        }
        "plain-after" => {
            let guard = start(wanted);
            plain(Signals::new([SIGTERM]).unwrap(), &guard);
        }
        // Takes the signal, goes on, and ends in another way.
        "then-abort" => {
            let guard = start(wanted);
            let mut signals = Signals::new([SIGTERM]).unwrap();
            record(0..500);
            say("ready");
            signals.forever().next();
            record(500..1_000);
            std::mem::forget(guard);
            std::process::abort();
        }
        // Takes the signal over once the layer records nothing more.
        "late" => {
            let guard = start(wanted);
            record(0..1_000);
            say("ready");
            hear();
            let is_late = || guard.stats().dropped_for(DropReason::AfterShutdown) > 0;
            for seq in 1_000.. {
                record(seq..seq + 1);
                if is_late() {
                    break;
                }
                // Slow enough for an endpoint in debug mode.
                std::thread::sleep(Duration::from_millis(4));
            }
            let mut signals = Signals::new([SIGTERM]).unwrap();
            say("taken over");
            let stats = guard
                .shutdown(Duration::from_secs(20))
                .unwrap_or_else(|error| error.stats().clone());
            say(ledger("main", &stats));
            say("ended");
            signals.forever().next();
            say("asked again");
        }
        "closes-all" => {
            let guard = start(wanted);
            record(0..1_000);
            // Nothing wakes the worker from now on. Were it still awake, it would write to what it takes for its own.
            guard.flush(Duration::from_secs(20)).unwrap();
            wait_until_the_worker_sleeps();
            let file = std::path::Path::new(wanted.text("file"));
            // SAFETY: nothing in this process uses a descriptor from now on but those made below, and the standard ones.
            unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
            let files: Vec<_> = (0..64)
                .map(|_| std::fs::OpenOptions::new().append(true).open(file).unwrap())
                .collect();
            say("ready");
            std::mem::forget((files, guard));
            wait_for_the_end();
        }
        // Records from another thread until the process is gone.
        "goes-on" => {
            let guard = start(wanted);
            record(0..1_000);
            say("ready");
            std::mem::forget(guard);
            for seq in 1_000.. {
                tracing::info!(seq, "recorded");
                std::thread::yield_now();
            }
        }
        "tokio-before" => in_tokio(async || {
            let signal = signal(SignalKind::terminate()).unwrap();
            let guard = start(wanted);
            handled(signal, &guard).await;
        }),
        "tokio-after" => {
            let guard = start(wanted);
            in_tokio(async || {
                handled(signal(SignalKind::terminate()).unwrap(), &guard).await;
            });
        }
        other => panic!("no such handler: {other}"),
    }
}

/// Looks several times, for a thread may be about to go to sleep only for a lock.
fn wait_until_the_worker_sleeps() {
    let is_worker = |task: &std::path::Path| {
        let name = std::fs::read_to_string(task.join("comm"));
        name.is_ok_and(|name| name.trim() == "axiom-layer")
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let task = tasks.map(|task| task.unwrap().path());
    let task = task.into_iter().find(|task| is_worker(task)).unwrap();
    let mut seen = 0;
    while seen < 100 {
        let stat = std::fs::read_to_string(task.join("stat")).unwrap();
        // Behind the name, which is in parentheses.
        let sleeps = stat.rsplit_once(") ").unwrap().1.starts_with('S');
        seen = if sleeps { seen + 1 } else { 0 };
        std::thread::yield_now();
    }
}

fn plain(mut signals: Signals, guard: &Guard) {
    record(0..1_000);
    say("ready");
    signals.forever().next();
    say("shutting down");
    signals.forever().next();
    shut_down(guard);
}

fn in_tokio(main: impl AsyncFnOnce()) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(main());
}

async fn handled(mut signal: tokio::signal::unix::Signal, guard: &Guard) {
    record(0..1_000);
    say("ready");
    signal.recv().await;
    say("shutting down");
    signal.recv().await;
    shut_down(guard);
}

/// What an application does of its own at the end: takes its time, and records.
fn shut_down(guard: &Guard) {
    say("asked again");
    hear();
    record(1_000..1_010);
    let stats = guard
        .shutdown(LONG)
        .unwrap_or_else(|error| error.stats().clone());
    say(ledger("main", &stats));
}
