//! What the guard asks for: flush and shutdown, answered as soon as they can be.

use std::time::Instant;

use futures_channel::oneshot;
use futures_util::stream::FuturesUnordered;

use super::Worker;
use super::destination::Destination;
use super::report::records;
use super::words::address;
use crate::diag::Cause;
use crate::queue::Mark;

/// What the guard asks of the worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Deliver what was recorded up to these marks, one for each queue.
    Flush {
        marks: Vec<Mark>,
        reply: oneshot::Sender<Flushed>,
        /// The process ends: waits are cut short as in a shutdown.
        is_last: bool,
    },
    /// Deliver what is there until the deadline, drop the rest, end.
    Shutdown {
        deadline: Instant,
        reply: oneshot::Sender<Flushed>,
    },
}

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

#[derive(Debug)]
pub(super) struct Flush {
    marks: Vec<Mark>,
    reply: oneshot::Sender<Flushed>,
    is_last: bool,
}

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) deadline: Instant,
    replies: Vec<oneshot::Sender<Flushed>>,
}

impl Worker {
    pub(super) fn accept(&mut self, command: Option<Command>) {
        // Who asks for delivery is not told of a refusal that a new token has ended.
        self.read_token_again();
        match command {
            Some(Command::Flush {
                marks,
                reply,
                is_last,
            }) => {
                if is_last {
                    self.close_all();
                } else {
                    self.destinations.iter_mut().for_each(Destination::hurry);
                    self.schedule.hurry();
                }
                self.flushes.push(Flush {
                    marks,
                    reply,
                    is_last,
                });
            }
            Some(Command::Shutdown { deadline, reply }) => {
                let closing = self.closing.get_or_insert_with(|| Closing {
                    deadline,
                    replies: Vec::new(),
                });
                closing.deadline = closing.deadline.max(deadline);
                closing.replies.push(reply);
                self.close_all();
            }
            // The guard went away without a word, which its destructor does not allow.
            None => {
                self.closing.get_or_insert_with(|| Closing {
                    deadline: Instant::now(),
                    replies: Vec::new(),
                });
            }
        }
    }

    fn close_all(&mut self) {
        let now = Instant::now();
        let all = self.destinations.iter_mut();
        all.for_each(|destination| destination.close(now));
        self.schedule.close();
    }

    /// Answers flushes that are done. `true`: the worker has been shut down.
    pub(super) fn answer_commands(&mut self, now: Instant) -> bool {
        for flush in std::mem::take(&mut self.flushes) {
            match self.flushed(&flush, now) {
                Some(flushed) => drop(flush.reply.send(flushed)),
                // In an outage, those who stopped waiting would add up.
                None if flush.reply.is_canceled() => {}
                None => self.flushes.push(flush),
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
        let replies = self.closing.take().map(|closing| closing.replies);
        for reply in replies.into_iter().flatten() {
            drop(reply.send(flushed.clone()));
        }
        for flush in self.flushes.drain(..) {
            drop(flush.reply.send(Flushed::Settled));
        }
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
