//! What happens at the end of the process: the last records are delivered, or it is said that they are lost.
//!
//! The exit hooks are opt-in ([`Builder::exit_hooks`](crate::Builder::exit_hooks)). They stand beside what the application
//! has: a panic hook that was there runs first, a signal that it handles is left to it.

#[cfg(unix)]
mod signals;

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::pipeline::Pipeline;
use super::running;
use super::wait::{block_until, end_all, flush_all};
use crate::frontend;
use crate::process::fence;
use crate::report::{Cause, Diagnostic, DropReason, records_were};

/// Installs the panic hook and the signal handlers, once for the process.
pub(crate) fn install(shutdown_timeout: Duration) {
    #[cfg(unix)]
    signals::install(shutdown_timeout);
    watch_panics();
}

/// Installs the panic hook, once for the process.
pub(crate) fn watch_panics() {
    // The standard library lets no panicking thread change the hook.
    if std::thread::panicking() {
        return;
    }
    // Not a `Once`: a forked child would wait for a thread that is just installing it in its parent.
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        install_panic_hook();
    }
}

dtor::declarative::dtor! {
    /// Runs when `main` returns and on `process::exit`, while other threads still run.
    #[dtor(unsafe)]
    fn at_exit() {
        // The worker can not wait for itself: a diagnostics hook that exits runs on its thread.
        if !fence::is_raised() {
            end_all(&hooked(), Instant::now());
        }
        for pipeline in running::all() {
            tell_of_losses(pipeline, 0);
        }
    }
}

/// How long the application's diagnostics hook may take at the end of the process.
const LAST_REPORT: Duration = Duration::from_millis(250);

/// `while_ending`: records that came while a signal ended the process.
fn tell_of_losses(pipeline: Arc<Pipeline>, while_ending: u64) {
    let stats = pipeline.stats();
    if stats.pending() == 0 && stats.dropped_for(DropReason::AfterShutdown) == 0 {
        return;
    }
    let tell = move |pipeline: &Pipeline| {
        report_while_ending(pipeline, while_ending);
        pipeline.report_late_at_exit();
        report_loss(pipeline);
    };
    if !pipeline.diag().has_hook() {
        return tell(&pipeline);
    }
    // A hook may block, or exit, which the standard library aborts for on the thread that exits already. On a
    // thread of its own it does neither harm.
    let deadline = Instant::now() + LAST_REPORT;
    let (told, is_told) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("axiom-layer-exit".into())
        .spawn(move || {
            fence::raise();
            tell(&pipeline);
            told.send(()).ok();
        });
    if thread.is_ok() {
        block_until(deadline, is_told);
    }
}

fn report_while_ending(pipeline: &Pipeline, records: u64) {
    if records == 0 {
        return;
    }
    let diagnostic = Diagnostic::new(
        Cause::AfterShutdown,
        "records were made while a signal ended the process",
        records_were(records, "dropped for this so far"),
        "to deliver them too, handle the signal: stop what records, then drop the guard",
    );
    pipeline.diag().report("", Instant::now(), diagnostic);
}

fn report_loss(pipeline: &Pipeline) {
    let pending = pipeline.stats().pending();
    if pending == 0 {
        return;
    }
    let (what, fix) = if pipeline.has_exit_hooks() {
        (
            "the process ended before the worker could answer",
            "let on_diagnostic neither block nor exit",
        )
    } else {
        (
            "the process ended while the guard was still held or forgotten",
            "drop the guard before the end, or enable exit_hooks",
        )
    };
    let effect = records_were(pending, "not delivered");
    let diagnostic = Diagnostic::new(Cause::Shutdown, what, effect, fix);
    pipeline.diag().report("", Instant::now(), diagnostic);
}

/// Delivers what all pipelines with exit hooks hold, each within its shutdown timeout from `start`.
fn deliver(start: Instant) {
    // The worker can not wait for itself.
    if !fence::is_raised() {
        flush_all(&hooked(), start);
    }
}

/// After a delivery: the application ends the process itself, if at all.
#[cfg(unix)]
fn go_on() {
    for pipeline in hooked() {
        pipeline.say_that_it_goes_on();
    }
}

/// Ends all pipelines with exit hooks, within the same time: what was recorded since the delivery is delivered or counted, and
/// what comes from now on is told.
#[cfg(unix)]
fn end_for_good(start: Instant) {
    let late = |pipeline: &Pipeline| pipeline.stats().dropped_for(DropReason::AfterShutdown);
    let pipelines = hooked();
    let before: Vec<_> = pipelines.iter().map(|pipeline| late(pipeline)).collect();
    end_all(&pipelines, start);
    for (pipeline, before) in pipelines.into_iter().zip(before) {
        let while_ending = late(&pipeline) - before;
        tell_of_losses(pipeline, while_ending);
    }
}

fn hooked() -> Vec<Arc<Pipeline>> {
    let mut pipelines = running::all();
    pipelines.retain(|pipeline| pipeline.has_exit_hooks());
    pipelines
}

fn install_panic_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        // A worker that panics again and again must not fill its own queue with that.
        static WORKER: Every = Every::new(Duration::from_secs(60));
        if !fence::is_raised() || WORKER.admits() {
            frontend::panic::record(info);
        }
        if cfg!(panic = "abort") || ends_the_process(info) {
            deliver(Instant::now());
            // It was waited for here; the abort that follows does not wait again.
            #[cfg(unix)]
            signals::finish();
        } else if !fence::is_raised() && ASKS.admits() {
            // The stack unwinds and may be caught: nobody is kept waiting.
            for pipeline in running::all() {
                drop(pipeline.ask_for_flush());
            }
        }
    }));
}

/// Not for each of many panics that are caught: requests as small and as many are a reason for Axiom to suspend ingest.
/// The default flush interval: sooner, such a program's records would not leave without a panic either.
static ASKS: Every = Every::new(Duration::from_secs(1));

/// Lets one through in each interval.
struct Every {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl Every {
    const fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: Mutex::new(None),
        }
    }

    fn admits(&self) -> bool {
        // Held by another panic, which was let through.
        let Ok(mut last) = self.last.try_lock() else {
            return false;
        };
        let is_time = last.is_none_or(|last| last.elapsed() >= self.interval);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}

/// A panic that ends the process although panics unwind: in a destructor while unwinding, or where nothing may
/// unwind. The runtime's words are all that a hook can tell it by.
fn ends_the_process(info: &PanicHookInfo<'_>) -> bool {
    const WORDS: [&str; 2] = [
        "panic in a destructor during cleanup",
        "panic in a function that cannot unwind",
    ];
    let message = info.payload().downcast_ref::<&str>();
    message.is_some_and(|message| WORDS.contains(message))
}
