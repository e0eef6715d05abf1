//! The numbers: bytes, events and durations, each within a range.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::queue::{CHUNK_BYTES, Overflow};
use crate::report::{BuildError, Origin};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Sixteen chunks hold the longest line there is. The queue sets aside an account for each chunk when it
/// is made: at the upper end these take about 3 MiB, and a 32-bit process can still address it.
const QUEUE_BYTES: RangeInclusive<usize> = 2 * MIB..=1024 * MIB;
/// Axiom's limit for one request (docs/limits).
pub(crate) const BATCH_EVENTS: usize = 10_000;
/// At least one chunk. Axiom states no limit; 10 MB are known to be taken.
const BATCH_BYTES: RangeInclusive<usize> = CHUNK_BYTES..=16 * MIB;
const FLUSH_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60 * 60);
const HEARTBEAT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// Longer timeouts mean this: a year from now can still be computed on every system's clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long nothing is sent after a refusal that somebody has to mend (401, 403, 404).
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) queue_max_bytes: usize,
    pub(crate) overflow: Overflow,
    pub(crate) batch_max_events: usize,
    /// Before compression.
    pub(crate) batch_max_bytes: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) request_timeout: Duration,
    /// How long one batch is retried; `None`: for as long as it takes.
    pub(crate) retry_timeout: Option<Duration>,
    /// How long nothing is sent after a refusal that somebody has to mend.
    pub(crate) refused_pause: Duration,
    pub(crate) shutdown_timeout: Duration,
    /// `None`: the ledger is not recorded.
    pub(crate) heartbeat: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_max_bytes: 64 * MIB,
            overflow: Overflow::default(),
            batch_max_events: BATCH_EVENTS,
            batch_max_bytes: 4 * MIB,
            flush_interval: Duration::from_secs(1),
            request_timeout: Duration::from_secs(30),
            retry_timeout: None,
            refused_pause: REFUSED_PAUSE,
            shutdown_timeout: Duration::from_secs(5),
            heartbeat: None,
        }
    }
}

impl Limits {
    pub(crate) fn checked(self) -> Result<Self, BuildError> {
        within(
            "queue_max_bytes",
            self.queue_max_bytes,
            QUEUE_BYTES,
            "must be 2 MiB to 1 GiB (2097152 to 1073741824 bytes), as it is used in chunks of 64 KiB, of which the longest record fills sixteen, and two datasets share it",
        )?;
        within(
            "batch_max_events",
            self.batch_max_events,
            1..=BATCH_EVENTS,
            "must be 1 to 10000, Axiom's limit for one request",
        )?;
        within(
            "batch_max_bytes",
            self.batch_max_bytes,
            BATCH_BYTES,
            "must be 64 KiB, which is one chunk of the queue, to 16 MiB (65536 to 16777216 bytes)",
        )?;
        within(
            "flush_interval",
            self.flush_interval,
            FLUSH_INTERVAL,
            "must be 1 ms to 1 h",
        )?;
        if let Some(interval) = self.heartbeat {
            within("heartbeat", interval, HEARTBEAT, "must be 1 s to 24 h")?;
        }
        Ok(Self {
            request_timeout: timeout("request_timeout", self.request_timeout)?,
            retry_timeout: self
                .retry_timeout
                .map(|given| timeout("retry_timeout", given))
                .transpose()?,
            shutdown_timeout: timeout("shutdown_timeout", self.shutdown_timeout)?,
            ..self
        })
    }
}

fn within<T: PartialOrd + Debug>(
    setter: &'static str,
    given: T,
    range: RangeInclusive<T>,
    problem: &'static str,
) -> Result<(), BuildError> {
    if range.contains(&given) {
        return Ok(());
    }
    Err(BuildError::new(Origin::setter(setter), problem).number(format!("{given:?}")))
}

fn timeout(setter: &'static str, given: Duration) -> Result<Duration, BuildError> {
    within(
        setter,
        given,
        Duration::from_nanos(1)..=Duration::MAX,
        "must be longer than zero",
    )?;
    Ok(given.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(change: impl FnOnce(&mut Limits)) -> Option<String> {
        let mut limits = Limits::default();
        change(&mut limits);
        limits.checked().err().map(|error| error.to_string())
    }

    #[test]
    fn the_ends_of_each_range_are_taken() {
        for (bytes, events, batch, interval) in [
            (2 << 20, 1, 64 << 10, Duration::from_millis(1)),
            (1 << 30, 10_000, 16 << 20, Duration::from_secs(3600)),
        ] {
            let taken = error(|limits| {
                limits.queue_max_bytes = bytes;
                limits.batch_max_events = events;
                limits.batch_max_bytes = batch;
                limits.flush_interval = interval;
                limits.request_timeout = Duration::from_nanos(1);
                limits.retry_timeout = Some(Duration::from_nanos(1));
                limits.shutdown_timeout = Duration::from_nanos(1);
            });
            assert_eq!(taken, None);
        }
    }

    #[test]
    fn a_number_out_of_range_is_an_error_that_says_the_range() {
        let queue = "must be 2 MiB to 1 GiB (2097152 to 1073741824 bytes), as it is used in chunks of 64 KiB, of which the longest record fills sixteen, and two datasets share it";
        let batch =
            "must be 64 KiB, which is one chunk of the queue, to 16 MiB (65536 to 16777216 bytes)";
        let events = "must be 1 to 10000, Axiom's limit for one request";
        for (change, message) in [
            (
                (|limits| limits.queue_max_bytes = (2 << 20) - 1) as fn(&mut Limits),
                format!(".queue_max_bytes(2097151): {queue}"),
            ),
            (
                |limits| limits.heartbeat = Some(Duration::from_millis(999)),
                ".heartbeat(999ms): must be 1 s to 24 h".to_owned(),
            ),
            (
                |limits| limits.queue_max_bytes = (1 << 30) + 1,
                format!(".queue_max_bytes(1073741825): {queue}"),
            ),
            (
                |limits| limits.batch_max_events = 0,
                format!(".batch_max_events(0): {events}"),
            ),
            (
                |limits| limits.batch_max_events = 10_001,
                format!(".batch_max_events(10001): {events}"),
            ),
            (
                |limits| limits.batch_max_bytes = (64 << 10) - 1,
                format!(".batch_max_bytes(65535): {batch}"),
            ),
            (
                |limits| limits.batch_max_bytes = (16 << 20) + 1,
                format!(".batch_max_bytes(16777217): {batch}"),
            ),
            (
                |limits| limits.flush_interval = Duration::from_micros(999),
                ".flush_interval(999µs): must be 1 ms to 1 h".into(),
            ),
            (
                |limits| limits.flush_interval = Duration::from_secs(3601),
                ".flush_interval(3601s): must be 1 ms to 1 h".into(),
            ),
            (
                |limits| limits.request_timeout = Duration::ZERO,
                ".request_timeout(0ns): must be longer than zero".into(),
            ),
            (
                |limits| limits.retry_timeout = Some(Duration::ZERO),
                ".retry_timeout(0ns): must be longer than zero".into(),
            ),
            (
                |limits| limits.shutdown_timeout = Duration::ZERO,
                ".shutdown_timeout(0ns): must be longer than zero".into(),
            ),
        ] {
            assert_eq!(error(change), Some(message));
        }
    }

    /// The worker's tests play this time; those that wait for real have less.
    #[test]
    fn a_refusal_is_probed_every_half_minute_unless_a_test_asks_for_less() {
        let limits = Limits::default().checked().unwrap();
        assert_eq!(limits.refused_pause, Duration::from_secs(30));
    }

    #[test]
    fn an_endless_timeout_can_still_be_added_to_a_clock() {
        let limits = Limits {
            shutdown_timeout: Duration::MAX,
            retry_timeout: Some(Duration::MAX),
            ..Limits::default()
        };
        let limits = limits.checked().unwrap();
        let now = std::time::Instant::now();
        assert!(now.checked_add(limits.shutdown_timeout).is_some());
        assert!(now.checked_add(limits.retry_timeout.unwrap()).is_some());
    }
}
