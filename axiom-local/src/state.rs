//! What the handle and the server's tasks share: what arrived, how events are judged, the settings, and the wait for changes.
//!
//! The caller's threads and the server's tasks both run this code, under two locks: one around [`Store`], one around [`Ingest`].
//! Nothing holds both at once, and no task holds one across an `await`.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ingest::Ingest;
use crate::request::Request;
use crate::store::Store;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// A secret, which is compared but never printed.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(token: impl Into<String>) -> Self {
        Token(token.into())
    }

    pub(crate) fn is(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What was decided before the start, and does not change while the server runs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The only token that is accepted; without one, any is.
    pub(crate) token: Option<Token>,
    /// The only datasets that exist; without this set, all do.
    pub(crate) datasets: Option<HashSet<String>>,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_streams: u32,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

/// What the handle and the server's tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    store: Mutex<Store>,
    /// Told whenever the store's `generation` has grown.
    changed: Condvar,
    /// Judging events takes longer than storing them, so it has a lock of its own.
    ingest: Mutex<Ingest>,
    pub(crate) settings: Settings,
}

impl Shared {
    pub(crate) fn new(store: Store, ingest: Ingest, settings: Settings) -> Self {
        Shared {
            store: Mutex::new(store),
            changed: Condvar::new(),
            ingest: Mutex::new(ingest),
            settings,
        }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ingest(&self) -> MutexGuard<'_, Ingest> {
        self.ingest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in what became of a request, and wakes those who wait for a change.
    pub(crate) fn update(&self, index: u64, change: impl FnOnce(&mut Request)) {
        self.store().update(index, change);
        self.notify();
    }

    /// Wakes those who wait for a change.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until the condition holds, and says whether it did before the timeout. The condition is asked at once, and again
    /// after each change.
    pub(crate) fn wait_until(&self, timeout: Duration, condition: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        loop {
            let generation = self.store().generation;
            // The condition is asked without the lock, because it takes the lock itself.
            if condition() {
                return true;
            }
            let mut store = self.store();
            while store.generation == generation {
                let left = timeout.saturating_sub(start.elapsed());
                if left.is_zero() {
                    return false;
                }
                store = self
                    .changed
                    .wait_timeout(store, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }
}
