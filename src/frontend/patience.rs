//! Waiting for a lock that is held for moments only: unless its holder does not exist.
//!
//! A forked child has the locks that its parent's threads held, and not the threads. To it such a lock stays held for ever.

use std::sync::TryLockError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Looks at once, before others have their turn.
const SPINS: u32 = 100;
/// A time and no number of looks: between two, on a busy machine, others have their turn for milliseconds.
const LONGEST: Duration = Duration::from_millis(100);

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
        let mut deadline = None;
        for look in 0.. {
            match attempt() {
                Ok(guard) => return self.had(guard),
                Err(TryLockError::Poisoned(guard)) => return self.had(guard.into_inner()),
                Err(TryLockError::WouldBlock) if look < SPINS => std::hint::spin_loop(),
                Err(TryLockError::WouldBlock) if self.is_over.load(Ordering::Relaxed) => break,
                Err(TryLockError::WouldBlock) => {
                    let now = Instant::now();
                    if now >= *deadline.get_or_insert(now + LONGEST) {
                        break;
                    }
                    std::thread::yield_now();
                }
            }
        }
        self.is_over.store(true, Ordering::Relaxed);
        None
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
