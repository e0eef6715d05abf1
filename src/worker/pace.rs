//! When one destination may be sent to, and how many requests at a time. A value: it is given the time.

use std::time::{Duration, Instant};

use super::backoff::Backoff;

/// Requests in flight at the most. At 50 ms of latency, 16 batches of 10,000 are 3 million records a second.
pub(super) const MAX_IN_FLIGHT: u32 = 16;
/// Before the first answer.
const START_IN_FLIGHT: u32 = 2;

/// While shutting down, no wait of the backoff is longer than this: an endpoint that comes back must be noticed before
/// the deadline.
pub(super) const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);

/// Whoever asks for delivery cuts the backoff short, but not more often than this. A program that flushes after each
/// piece of work would send as many requests to an endpoint that is down.
pub(super) const HURRY_EVERY: Duration = Duration::from_secs(1);

/// Why nothing is sent for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// After a failure that will pass by itself.
    Backoff,
    /// The server said when to come back.
    Told,
    /// The configuration must be mended, at either end.
    Refused,
    /// The allowance is used up.
    Quota,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    why: Why,
}

/// A request as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records of which nothing is known yet.
    Ordinary,
    /// Records of a body that was refused, sent to find which of them are at fault. There is one at a time, beside the
    /// others.
    Test,
}

#[derive(Debug)]
pub(super) struct Pace {
    ordinary: u32,
    tests: u32,
    /// Of both, the ones on connections that others no longer use. They do not hold up others.
    left_behind: u32,
    allowed: u32,
    pause: Option<Pause>,
    backoff: Backoff,
    last_failure: Option<Instant>,
    /// When a backoff was last cut short.
    hurried: Option<Instant>,
    is_closing: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            ordinary: 0,
            tests: 0,
            left_behind: 0,
            allowed: START_IN_FLIGHT,
            pause: None,
            backoff: Backoff::default(),
            last_failure: None,
            hurried: None,
            is_closing: false,
        }
    }

    /// No request is under way that others wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.ordinary + self.tests <= self.left_behind
    }

    /// No request is under way at all, be it on a connection that was left.
    pub(super) fn is_empty(&self) -> bool {
        self.ordinary + self.tests == 0
    }

    pub(super) fn has_room(&self) -> bool {
        self.ordinary.saturating_sub(self.left_behind) < self.allowed
    }

    /// So many more or fewer of the requests under way are on connections that were left.
    pub(super) fn left_behind(&mut self, change: i32) {
        self.left_behind = self.left_behind.saturating_add_signed(change);
    }

    pub(super) fn launched(&mut self, kind: Kind) {
        match kind {
            Kind::Ordinary => self.ordinary += 1,
            Kind::Test => self.tests += 1,
        }
    }

    pub(super) fn landed(&mut self, kind: Kind) {
        match kind {
            Kind::Ordinary => self.ordinary -= 1,
            Kind::Test => self.tests -= 1,
        }
    }

    /// Requests that will not come to an end: the worker panicked.
    pub(super) fn none_is_under_way(&mut self) {
        self.ordinary = 0;
        self.tests = 0;
        self.left_behind = 0;
    }

    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
        self.allowed = (self.allowed + 1).min(MAX_IN_FLIGHT);
    }

    /// The last attempt failed in a way that will pass.
    pub(super) fn is_failing(&self) -> bool {
        self.backoff.is_failing()
    }

    /// Sends nothing for a while, after an attempt begun at `started` that failed: `told` by the server, or as the
    /// backoff says.
    pub(super) fn back_off(
        &mut self,
        started: Instant,
        now: Instant,
        told: Option<Duration>,
        random: f64,
    ) {
        // Attempts that were under way together fail together, and count once.
        if self.last_failure.is_some_and(|last| started < last) && told.is_none() {
            return;
        }
        self.last_failure = Some(now);
        self.halve();
        let wait = self.backoff.next(random);
        let (wait, why) = match told {
            Some(told) => (told, Why::Told),
            None if self.is_closing => (wait.min(SHUTDOWN_WAIT), Why::Backoff),
            None => (wait, Why::Backoff),
        };
        self.pause(now + wait, why);
    }

    pub(super) fn halve(&mut self) {
        self.allowed = (self.allowed / 2).max(1);
    }

    pub(super) fn one_at_a_time(&mut self) {
        self.allowed = 1;
    }

    // Pauses.

    /// A pause that is already longer stays.
    pub(super) fn pause(&mut self, until: Instant, why: Why) {
        if self.pause.is_none_or(|pause| pause.until < until) {
            self.pause = Some(Pause { until, why });
        }
    }

    pub(super) fn paused(&self, now: Instant) -> Option<Why> {
        self.pause
            .filter(|pause| pause.until > now)
            .map(|pause| pause.why)
    }

    /// Forgets a pause that is over.
    pub(super) fn look(&mut self, now: Instant) {
        self.pause = self.pause.filter(|pause| pause.until > now);
    }

    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.pause.map(|pause| pause.until)
    }

    /// What was refused before may be tried again at once.
    pub(super) fn no_longer_refused(&mut self) {
        self.pause = self.pause.filter(|pause| pause.why != Why::Refused);
    }

    /// Somebody waits for delivery: the backoff is cut short, at most once a second.
    pub(super) fn hurry(&mut self, now: Instant) {
        let is_too_soon = self.hurried.is_some_and(|last| now < last + HURRY_EVERY);
        if self.paused(now) == Some(Why::Backoff) && !is_too_soon {
            self.hurried = Some(now);
            self.pause = None;
        }
    }

    /// The end does not come after all.
    pub(super) fn goes_on(&mut self) {
        self.is_closing = false;
    }

    /// The end was asked for: one attempt is made at once, and the backoff starts over.
    pub(super) fn close(&mut self, now: Instant) {
        if self.is_closing {
            return self.hurry(now);
        }
        self.is_closing = true;
        self.hurried = Some(now);
        self.backoff.reset();
        self.pause = self.pause.filter(|pause| pause.why != Why::Backoff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts made in so many seconds where each fails at once and somebody asks for delivery each millisecond.
    fn attempts(
        pace: &mut Pace,
        now: &mut Instant,
        seconds: u64,
        ask: fn(&mut Pace, Instant),
    ) -> u32 {
        let mut attempts = 0;
        for _ in 0..seconds * 1_000 {
            ask(pace, *now);
            pace.look(*now);
            if pace.paused(*now).is_none() {
                attempts += 1;
                pace.back_off(*now, *now, None, 1.0);
            }
            *now += Duration::from_millis(1);
        }
        attempts
    }

    #[test]
    fn a_flush_each_millisecond_of_an_outage_adds_one_attempt_a_second() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        // The backoff alone makes 8 in the first minute.
        let made = attempts(&mut pace, &mut now, 60, Pace::hurry);
        assert!(made <= 60 + 8, "{made} attempts");
    }

    #[test]
    fn a_shutdown_makes_one_attempt_at_once_and_then_backs_off_however_often_it_is_asked_for() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        for _ in 0..10 {
            pace.back_off(now, now, None, 1.0);
            now += Duration::from_secs(60);
        }
        pace.back_off(now, now, None, 1.0);
        pace.close(now);
        assert_eq!(pace.paused(now), None, "one at once");
        let made = attempts(&mut pace, &mut now, 5, Pace::close);
        assert!((5..=12).contains(&made), "{made} attempts");
    }

    #[test]
    fn a_wait_that_the_server_asked_for_is_not_cut_short() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        pace.back_off(now, now, Some(Duration::from_secs(5)), 1.0);
        pace.hurry(now);
        pace.close(now);
        assert_eq!(pace.paused(now), Some(Why::Told));
    }
}
