//! What the worker says of trouble: the effect and the fix that go with each cause.

use std::time::Instant;

use super::Worker;
use crate::diag::{Cause, Diagnostic};
use crate::stats::DropReason;

impl Worker {
    pub(super) fn report(&self, destination: usize, now: Instant, cause: Cause, detail: String) {
        let Some(destination) = self.destinations.get(destination) else {
            return;
        };
        let (name, url) = (&destination.name, &destination.url);
        let host = url.origin().ascii_serialization();
        let stats = self.shared.stats();
        let waiting = match stats.pending() {
            1 => "1 record waits and will be sent when it can be".to_owned(),
            records => format!("{records} records wait and will be sent when they can be"),
        };
        let lost = |reason: DropReason| {
            let records = stats.dropped_for(reason);
            format!("{records} records were dropped for this so far ({reason})")
        };
        let (what, effect, fix) = match cause {
            Cause::Unreachable => (
                format!("{host} can not be reached: {detail}"),
                waiting,
                "check the network and the address (AXIOM_URL, AXIOM_EDGE or AXIOM_EDGE_URL)",
            ),
            Cause::Client => (detail, waiting, "check the system's certificates"),
            Cause::ServerError => (
                format!("{host} is in trouble: {detail}"),
                waiting,
                "nothing to do unless it lasts; Axiom's status page tells more",
            ),
            Cause::RateLimited => (
                format!("{host} asks for fewer requests: {detail}"),
                waiting,
                "raise flush_interval, or ask Axiom for a higher limit",
            ),
            Cause::Quota => (
                format!("the ingest allowance of the account is used up: {detail}"),
                lost(DropReason::Quota),
                "raise the account's allowance or record less",
            ),
            Cause::Unauthorized => (
                format!("the token may not ingest into dataset {name}: {detail}"),
                waiting,
                "set AXIOM_TOKEN to a valid API token with the ingest permission for this dataset",
            ),
            Cause::NotFound => (
                format!("{url} takes no records: {detail}"),
                waiting,
                "create the dataset, or correct AXIOM_DATASET or the address",
            ),
            Cause::BadRequest => (
                format!("{host} does not understand the records for {name}: {detail}"),
                waiting,
                "check that the address is that of an Axiom ingest endpoint, and the dataset's field limit",
            ),
            Cause::Rejected => (
                format!("{host} refused records for {name}: {detail}"),
                lost(DropReason::Rejected),
                "see the reason; a dataset at its field limit needs fewer fields or a map field `attributes`",
            ),
            Cause::TooLarge => (
                format!("{host}: {detail}"),
                lost(DropReason::TooLarge),
                "record smaller values, or raise the limit of the endpoint or of the proxy before it",
            ),
            Cause::UnexpectedAnswer => (
                format!("{host} does not answer as Axiom does: {detail}"),
                waiting,
                "check the address, and whether a proxy or a login page stands before it",
            ),
            Cause::Warning => (
                format!("{name}: {detail}"),
                "the records were stored, in part".to_owned(),
                "see the dataset's schema in Axiom",
            ),
            Cause::QueueFull => (
                detail,
                format!("{}; {waiting}", lost(DropReason::QueueFull)),
                "raise queue_max_bytes, or choose another Overflow; if the endpoint is the cause, it is reported apart",
            ),
            Cause::Shutdown | Cause::AfterShutdown => (
                detail,
                format!("{} records were dropped in all", stats.dropped()),
                "give the shutdown more time (shutdown_timeout), or see why the endpoint is slow",
            ),
            Cause::Internal => (
                detail,
                lost(DropReason::Internal),
                "this is a defect in axiom-layer; please report it",
            ),
        };
        let diagnostic = Diagnostic::new(cause, what, effect, fix);
        self.shared.diag.report(name, now, diagnostic);
    }

    pub(super) fn report_rejections(
        &self,
        destination: usize,
        now: Instant,
        records: u32,
        samples: Vec<String>,
    ) {
        if records == 0 {
            return;
        }
        let detail = samples
            .first()
            .cloned()
            .unwrap_or_else(|| "no reason given".into());
        self.shared.counters.add_samples(samples);
        self.report(destination, now, Cause::Rejected, detail);
    }

    /// Producers only count what they drop; the worker speaks of it.
    pub(super) fn report_overflow(&mut self, now: Instant) {
        let stats = self.shared.stats();
        let dropped =
            stats.dropped_for(DropReason::QueueFull) + stats.dropped_for(DropReason::Evicted);
        if dropped > self.overflow_reported {
            self.overflow_reported = dropped;
            let what = format!("the queue was full {dropped} times");
            self.report(0, now, Cause::QueueFull, what);
        }
    }
}
