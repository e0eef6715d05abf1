//! What becomes of a body that the endpoint refused for what it holds, 413 and 400, and of the search in it.

use std::time::Instant;

use super::super::batch::Limits;
use super::super::isolate::{Charge, Found};
use super::super::pace::{Kind, Why};
use super::{Destination, Shipment};
use crate::report::DropReason;

/// Refusals for its size, with successes of others between them, after which a record is given up though
/// its size does not explain them. Of a hundred passing ones, a record meets three in a row once in a million.
const MODEST_REFUSALS: u32 = 3;

/// Of the queue's chunks, suspects may keep a fourth: the rest is for records that nobody suspects. (With
/// `Overflow::DropOldest` the worker is given half of them at the most.)
pub(super) const SUSPECTS_SHARE: usize = 4;

/// What became of a body that the endpoint refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What fits, or the record at fault, is looked for; a single record gets another chance.
    Again,
    /// The one record in it was at fault, and is dropped.
    Dropped,
    /// More bodies are refused than can be searched: so many records were dropped unsearched, to make room.
    GaveUp(u32),
    /// It does not look like the fault of single records: everything waits.
    Waits,
}

impl Destination {
    /// The endpoint found the body too large. Smaller ones may fit.
    ///
    /// A single record is given up like an unreadable one, if its size may explain it; else only after several
    /// refusals, for something else is wrong that will pass.
    pub(crate) fn too_large(&mut self, shipment: Shipment, now: Instant) -> Verdict {
        let (kind, attempt) = (shipment.kind, shipment.attempt);
        self.pace.landed(kind);
        let bytes = shipment.batch.bytes();
        let is_single = shipment.batch.events() == 1;
        // While a limit is looked for, one upload at a time is enough to lose.
        if is_single || self.size.refused(bytes) {
            self.pace.one_at_a_time();
        }
        let is_modest = self.size.is_modest(bytes);
        let charge = Charge {
            reason: DropReason::TooLarge,
            refusals: if is_modest { MODEST_REFUSALS } else { 1 },
        };
        let found = match (shipment.kind, is_single) {
            (Kind::Test, true) => self
                .isolate
                .refused(shipment.batch, now, self.evidence, charge),
            // Its size says nothing of its records.
            (Kind::Test, false) => {
                self.isolate.was_too_large(shipment.batch);
                Found::Nothing
            }
            // A request begun after its body was halved was accepted.
            (Kind::Ordinary, true) if !is_modest && self.is_passed_by(&shipment) => {
                Found::Culprit(shipment.batch, charge.reason)
            }
            (Kind::Ordinary, true) => return self.suspect(shipment, charge, now),
            (Kind::Ordinary, false) => {
                self.halve(shipment);
                Found::Nothing
            }
        };
        self.conclude(kind, attempt, found, now)
    }

    /// The endpoint could not read the body. One record may be at fault, or the configuration.
    pub(crate) fn unreadable(&mut self, shipment: Shipment, now: Instant) -> Verdict {
        let (kind, attempt) = (shipment.kind, shipment.attempt);
        self.pace.landed(kind);
        if kind == Kind::Ordinary {
            return self.suspect(shipment, Charge::UNREADABLE, now);
        }
        let (batch, charge) = (shipment.batch, Charge::UNREADABLE);
        let found = self.isolate.refused(batch, now, self.evidence, charge);
        self.conclude(kind, attempt, found, now)
    }

    /// Makes suspects of the records of an ordinary body.
    fn suspect(&mut self, shipment: Shipment, charge: Charge, now: Instant) -> Verdict {
        let (kind, attempt, batch) = (shipment.kind, shipment.attempt, shipment.batch);
        // Nobody is given up while nothing gets through.
        let may_hold = match self.streak.ordinary() {
            0 => self.may_hold(),
            _ => usize::MAX,
        };
        let evidence = self.evidence;
        let given_up = self.isolate.suspect(batch, now, evidence, charge, may_hold);
        let verdict = self.conclude(kind, attempt, Found::Nothing, now);
        // One refusal is that of a record. Several in a row may be everything's.
        if self.streak.ordinary() > 1 {
            self.pace.halve();
        }
        match given_up.events() {
            0 => verdict,
            records => {
                given_up.dropped(DropReason::Rejected);
                Verdict::GaveUp(records)
            }
        }
    }

    fn conclude(&mut self, kind: Kind, attempt: u64, found: Found, now: Instant) -> Verdict {
        if let Found::Culprit(record, reason) = found {
            record.dropped(reason);
            // It was to be expected, and says nothing of others.
            return Verdict::Dropped;
        }
        self.streak.goes_on(kind, attempt, self.evidence.attempts);
        if self.streak.nothing_gets_through() {
            self.isolate.rest(now);
            // Where suspects are refused, others may get through.
            if kind == Kind::Ordinary {
                self.pace.one_at_a_time();
                self.pace.pause(now + self.refused_pause, Why::Refused);
            }
            return Verdict::Waits;
        }
        if self.waits_for_others(now) {
            return Verdict::Waits;
        }
        Verdict::Again
    }

    /// There are suspects, and nothing can be done about them, as far as is known, but wait for a record that gets through.
    pub(super) fn waits_for_others(&self, now: Instant) -> bool {
        let is_all = self.pace.is_empty() && self.waiting.is_empty() && self.batcher.events() == 0;
        is_all && !self.queue.wants_worker() && self.isolate.only_waits(now, self.evidence)
    }

    fn is_passed_by(&self, shipment: &Shipment) -> bool {
        let since = shipment.too_large_at;
        since.is_some_and(|attempts| self.evidence.accepted > attempts)
    }

    fn halve(&mut self, mut shipment: Shipment) {
        shipment.too_large_at.get_or_insert(self.evidence.attempts);
        let (first, second) = std::mem::take(&mut shipment.batch).halves();
        self.waiting.push_front(shipment.part(second));
        self.waiting.push_front(shipment.part(first));
    }

    // The search.

    /// A test takes no place among the requests under way from ordinary ones, and they none from it. Where the rate
    /// limit allows one request after the other, neither has two turns if the other has something to send.
    pub(super) fn next_test(&mut self, now: Instant, may_grow: bool) -> Option<Shipment> {
        // In trouble that has nothing to do with records, the endpoint is not asked about records.
        let is_failing = self.pace.is_failing() && !self.pace.is_idle();
        if is_failing {
            return None;
        }
        if self.returned.is_some() {
            return self.returned.take_if(|_| self.isolate.repeats(now));
        }
        if !may_grow {
            return None;
        }
        // Whether larger bodies are taken by now, ordinary ones find out.
        let limits = Limits {
            max_bytes: self.size.learned(),
            ..self.configured
        };
        let wants_proof = self.is_crowded() || self.streak.wants_proof();
        let next = self.isolate.next(now, self.evidence, wants_proof, limits);
        next.map(|batch| Shipment::new(batch, Kind::Test))
    }

    /// There is no room for more suspects, and further bodies would hardly fare better than those before.
    pub(super) fn is_crowded(&self) -> bool {
        self.streak.is_discouraging() && self.isolate.held() > self.may_hold()
    }

    /// Bodies that nobody suspects wait for the search. Where that can only wait itself, they are how to learn that something gets
    /// through.
    pub(super) fn holds_back(&self, now: Instant) -> bool {
        self.is_crowded() && !self.isolate.only_waits(now, self.evidence)
    }

    /// Chunks that suspects may keep.
    fn may_hold(&self) -> usize {
        self.queue.chunks() / SUSPECTS_SHARE
    }
}
