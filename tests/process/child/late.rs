//! Records at unusual times: before there is a subscriber, after the shutdown, while threads lose their locals, in `atexit`.

use std::cell::RefCell;
use std::sync::OnceLock;

use axiom_layer::Guard;

use crate::{LONG, Wanted, ledger, record, say, start};

static GUARD: OnceLock<Guard> = OnceLock::new();

/// Records when its thread ends.
struct Recorder(u64);

impl Drop for Recorder {
    fn drop(&mut self) {
        // No spans: tracing-subscriber's registry panics when its own thread-locals are gone.
        record(self.0..self.0 + 2);
    }
}

thread_local! {
    // Destroyed in the order of their first use, or in the opposite one: both are tried.
    static EARLY: RefCell<Option<Recorder>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

pub(crate) fn run(wanted: &Wanted) {
    record(0..10);
    say("nobody listened");
    #[cfg(unix)]
    exit::install(wanted);
    let guard = start(wanted);
    let main_too = wanted.has("main");
    if main_too {
        EARLY.with(|cell| cell.replace(Some(Recorder(40))));
    }
    let thread = |first: u64| {
        move || {
            EARLY.with(|cell| cell.replace(Some(Recorder(first))));
            record(first + 4..first + 5);
            LATE.with(|cell| cell.replace(Some(Recorder(first + 2))));
        }
    };
    std::thread::Builder::new()
        .name("brief".into())
        .spawn(thread(10))
        .unwrap()
        .join()
        .unwrap();
    // One whose layer-side locals are first used while it ends.
    std::thread::spawn(|| EARLY.with(|cell| cell.replace(Some(Recorder(20)))))
        .join()
        .unwrap();
    if main_too {
        LATE.with(|cell| cell.replace(Some(Recorder(42))));
    }
    if wanted.has("shut") {
        let stats = guard.shutdown(LONG).unwrap();
        say(ledger("shutdown", &stats));
        record(100..107);
    }
    GUARD.set(guard).unwrap();
}

#[cfg(unix)]
mod exit {
    #![expect(unsafe_code, reason = "atexit is C's")]

    use super::{GUARD, ledger, record, say};
    use crate::Wanted;

    /// Runs before the layer's own hook, which was registered when the program was loaded; and after the thread-locals
    /// of the main thread are gone.
    pub(super) fn install(wanted: &Wanted) {
        if wanted.has("atexit") {
            // SAFETY: the function lives as long as the program.
            unsafe { libc::atexit(at_exit) };
        }
    }

    extern "C" fn at_exit() {
        record(200..202);
        if let Some(guard) = GUARD.get() {
            say(ledger("atexit", &guard.stats()));
        }
    }
}
