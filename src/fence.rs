//! Marks the threads whose own events must never be ingested: the worker's and those of its runtime.
//!
//! A thread-local flag, not a scoped subscriber: the latter would take every thread off tracing's
//! fast path while it lives.

use std::cell::Cell;

thread_local! {
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// The crates of the HTTP client, by the targets of what they record.
const CLIENT: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_tls",
    "hyper_util",
    "mio",
    "reqwest",
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

pub(crate) fn is_raised() -> bool {
    FENCED.get()
}
