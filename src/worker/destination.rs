//! One dataset as the worker sees it: its queue, what waits to be sent again, and whether it may be sent now.
//!
//! Policy only: it is given the time and the answers, and says what to send next.

mod refused;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;

pub(crate) use self::refused::Verdict;
use super::batch::{Batch, Batcher, Limits};
use super::body::Body;
use super::ending::Ending;
use super::isolate::{Evidence, Isolate};
use super::pace::{Kind, Pace, Why};
use super::size::Size;
use super::streak::Streak;
use crate::config::REFUSED_PAUSE;
use crate::queue::Queue;
use crate::report::DropReason;

/// How often a batch is sent again at once because the server did not process it, while no other gets through; and in all. A server
/// that is stopped says so once or twice, until another takes over. One that says so to everybody is in trouble, and one that
/// says so to most would be asked in vain without end.
const AT_ONCE: u32 = 3;
const AT_ONCE_IN_ALL: u32 = 20;

/// A batch on its way, and what has been learned of it.
#[derive(Debug)]
pub(crate) struct Shipment {
    pub(crate) batch: Batch,
    /// Kept for the next attempt: the same bytes are sent again.
    pub(crate) body: Option<Body>,
    /// The first attempt.
    pub(crate) since: Option<Instant>,
    /// The number of the latest attempt.
    attempt: u64,
    kind: Kind,
    /// The endpoint said that the connection was the wrong one (421).
    was_misdirected: bool,
    /// How many attempts there had been when the body that it is a part of was first found too large.
    too_large_at: Option<u64>,
    /// How often it was sent again at once: in all, and since the last success of any.
    at_once: u32,
    at_once_in_a_row: u32,
    /// What was accepted last when it was sent again at once last.
    at_once_at: u64,
}

impl Shipment {
    fn new(batch: Batch, kind: Kind) -> Self {
        Self {
            batch,
            body: None,
            since: None,
            attempt: 0,
            kind,
            was_misdirected: false,
            too_large_at: None,
            at_once: 0,
            at_once_in_a_row: 0,
            at_once_at: 0,
        }
    }

    fn part(&self, batch: Batch) -> Self {
        Self {
            since: self.since,
            at_once: self.at_once,
            at_once_in_a_row: self.at_once_in_a_row,
            at_once_at: self.at_once_at,
            too_large_at: self.too_large_at,
            ..Self::new(batch, self.kind)
        }
    }
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
    /// The test that is to be made again.
    returned: Option<Shipment>,
    pace: Pace,
    /// What was sent last. While there is one request at a time, ordinary ones and tests take turns.
    latest: Kind,
    isolate: Isolate,
    /// What is known of who got through.
    evidence: Evidence,
    streak: Streak,
    /// What the endpoint said of the latest body that it could not read.
    said: Option<String>,
    /// [`REFUSED_PAUSE`], unless a test has less time.
    refused_pause: Duration,
    /// Part-full batches leave too.
    due: bool,
    /// The open chunks are to be taken first. Not before something can be sent: in an outage a
    /// nearly empty chunk would occupy the room of a full one.
    collect: bool,
    ending: Ending,
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
            returned: None,
            pace: Pace::new(),
            latest: Kind::Ordinary,
            isolate: Isolate::new(REFUSED_PAUSE),
            evidence: Evidence::default(),
            streak: Streak::default(),
            said: None,
            refused_pause: REFUSED_PAUSE,
            due: false,
            collect: false,
            ending: Ending::default(),
        }
    }

    /// Everything recorded so far is to leave now, full batch or not.
    pub(crate) fn make_due(&mut self) {
        self.due = true;
        self.collect = true;
    }

    pub(crate) fn with_refused_pause(mut self, pause: Duration) -> Self {
        self.refused_pause = pause;
        self.isolate = Isolate::new(pause);
        self
    }

    /// What to send now, if anything. `may_grow`: there is room for the body of a new batch.
    pub(crate) fn next(&mut self, now: Instant, may_grow: bool) -> Option<Shipment> {
        self.pace.look(now);
        if self.pace.paused(now).is_some() {
            return None;
        }
        // While nothing gets through there is one probe at a time, and one of records that nobody suspects if there are any.
        if self.streak.nothing_gets_through() && !self.pace.is_idle() {
            return None;
        }
        let is_ordinary_first = self.streak.nothing_gets_through() || self.latest == Kind::Test;
        let mut shipment = if is_ordinary_first {
            let ordinary = self.next_ordinary(now, may_grow);
            ordinary.or_else(|| self.next_test(now, may_grow))?
        } else {
            let test = self.next_test(now, may_grow);
            test.or_else(|| self.next_ordinary(now, may_grow))?
        };
        self.evidence.attempts += 1;
        shipment.attempt = self.evidence.attempts;
        self.latest = shipment.kind;
        self.pace.launched(shipment.kind);
        Some(shipment)
    }

    fn next_ordinary(&mut self, now: Instant, may_grow: bool) -> Option<Shipment> {
        if !self.pace.has_room() {
            return None;
        }
        match self.waiting.pop_front() {
            Some(waiting) => Some(self.within_limit(waiting)),
            None if may_grow => self.fresh(now),
            None => None,
        }
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

    fn fresh(&mut self, now: Instant) -> Option<Shipment> {
        if !self.due && !self.queue.wants_worker() {
            return None;
        }
        if self.holds_back(now) {
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
        batch.map(|batch| Shipment::new(batch, Kind::Ordinary))
    }

    fn limits(&self) -> Limits {
        Limits {
            max_bytes: self.size.next(),
            ..self.configured
        }
    }

    // What came of an attempt.

    pub(crate) fn delivered(&mut self, shipment: Shipment, failed: u32) {
        self.pace.landed(shipment.kind);
        self.pace.succeeded();
        self.evidence.accepted = self.evidence.accepted.max(shipment.attempt);
        self.streak.ends();
        self.isolate.others_get_through();
        self.size.taken(shipment.batch.bytes());
        shipment.batch.delivered_except(failed);
        if shipment.kind == Kind::Test {
            self.isolate.cleared();
        }
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
        self.sent_again(shipment);
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
        self.pace.back_off(started, now, told, random);
    }

    /// Nothing will be taken until something is mended. What waits goes on waiting.
    pub(crate) fn refused(&mut self, shipment: Shipment, now: Instant) {
        self.sent_again(shipment);
        self.pace.one_at_a_time();
        self.pace.pause(now + self.refused_pause, Why::Refused);
    }

    /// The allowance is used up for longer than is worth waiting for.
    pub(crate) fn out_of_quota(&mut self, shipment: Shipment, until: Instant) {
        self.dropped(shipment, DropReason::Quota);
        self.pace.one_at_a_time();
        self.pace.pause(until, Why::Quota);
    }

    /// The allowance is used up, nobody knows for how long.
    pub(crate) fn waits_for_quota(&mut self, shipment: Shipment, until: Instant) {
        self.sent_again(shipment);
        self.pace.one_at_a_time();
        self.pace.pause(until, Why::Quota);
    }

    pub(crate) fn dropped(&mut self, shipment: Shipment, reason: DropReason) {
        self.pace.landed(shipment.kind);
        shipment.batch.dropped(reason);
        if shipment.kind == Kind::Test {
            self.isolate.abandoned();
        }
    }

    /// The server did not process the request, so the same is sent again at once. Handed back if that was done a few times: then it is
    /// a failure like any other.
    pub(crate) fn unprocessed(&mut self, mut shipment: Shipment) -> Option<Shipment> {
        if shipment.at_once_at != self.evidence.accepted {
            shipment.at_once_at = self.evidence.accepted;
            shipment.at_once_in_a_row = 0;
        }
        if shipment.at_once_in_a_row == AT_ONCE || shipment.at_once == AT_ONCE_IN_ALL {
            return Some(shipment);
        }
        shipment.at_once += 1;
        shipment.at_once_in_a_row += 1;
        self.sent_again(shipment);
        None
    }

    /// So many more or fewer of the requests under way are on connections that were left.
    pub(crate) fn left_behind(&mut self, change: i32) {
        self.pace.left_behind(change);
    }

    /// The endpoint is not the one for this connection (421). Over another one it may be, so the same is sent again at
    /// once. The second time it is handed back.
    pub(crate) fn misdirected(&mut self, mut shipment: Shipment) -> Option<Shipment> {
        if shipment.was_misdirected {
            return Some(shipment);
        }
        shipment.was_misdirected = true;
        self.sent_again(shipment);
        None
    }

    /// The attempt is over, and the same goes first when something may be sent.
    pub(crate) fn sent_again(&mut self, shipment: Shipment) {
        self.pace.landed(shipment.kind);
        match shipment.kind {
            Kind::Ordinary => self.waiting.push_front(shipment),
            Kind::Test => self.returned = Some(shipment),
        }
    }

    /// The batch in hand went with the panic, and was counted; its attempt will not come to an end.
    pub(crate) fn restarted(&mut self) {
        self.pace.none_is_under_way();
        if self.returned.is_none() {
            self.isolate.abandoned();
        }
    }

    // Pauses.

    /// What was refused before may be tried again at once.
    pub(crate) fn no_longer_refused(&mut self) {
        self.pace.no_longer_refused();
        self.isolate.no_longer_refused();
    }

    /// Somebody waits for delivery: an attempt is made now, though the backoff would wait longer. At most once a second.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.pace.hurry(now);
        self.make_due();
    }

    /// A pause that is already longer stays.
    pub(crate) fn pause(&mut self, until: Instant, why: Why) {
        self.pace.pause(until, why);
    }

    pub(crate) fn paused(&self, now: Instant) -> Option<Why> {
        self.pace.paused(now)
    }

    /// When to look at this destination again, if something waits for that.
    pub(crate) fn resumes_at(&self, now: Instant) -> Option<Instant> {
        let unheard = self.ending.next_look(now);
        let resumes = if self.pace.paused(now).is_some() {
            self.pace.paused_until().filter(|_| self.has_work())
        } else {
            // A test that is due already waits for an answer, which wakes the worker.
            let test = match self.returned {
                Some(_) => Some(self.isolate.free_at(now)),
                None => self.isolate.due_at(now, self.evidence),
            };
            test.filter(|at| *at > now)
        };
        resumes.into_iter().chain(unheard).min()
    }

    /// Whether there is something to send, as far as is known.
    pub(crate) fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.isolate.is_empty() || self.has_fresh_work()
    }

    fn has_fresh_work(&self) -> bool {
        self.due || self.batcher.events() > 0 || self.queue.wants_worker()
    }

    /// Nothing can be done but wait for somebody to mend something.
    pub(crate) fn is_blocked(&self, now: Instant) -> bool {
        let is_paused = matches!(self.paused(now), Some(Why::Refused | Why::Quota));
        self.pace.is_empty() && is_paused || !self.due && self.waits_for_others(now)
    }

    /// Whether there is nothing to do but wait for a record that a producer is just now appending, and somebody waits for it.
    pub(crate) fn has_straggler(&self, now: Instant) -> bool {
        let is_idle = self.pace.is_empty() && self.waiting.is_empty() && self.isolate.is_empty();
        self.due && is_idle && self.pace.paused(now).is_none() && self.queue.has_pending()
    }

    // Shutting down.

    /// Waits that only spare the server are cut short.
    pub(crate) fn close(&mut self, now: Instant) {
        self.ending.begin(now);
        self.pace.close(now);
        self.make_due();
    }

    /// The process does not end after all.
    pub(crate) fn goes_on(&mut self) {
        self.ending.goes_on();
        self.pace.goes_on();
    }

    /// An attempt begun at `started` came to an end. `is_unheard`: nothing listens there.
    pub(crate) fn attempted(&mut self, started: Instant, is_unheard: bool) {
        self.ending.attempted(started, is_unheard);
    }

    /// The last attempt was refused a connection: more time would hardly have helped.
    pub(crate) fn is_unheard(&self) -> bool {
        self.ending.is_unheard()
    }

    /// Whether nothing more can be delivered: a wait ends after `deadline`, or nothing listens.
    pub(crate) fn is_hopeless(&self, deadline: Instant, now: Instant) -> bool {
        let is_too_late = self
            .pace
            .paused_until()
            .is_some_and(|until| until >= deadline);
        self.pace.is_empty() && is_too_late || self.stays_unheard(now)
    }

    /// Since the end was asked for, nothing has listened for long enough.
    pub(crate) fn stays_unheard(&self, now: Instant) -> bool {
        self.pace.is_empty() && self.ending.stays_unheard(now)
    }

    /// Why there are suspects, in the endpoint's words.
    pub(crate) fn suspicion(&mut self) -> Option<String> {
        self.said.take().filter(|_| !self.isolate.is_empty())
    }

    pub(crate) fn heard(&mut self, said: &str) {
        self.said = Some(said.to_owned());
    }

    /// Drops all there is, for a reason that the pause in force or the suspicion explains better than the deadline.
    pub(crate) fn drop_all(&mut self, now: Instant) -> u32 {
        let refused = match self.paused(now) {
            Some(Why::Refused) => Some(DropReason::Refused),
            Some(Why::Quota) => Some(DropReason::Quota),
            _ => None,
        };
        let reason = refused.unwrap_or(match self.is_crowded() {
            true => DropReason::Refused,
            false => DropReason::Shutdown,
        });
        self.queue.end();
        let mut events = 0;
        let mut drop = |batch: Batch, reason| {
            events += batch.events();
            batch.dropped(reason);
        };
        if let Some(test) = self.returned.take() {
            self.isolate.was_lost(test.batch);
        }
        for (batch, suspicion) in self.isolate.drain(self.evidence) {
            drop(batch, refused.unwrap_or(suspicion));
        }
        for shipment in self.waiting.drain(..) {
            drop(shipment.batch, reason);
        }
        self.queue.collect_open();
        while let Some(batch) = self.batcher.next(&self.queue, self.configured) {
            drop(batch, reason);
        }
        events
    }
}

#[cfg(test)]
mod tests;
