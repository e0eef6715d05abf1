//! Goes on after a panic in code of the application's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::current;

/// Runs code of the application's. `None`: it panicked.
pub(super) fn survive<T>(run: impl FnOnce() -> T) -> Option<T> {
    let heard = current::panics_heard();
    let survived = catch_unwind(AssertUnwindSafe(run));
    survived
        .map_err(|payload| {
            // Dropping a payload may panic again.
            std::mem::forget(payload);
            // It is over, unlike one in whose destructors it may have come.
            current::forget_panics_since(heard);
        })
        .ok()
}
