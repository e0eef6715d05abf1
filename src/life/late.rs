//! Records made after the guard was dropped: whether the program goes on without the guard, and who reports it.
//!
//! The application's threads note such a record, and a short-lived thread reports it, so that the call that records does no I/O.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// A runtime and destructors may record a little while they wind down after the guard, which is reported at the exit. A program
/// that goes on without its guard records for longer, and is told at once.
const GRACE: Duration = Duration::from_secs(1);

/// The exit waits at most this long for a thread that is reporting just now. A hook of the application's may take longer.
const LAST_WORD: Duration = Duration::from_millis(100);

const NONE: u8 = 0;
const SEEN: u8 = 1;
const BEING_SAID: u8 = 2;
const SAID: u8 = 3;

/// What is known of records after the guard.
#[derive(Debug, Default)]
pub(crate) struct Late {
    /// From this time on, a record is reported at once. Unset while there is a guard.
    from: OnceLock<Instant>,
    step: AtomicU8,
}

impl Late {
    /// The guard was dropped. A guard that saw no record was most likely never bound, and needs no grace.
    pub(crate) fn guard_dropped(&self, now: Instant, saw_records: bool) {
        let grace = if saw_records { GRACE } else { Duration::ZERO };
        // There is only one guard, so this is called once.
        self.from.set(now + grace).ok();
    }

    /// Notes a record that came after the guard. `true`: it is the first that has to be reported at once.
    pub(crate) fn see(&self, now: Instant) -> bool {
        let is_due = self.from.get().is_some_and(|from| now >= *from);
        is_due && self.advance(NONE, SEEN)
    }

    /// The process ends after some records came too late. They are reported now, however few they are.
    pub(crate) fn see_at_exit(&self) {
        if self.from.get().is_some() {
            self.advance(NONE, SEEN);
        }
    }

    /// Reports such records by `say`. The first caller reports; later calls do nothing.
    pub(crate) fn say(&self, say: impl FnOnce()) {
        if self.advance(SEEN, BEING_SAID) {
            say();
            self.advance(BEING_SAID, SAID);
        }
    }

    /// Waits, at the end of the process, until another thread has finished its report.
    pub(crate) fn hear_out(&self) {
        let start = Instant::now();
        while self.step.load(Ordering::Relaxed) == BEING_SAID && start.elapsed() < LAST_WORD {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn advance(&self, from: u8, to: u8) -> bool {
        let (done, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        self.step.compare_exchange(from, to, done, failed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_while_a_runtime_winds_down_wait_for_the_exit_and_later_ones_are_told_once() {
        let (late, start) = (Late::default(), Instant::now());
        assert!(!late.see(start), "the guard is still there");
        late.guard_dropped(start, true);
        assert!(!late.see(start) && !late.see(start + GRACE / 2));
        late.say(|| panic!("nothing was seen"));
        assert!(late.see(start + GRACE));
        assert!(!late.see(start + GRACE), "seen before");
        let mut said = 0;
        late.say(|| said += 1);
        late.say(|| said += 1);
        late.see_at_exit();
        late.say(|| said += 1);
        assert_eq!(said, 1);
    }
}
