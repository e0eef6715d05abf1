//! When the worker looks, and what it sends next. A value: it is given the time and chance.
//!
//! The worker's loop asks it and does what it says; so does the simulation of a fleet (`fleet/`).

use std::time::{Duration, Instant};

use super::allowance::{Allowance, RateRefusal};
use super::destination::{Destination, Shipment};
use super::limit::RateLimit;
use super::pace::Why;
use crate::queue::Signal;

/// The first look after a record woke the worker comes after this part of the flush interval at the least: what is
/// recorded together mostly travels together.
const LEAST_OF_INTERVAL: f64 = 0.25;

/// How the worker waits for records.
#[derive(Debug, Clone, Copy)]
enum Rest {
    /// Something may be pending: it looks at this time.
    Ticking(Instant),
    /// Nothing was pending: it looks once more, since a producer may not have seen that yet.
    LastLook(Instant),
    /// Until a producer wakes it. No timer runs.
    Parked,
}

#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    rest: Rest,
    limit: RateLimit,
    /// The destination that is asked first, for each has its turn while requests are rationed.
    turn: usize,
    is_closing: bool,
}

impl Schedule {
    pub(super) fn new(flush_interval: Duration) -> Self {
        Self {
            interval: flush_interval,
            rest: Rest::Parked,
            limit: RateLimit::default(),
            turn: 0,
            is_closing: false,
        }
    }

    // When.

    /// A producer has appended something, or filled enough chunks. The first look comes at a random time within the
    /// flush interval: what wakes this worker may wake a thousand others in the same moment.
    pub(super) fn woken(&mut self, now: Instant, random: f64) {
        if !matches!(self.rest, Rest::Ticking(_)) {
            let part = LEAST_OF_INTERVAL + (1.0 - LEAST_OF_INTERVAL) * random;
            self.rest = Rest::Ticking(now + self.interval.mul_f64(part));
        }
    }

    /// At the flush interval, part-full batches leave too. With nothing pending, the ticking ends. `true`: it looked.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        destinations: &mut [Destination],
        signal: &Signal,
    ) -> bool {
        let (Rest::Ticking(at) | Rest::LastLook(at)) = self.rest else {
            return false;
        };
        if now < at {
            return false;
        }
        let next = now + self.interval;
        let mut queues = destinations.iter().map(|destination| &destination.queue);
        self.rest = if queues.any(|queue| queue.has_pending()) {
            destinations.iter_mut().for_each(Destination::make_due);
            Rest::Ticking(next)
        } else if let Rest::Ticking(_) = self.rest {
            signal.disarm();
            Rest::LastLook(next)
        } else {
            Rest::Parked
        };
        true
    }

    /// When to look again, if nothing happens before.
    pub(super) fn wakes_at(&self, now: Instant, destinations: &[Destination]) -> Option<Instant> {
        let tick = match self.rest {
            Rest::Ticking(at) | Rest::LastLook(at) => Some(at),
            Rest::Parked => None,
        };
        let limit = self.limit.resumes_at(now).filter(|_| {
            let mut all = destinations.iter();
            !self.is_closing && all.any(Destination::has_work)
        });
        destinations
            .iter()
            .filter_map(|destination| destination.resumes_at(now))
            // A pause that is over while the rate forbids a request is not worth a look.
            .filter(|at| *at > now)
            .chain(tick)
            .chain(limit)
            .min()
    }

    /// Somebody waits for delivery: one request may leave now, whatever the rate is. At most once a second.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.limit.hurry(now);
    }

    /// The end is near. What can still be delivered leaves at once.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
    }

    /// It does not come after all.
    pub(super) fn goes_on(&mut self) {
        self.is_closing = false;
    }

    // What.

    /// Whether the rate allows a request now.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.is_closing || self.limit.may_send(now)
    }

    /// What to send now, if anything, and where to. `may_grow`: there is room for the body of a new batch.
    pub(super) fn next(
        &mut self,
        now: Instant,
        destinations: &mut [Destination],
        may_grow: impl Fn(usize) -> bool,
        random: f64,
    ) -> Option<(usize, Shipment)> {
        if !self.may_send(now) {
            return None;
        }
        let number = destinations.len();
        let (index, shipment) = (0..number)
            .map(|step| (self.turn + step) % number)
            .find_map(|index| Some((index, destinations[index].next(now, may_grow(index))?)))?;
        self.turn = (index + 1) % number;
        self.limit.sent(now, random);
        Some((index, shipment))
    }

    // What came of it.

    pub(super) fn accepted(&mut self, now: Instant, allowance: Option<Allowance>, random: f64) {
        self.limit.accepted(now, allowance, self.interval, random);
    }

    /// A request was refused for the rate limit, which is the token's, not the dataset's.
    pub(super) fn limited(
        &mut self,
        now: Instant,
        destinations: &mut [Destination],
        refusal: RateRefusal,
        random: f64,
    ) {
        self.limit.refused(now, refusal, self.interval, random);
        if let Some(told) = refusal.after {
            for destination in destinations {
                destination.pause(now + told, Why::Told);
            }
        }
    }

    /// A request of this destination is sent again at once, as the server did not process it: before others, and without another
    /// turn of the rate.
    pub(super) fn returned(&mut self, destination: usize) {
        self.limit.returned();
        self.turn = destination;
    }

    /// A request failed in a way that will pass.
    pub(super) fn failed(&mut self, now: Instant) {
        self.limit.failed(now);
    }

    /// As it was before there was a rate.
    #[cfg(test)]
    pub(super) fn forget_limit(&mut self) {
        self.limit = RateLimit::default();
    }
}
