//! Marks the threads whose own events must never be ingested: the worker's and those of its runtime.
//!
//! A thread-local flag, not a scoped subscriber: the latter would take every thread off tracing's
//! fast path while it lives.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// The crates of the HTTP client, by the targets of what they record.
const CLIENT: [&str; 13] = [
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_tls",
    "hyper_util",
    "mio",
    "reqwest",
    // tokio's own, of what it polls and wakes.
    "runtime",
    "rustls",
    "rustls_platform_verifier",
    "tokio",
    "tower",
    "tower_http",
];

/// Whether such a record may be of our own HTTP work.
pub(crate) fn is_of_client(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    CLIENT.contains(&name)
}

/// From now on nothing that this thread records is ingested by any layer of ours.
pub(crate) fn raise() {
    FENCED.set(true);
}

/// As [`raise`], until the value is dropped: for work of ours on a thread of the application's.
pub(crate) fn raise_for_now() -> Raised {
    Raised {
        before: FENCED.replace(true),
        of_this_thread: PhantomData,
    }
}

/// Lowers the fence again, unless it was up before.
#[must_use = "the fence is lowered when this is dropped"]
pub(crate) struct Raised {
    before: bool,
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Raised {
    fn drop(&mut self) {
        FENCED.set(self.before);
    }
}

pub(crate) fn is_raised() -> bool {
    FENCED.get()
}
