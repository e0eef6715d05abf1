//! Requests and their answers: what is sent next, and what each outcome does to its batch.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use rand::RngExt;
use reqwest::header::HeaderValue;

use super::Worker;
use super::allowance;
use super::answer::Answer;
use super::destination::{Shipment, Verdict};
use super::digest::KEPT;
use super::hedge;
use super::response::{self, Outcome};
#[cfg(test)]
use super::tests::{Point, panic_if_planned};
use super::transport::{Transport, token_in};
use super::trouble::{NoAnswer, Trouble};
use crate::process::witness;
use crate::report::{Cause, DropReason};

/// Bodies in memory, and what is kept of their answers, beyond which no new batch is made: with the last of them, less than
/// 8 MiB. Datasets have equal parts of it, so that one that stalls does not hold up the other.
const BODIES_BYTES: usize = 3 * 1024 * 1024;

/// An allowance that is renewed within this time is waited for. One of which it is not known when it is renewed is asked
/// for again after this time.
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
    /// Which transport it went by.
    transport: u64,
    /// Others no longer go by the connections of that transport.
    is_left_behind: bool,
}

impl Flight {
    /// What it takes in memory: the body, and as much of the answer as may be kept.
    fn bytes(&self) -> usize {
        let body = self.shipment.body.as_ref();
        body.map_or(0, |body| body.bytes.len()) + KEPT
    }
}

impl Worker {
    pub(super) fn send(&mut self, now: Instant) {
        let most = BODIES_BYTES / self.destinations.len().max(1);
        loop {
            let flights = &self.flights;
            let may_grow = |index| {
                let bytes: usize = flights
                    .values()
                    .filter(|flight| flight.destination == index)
                    .map(Flight::bytes)
                    .sum();
                bytes < most
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
        panic_if_planned(Point::Launch, &self.destinations[destination].url);
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
                let other = self.hedge.listen();
                Box::pin(async move { (id, hedge::post(transport, other, url, body).await) })
            }
            Err(error) => Box::pin(std::future::ready((id, Err(error)))),
        };
        self.attempts.push(attempt);
        let flight = Flight {
            destination,
            shipment,
            started: now,
            authorization: self.settings.transport.credentials.authorization.clone(),
            transport: self.transports_made,
            is_left_behind: false,
        };
        self.flights.insert(id, flight);
    }

    pub(super) fn transport(&mut self) -> Result<Transport, NoAnswer> {
        // A probe goes with the token that is in the file by then.
        self.read_token_again();
        match &self.transport {
            Some(transport) if !self.is_wedged => Ok(transport.clone()),
            old => match Transport::new(&self.settings.transport) {
                Ok(transport) => {
                    self.transports_made += 1;
                    self.is_wedged = false;
                    Ok(self.transport.insert(transport).clone())
                }
                // The system's certificates can not be read just now. Some connection is better than none.
                Err(error) => old.clone().ok_or(error),
            },
        }
    }

    /// A request got no answer in time, so the connection may be at fault. Requests to come use others, without which each attempt
    /// could end up on the same one; those under way go on, and no longer count against what may be under way.
    pub(super) fn leave_connections(&mut self, transport: u64) {
        if transport != self.transports_made || self.is_wedged {
            return;
        }
        self.is_wedged = true;
        for flight in self.flights.values_mut() {
            if flight.transport == transport {
                flight.is_left_behind = true;
                self.destinations[flight.destination].left_behind(1);
            }
        }
    }

    /// The next request needs another transport than this one, unless others found that before and there is one.
    fn make_another(&mut self, transport: u64) {
        if transport == self.transports_made {
            self.transport = None;
        }
    }

    pub(super) fn conclude(&mut self, id: u64, answer: Result<Answer, NoAnswer>, now: Instant) {
        let Some(mut flight) = self.flights.remove(&id) else {
            return;
        };
        let (index, started) = (flight.destination, flight.started);
        if flight.is_left_behind {
            self.destinations[index].left_behind(-1);
        }
        let sent = flight.shipment.batch.events();
        #[cfg(test)]
        panic_if_planned(Point::Answer, &self.destinations[index].url);
        let is_unheard = matches!(&answer, Err(none) if none.trouble == Trouble::Refused);
        self.destinations[index].attempted(started, is_unheard);
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(no_answer) => {
                let transport = flight.transport;
                if no_answer.is_unprocessed {
                    match self.destinations[index].unprocessed(flight.shipment) {
                        None => return self.schedule.returned(index),
                        Some(shipment) => flight.shipment = shipment,
                    }
                }
                self.schedule.failed(now);
                self.retry(flight, now, None);
                if no_answer.trouble == Trouble::Timeout {
                    self.leave_connections(transport);
                }
                // The client has read this machine's certificates once for all. Whoever adds the one that is
                // missing need not start the program again.
                if matches!(no_answer.trouble, Trouble::Untrusted | Trouble::Expired) {
                    self.make_another(transport);
                }
                return self.report_no_answer(index, now, no_answer);
            }
        };
        answer.hide(token_in(&flight.authorization));
        let wall = SystemTime::now();
        match response::outcome(&answer, sent, wall, self.settings.peer) {
            Outcome::Accepted {
                failed,
                samples,
                warnings,
            } => {
                let allowance = allowance::read(&answer, wall);
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
                    let refusal = allowance::refusal(&answer, wall, after);
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
                let verdict = self.destinations[index].too_large(flight.shipment, now);
                let what = match verdict {
                    Verdict::Again => return,
                    Verdict::GaveUp(number) => {
                        return self.report_given_up(
                            index,
                            now,
                            number,
                            "requests were too large even with one record (HTTP 413)",
                        );
                    }
                    Verdict::Dropped => {
                        format!("a record of {bytes} bytes was too large even alone (HTTP 413)")
                    }
                    Verdict::Waits => format!("even {bytes} bytes are too large (HTTP 413)"),
                };
                self.report(index, now, Cause::TooLarge, what);
            }
            Outcome::Unreadable { detail } => {
                self.destinations[index].heard(&detail);
                match self.destinations[index].unreadable(flight.shipment, now) {
                    Verdict::Again => {}
                    Verdict::GaveUp(number) => self.report_given_up(index, now, number, &detail),
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
                self.destinations[index].sent_again(flight.shipment);
                self.schedule.returned(index);
            }
            Outcome::Refused { cause, mut detail } => {
                self.destinations[index].refused(flight.shipment, now);
                if let (Cause::Unauthorized, Some(trouble)) = (cause, self.trouble_with_token()) {
                    detail += &format!("; no other token can be had, {trouble}");
                }
                self.report(index, now, cause, detail);
            }
            Outcome::Misdirected { detail } => {
                // The client keeps connections: without them it makes another one.
                self.make_another(flight.transport);
                match self.destinations[index].misdirected(flight.shipment) {
                    None => self.schedule.returned(index),
                    Some(again) => {
                        self.destinations[index].refused(again, now);
                        self.report(index, now, Cause::NotFound, detail);
                    }
                }
            }
            Outcome::Quota { detail, after } => {
                let destination = &mut self.destinations[index];
                let at_least = now + QUOTA_WAIT;
                match after {
                    Some(after) if after <= QUOTA_WAIT => {
                        self.retry(flight, now, Some(after));
                    }
                    Some(_) => destination.out_of_quota(flight.shipment, at_least),
                    // A time that is past, or none: the allowance may be renewed at any time.
                    None => destination.waits_for_quota(flight.shipment, at_least),
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

#[cfg(test)]
mod tests;
