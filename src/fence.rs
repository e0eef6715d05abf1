//! Marks the threads whose own events must never be ingested: the worker's and those of its runtime.
//!
//! A thread-local flag, not a scoped subscriber: the latter would take every thread off tracing's
//! fast path while it lives.

use std::cell::Cell;

thread_local! {
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// From now on nothing that this thread records is ingested by any layer of ours.
pub(crate) fn raise() {
    FENCED.set(true);
}

pub(crate) fn is_raised() -> bool {
    FENCED.get()
}
