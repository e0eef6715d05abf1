//! Records that come after the guard was dropped: whether the program goes on without it, and who says so.
//!
//! Noted on the application's threads and said on a short-lived one: the call that records does no I/O.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// A runtime and destructors that wind down after the guard may record a little, which is said at the exit. A program
/// that goes on without it records for longer.
const GRACE: Duration = Duration::from_secs(1);

/// What the end of the process waits for whoever is just saying it. A hook of the application's may take longer.
const LAST_WORD: Duration = Duration::from_millis(100);

const NONE: u8 = 0;
const SEEN: u8 = 1;
const BEING_SAID: u8 = 2;
const SAID: u8 = 3;

/// What is known of records after the guard.
#[derive(Debug, Default)]
pub(crate) struct Late {
    /// The guard was dropped, and from this time on a record is worth a word.
    from: OnceLock<Instant>,
    step: AtomicU8,
}

impl Late {
    /// The guard was dropped. A guard that saw no record was most likely never bound, and needs no grace.
    pub(crate) fn guard_dropped(&self, now: Instant, saw_records: bool) {
        let grace = if saw_records { GRACE } else { Duration::ZERO };
        // A second guard there is none.
        self.from.set(now + grace).ok();
    }

    /// A record came too late. `true` for the first one that is worth a word at once.
    pub(crate) fn see(&self, now: Instant) -> bool {
        let is_due = self.from.get().is_some_and(|from| now >= *from);
        is_due && self.advance(NONE, SEEN)
    }

    /// The process ends, and some records came too late: even these few are worth a word.
    pub(crate) fn see_at_exit(&self) {
        if self.from.get().is_some() {
            self.advance(NONE, SEEN);
        }
    }

    /// Says it, unless there is nothing to say or somebody else does.
    pub(crate) fn say(&self, say: impl FnOnce()) {
        if self.advance(SEEN, BEING_SAID) {
            say();
            self.advance(BEING_SAID, SAID);
        }
    }

    /// Waits, at the end of the process, until it is said.
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
