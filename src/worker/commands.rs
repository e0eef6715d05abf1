//! What the guard asks for: flush and shutdown, answered as soon as they can be.

use std::time::Instant;

use futures_util::stream::FuturesUnordered;

use super::Worker;
use super::destination::Destination;
use super::inbox::Asked;
#[cfg(test)]
use super::tests;
use super::waiters::{Flushed, Flushes, Waiters};
use super::words::address;
use crate::queue::Mark;
use crate::report::{Cause, records};

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) deadline: Instant,
    waiters: Waiters,
}

impl Worker {
    pub(super) fn accept(&mut self, asked: Asked, now: Instant) {
        // First of all, whoever waits is noted: a panic below must not make a shutdown forgotten that somebody was promised.
        if let Some(deadline) = asked.deadline {
            let closing = self.closing.get_or_insert_with(|| Closing {
                deadline,
                waiters: Waiters::default(),
            });
            closing.deadline = closing.deadline.max(deadline);
            closing.waiters.join(asked.ends);
        }
        let goes_on = asked.goes_on && self.closing.is_none() && !self.last_flushes.is_anybody();
        // What was recorded before the call is before this mark.
        let mark = || {
            let queues = self.shared.queues.iter();
            queues.map(|queue| queue.mark()).collect()
        };
        self.flushes.add(asked.waiters, mark);
        self.last_flushes.add(asked.last_waiters, mark);
        #[cfg(test)]
        tests::panic_if_planned(tests::Point::Asked, &self.destinations[0].url);
        // Who asks for delivery is not told of a refusal that a new token has ended.
        self.read_token_again();
        if asked.delivery {
            let all = self.destinations.iter_mut();
            all.for_each(|destination| destination.hurry(now));
            self.schedule.hurry(now);
        }
        if goes_on {
            self.go_on();
        }
        if let Some(deadline) = asked.last.max(asked.deadline) {
            self.close_all(now, deadline);
        }
    }

    fn close_all(&mut self, now: Instant, deadline: Instant) {
        self.hedge.end_is_near(now, deadline);
        let all = self.destinations.iter_mut();
        all.for_each(|destination| destination.close(now));
        self.schedule.close();
    }

    /// The application took over the signal that was to end the process: what was meant for a few seconds, such as ever new
    /// attempts after a second at most, must not last for days.
    fn go_on(&mut self) {
        self.hedge.goes_on();
        self.destinations.iter_mut().for_each(Destination::goes_on);
        self.schedule.goes_on();
    }

    /// Answers flushes that are done. `true`: the worker has been shut down.
    pub(super) fn answer_commands(&mut self, now: Instant) -> bool {
        for is_last in [false, true] {
            let mut flushes = std::mem::take(self.flushes(is_last));
            flushes.answer(|marks| self.flushed(marks, is_last, now));
            *self.flushes(is_last) = flushes;
        }
        let Some(closing) = &self.closing else {
            return false;
        };
        let deadline = closing.deadline;
        let is_done = |destination: &Destination| {
            !destination.queue.has_pending()
                || destination.is_blocked(now)
                || destination.is_hopeless(deadline, now)
        };
        if now >= deadline || self.destinations.iter().all(is_done) {
            return true;
        }
        self.destinations.iter_mut().for_each(Destination::make_due);
        false
    }

    fn flushes(&mut self, is_last: bool) -> &mut Flushes {
        if is_last {
            &mut self.last_flushes
        } else {
            &mut self.flushes
        }
    }

    fn flushed(&mut self, marks: &[Mark], is_last: bool, now: Instant) -> Option<Flushed> {
        let mut blocked = None;
        let mut unheard = None;
        let mut is_pending = false;
        for (destination, mark) in self.destinations.iter_mut().zip(marks) {
            if destination.queue.settled_up_to(mark) {
                continue;
            }
            if destination.is_blocked(now) {
                blocked = Some(destination.name.clone());
            } else if is_last && destination.stays_unheard(now) {
                unheard = Some(address(&destination.url));
            } else {
                is_pending = true;
                destination.make_due();
            }
        }
        match (blocked, unheard) {
            _ if is_pending => None,
            (Some(name), _) => Some(Flushed::Blocked(name)),
            (None, Some(address)) => Some(Flushed::Unheard(address)),
            (None, None) => Some(Flushed::Settled),
        }
    }

    /// Drops what could not be delivered, and tells those who wait.
    pub(super) fn end(&mut self) {
        let now = Instant::now();
        for (_, flight) in self.flights.drain() {
            self.destinations[flight.destination].sent_again(flight.shipment);
        }
        let mut flushed = Flushed::Settled;
        for index in 0..self.destinations.len() {
            // The search may not have come to say it.
            if let Some(said) = self.destinations[index].suspicion() {
                self.report(index, now, Cause::BadRequest, said);
            }
            let lost = self.destinations[index].drop_all(now);
            if lost == 0 {
                continue;
            }
            let what = format!(
                "{} could not be delivered before the end",
                records(lost.into())
            );
            if self.destinations[index].is_unheard() {
                let address = address(&self.destinations[index].url);
                self.report_unheard(index, now, &address, &what);
                flushed = Flushed::Unheard(address);
            } else {
                self.report(index, now, Cause::Shutdown, what);
            }
        }
        self.report_overflow(now);
        let late = self.shared.inbox.close();
        let mut ends = late.ends;
        if let Some(closing) = self.closing.take() {
            ends.join(closing.waiters);
        }
        ends.answer(&flushed);
        for waiters in [late.waiters, late.last_waiters] {
            waiters.answer(&Flushed::Settled);
        }
        self.flushes.answer_all(&Flushed::Settled);
        self.last_flushes.answer_all(&Flushed::Settled);
    }

    /// After a panic: what was under way is sent again, since nobody knows how it ended. `false`: there is
    /// no time left for that.
    pub(super) fn restart(&mut self) -> bool {
        self.panics_in_a_row += 1;
        self.shared.counters.add_worker_panic();
        self.attempts = FuturesUnordered::new();
        for (_, flight) in self.flights.drain() {
            self.destinations[flight.destination].sent_again(flight.shipment);
        }
        self.destinations
            .iter_mut()
            .for_each(Destination::restarted);
        let what = "the worker panicked and was started again".to_owned();
        let now = Instant::now();
        self.report(0, now, Cause::Internal, what);
        self.closing
            .as_ref()
            .is_none_or(|closing| now < closing.deadline)
    }
}
