//! What the worker says of trouble: the effect and the fix that go with each cause.

use std::time::Instant;

use super::Worker;
use super::destination::Destination;
use super::transport::forwarder;
use super::trouble::{NoAnswer, Trouble};
use super::words::{ADDRESS, Place, Words};
use crate::config::TokenFile;
use crate::report::{Cause, Diagnostic, DropReason, Stats, records, records_wait, records_were};

/// What a report is made of.
enum Said {
    Detail(String),
    NoAnswer(NoAnswer),
    Words(Words),
}

impl Destination {
    fn place<'a>(
        &'a self,
        index: usize,
        forwarder: Option<&'a str>,
        token_file: Option<&'a str>,
    ) -> Place<'a> {
        Place {
            name: &self.name,
            url: &self.url,
            // Spans with a dataset of their own come second.
            is_for_spans: index > 0,
            forwarder,
            token_file,
        }
    }
}

/// What fixes trouble that is not the endpoint's.
fn own_fix(cause: Cause, stats: &Stats) -> &'static str {
    match cause {
        Cause::QueueFull => {
            "raise queue_max_bytes, or choose another Overflow; if the endpoint is the cause, it is reported apart"
        }
        Cause::Shutdown | Cause::AfterShutdown => {
            let refused = [DropReason::Refused, DropReason::Quota];
            if refused.iter().any(|reason| stats.dropped_for(*reason) > 0) {
                "see why the endpoint refuses them, which was reported before; more time would not help"
            } else {
                "give the shutdown more time (shutdown_timeout), or see why the endpoint is slow"
            }
        }
        _ => "this is a defect in axiom-layer; please report it",
    }
}

impl Worker {
    pub(super) fn report(&self, index: usize, now: Instant, cause: Cause, detail: String) {
        self.say(index, now, cause, Said::Detail(detail));
    }

    pub(super) fn report_no_answer(&self, index: usize, now: Instant, no_answer: NoAnswer) {
        let cause = match no_answer.trouble {
            Trouble::Client => Cause::Client,
            trouble if trouble.is_of_machine() => Cause::Client,
            Trouble::NotHttp | Trouble::Http2 | Trouble::OnlyHttp1 | Trouble::OtherProtocol => {
                Cause::UnexpectedAnswer
            }
            Trouble::TooMany => Cause::RateLimited,
            _ => Cause::Unreachable,
        };
        self.say(index, now, cause, Said::NoAnswer(no_answer));
    }

    /// Records were lost at the end, and more time would not have helped.
    pub(super) fn report_unheard(&self, index: usize, now: Instant, address: &str, what: &str) {
        let words = Words::new(
            format!("nothing listens at {address} (the connection was refused), and {what}"),
            format!(
                "start what is to listen there, or correct host and port of the address ({ADDRESS}); more time would not help"
            ),
        );
        self.say(index, now, Cause::Shutdown, Said::Words(words));
    }

    fn say(&self, index: usize, now: Instant, cause: Cause, said: Said) {
        let Some(destination) = self.destinations.get(index) else {
            return;
        };
        let stats = self.shared.stats();
        let pending = stats.pending();
        let they = if pending == 1 { "it" } else { "they" };
        let waiting = format!(
            "{} and will be sent when {they} can be",
            records_wait(pending)
        );
        let lost = |reasons: &[DropReason]| {
            let number = reasons
                .iter()
                .map(|reason| stats.dropped_for(*reason))
                .sum();
            records_were(number, "dropped for this so far")
        };
        let effect = match cause {
            Cause::Quota => lost(&[DropReason::Quota]),
            Cause::Rejected => lost(&[DropReason::Rejected]),
            // Before any is dropped for it, all of them wait.
            Cause::TooLarge if stats.dropped_for(DropReason::TooLarge) > 0 => {
                lost(&[DropReason::TooLarge])
            }
            Cause::Internal => lost(&[DropReason::Internal]),
            Cause::Warning => "the records were stored, in part".to_owned(),
            Cause::QueueFull => format!(
                "{}; {waiting}",
                lost(&[DropReason::QueueFull, DropReason::Evicted])
            ),
            Cause::Shutdown | Cause::AfterShutdown => {
                format!("dropped in all: {}", records(stats.dropped()))
            }
            _ => waiting,
        };
        let forwarder = forwarder(&destination.url, self.settings.transport.is_loopback);
        let token_file = self.settings.transport.token_file.as_ref();
        let token_file = token_file.map(TokenFile::shown);
        let place = destination.place(index, forwarder.as_deref(), token_file.as_deref());
        let Words { what, fix } = match said {
            Said::Words(words) => words,
            Said::NoAnswer(NoAnswer {
                trouble, detail, ..
            }) => trouble.words(place, &detail),
            Said::Detail(detail) => Words::for_answer(cause, place, &detail)
                .unwrap_or_else(|| Words::new(detail, own_fix(cause, &stats))),
        };
        let diagnostic = Diagnostic::new(cause, what, effect, fix);
        self.shared.diag.report(&destination.name, now, diagnostic);
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

    /// Suspects were given up, since they took too much of the queue. `refusal`: why the requests with them were refused.
    pub(super) fn report_given_up(
        &self,
        destination: usize,
        now: Instant,
        number: u32,
        refusal: &str,
    ) {
        let what = format!(
            "{refusal}; more requests are refused than can be searched for the records at fault, and {} of refused requests were given up unsearched",
            records(number.into())
        );
        self.report_rejections(destination, now, number, vec![what]);
    }

    /// Producers only count what they drop; the worker speaks of it.
    pub(super) fn report_overflow(&mut self, now: Instant) {
        let counters = &self.shared.counters;
        let dropped =
            counters.dropped_for(DropReason::QueueFull) + counters.dropped_for(DropReason::Evicted);
        if dropped > self.overflow_reported {
            self.overflow_reported = dropped;
            let what = "the queue is full: records come faster than they are delivered";
            self.report(0, now, Cause::QueueFull, what.to_owned());
        }
    }
}
