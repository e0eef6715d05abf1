//! Ends by a panic, beside a panic hook of the application's own.

use crate::{Wanted, record, say, start};

pub(crate) fn run(wanted: &Wanted) {
    std::panic::set_hook(Box::new(|info| {
        // What the hook records is delivered too.
        tracing::error!(seq = 1_000, "panicked");
        let text = info.payload().downcast_ref::<&str>();
        say(format_args!("hook: {}", text.unwrap_or(&"?")));
    }));
    let guard = start(wanted);
    record(0..1_000);
    let guard = match wanted.text("guard") {
        "kept" => Some(guard),
        _ => {
            std::mem::forget(guard);
            None
        }
    };
    if wanted.has("replaced") {
        std::panic::set_hook(Box::new(|_| say("hook: replaced")));
    }
    match wanted.text("where") {
        "main" => panic!("on purpose"),
        "thread" => {
            let thread = std::thread::spawn(|| panic!("on purpose"));
            say(format_args!("caught: {}", thread.join().is_err()));
        }
        "task" => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .unwrap();
            let ended = runtime.block_on(runtime.spawn(async { panic!("on purpose") }));
            say(format_args!("caught: {}", ended.is_err()));
        }
        // As a server does whose handlers panic, one after the other.
        "often" => {
            for _ in 0..wanted.number("panics", 1) {
                let caught = std::panic::catch_unwind(|| panic!("on purpose"));
                assert!(caught.is_err());
            }
        }
        // Both end in an abort, although panics unwind.
        "destructor" => {
            let _panics = PanicsOnDrop;
            panic!("on purpose");
        }
        "extern" => not_unwinding(),
        // No panics at all.
        "abort" => std::process::abort(),
        "abort-in-thread" => {
            std::thread::spawn(|| std::process::abort()).join().unwrap();
        }
        "overflow" => say(recurse(1)),
        other => panic!("nowhere: {other}"),
    }
    drop(guard);
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("once more");
    }
}

/// Ends by a stack overflow.
#[expect(unconditional_recursion, reason = "that is its purpose")]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(depth) + recurse(depth + 1)
}

extern "C" fn not_unwinding() {
    panic!("on purpose");
}
