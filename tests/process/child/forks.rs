//! Forks, with records waiting in the parent.
#![expect(unsafe_code, reason = "fork and waitpid are C's")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axiom_layer::Guard;
use tracing_subscriber::prelude::*;

use crate::{LONG, Wanted, build, builder, hear, ledger, record, say, start, wait_for_the_end};

/// Runs `child` in a forked process, which then ends by `process::exit(0)`. The id of the process.
fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: what may be done in the child is what is tested.
    match unsafe { libc::fork() } {
        0 => {
            child();
            std::process::exit(0);
        }
        -1 => panic!("no fork: {}", std::io::Error::last_os_error()),
        id => id,
    }
}

/// Ends without its exit hooks, once it is told of it.
fn child_that_records_after_its_guard(wanted: &Wanted) {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    let (layer, guard) = builder(wanted)
        .on_diagnostic(|diagnostic| {
            if diagnostic.cause() == axiom_layer::Cause::AfterShutdown {
                say("told");
                IS_TOLD.store(true, Ordering::SeqCst);
            }
        })
        .build()
        .unwrap();
    tracing_subscriber::registry().with(layer).init();
    record(0..500);
    let child = fork(|| {
        record(500..600);
        drop(guard);
        let start = Instant::now();
        while !IS_TOLD.load(Ordering::SeqCst) && start.elapsed() < LONG / 3 {
            record(600..601);
            std::thread::sleep(Duration::from_millis(20));
        }
        // SAFETY: it does not return, and nothing needs an end.
        unsafe { libc::_exit(0) };
    });
    say(format_args!("child ended {}", wait_for(child)));
}

/// The wait status: 0 for a good end.
fn wait_for(id: i32) -> i32 {
    let mut status = -1;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(id, &raw mut status, 0) };
    status
}

fn spans(seqs: std::ops::Range<u64>) {
    for seq in seqs {
        let _span = tracing::info_span!("span", seq).entered();
    }
}

fn shut_down(who: &str, guard: &Guard) {
    let stats = guard
        .shutdown(LONG)
        .unwrap_or_else(|error| error.stats().clone());
    say(ledger(who, &stats));
}

fn flush(who: &str, guard: &Guard) {
    let stats = guard
        .flush(LONG)
        .unwrap_or_else(|error| error.stats().clone());
    say(ledger(who, &stats));
}

pub(crate) fn run(wanted: &Wanted) {
    if wanted.text("what") == "threads" {
        return child_with_threads_of_its_own(wanted);
    }
    if wanted.text("what") == "late" {
        return child_that_records_after_its_guard(wanted);
    }
    let guard = start(wanted);
    match wanted.text("what") {
        "queued" => {
            record(0..500);
            let child = fork(|| {
                record(500..600);
                shut_down("child", &guard);
            });
            say(format_args!("child ended {}", wait_for(child)));
            // The parent goes on as if nothing had happened.
            record(600..610);
        }
        "exit" => {
            record(0..500);
            let child = fork(|| record(500..600));
            say(format_args!("child ended {}", wait_for(child)));
        }
        "ids" => {
            spans(0..1);
            let child = fork(|| {
                spans(1..101);
                shut_down("child", &guard);
            });
            spans(101..201);
            say(format_args!("child ended {}", wait_for(child)));
        }
        "idle" => {
            record(0..500);
            let child = fork(|| ());
            say(format_args!("child ended {}", wait_for(child)));
        }
        "grandchild" => {
            record(0..500);
            let child = fork(|| {
                if wanted.has("child-records") {
                    record(500..600);
                }
                let grandchild = fork(|| {
                    record(600..700);
                    shut_down("grandchild", &guard);
                });
                say(format_args!("grandchild ended {}", wait_for(grandchild)));
                shut_down("child", &guard);
            });
            say(format_args!("child ended {}", wait_for(child)));
        }
        "lost" => {
            let receipt = |who: &str| {
                let flushed = guard.flush(LONG);
                let lost = flushed.is_err_and(|error| error.is_lost());
                say(format_args!("{who} lost some: {lost}"));
            };
            record(0..500);
            receipt("parent");
            let child = fork(|| {
                record(500..600);
                receipt("child");
            });
            say(format_args!("child ended {}", wait_for(child)));
        }
        "stats" => {
            record(0..500);
            let child = fork(|| {
                say(ledger("child", &guard.stats()));
                let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
                say(format_args!("child threads {}", threads.unwrap_or(1)));
            });
            say(format_args!("child ended {}", wait_for(child)));
        }
        "another" => {
            record(0..500);
            let child = fork(|| {
                let (layer, another) = build(wanted);
                let subscriber = tracing_subscriber::registry().with(layer);
                tracing::subscriber::with_default(subscriber, || record(500..600));
                // Delivered by the hooks alone.
                std::mem::forget(another);
            });
            say(format_args!("child ended {}", wait_for(child)));
        }
        "amid" => forks_amid_the_first_record(&guard),
        "drop" => return guard_dropped_in_the_child(guard),
        "busy" => busy(&guard),
        "signal" => {
            record(0..500);
            let child = fork(|| {
                if wanted.has("child-records") {
                    record(500..600);
                }
                say(format_args!("child {}", std::process::id()));
                wait_for_the_end();
            });
            say(format_args!("child ended {}", wait_for(child)));
            hear();
        }
        other => panic!("no such fork: {other}"),
    }
    shut_down("parent", &guard);
}

/// The child drops its copy of the guard, as it does when it returns from main.
fn guard_dropped_in_the_child(guard: Guard) {
    record(0..500);
    // SAFETY: as in `fork`.
    match unsafe { libc::fork() } {
        // Its own copy, dropped here.
        0 => drop(guard),
        child => {
            say(format_args!("child ended {}", wait_for(child)));
            record(500..600);
            flush("parent after the child", &guard);
            shut_down("parent", &guard);
        }
    }
}

/// A child in which all that it has of the parent's layer is dropped, while a thread that it started goes on.
fn child_with_threads_of_its_own(wanted: &Wanted) {
    let (layer, guard) = build(wanted);
    // Not the global one, which is never dropped.
    let subscriber = tracing_subscriber::registry().with(layer).set_default();
    // SAFETY: as in `fork`.
    match unsafe { libc::fork() } {
        0 => {
            let barrier = std::sync::Arc::new(std::sync::Barrier::new(9));
            // One of them gets the stack that the worker had in the parent.
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let barrier = std::sync::Arc::clone(&barrier);
                    std::thread::spawn(move || {
                        barrier.wait();
                    })
                })
                .collect();
            drop((guard, subscriber));
            barrier.wait();
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        }
        child => {
            say(format_args!("child ended {}", wait_for(child)));
            shut_down("parent", &guard);
        }
    }
}

/// In each child one thread records first, which makes the child's pipeline, while another forks, a little later from
/// child to child.
fn forks_amid_the_first_record(guard: &Guard) {
    const CHILDREN: u64 = 60;
    for child in 0..CHILDREN {
        let id = fork(|| {
            let first = child * 10;
            let barrier = std::sync::Barrier::new(2);
            let status = std::thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    record(first..first + 5);
                });
                barrier.wait();
                (0..child * 500).for_each(|_| std::hint::spin_loop());
                wait_for(fork(|| {
                    record(first + 5..first + 10);
                    shut_down("grandchild", guard);
                }))
            });
            shut_down("child", guard);
            assert_eq!(status, 0);
        });
        say(format_args!("child ended {}", wait_for(id)));
    }
}

/// Forks again and again while other threads record.
fn busy(guard: &Guard) {
    const CHILDREN: u64 = 20;
    let (stop, next) = (AtomicBool::new(false), AtomicU64::new(1_000_000));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seq = next.fetch_add(10, Ordering::Relaxed);
                    record(seq..seq + 10);
                    // Slow enough for an endpoint in debug mode.
                    std::thread::sleep(Duration::from_millis(4));
                }
            });
        }
        for child in 0..CHILDREN {
            let id = fork(|| {
                record(child * 100..(child + 1) * 100);
                shut_down("child", guard);
            });
            say(format_args!("child ended {}", wait_for(id)));
        }
        stop.store(true, Ordering::Relaxed);
    });
}
