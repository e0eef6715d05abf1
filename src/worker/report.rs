//! What the worker says of trouble: the effect and the fix that go with each cause.

use std::time::Instant;

use reqwest::Url;

use super::Worker;
use crate::diag::{Cause, Diagnostic};
use crate::stats::DropReason;

/// A URL without its query, which may hold a secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

pub(super) fn records(number: u64) -> String {
    match number {
        1 => "1 record".to_owned(),
        number => format!("{number} records"),
    }
}

/// The settings that an address may come from.
const ADDRESS: &str = "AXIOM_URL, AXIOM_EDGE or AXIOM_EDGE_URL, or the setter of that name";

impl Worker {
    pub(super) fn report(&self, index: usize, now: Instant, cause: Cause, detail: String) {
        let Some(destination) = self.destinations.get(index) else {
            return;
        };
        let (name, url) = (&destination.name, &destination.url);
        let host = url.origin().ascii_serialization();
        let stats = self.shared.stats();
        let waiting = match stats.pending() {
            1 => "1 record waits and will be sent when it can be".to_owned(),
            number => format!("{} wait and will be sent when they can be", records(number)),
        };
        let lost = |reasons: &[DropReason]| {
            let number = reasons
                .iter()
                .map(|reason| stats.dropped_for(*reason))
                .sum();
            let were = if number == 1 { "was" } else { "were" };
            format!("{} {were} dropped for this so far", records(number))
        };
        let (what, effect, fix) = match cause {
            Cause::Unreachable => (
                format!("{host} can not be reached: {detail}"),
                waiting,
                if detail.contains("InvalidContentType") {
                    format!("this port seems not to speak TLS: write http:// in the address ({ADDRESS}), or correct the port")
                } else {
                    format!("check the network and the address ({ADDRESS})")
                },
            ),
            Cause::Client => (detail, waiting, "check the system's certificates".to_owned()),
            Cause::ServerError => (
                format!("{host} is in trouble: {detail}"),
                waiting,
                "nothing to do unless it lasts; Axiom's status page tells more".to_owned(),
            ),
            Cause::RateLimited => (
                format!("{host} asks for fewer requests: {detail}"),
                waiting,
                "raise flush_interval, or ask Axiom for a higher limit".to_owned(),
            ),
            Cause::Quota => (
                format!("the ingest allowance of the account is used up: {detail}"),
                lost(&[DropReason::Quota]),
                "raise the account's allowance or record less".to_owned(),
            ),
            Cause::Unauthorized => (
                format!("the token may not ingest into {name}: {detail}"),
                waiting,
                "allow the token to ingest into this dataset (Axiom console, Settings > API tokens), or set another one (AXIOM_TOKEN or .token(..))".to_owned(),
            ),
            Cause::NotFound => {
                // Spans with a dataset of their own come second.
                let (variable, setter) = match index {
                    0 => ("AXIOM_DATASET", "dataset"),
                    _ => ("AXIOM_TRACES_DATASET", "traces_dataset"),
                };
                (
                    format!("{} takes no records: {detail}", shown(url)),
                    waiting,
                    format!("create the dataset, or correct its name ({variable} or .{setter}(..)) or the address ({ADDRESS})"),
                )
            }
            Cause::BadRequest => (
                format!("{host} does not understand the records for {name}: {detail}"),
                waiting,
                "check that the address is that of an Axiom ingest endpoint, and the dataset's field limit".to_owned(),
            ),
            Cause::Rejected => (
                format!("{host} refused records for {name}: {detail}"),
                lost(&[DropReason::Rejected]),
                "see the reason; a dataset at its field limit needs fewer fields or a map field `attributes`".to_owned(),
            ),
            Cause::TooLarge => (
                format!("{host}: {detail}"),
                lost(&[DropReason::TooLarge]),
                "record smaller values, or raise the limit of the endpoint or of the proxy before it".to_owned(),
            ),
            Cause::UnexpectedAnswer => (
                format!("{host} does not answer as Axiom does: {detail}"),
                waiting,
                format!("check the address ({ADDRESS}), and whether a proxy or a login page stands before it"),
            ),
            Cause::Warning => (
                format!("{name}: {detail}"),
                "the records were stored, in part".to_owned(),
                "see the dataset's schema in Axiom".to_owned(),
            ),
            Cause::QueueFull => (
                detail,
                format!(
                    "{}; {waiting}",
                    lost(&[DropReason::QueueFull, DropReason::Evicted])
                ),
                "raise queue_max_bytes, or choose another Overflow; if the endpoint is the cause, it is reported apart".to_owned(),
            ),
            Cause::Shutdown | Cause::AfterShutdown => {
                let refused = [DropReason::Refused, DropReason::Quota];
                let is_refused = refused.iter().any(|reason| stats.dropped_for(*reason) > 0);
                (
                    detail,
                    format!("dropped in all: {}", records(stats.dropped())),
                    if is_refused {
                        "see why the endpoint refuses them, which was reported before; more time would not help".to_owned()
                    } else {
                        "give the shutdown more time (shutdown_timeout), or see why the endpoint is slow".to_owned()
                    },
                )
            }
            Cause::Internal => (
                detail,
                lost(&[DropReason::Internal]),
                "this is a defect in axiom-layer; please report it".to_owned(),
            ),
        };
        let diagnostic = Diagnostic::new(cause, what, effect, fix);
        self.shared.diag.report(name, now, diagnostic);
    }

    pub(super) fn report_rejections(
        &self,
        destination: usize,
        now: Instant,
        failed: u32,
        samples: Vec<String>,
    ) {
        if failed == 0 {
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
