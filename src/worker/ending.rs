//! When a delivery before the end is given up because nothing listens. A value: it is given the time.

use std::time::{Duration, Instant};

/// How long a shutdown goes on where every connection is refused, and how many attempts it makes at the least. A
/// deployment that restarts what listens there takes longer than any exit should.
const NOBODY_LISTENS: (Duration, u32) = (Duration::from_secs(1), 2);

#[derive(Debug, Default)]
pub(super) struct Ending {
    /// When the shutdown was asked for, or the last delivery before the process ends.
    since: Option<Instant>,
    /// The last attempt was refused a connection.
    is_unheard: bool,
    /// Attempts since then that were refused a connection, in a row.
    unheard: u32,
}

impl Ending {
    pub(super) fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The process does not end after all.
    pub(super) fn goes_on(&mut self) {
        self.since = None;
        self.unheard = 0;
    }

    /// An attempt begun at `started` came to an end. `is_unheard`: nothing listens there.
    pub(super) fn attempted(&mut self, started: Instant, is_unheard: bool) {
        self.is_unheard = is_unheard;
        if !is_unheard {
            self.unheard = 0;
        } else if self.since.is_some_and(|since| started >= since) {
            self.unheard += 1;
        }
    }

    /// The last attempt was refused a connection: more time would hardly have helped.
    pub(super) fn is_unheard(&self) -> bool {
        self.is_unheard
    }

    /// Nothing has listened for long enough.
    pub(super) fn stays_unheard(&self, now: Instant) -> bool {
        let (patience, attempts) = NOBODY_LISTENS;
        let is_long = self.since.is_some_and(|since| now >= since + patience);
        self.unheard >= attempts && is_long
    }

    /// When that may come to be so.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let at = self.since? + NOBODY_LISTENS.0;
        (self.unheard > 0 && at > now).then_some(at)
    }
}
