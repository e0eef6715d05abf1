//! Requests and their answers: what is sent next, and what each outcome does to its batch.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use rand::RngExt;
use reqwest::header::HeaderValue;

use super::Worker;
use super::destination::{Shipment, Verdict};
use super::response::{self, Answer, Outcome};
#[cfg(test)]
use super::tests;
use super::transport::{Transport, token_in};
use super::trouble::{NoAnswer, Trouble};
use crate::diag::Cause;
use crate::stats::DropReason;
use crate::witness;

/// Bodies in memory beyond which no new batch is made: with the last of them, less than 8 MiB. Datasets have
/// equal parts of it, so that one that stalls does not hold up the other.
const BODIES_BYTES: usize = 3 * 1024 * 1024;

/// An allowance that is renewed within this time is waited for.
const QUOTA_WAIT: Duration = Duration::from_secs(60);

/// The status of a proxy that wants a user name and a password: no endpoint answers so.
const PROXY_AUTHENTICATION: u16 = 407;

pub(super) type Attempt = Pin<Box<dyn Future<Output = (u64, Result<Answer, NoAnswer>)> + Send>>;

/// A request under way. The batch stays here, so that it is accounted for whatever becomes of the attempt.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) destination: usize,
    pub(super) shipment: Shipment,
    started: Instant,
    /// With the token that it was sent with.
    authorization: HeaderValue,
}

impl Worker {
    pub(super) fn send(&mut self, now: Instant) {
        let most = BODIES_BYTES / self.destinations.len().max(1);
        loop {
            let flights = &self.flights;
            let may_grow = |index| {
                let bodies: usize = flights
                    .values()
                    .filter(|flight| flight.destination == index)
                    .filter_map(|flight| flight.shipment.body.as_ref())
                    .map(|body| body.bytes.len())
                    .sum();
                bodies < most
            };
            let random = self.random.random();
            let next = self
                .schedule
                .next(now, &mut self.destinations, may_grow, random);
            match next {
                Some((index, shipment)) => self.launch(index, shipment, now),
                None => break,
            }
        }
    }

    fn launch(&mut self, destination: usize, mut shipment: Shipment, now: Instant) {
        if shipment.since.is_some() {
            self.shared.counters.add_retried(1);
        }
        shipment.since.get_or_insert(now);
        #[cfg(test)]
        tests::panic_if_planned(tests::Point::Launch, &self.destinations[destination].url);
        let body = match shipment.body.take() {
            Some(body) => body,
            None => match self.settings.encoder.encode(&shipment.batch) {
                Ok(body) => body,
                Err(error) => {
                    self.destinations[destination].dropped(shipment, DropReason::Internal);
                    let what = format!("a batch can not be encoded: {error}");
                    return self.report(destination, now, Cause::Internal, what);
                }
            },
        };
        shipment.body = Some(body.clone());
        let id = self.next_flight;
        self.next_flight += 1;
        witness::attend();
        let attempt: Attempt = match self.transport() {
            Ok(transport) => {
                let url = self.destinations[destination].url.clone();
                Box::pin(async move { (id, transport.post(url, body).await) })
            }
            Err(error) => Box::pin(std::future::ready((id, Err(error)))),
        };
        self.attempts.push(attempt);
        let flight = Flight {
            destination,
            shipment,
            started: now,
            authorization: self.settings.transport.credentials.authorization.clone(),
        };
        self.flights.insert(id, flight);
    }

    fn transport(&mut self) -> Result<Transport, NoAnswer> {
        // A probe goes with the token that is in the file by then.
        self.read_token_again();
        match &self.transport {
            Some(transport) => Ok(transport.clone()),
            None => {
                let transport = Transport::new(&self.settings.transport)?;
                Ok(self.transport.insert(transport).clone())
            }
        }
    }

    pub(super) fn conclude(&mut self, id: u64, answer: Result<Answer, NoAnswer>, now: Instant) {
        let Some(flight) = self.flights.remove(&id) else {
            return;
        };
        let (index, started) = (flight.destination, flight.started);
        let sent = flight.shipment.batch.events();
        #[cfg(test)]
        tests::panic_if_planned(tests::Point::Answer, &self.destinations[index].url);
        let is_unheard = matches!(&answer, Err(none) if none.trouble == Trouble::Refused);
        self.destinations[index].attempted(started, is_unheard);
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(no_answer) => {
                self.schedule.failed(now);
                self.retry(flight, now, None);
                // The client has read this machine's certificates once for all. Whoever adds the one that is
                // missing need not start the program again.
                if matches!(no_answer.trouble, Trouble::Untrusted | Trouble::Expired) {
                    self.transport = None;
                }
                return self.report_no_answer(index, now, no_answer);
            }
        };
        answer.hide(token_in(&flight.authorization));
        let wall = SystemTime::now();
        match response::outcome(&answer, sent, wall) {
            Outcome::Accepted {
                failed,
                samples,
                warnings,
            } => {
                let allowance = response::allowance(&answer, wall);
                self.schedule.accepted(now, allowance, self.random.random());
                self.is_token_refused &= self.is_any_refused(now);
                self.destinations[index].delivered(flight.shipment, failed);
                self.report_rejections(index, now, failed, samples);
                if let Some(warning) = warnings.first() {
                    self.report(index, now, Cause::Warning, warning.clone());
                }
            }
            Outcome::Retry {
                cause,
                detail,
                after,
            } => {
                self.retry(flight, now, after);
                if cause == Cause::RateLimited {
                    let refusal = response::rate_refusal(&answer, wall, after);
                    let random = self.random.random();
                    let all = &mut self.destinations;
                    self.schedule.limited(now, all, refusal, random);
                } else {
                    self.schedule.failed(now);
                }
                self.report(index, now, cause, detail);
            }
            Outcome::Split => {
                let bytes = flight.shipment.batch.bytes();
                let verdict = self.destinations[index].too_large(flight.shipment, started, now);
                let what = match verdict {
                    Verdict::Again => return,
                    Verdict::Dropped => {
                        format!("a record of {bytes} bytes was too large even alone (HTTP 413)")
                    }
                    Verdict::Waits => format!("even {bytes} bytes are too large (HTTP 413)"),
                };
                self.report(index, now, Cause::TooLarge, what);
            }
            Outcome::Unreadable { detail } => {
                match self.destinations[index].unreadable(flight.shipment, started, now) {
                    Verdict::Again => {}
                    Verdict::Dropped => self.report_rejections(index, now, 1, vec![detail]),
                    Verdict::Waits => self.report(index, now, Cause::BadRequest, detail),
                }
            }
            Outcome::Refused { detail, .. } if answer.status == PROXY_AUTHENTICATION => {
                self.destinations[index].refused(flight.shipment, now);
                self.report_no_answer(index, now, NoAnswer::proxy(detail));
            }
            Outcome::Refused {
                cause: Cause::Unauthorized,
                ..
            } if self.token_was_replaced(&flight.authorization) => {
                self.destinations[index].attempt_lost(flight.shipment);
            }
            Outcome::Refused { cause, mut detail } => {
                self.destinations[index].refused(flight.shipment, now);
                if let (Cause::Unauthorized, Some(trouble)) = (cause, self.trouble_with_token()) {
                    detail += &format!("; no other token can be had, {trouble}");
                }
                self.report(index, now, cause, detail);
            }
            Outcome::Quota { detail, after } => {
                match after.filter(|after| *after <= QUOTA_WAIT) {
                    Some(after) => self.retry(flight, now, Some(after)),
                    None => {
                        self.destinations[index].out_of_quota(flight.shipment, now + QUOTA_WAIT);
                    }
                }
                self.report(index, now, Cause::Quota, detail);
            }
        }
    }

    fn retry(&mut self, flight: Flight, now: Instant, told: Option<Duration>) {
        let index = flight.destination;
        let age = flight
            .shipment
            .since
            .map_or(Duration::ZERO, |since| now - since);
        let random = self.random.random();
        let started = flight.started;
        let destination = &mut self.destinations[index];
        if self
            .settings
            .retry_timeout
            .is_some_and(|timeout| age >= timeout)
        {
            destination.dropped(flight.shipment, DropReason::RetriesExhausted);
            // The next batch would hardly fare better at once.
            destination.back_off(started, now, told, random);
        } else {
            destination.failed(flight.shipment, started, now, told, random);
        }
    }
}
