//! Waiting for what another thread does in moments: unless that thread does not exist.
//!
//! A forked child has the locks that its parent's threads held, and not the threads. To it such a lock stays held for ever.

use std::sync::TryLockError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Looks at once, before others have their turn.
const SPINS: u32 = 100;
/// A time and no number of looks: between two, on a busy machine, others have their turn for milliseconds.
const LONGEST: Duration = Duration::from_millis(100);

/// What `look` finds, at once or when another thread has come further.
#[inline]
pub(super) fn look_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    look().or_else(|| look_for_as_long_as(LONGEST, look))
}

#[cold]
fn look_for_as_long_as<T>(longest: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..SPINS {
        if let Some(found) = look() {
            return Some(found);
        }
        std::hint::spin_loop();
    }
    let deadline = Instant::now() + longest;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::yield_now();
    }
}

/// How patient to be with one lock: once it was waited for in vain, not any more, until it was had.
#[derive(Debug, Default)]
pub(super) struct Patience {
    is_over: AtomicBool,
}

impl Patience {
    pub(super) const fn new() -> Self {
        Self {
            is_over: AtomicBool::new(false),
        }
    }

    /// The lock that `attempt` tries to take. `None`: it was not to be had.
    #[inline]
    pub(super) fn wait_for<G>(
        &self,
        mut attempt: impl FnMut() -> Result<G, TryLockError<G>>,
    ) -> Option<G> {
        match attempt() {
            Ok(guard) => self.had(guard),
            Err(TryLockError::Poisoned(guard)) => self.had(guard.into_inner()),
            Err(TryLockError::WouldBlock) => self.go_on_waiting(attempt),
        }
    }

    #[cold]
    fn go_on_waiting<G>(
        &self,
        mut attempt: impl FnMut() -> Result<G, TryLockError<G>>,
    ) -> Option<G> {
        let attempt = || match attempt() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let longest = if self.is_over.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            LONGEST
        };
        let guard = look_for_as_long_as(longest, attempt);
        self.is_over.store(guard.is_none(), Ordering::Relaxed);
        guard
    }

    fn had<G>(&self, guard: G) -> Option<G> {
        if self.is_over.load(Ordering::Relaxed) {
            self.is_over.store(false, Ordering::Relaxed);
        }
        Some(guard)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_lock_that_nobody_will_let_go_is_waited_for_once_and_not_for_long() {
        let (lock, patience) = (Mutex::new(()), Patience::new());
        let is_done = AtomicBool::new(false);
        let held = lock.lock().unwrap();
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            for _ in 0..20 {
                assert!(patience.wait_for(|| lock.try_lock()).is_none());
            }
            is_done.store(true, Ordering::Relaxed);
        });
        assert!(started.elapsed() < Duration::from_secs(5));
        drop(held);
        assert!(patience.wait_for(|| lock.try_lock()).is_some());
        assert!(!patience.is_over.load(Ordering::Relaxed));
    }
}
