//! What `flush` and `shutdown` refuse with.

use std::error::Error;
use std::fmt;

use crate::report::Stats;
use crate::report::count::{records_wait, records_were};

/// Why a flush or a shutdown is no clean one. Always with the ledger as it was then.
#[derive(Clone)]
pub struct FlushError(Box<Parts>);

#[derive(Clone)]
struct Parts {
    kind: Kind,
    stats: Stats,
}

#[derive(Debug, Clone)]
enum Kind {
    TimedOut,
    Lost {
        records: u64,
        /// Where nothing listens.
        unheard_at: Option<String>,
    },
    Blocked(String),
    Closed,
}

impl FlushError {
    fn new(kind: Kind, stats: Stats) -> Self {
        Self(Box::new(Parts { kind, stats }))
    }

    pub(crate) fn timed_out(stats: Stats) -> Self {
        Self::new(Kind::TimedOut, stats)
    }

    pub(crate) fn lost(records: u64, stats: Stats) -> Self {
        let unheard_at = None;
        let kind = Kind::Lost {
            records,
            unheard_at,
        };
        Self::new(kind, stats)
    }

    /// Records were dropped because nothing listens at `address`.
    pub(crate) fn unheard(records: u64, address: String, stats: Stats) -> Self {
        let unheard_at = Some(address);
        let kind = Kind::Lost {
            records,
            unheard_at,
        };
        Self::new(kind, stats)
    }

    pub(crate) fn blocked(dataset: String, stats: Stats) -> Self {
        Self::new(Kind::Blocked(dataset), stats)
    }

    pub(crate) fn closed(stats: Stats) -> Self {
        Self::new(Kind::Closed, stats)
    }

    /// The time was over before everything was delivered. What is pending goes on being delivered.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::TimedOut)
    }

    /// Records were dropped since the last receipt; [`Stats::dropped_by_reason`] says why.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.0.kind, Kind::Lost { .. })
    }

    /// The endpoint refuses everything until somebody mends the token, the dataset, the address or the
    /// account. Records are kept as far as the queue has room.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self.0.kind, Kind::Blocked(_))
    }

    /// The guard was shut down before.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0.kind, Kind::Closed)
    }

    /// The ledger when the flush ended.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = &self.0.stats;
        match &self.0.kind {
            Kind::TimedOut => f.write_str(&records_were(
                stats.pending(),
                "still pending when the time was over",
            )),
            Kind::Lost {
                records,
                unheard_at: None,
            } => write!(f, "{}: {stats}", records_were(*records, "dropped")),
            Kind::Lost {
                records,
                unheard_at: Some(address),
            } => write!(
                f,
                "nothing listens at {address} (the connection was refused), and {}: {stats}",
                records_were(*records, "dropped")
            ),
            Kind::Blocked(dataset) => write!(
                f,
                "the endpoint refuses what is sent for {dataset}, and {}; the diagnostics say why",
                records_wait(stats.pending())
            ),
            Kind::Closed => f.write_str("the guard was shut down before"),
        }
    }
}

/// The message: `main` prints an error that it returns with `Debug`.
impl fmt::Debug for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlushError({self})")
    }
}

impl Error for FlushError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Counters, DropReason};

    #[test]
    fn one_record_is_spoken_of_in_the_singular() {
        let counters = Counters::default();
        let stats = || counters.snapshot(|| 1);
        let blocked = FlushError::blocked("logs".into(), stats());
        for (error, said) in [
            (FlushError::timed_out(stats()), "1 record was still pending"),
            (FlushError::lost(1, stats()), "1 record was dropped"),
            (blocked, "and 1 record waits;"),
        ] {
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn what_main_prints_of_it_is_the_message() {
        let counters = Counters::default();
        counters.add_dropped(DropReason::Shutdown, 2);
        let error = FlushError::lost(2, counters.snapshot(|| 2));
        assert_eq!(
            format!("{error:?}"),
            "FlushError(2 records were dropped: recorded 2 = delivered 0 + dropped 2 + pending 0 (dropped: shutdown 2))"
        );
    }
}
