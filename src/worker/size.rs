//! How large a body may be, learned from what the endpoint takes and what it refuses with 413. A value, without a clock.
//!
//! A 413 need not mean what it says: proxies answer it in passing trouble, and some limits count the bytes on
//! the wire, which the sizes here are not. So one refusal does not outweigh a success of that size, and a limit
//! is tried again and again, ever more seldom while it stands.

/// Successes after which one larger body is tried.
const FIRST_TRIAL: u32 = 4;
/// A failed trial multiplies the successes before the next by this, so that finding out costs few uploads,
const TRIAL_BACKOFF: u32 = 4;
/// up to this: a limit that stands costs one wasted upload in 256.
const LAST_TRIAL: u32 = 256;

/// No endpoint refuses so little for its size: nginx takes 1 MiB unless told otherwise, others 100 KiB.
const MODEST: usize = 16 * 1024;

/// In bytes of NDJSON, as batches are counted.
#[derive(Debug)]
pub(super) struct Size {
    configured: usize,
    /// Bodies are made no larger than this, but for trials.
    learned: usize,
    /// The largest body taken so far, as far as that still counts.
    taken: usize,
    /// A body of this size was refused though as large a one had been taken.
    doubted: Option<usize>,
    successes: u32,
    trial_after: u32,
    /// The next body may be of twice the learned size.
    is_trial_due: bool,
    is_trial_sent: bool,
}

impl Size {
    pub(super) fn new(configured: usize) -> Self {
        Self {
            configured,
            learned: configured,
            taken: 0,
            doubted: None,
            successes: 0,
            trial_after: FIRST_TRIAL,
            is_trial_due: false,
            is_trial_sent: false,
        }
    }

    /// What bodies are made no larger than.
    pub(super) fn learned(&self) -> usize {
        self.learned
    }

    /// What the next body is made no larger than: twice the learned size if a trial is due.
    pub(super) fn next(&self) -> usize {
        match self.is_trial_due {
            true => (self.learned * 2).min(self.configured),
            false => self.learned,
        }
    }

    /// A body of this size is sent. The first that is larger than the learned limit is the trial: no other is made until its answer.
    pub(super) fn sent(&mut self, bytes: usize) {
        if self.is_trial_due && bytes > self.learned {
            self.is_trial_due = false;
            self.is_trial_sent = true;
        }
    }

    pub(super) fn taken(&mut self, bytes: usize) {
        self.taken = self.taken.max(bytes);
        self.doubted = self.doubted.filter(|doubted| bytes < *doubted);
        if bytes > self.learned {
            self.learned = bytes.min(self.configured);
            self.start_trials(FIRST_TRIAL);
        }
        self.successes += 1;
        if self.successes >= self.trial_after {
            self.successes = 0;
            self.is_trial_due = self.learned < self.configured;
        }
    }

    /// A body of several records was refused for its size, and will be cut in halves. `true`: a limit was learned.
    pub(super) fn refused(&mut self, bytes: usize) -> bool {
        if bytes > self.learned {
            // A trial failed. Otherwise this body was sent before the limit was learned, and says nothing new.
            if self.is_trial_sent {
                self.start_trials((self.trial_after * TRIAL_BACKOFF).min(LAST_TRIAL));
            }
            return false;
        }
        if bytes <= self.taken && self.doubted.is_none() {
            self.doubted = Some(bytes);
            return false;
        }
        self.learned = (bytes / 2).max(1);
        // The endpoint is not what it was.
        self.taken = 0;
        self.doubted = None;
        self.start_trials(FIRST_TRIAL);
        true
    }

    fn start_trials(&mut self, after: u32) {
        self.trial_after = after;
        self.successes = 0;
        self.is_trial_due = false;
        self.is_trial_sent = false;
    }

    /// Whether a body is so small that its size cannot be the reason for a refusal.
    pub(super) fn is_modest(&self, bytes: usize) -> bool {
        bytes <= self.taken.max(MODEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: usize = 4 << 20;

    /// Sends bodies as large as may be to an endpoint that takes up to `limit` bytes. Returns how many it refused.
    fn serve(size: &mut Size, bodies: u32, limit: usize) -> u32 {
        let mut refused = 0;
        for _ in 0..bodies {
            let bytes = size.next();
            size.sent(bytes);
            if bytes > limit {
                refused += 1;
                size.refused(bytes);
            } else {
                size.taken(bytes);
            }
        }
        refused
    }

    #[test]
    fn a_limit_is_found_by_halving_and_stands() {
        let mut size = Size::new(CONFIGURED);
        assert_eq!(serve(&mut size, 5, 300_000), 4);
        assert_eq!(size.learned(), CONFIGURED / 16);
    }

    #[test]
    fn trying_a_limit_that_stands_costs_ever_fewer_uploads() {
        let mut size = Size::new(CONFIGURED);
        serve(&mut size, 4, 300_000);
        assert!(serve(&mut size, 100, 300_000) <= 3);
        serve(&mut size, 1_000, 300_000);
        assert!(serve(&mut size, 2_560, 300_000) <= 10);
        assert_eq!(size.learned(), CONFIGURED / 16);
    }

    #[test]
    fn a_limit_that_is_gone_is_forgotten_within_a_few_successes_for_each_doubling() {
        let mut size = Size::new(CONFIGURED);
        serve(&mut size, 16, 1_000);
        assert!(size.learned() <= 1_000);
        assert_eq!(serve(&mut size, 13 * (FIRST_TRIAL + 1), usize::MAX), 0);
        assert_eq!(size.learned(), CONFIGURED);
    }

    #[test]
    fn one_refusal_does_not_outweigh_a_success_of_that_size() {
        let mut size = Size::new(CONFIGURED);
        for _ in 0..1_000 {
            serve(&mut size, 1, CONFIGURED);
            assert!(!size.refused(CONFIGURED));
            assert_eq!(size.learned(), CONFIGURED);
        }
        assert!(size.refused(CONFIGURED), "two in a row do");
        assert_eq!(size.learned(), CONFIGURED / 2);
    }

    #[test]
    fn successes_of_small_bodies_do_not_clear_the_doubt_about_large_ones() {
        let mut size = Size::new(CONFIGURED);
        size.taken(CONFIGURED);
        assert!(!size.refused(1_000_000));
        size.taken(1_000);
        assert!(size.refused(1_000_000));
    }

    #[test]
    fn a_trial_that_fails_for_another_reason_is_not_the_last() {
        let mut size = Size::new(CONFIGURED);
        serve(&mut size, 4, 300_000);
        for _ in 0..10 {
            serve(&mut size, FIRST_TRIAL, 300_000);
            assert!(size.next() > size.learned());
            // Sent, but nobody answered; it is then cut.
            size.sent(size.next());
        }
    }

    #[test]
    fn bodies_that_had_left_before_the_limit_was_learned_teach_nothing_more() {
        let mut size = Size::new(CONFIGURED);
        assert!(size.refused(CONFIGURED));
        for _ in 0..16 {
            assert!(!size.refused(CONFIGURED));
        }
        assert_eq!(size.learned(), CONFIGURED / 2);
        assert_eq!(size.trial_after, FIRST_TRIAL);
    }

    #[test]
    fn a_size_that_was_taken_before_is_modest_until_two_refusals() {
        let mut size = Size::new(CONFIGURED);
        assert!(size.is_modest(MODEST) && !size.is_modest(MODEST + 1));
        size.taken(100_000);
        assert!(size.is_modest(100_000));
        size.refused(100_000);
        assert!(size.is_modest(100_000));
        size.refused(100_000);
        assert!(!size.is_modest(100_000));
    }
}
