//! One dataset as the worker sees it: its queue, what waits to be sent again, and whether it may be sent now.
//!
//! Policy only: it is given the time and the answers, and says what to send next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;

use super::backoff::Backoff;
use super::batch::{Batch, Batcher, Limits};
use super::body::Body;
use super::size::Size;
use crate::queue::Queue;
use crate::stats::DropReason;

/// Requests in flight at the most. At 50 ms of latency, 16 batches of 10,000 are 3 million records a second.
const MAX_IN_FLIGHT: u32 = 16;
/// Before the first answer.
const START_IN_FLIGHT: u32 = 2;

/// How long nothing is sent after a refusal that somebody has to mend (401, 403, 404).
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// Refusals of a body in a row, with no success between them, from which on it is not single
/// records that are at fault: halving 10,000 records down to one takes 15.
const REFUSED_IN_A_ROW: u32 = 16;

/// Refusals for its size, with successes of others between them, after which a record is given up though
/// its size does not explain them. Of a hundred passing ones, a record meets three in a row once in a million.
const MODEST_REFUSALS: u32 = 3;

/// Waits between attempts while shutting down are no longer than this: the deadline is near.
const SHUTDOWN_WAIT: Duration = Duration::from_millis(250);

/// How long a shutdown goes on where every connection is refused, and how many attempts it makes at the least. A
/// deployment that restarts what listens there takes longer than any exit should.
const NOBODY_LISTENS: (Duration, u32) = (Duration::from_secs(1), 2);

/// A batch on its way, and what has been learned of it.
#[derive(Debug)]
pub(crate) struct Shipment {
    pub(crate) batch: Batch,
    /// Kept for the next attempt: the same bytes are sent again.
    pub(crate) body: Option<Body>,
    /// The first attempt.
    pub(crate) since: Option<Instant>,
    /// Set once the endpoint refused its body: how many successes there had been by then.
    suspect_since: Option<u64>,
    /// How often it was refused as a single record while others got through.
    refusals: u32,
}

impl Shipment {
    fn new(batch: Batch) -> Self {
        Self {
            batch,
            body: None,
            since: None,
            suspect_since: None,
            refusals: 0,
        }
    }

    fn part(&self, batch: Batch) -> Self {
        Self {
            batch,
            body: None,
            since: self.since,
            suspect_since: self.suspect_since,
            refusals: 0,
        }
    }

    /// A single record that was refused, with no success of any other since then: it may be at fault,
    /// or everything is.
    fn is_unproven(&self, successes: u64) -> bool {
        self.batch.events() == 1 && self.suspect_since == Some(successes)
    }
}

/// Why nothing is sent for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// After a failure that will pass by itself.
    Backoff,
    /// The server said when to come back.
    Told,
    /// The configuration must be mended, at either end.
    Refused,
    /// The allowance is used up.
    Quota,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    why: Why,
}

/// What became of a body that the endpoint refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was cut in halves, to find what fits or the record at fault; a single record gets another chance.
    Again,
    /// The one record in it was at fault, and is dropped.
    Dropped,
    /// It does not look like the fault of single records: everything waits.
    Waits,
}

#[derive(Debug)]
pub(crate) struct Destination {
    /// The dataset, or the URL if that has none: what messages call it.
    pub(crate) name: String,
    pub(crate) url: Url,
    pub(crate) queue: Arc<Queue>,
    configured: Limits,
    size: Size,
    batcher: Batcher,
    waiting: VecDeque<Shipment>,
    in_flight: u32,
    allowed: u32,
    pause: Option<Pause>,
    backoff: Backoff,
    last_failure: Option<Instant>,
    successes: u64,
    refused_in_a_row: u32,
    /// [`REFUSED_PAUSE`], unless a test has less time.
    refused_pause: Duration,
    last_refused: Option<Instant>,
    /// Part-full batches leave too.
    due: bool,
    /// The open chunks are to be taken first. Not before something can be sent: in an outage a
    /// nearly empty chunk would occupy the room of a full one.
    collect: bool,
    /// When the shutdown was asked for, or the last delivery before the process ends.
    closing_since: Option<Instant>,
    /// The last attempt was refused a connection.
    is_unheard: bool,
    /// Attempts of the shutdown that were refused a connection, in a row.
    unheard_while_closing: u32,
}

impl Destination {
    pub(crate) fn new(name: String, url: Url, queue: Arc<Queue>, limits: Limits) -> Self {
        Self {
            name,
            url,
            queue,
            configured: limits,
            size: Size::new(limits.max_bytes),
            batcher: Batcher::default(),
            waiting: VecDeque::new(),
            in_flight: 0,
            allowed: START_IN_FLIGHT,
            pause: None,
            backoff: Backoff::default(),
            last_failure: None,
            successes: 0,
            refused_in_a_row: 0,
            refused_pause: REFUSED_PAUSE,
            last_refused: None,
            due: false,
            collect: false,
            closing_since: None,
            is_unheard: false,
            unheard_while_closing: 0,
        }
    }

    /// Everything recorded so far is to leave now, full batch or not.
    pub(crate) fn make_due(&mut self) {
        self.due = true;
        self.collect = true;
    }

    pub(crate) fn with_refused_pause(mut self, pause: Duration) -> Self {
        self.refused_pause = pause;
        self
    }

    /// What to send now, if anything. `may_grow`: there is room for the body of a new batch.
    pub(crate) fn next(&mut self, now: Instant, may_grow: bool) -> Option<Shipment> {
        self.pause = self.pause.filter(|pause| pause.until > now);
        if self.pause.is_some() || self.in_flight >= self.allowed {
            return None;
        }
        let shipment = match self.waiting.pop_front() {
            // What comes after it must not wait for it for ever, and tells whose fault it is.
            Some(unproven) if may_grow && unproven.is_unproven(self.successes) => {
                match self.fresh() {
                    Some(other) => {
                        self.waiting.push_front(unproven);
                        other
                    }
                    None => unproven,
                }
            }
            Some(waiting) => self.within_limit(waiting),
            None if may_grow => self.fresh()?,
            None => return None,
        };
        self.in_flight += 1;
        Some(shipment)
    }

    /// A batch made before a size limit was learned is cut to it.
    fn within_limit(&mut self, mut shipment: Shipment) -> Shipment {
        if shipment.batch.bytes() <= self.size.learned() || shipment.batch.events() == 1 {
            return shipment;
        }
        let first = shipment.batch.take(self.limits());
        self.size.sent(first.bytes());
        let first = shipment.part(first);
        shipment.body = None;
        if shipment.batch.events() > 0 {
            self.waiting.push_front(shipment);
        }
        first
    }

    fn fresh(&mut self) -> Option<Shipment> {
        if !self.due && !self.queue.wants_worker() {
            return None;
        }
        if std::mem::take(&mut self.collect) {
            self.queue.collect_open();
        }
        let batch = self.batcher.next(&self.queue, self.limits());
        match &batch {
            Some(batch) => self.size.sent(batch.bytes()),
            None => self.due = false,
        }
        batch.map(Shipment::new)
    }

    fn limits(&self) -> Limits {
        Limits {
            max_bytes: self.size.next(),
            ..self.configured
        }
    }

    // What came of an attempt.

    pub(crate) fn delivered(&mut self, shipment: Shipment, failed: u32) {
        self.in_flight -= 1;
        self.successes += 1;
        self.refused_in_a_row = 0;
        self.backoff.reset();
        self.allowed = (self.allowed + 1).min(MAX_IN_FLIGHT);
        self.size.taken(shipment.batch.bytes());
        shipment.batch.delivered_except(failed);
    }

    /// Sends the same again after a while: `told` by the server, or as the backoff says.
    pub(crate) fn failed(
        &mut self,
        shipment: Shipment,
        started: Instant,
        now: Instant,
        told: Option<Duration>,
        random: f64,
    ) {
        self.in_flight -= 1;
        self.waiting.push_front(shipment);
        self.back_off(started, now, told, random);
    }

    /// Sends nothing for a while, after an attempt begun at `started` that failed.
    pub(crate) fn back_off(
        &mut self,
        started: Instant,
        now: Instant,
        told: Option<Duration>,
        random: f64,
    ) {
        // Attempts that were under way together fail together, and count once.
        if self.last_failure.is_some_and(|last| started < last) && told.is_none() {
            return;
        }
        self.last_failure = Some(now);
        self.allowed = (self.allowed / 2).max(1);
        let wait = self.backoff.next(random);
        let (wait, why) = match told {
            Some(told) => (told, Why::Told),
            None if self.closing_since.is_some() => (wait.min(SHUTDOWN_WAIT), Why::Backoff),
            None => (wait, Why::Backoff),
        };
        self.pause(now + wait, why);
    }

    /// Nothing will be taken until something is mended. What waits goes on waiting.
    pub(crate) fn refused(&mut self, shipment: Shipment, now: Instant) {
        self.in_flight -= 1;
        self.waiting.push_front(shipment);
        self.allowed = 1;
        self.pause(now + self.refused_pause, Why::Refused);
    }

    pub(crate) fn out_of_quota(&mut self, shipment: Shipment, until: Instant) {
        self.in_flight -= 1;
        self.allowed = 1;
        shipment.batch.dropped(DropReason::Quota);
        self.pause(until, Why::Quota);
    }

    pub(crate) fn dropped(&mut self, shipment: Shipment, reason: DropReason) {
        self.in_flight -= 1;
        shipment.batch.dropped(reason);
    }

    /// The endpoint found the body too large. Smaller ones may fit.
    ///
    /// A single record is given up like an unreadable one, if its size may explain it; else only after several
    /// refusals, for something else is wrong that will pass.
    pub(crate) fn too_large(
        &mut self,
        shipment: Shipment,
        started: Instant,
        now: Instant,
    ) -> Verdict {
        let bytes = shipment.batch.bytes();
        let is_single = shipment.batch.events() == 1;
        // While a limit is looked for, one upload at a time is enough to lose.
        if is_single || self.size.refused(bytes) {
            self.allowed = 1;
        }
        let most = if self.size.is_modest(bytes) {
            MODEST_REFUSALS
        } else {
            1
        };
        self.turned_away(shipment, started, now, (DropReason::TooLarge, most))
    }

    /// The endpoint could not read the body. One record may be at fault, or the configuration.
    pub(crate) fn unreadable(
        &mut self,
        shipment: Shipment,
        started: Instant,
        now: Instant,
    ) -> Verdict {
        self.allowed = 1;
        self.turned_away(shipment, started, now, (DropReason::Rejected, 1))
    }

    /// Halving finds a record at fault. But a single record is given up only when something else
    /// got through meanwhile; else the fault lies elsewhere, and records would be dropped one by one.
    fn turned_away(
        &mut self,
        mut shipment: Shipment,
        started: Instant,
        now: Instant,
        (reason, most): (DropReason, u32),
    ) -> Verdict {
        self.in_flight -= 1;
        let others_get_through = match shipment.suspect_since {
            Some(successes) => self.successes > successes,
            None => self.successes > 0 && self.refused_in_a_row == 0,
        };
        // Attempts that were under way together count once.
        if self.last_refused.is_none_or(|last| started >= last) {
            self.refused_in_a_row += 1;
            self.last_refused = Some(now);
        }
        shipment.suspect_since.get_or_insert(self.successes);
        if shipment.batch.events() > 1 {
            self.halve(shipment);
            if self.refused_in_a_row < REFUSED_IN_A_ROW {
                return Verdict::Again;
            }
        } else {
            if others_get_through {
                shipment.refusals += 1;
                if shipment.refusals >= most {
                    shipment.batch.dropped(reason);
                    return Verdict::Dropped;
                }
                shipment.suspect_since = Some(self.successes);
            }
            // Others, if there are any, will tell.
            let is_alone = self.in_flight == 0 && !self.has_work();
            self.waiting.push_back(shipment);
            if !is_alone && self.refused_in_a_row < REFUSED_IN_A_ROW {
                return Verdict::Again;
            }
        }
        self.pause(now + self.refused_pause, Why::Refused);
        Verdict::Waits
    }

    fn halve(&mut self, mut shipment: Shipment) {
        let (first, second) = std::mem::take(&mut shipment.batch).halves();
        self.waiting.push_front(shipment.part(second));
        self.waiting.push_front(shipment.part(first));
    }

    /// An attempt that is made again at once: nobody knows how it ended, or it went with a token that was replaced since.
    pub(crate) fn attempt_lost(&mut self, shipment: Shipment) {
        self.in_flight -= 1;
        self.waiting.push_front(shipment);
    }

    /// The batch in hand went with the panic, and was counted; its attempt will not come to an end.
    pub(crate) fn restarted(&mut self) {
        self.in_flight = 0;
    }

    // Pauses.

    /// What was refused before may be tried again at once.
    pub(crate) fn no_longer_refused(&mut self) {
        self.pause = self.pause.filter(|pause| pause.why != Why::Refused);
    }

    /// Somebody waits for delivery: one attempt is made now, though the backoff would wait longer.
    pub(crate) fn hurry(&mut self) {
        self.pause = self.pause.filter(|pause| pause.why != Why::Backoff);
        self.make_due();
    }

    /// A pause that is already longer stays.
    pub(crate) fn pause(&mut self, until: Instant, why: Why) {
        if self.pause.is_none_or(|pause| pause.until < until) {
            self.pause = Some(Pause { until, why });
        }
    }

    pub(crate) fn paused(&self, now: Instant) -> Option<Why> {
        self.pause
            .filter(|pause| pause.until > now)
            .map(|pause| pause.why)
    }

    /// When to look at this destination again, if something waits for that.
    pub(crate) fn resumes_at(&self) -> Option<Instant> {
        self.pause
            .filter(|_| self.has_work())
            .map(|pause| pause.until)
    }

    /// Whether there is something to send, as far as is known.
    fn has_work(&self) -> bool {
        !self.waiting.is_empty()
            || self.due
            || self.batcher.events() > 0
            || self.queue.wants_worker()
    }

    /// Nothing can be done but wait for somebody to mend something.
    pub(crate) fn is_blocked(&self, now: Instant) -> bool {
        self.in_flight == 0 && matches!(self.paused(now), Some(Why::Refused | Why::Quota))
    }

    /// Whether there is nothing to do but wait for a record that a producer is just now appending.
    pub(crate) fn has_straggler(&self) -> bool {
        let is_idle = self.in_flight == 0 && self.waiting.is_empty() && self.pause.is_none();
        is_idle && self.queue.has_pending()
    }

    // Shutting down.

    /// Waits that only spare the server are cut short, now and from now on.
    pub(crate) fn close(&mut self, now: Instant) {
        self.closing_since.get_or_insert(now);
        self.hurry();
    }

    /// An attempt begun at `started` came to an end. `is_unheard`: nothing listens there.
    pub(crate) fn attempted(&mut self, started: Instant, is_unheard: bool) {
        self.is_unheard = is_unheard;
        if !is_unheard {
            self.unheard_while_closing = 0;
        } else if self.closing_since.is_some_and(|since| started >= since) {
            self.unheard_while_closing += 1;
        }
    }

    /// The last attempt was refused a connection: more time would hardly have helped.
    pub(crate) fn is_unheard(&self) -> bool {
        self.is_unheard
    }

    /// Whether nothing more can be delivered: a wait ends after `deadline`, or nothing listens.
    pub(crate) fn is_hopeless(&self, deadline: Instant, now: Instant) -> bool {
        let is_too_late = self.pause.is_some_and(|pause| pause.until >= deadline);
        self.in_flight == 0 && is_too_late || self.stays_unheard(now)
    }

    /// Since the end was asked for, nothing has listened for long enough.
    pub(crate) fn stays_unheard(&self, now: Instant) -> bool {
        let (patience, attempts) = NOBODY_LISTENS;
        self.in_flight == 0
            && self.unheard_while_closing >= attempts
            && self
                .closing_since
                .is_some_and(|since| now >= since + patience)
    }

    /// Drops all there is, for a reason that the pause in force explains better than the deadline.
    pub(crate) fn drop_all(&mut self, now: Instant) -> u32 {
        let reason = match self.paused(now) {
            Some(Why::Refused) => DropReason::Refused,
            Some(Why::Quota) => DropReason::Quota,
            _ => DropReason::Shutdown,
        };
        self.queue.end();
        let mut events = 0;
        for shipment in self.waiting.drain(..) {
            events += shipment.batch.events();
            shipment.batch.dropped(reason);
        }
        self.queue.collect_open();
        while let Some(batch) = self.batcher.next(&self.queue, self.configured) {
            events += batch.events();
            batch.dropped(reason);
        }
        events
    }
}

#[cfg(test)]
mod tests;
