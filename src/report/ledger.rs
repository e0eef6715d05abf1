//! The ledger: `recorded = delivered + dropped (by reason) + pending`.
//!
//! Counters are written where a thing happens and summed only when somebody asks.

use std::collections::VecDeque;
use std::fmt;
use std::sync::PoisonError;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// Refusals that are quoted: the latest ones.
const SAMPLES: usize = 8;

/// Why a record was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue was full and the new record was given up.
    QueueFull,
    /// The queue was full and an older record made room (`Overflow::DropOldest`).
    Evicted,
    /// It was recorded after the guard had shut the layer down.
    AfterShutdown,
    /// A value's `Debug` or `Display` recorded events of its own, too many levels deep.
    Recursion,
    /// The endpoint refused it: a `failed` count in a 200, or a 400 that was traced to this record. Also one of the records
    /// of a body with a 400 that could not be searched before the end, or while there were too many such bodies.
    Rejected,
    /// The endpoint would not take it even alone (413), though it took others.
    TooLarge,
    /// The token, the dataset, the account or the headers were refused (401 to 405, 410, 421, 431), or every body was (400,
    /// 413, or a success that says nothing), and the layer was shut down.
    Refused,
    /// The account's ingest allowance is used up (430).
    Quota,
    /// It was retried for as long as the retry budget allows.
    RetriesExhausted,
    /// The shutdown deadline passed before it could be delivered.
    Shutdown,
    /// A defect in this crate. It was counted instead of lost silently.
    Internal,
}

impl DropReason {
    pub(crate) const ALL: [Self; 11] = [
        Self::QueueFull,
        Self::Evicted,
        Self::AfterShutdown,
        Self::Recursion,
        Self::Rejected,
        Self::TooLarge,
        Self::Refused,
        Self::Quota,
        Self::RetriesExhausted,
        Self::Shutdown,
        Self::Internal,
    ];

    /// The reason's name in JSON and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Evicted => "evicted",
            Self::AfterShutdown => "after_shutdown",
            Self::Recursion => "recursion",
            Self::Rejected => "rejected",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Quota => "quota",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        }
    }

    /// Whether such a record never entered the queue, so that no chunk counts it.
    pub(crate) const fn before_queue(self) -> bool {
        matches!(
            self,
            Self::QueueFull | Self::AfterShutdown | Self::Recursion
        )
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The counters that the frontend, the queue and the worker share.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    delivered: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    retried: AtomicU64,
    incomplete: AtomicU64,
    worker_panics: AtomicU64,
    samples: Mutex<VecDeque<String>>,
}

impl Counters {
    /// Release: whoever reads this count also sees the events it stands for as recorded.
    pub(crate) fn add_delivered(&self, events: u64) {
        self.delivered.fetch_add(events, Ordering::Release);
    }

    pub(crate) fn add_dropped(&self, reason: DropReason, events: u64) {
        self.dropped[reason as usize].fetch_add(events, Ordering::Release);
    }

    pub(crate) fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Ordering::Acquire)
    }

    pub(crate) fn add_retried(&self, requests: u64) {
        self.retried.fetch_add(requests, Ordering::Relaxed);
    }

    pub(crate) fn add_incomplete(&self) {
        self.incomplete.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_worker_panic(&self) {
        self.worker_panics.fetch_add(1, Ordering::Relaxed);
    }

    /// What the endpoint said of records that it refused.
    pub(crate) fn add_samples(&self, samples: Vec<String>) {
        let mut kept = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(samples);
        let surplus = kept.len().saturating_sub(SAMPLES);
        kept.drain(..surplus);
    }

    /// A snapshot; `appended` must be read after this crate's other counters, hence a closure.
    pub(crate) fn snapshot(&self, appended: impl FnOnce() -> u64) -> Stats {
        let delivered = self.delivered.load(Ordering::Acquire);
        let dropped = DropReason::ALL.map(|reason| (reason, self.dropped_for(reason)));
        let before_queue: u64 = dropped
            .iter()
            .filter(|(reason, _)| reason.before_queue())
            .map(|(_, events)| events)
            .sum();
        Stats {
            recorded: appended() + before_queue,
            delivered,
            dropped,
            retried: self.retried.load(Ordering::Relaxed),
            incomplete: self.incomplete.load(Ordering::Relaxed),
            worker_panics: self.worker_panics.load(Ordering::Relaxed),
            open_spans: 0,
            samples: self
                .samples
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .cloned()
                .collect(),
        }
    }
}

/// What became of everything recorded so far.
///
/// At any quiet moment, exactly: `recorded() == delivered() + dropped() + pending()`.
///
/// `Display` is one line for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    recorded: u64,
    delivered: u64,
    dropped: [(DropReason, u64); DropReason::ALL.len()],
    retried: u64,
    incomplete: u64,
    worker_panics: u64,
    open_spans: u64,
    samples: Vec<String>,
}

impl Stats {
    pub(crate) fn with_open_spans(self, open_spans: u64) -> Self {
        Self { open_spans, ..self }
    }

    /// Events and spans handed to the layer.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Records that the endpoint confirmed as ingested.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Records lost, for all reasons together.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().map(|(_, events)| events).sum()
    }

    /// Records lost for this reason.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped
            .iter()
            .find_map(|(known, events)| (*known == reason).then_some(*events))
            .unwrap_or(0)
    }

    /// Records lost for each reason, without the reasons that never happened.
    pub fn dropped_by_reason(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        self.dropped
            .iter()
            .copied()
            .filter(|(_, events)| *events > 0)
    }

    /// Records that are neither delivered nor dropped yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.recorded
            .saturating_sub(self.delivered)
            .saturating_sub(self.dropped())
    }

    /// Spans that have begun and not ended. Each will be a record when it ends, and is in no other number until then: what
    /// is open at the shutdown leaves events whose `span_id` points to no record.
    #[must_use]
    pub fn open_spans(&self) -> u64 {
        self.open_spans
    }

    /// Requests that were sent again.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.retried
    }

    /// Records that shipped with a value shortened, left out or unreadable.
    #[must_use]
    pub fn incomplete(&self) -> u64 {
        self.incomplete
    }

    /// What the endpoint said of the records that it refused: the latest 8 samples, oldest first.
    #[must_use]
    pub fn rejection_samples(&self) -> &[String] {
        &self.samples
    }

    /// How often the worker panicked and was started again: a defect in this crate.
    #[must_use]
    pub fn worker_panics(&self) -> u64 {
        self.worker_panics
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recorded {} = delivered {} + dropped {} + pending {}",
            self.recorded(),
            self.delivered(),
            self.dropped(),
            self.pending()
        )?;
        let mut separator = " (dropped: ";
        for (reason, events) in self.dropped_by_reason() {
            write!(f, "{separator}{reason} {events}")?;
            separator = ", ";
        }
        if self.dropped() > 0 {
            f.write_str(")")?;
        }
        Ok(())
    }
}
