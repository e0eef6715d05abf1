//! What the guard asks for: flush and shutdown, answered as soon as they can be.

use std::time::Instant;

use futures_util::stream::FuturesUnordered;

use super::Worker;
use super::destination::Destination;
use super::inbox::{Asked, Reply};
use super::words::address;
use crate::queue::Mark;
use crate::report::{Cause, records};

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Each record was delivered or dropped.
    Settled,
    /// Somebody has to mend something first.
    Blocked(String),
    /// Records could not be delivered at the end because nothing listens at this address.
    Unheard(String),
}

/// Those who wait for the same records.
#[derive(Debug)]
pub(super) struct Flush {
    /// One for each queue.
    marks: Vec<Mark>,
    replies: Vec<Reply>,
    is_last: bool,
}

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) deadline: Instant,
    replies: Vec<Reply>,
}

impl Worker {
    pub(super) fn accept(&mut self, asked: Asked, now: Instant) {
        // Who asks for delivery is not told of a refusal that a new token has ended.
        self.read_token_again();
        if asked.delivery {
            let all = self.destinations.iter_mut();
            all.for_each(|destination| destination.hurry(now));
            self.schedule.hurry(now);
        }
        // What was recorded before the call is before this mark.
        for (replies, is_last) in [(asked.waiters, false), (asked.last_waiters, true)] {
            if !replies.is_empty() {
                let queues = self.shared.queues.iter();
                self.flushes.push(Flush {
                    marks: queues.map(|queue| queue.mark()).collect(),
                    replies,
                    is_last,
                });
            }
        }
        if let Some(deadline) = asked.deadline {
            let closing = self.closing.get_or_insert_with(|| Closing {
                deadline,
                replies: Vec::new(),
            });
            closing.deadline = closing.deadline.max(deadline);
            closing.replies.extend(asked.ends);
        }
        if asked.is_last || asked.deadline.is_some() {
            self.close_all(now, asked.deadline);
        }
    }

    fn close_all(&mut self, now: Instant, deadline: Option<Instant>) {
        self.hedge.end_is_near(now, deadline);
        let all = self.destinations.iter_mut();
        all.for_each(|destination| destination.close(now));
        self.schedule.close();
    }

    /// Answers flushes that are done. `true`: the worker has been shut down.
    pub(super) fn answer_commands(&mut self, now: Instant) -> bool {
        for mut flush in std::mem::take(&mut self.flushes) {
            match self.flushed(&flush, now) {
                Some(flushed) => answer(flush.replies, &flushed),
                // In an outage, those who stopped waiting would add up.
                None => {
                    flush.replies.retain(|reply| !reply.is_canceled());
                    if !flush.replies.is_empty() {
                        self.flushes.push(flush);
                    }
                }
            }
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

    fn flushed(&mut self, flush: &Flush, now: Instant) -> Option<Flushed> {
        let mut blocked = None;
        let mut unheard = None;
        let mut is_pending = false;
        for (destination, mark) in self.destinations.iter_mut().zip(&flush.marks) {
            if destination.queue.settled_up_to(mark) {
                continue;
            }
            if destination.is_blocked(now) {
                blocked = Some(destination.name.clone());
            } else if flush.is_last && destination.stays_unheard(now) {
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
            self.destinations[flight.destination].attempt_lost(flight.shipment);
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
        let ends = self.closing.take().map(|closing| closing.replies);
        answer(ends.into_iter().flatten().chain(late.ends), &flushed);
        let flushes = self.flushes.drain(..).flat_map(|flush| flush.replies);
        let flushes = flushes.chain(late.waiters).chain(late.last_waiters);
        answer(flushes, &Flushed::Settled);
    }

    /// After a panic: what was under way is sent again, since nobody knows how it ended. `false`: there is
    /// no time left for that.
    pub(super) fn restart(&mut self) -> bool {
        self.panics_in_a_row += 1;
        self.shared.counters.add_worker_panic();
        self.attempts = FuturesUnordered::new();
        for (_, flight) in self.flights.drain() {
            self.destinations[flight.destination].attempt_lost(flight.shipment);
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

fn answer(replies: impl IntoIterator<Item = Reply>, flushed: &Flushed) {
    for reply in replies {
        // Whoever asked may have stopped waiting.
        drop(reply.send(flushed.clone()));
    }
}
