//! What happens at the end of the process: the last records are delivered, or it is said that they are lost.
//!
//! The exit hooks are opt-in ([`Builder::exit_hooks`](crate::Builder::exit_hooks)). They stand beside what the application
//! has: a panic hook that was there runs first, signal handlers go on being called.

use std::panic::PanicHookInfo;
use std::sync::Once;
use std::time::Instant;

use crate::diag::{Cause, Diagnostic};
use crate::fence;
use crate::guard::{end, flush};
use crate::pipeline;

/// Installs the panic hook and the signal handlers, once for the process.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        install_panic_hook();
        #[cfg(unix)]
        signals::install();
    });
}

dtor::declarative::dtor! {
    /// Runs when `main` returns and on `process::exit`, while other threads still run.
    #[dtor(unsafe)]
    fn at_exit() {
        for pipeline in pipeline::all() {
            if pipeline.has_exit_hooks() {
                end(&pipeline, pipeline.shutdown_timeout());
                continue;
            }
            let pending = pipeline.stats().pending();
            if pending > 0 {
                let diagnostic = Diagnostic::new(
                    Cause::Shutdown,
                    "the process ended while the guard was still held or forgotten",
                    format!("{pending} records were not delivered"),
                    "drop the guard before the end, or enable exit_hooks",
                );
                pipeline.diag().report("", Instant::now(), diagnostic);
            }
        }
    }
}

/// Delivers what all pipelines with exit hooks hold.
fn flush_all() {
    // The worker can not wait for itself.
    if fence::is_raised() {
        return;
    }
    for pipeline in pipeline::all() {
        if pipeline.has_exit_hooks() {
            flush(&pipeline, pipeline.shutdown_timeout());
        }
    }
}

fn install_panic_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        if cfg!(panic = "abort") || ends_the_process(info) {
            flush_all();
        } else if !fence::is_raised() {
            // The stack unwinds and may be caught: nobody is kept waiting.
            for pipeline in pipeline::all() {
                drop(pipeline.ask_for_flush());
            }
        }
    }));
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

#[cfg(unix)]
mod signals {
    //! SIGTERM and SIGINT: deliver, then let the signal do what it would have done without us.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::{flag, low_level};

    pub(super) fn install() {
        // Where the application handles the signal itself, it decides about the end: we only deliver.
        let (ours, others): (Vec<i32>, Vec<i32>) = [SIGTERM, SIGINT]
            .into_iter()
            .partition(|signal| !is_caught(*signal));
        let again = Arc::new(AtomicBool::new(false));
        for signal in &ours {
            // The second time it ends the process at once, in the handler.
            drop(flag::register_conditional_default(
                *signal,
                Arc::clone(&again),
            ));
        }
        let Ok(mut signals) = Signals::new(ours.iter().chain(&others)) else {
            return;
        };
        // Without the thread, signals do what they did before.
        let handle = signals.handle();
        let thread = std::thread::Builder::new()
            .name("axiom-layer-signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    let is_ours = ours.contains(&signal);
                    if is_ours {
                        again.store(true, Ordering::SeqCst);
                    }
                    super::flush_all();
                    if is_ours {
                        drop(low_level::emulate_default_handler(signal));
                    }
                }
            });
        if thread.is_err() {
            handle.close();
        }
    }

    /// Whether some handler is installed for the signal. Told by the kernel, on Linux; elsewhere unknown.
    fn is_caught(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0);
        caught & (1 << (signal - 1)) != 0
    }
}
