//! How long to wait after a failure. A value: it has no clock and does not sleep.

use std::time::Duration;

/// The longest first wait.
const BASE: Duration = Duration::from_millis(200);
/// No wait is longer.
const CAP: Duration = Duration::from_secs(30);
/// No wait is shorter: full jitter alone would now and then retry at once.
const FLOOR: Duration = Duration::from_millis(20);

/// Exponential, with full jitter: many clients that fail together do not come back together.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure; `random` lies in `0.0..1.0`.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let ceiling = BASE.saturating_mul(1 << self.failures.min(16)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random.clamp(0.0, 1.0)).max(FLOOR)
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_over_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next(1.0)).collect();
        assert_eq!(waits[0], BASE);
        assert_eq!(waits[3], BASE * 8);
        assert!(waits.iter().all(|wait| *wait <= CAP));
        assert_eq!(waits[39], CAP);
        backoff.reset();
        assert_eq!(backoff.next(1.0), BASE);
    }

    #[test]
    fn jitter_spreads_over_the_whole_wait_but_never_retries_at_once() {
        assert_eq!(Backoff { failures: 5 }.next(0.0), FLOOR);
        assert_eq!(Backoff { failures: 5 }.next(0.5), BASE * 16);
    }
}
