//! Which records of a refused body are at fault: a search at a pace of its own, beside ordinary traffic. A value: it is
//! given the time, and knows no client.
//!
//! Records of refused bodies are *suspects*. A test is a request with some of them. A body that was refused holds one at
//! fault: the search halves it until that one is alone, and returns what it has not looked at to the others. Of those it
//! takes as many at a time as seems worth it: twice as many after each test that gets through, half after each that does
//! not. So one record among 10,000 takes about 20 tests, and a thousand take about 7 for each. When refusals follow each
//! other, single records from all over tell whether anything gets through at all.
//!
//! A record is given up only if it was refused alone and another got through meanwhile, which proves that the endpoint
//! takes records at all. Until then it waits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::batch::{Batch, Limits};
use crate::report::DropReason;

/// Tests in any second, at the most.
pub(super) const TESTS_PER_SECOND: usize = 5;

/// Times of the latest tests, for the bound on how many there are in a second.
#[derive(Debug, Default)]
struct Rate {
    latest: VecDeque<Instant>,
}

impl Rate {
    /// From when on there may be another; `None`: from the start.
    fn free_at(&self) -> Option<Instant> {
        let oldest = self.latest.front()?;
        (self.latest.len() == TESTS_PER_SECOND).then(|| *oldest + Duration::from_secs(1))
    }

    fn note(&mut self, now: Instant) {
        if self.latest.len() == TESTS_PER_SECOND {
            self.latest.pop_front();
        }
        self.latest.push_back(now);
    }
}

/// What is known of who got through. Attempts have numbers, from 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    /// The number of the latest attempt.
    pub(super) attempts: u64,
    /// The latest attempt that was accepted.
    pub(super) accepted: u64,
}

/// Why a record was refused, and how often it may be, with others that get through in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) reason: DropReason,
    pub(super) refusals: u32,
}

impl Charge {
    pub(super) const UNREADABLE: Self = Self {
        reason: DropReason::Rejected,
        refusals: 1,
    };
}

/// A record that was refused alone, and waits for a proof that others get through.
#[derive(Debug)]
struct Lone {
    batch: Batch,
    charge: Charge,
    /// The number of the latest attempt when it was refused.
    refused_at: u64,
}

impl Lone {
    fn has_proof(&self, evidence: Evidence) -> bool {
        evidence.accepted > self.refused_at
    }
}

/// What the test under way is about.
#[derive(Debug, Clone, Copy)]
enum Test {
    /// A half of the records one of which is at fault, or the last of them.
    Half,
    /// Some of those of which nothing is known.
    Unknown,
    /// One of those, taken from anywhere: whether anything gets through.
    Spot,
    Lone {
        charge: Charge,
        refused_at: u64,
    },
}

/// What a refusal led to.
#[derive(Debug)]
pub(super) enum Found {
    /// The search goes on.
    Nothing,
    /// The one that is at fault.
    Culprit(Batch, DropReason),
}

#[derive(Debug)]
pub(super) struct Isolate {
    /// Of these at least one is at fault, as far as a refusal of all of them tells.
    guilty: Batch,
    /// All tests of the refused body so far were accepted. If only one of its records is left and is refused, it is the
    /// culprit.
    is_cornered: bool,
    /// Suspects of which nothing more is known.
    unknown: Batch,
    /// How many of them the next test takes.
    stride: u32,
    lone: VecDeque<Lone>,
    test: Option<Test>,
    rate: Rate,
    resting_until: Option<Instant>,
    /// When a record without proof is tried again, to see whether the endpoint was mended.
    probe_at: Option<Instant>,
    /// Chunks of the queue that suspects keep, each counted once.
    held: usize,
    /// How long a record that was refused alone waits for another attempt if nothing else gets through, and how long the
    /// search rests when it meets nothing but refusals.
    pause: Duration,
}

impl Isolate {
    pub(super) fn new(pause: Duration) -> Self {
        Self {
            guilty: Batch::default(),
            is_cornered: false,
            unknown: Batch::default(),
            stride: 1,
            lone: VecDeque::new(),
            test: None,
            rate: Rate::default(),
            resting_until: None,
            probe_at: None,
            held: 0,
            pause,
        }
    }

    /// There is nobody to look for.
    pub(super) fn is_empty(&self) -> bool {
        let is_test = self.test.is_some();
        !is_test && self.guilty.events() == 0 && self.unknown.events() == 0 && self.lone.is_empty()
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    // Tests.

    /// From when on there may be a test, at the pace of the search.
    pub(super) fn free_at(&self, now: Instant) -> Instant {
        self.rate.free_at().unwrap_or(now).max(now)
    }

    /// Whether it is time to make the test under way again, which nobody has judged. If so, it is made.
    pub(super) fn repeats(&mut self, now: Instant) -> bool {
        let is_free = self.free_at(now) <= now;
        if is_free {
            self.rate.note(now);
        }
        is_free
    }

    /// When the next test may be made, if there is one to make.
    pub(super) fn due_at(&self, now: Instant, evidence: Evidence) -> Option<Instant> {
        if self.test.is_some() || self.is_empty() {
            return None;
        }
        let free = self.free_at(now);
        if self.lone.iter().any(|lone| lone.has_proof(evidence)) {
            return Some(free);
        }
        let rested = self.resting_until.unwrap_or(free).max(free);
        let others = self.guilty.events() > 0 || self.unknown.events() > 0;
        let probe = (!self.lone.is_empty()).then(|| self.probe_at.unwrap_or(free).max(free));
        others.then_some(rested).into_iter().chain(probe).min()
    }

    /// Nothing is to be done before a pause is over, or another record gets through.
    pub(super) fn only_waits(&self, now: Instant, evidence: Evidence) -> bool {
        let at = self.due_at(now, evidence);
        at.is_some_and(|at| at > now + Duration::from_secs(1))
    }

    /// The records of the next test, if it is time for one. `wants_proof`: it matters whether anything gets through at all.
    pub(super) fn next(
        &mut self,
        now: Instant,
        evidence: Evidence,
        wants_proof: bool,
        limits: Limits,
    ) -> Option<Batch> {
        if self.due_at(now, evidence)? > now {
            return None;
        }
        let is_resting = self.resting_until.is_some_and(|until| until > now);
        let proven = self.lone.iter().position(|lone| lone.has_proof(evidence));
        let (batch, test) = if let Some(lone) = proven.and_then(|at| self.lone.remove(at)) {
            Self::again(lone)
        } else if wants_proof && self.unknown.events() > 0 && !is_resting {
            (self.spot(limits), Test::Spot)
        } else if self.guilty.events() > 0 && !is_resting {
            let half = (self.guilty.events() / 2).max(1);
            (self.guilty.take(at_most(half, limits)), Test::Half)
        } else if self.unknown.events() > 0 && !is_resting {
            let some = self.unknown.take(at_most(self.stride, limits));
            (some, Test::Unknown)
        } else {
            Self::again(self.lone.pop_front()?)
        };
        self.rate.note(now);
        self.test = Some(test);
        Some(batch)
    }

    /// A record from another place each time: those at fault may come one after the other.
    fn spot(&mut self, limits: Limits) -> Batch {
        // By the golden ratio, places keep away from those before.
        let skipped = u64::from(self.unknown.events()) * 618 / 1_000;
        let skipped = u32::try_from(skipped).unwrap_or(0);
        if skipped > 0 {
            let first = self.unknown.take(Limits {
                max_events: skipped,
                max_bytes: usize::MAX,
            });
            self.unknown.append(first);
        }
        self.unknown.take(at_most(1, limits))
    }

    fn again(lone: Lone) -> (Batch, Test) {
        let Lone {
            batch,
            charge,
            refused_at,
        } = lone;
        (batch, Test::Lone { charge, refused_at })
    }

    /// Records got through, be they suspects or not.
    pub(super) fn others_get_through(&mut self) {
        self.resting_until = None;
    }

    /// The test under way was accepted.
    pub(super) fn cleared(&mut self) {
        match self.test.take() {
            Some(Test::Half) => self.is_cornered = true,
            Some(Test::Unknown) => self.stride = self.stride.saturating_mul(2),
            Some(Test::Spot | Test::Lone { .. }) | None => {}
        }
        self.weigh();
    }

    /// The test under way was refused. `charge` is what for, if it held a single record.
    pub(super) fn refused(
        &mut self,
        batch: Batch,
        now: Instant,
        evidence: Evidence,
        charge: Charge,
    ) -> Found {
        let test = self.test.take();
        let is_last = self.is_cornered && self.guilty.events() == 0;
        let found = match test {
            Some(Test::Lone {
                mut charge,
                refused_at,
            }) => {
                if evidence.accepted > refused_at {
                    charge.refusals = charge.refusals.saturating_sub(1);
                }
                if charge.refusals == 0 {
                    Found::Culprit(batch, charge.reason)
                } else {
                    self.wait_for_proof(batch, now, evidence, charge)
                }
            }
            Some(Test::Spot) => self.wait_for_proof(batch, now, evidence, charge),
            Some(Test::Half) if batch.events() == 1 && is_last && charge.refusals == 1 => {
                self.is_cornered = false;
                Found::Culprit(batch, charge.reason)
            }
            _ => {
                if matches!(test, Some(Test::Unknown)) {
                    self.stride = (batch.events() / 2).max(1);
                }
                self.acquit();
                if batch.events() == 1 {
                    self.wait_for_proof(batch, now, evidence, charge)
                } else {
                    self.guilty = batch;
                    Found::Nothing
                }
            }
        };
        self.weigh();
        found
    }

    /// The test under way was too large, which says nothing of its records: they are as unknown as before. The next one takes
    /// fewer, so that it is another one even if no size limit was learned.
    pub(super) fn was_too_large(&mut self, batch: Batch) {
        self.test = None;
        self.stride = (batch.events() / 2).max(1);
        self.acquit();
        self.unknown.prepend(batch);
        self.weigh();
    }

    /// Nobody will know what became of the test under way: its records are where they were taken from.
    pub(super) fn was_lost(&mut self, batch: Batch) {
        match self.test.take() {
            Some(Test::Half) => self.guilty.prepend(batch),
            Some(Test::Lone { charge, refused_at }) => self.lone.push_front(Lone {
                batch,
                charge,
                refused_at,
            }),
            Some(Test::Unknown | Test::Spot) | None => self.unknown.prepend(batch),
        }
        self.weigh();
    }

    /// The records of the test under way are gone: dropped for another reason.
    pub(super) fn abandoned(&mut self) {
        self.test = None;
        self.acquit();
        self.weigh();
    }

    /// Those of whom one was at fault are unknown again: the one that was found may have been it.
    fn acquit(&mut self) {
        self.unknown.prepend(std::mem::take(&mut self.guilty));
        self.is_cornered = false;
    }

    fn wait_for_proof(
        &mut self,
        batch: Batch,
        now: Instant,
        evidence: Evidence,
        charge: Charge,
    ) -> Found {
        self.probe_at = Some(now + self.pause);
        self.lone.push_back(Lone {
            batch,
            charge,
            refused_at: evidence.attempts,
        });
        Found::Nothing
    }

    /// The search meets nothing but refusals.
    pub(super) fn rest(&mut self, now: Instant) {
        self.resting_until = Some(now + self.pause);
        self.probe_at = Some(now + self.pause);
    }

    /// What was refused before may be tried again at once.
    pub(super) fn no_longer_refused(&mut self) {
        self.resting_until = None;
        self.probe_at = None;
    }

    // Suspects.

    /// Takes over an ordinary body that was refused; `charge` is what for, if it held a single record. Suspects may keep so many
    /// chunks of the queue; beyond that the oldest are handed back, to be given up.
    pub(super) fn suspect(
        &mut self,
        batch: Batch,
        now: Instant,
        evidence: Evidence,
        charge: Charge,
        may_hold: usize,
    ) -> Batch {
        let chunks: usize = batch.chunks().map(|(_, chunks)| chunks).sum();
        let given_up = self.make_room(evidence, may_hold.saturating_sub(chunks));
        if batch.events() == 1 {
            self.wait_for_proof(batch, now, evidence, charge);
        } else if self.test.is_none() && self.guilty.events() == 0 && self.unknown.events() == 0 {
            self.stride = (batch.events() / 2).max(1);
            self.is_cornered = false;
            self.guilty = batch;
        } else {
            self.unknown.append(batch);
        }
        self.weigh();
        given_up
    }

    /// Hands back suspects until the others keep no more than so many chunks: first those that were refused alone while others got
    /// through, then those of which nothing is known. Without a proof, none of the former is given up.
    fn make_room(&mut self, evidence: Evidence, may_hold: usize) -> Batch {
        let mut given_up = Batch::default();
        while self.held > may_hold {
            let proven = self.lone.iter().position(|lone| lone.has_proof(evidence));
            let lone = proven.and_then(|at| self.lone.remove(at));
            let oldest = lone.map(|lone| lone.batch);
            let Some(oldest) = oldest.or_else(|| self.unknown.take_chunk()) else {
                break;
            };
            given_up.append(oldest);
            self.weigh();
        }
        given_up
    }

    fn weigh(&mut self) {
        let lone = self.lone.iter().flat_map(|lone| lone.batch.chunks());
        let mut all: Vec<_> = self
            .unknown
            .chunks()
            .chain(self.guilty.chunks())
            .chain(lone)
            .collect();
        all.sort_unstable();
        all.dedup();
        self.held = all.iter().map(|(_, chunks)| chunks).sum();
    }

    /// All suspects, with the reason that they are dropped for at the end.
    pub(super) fn drain(&mut self, evidence: Evidence) -> Vec<(Batch, DropReason)> {
        // Nothing ever got through, or nothing for so long that the search had to rest.
        let reason = if evidence.accepted == 0 || self.resting_until.is_some() {
            DropReason::Refused
        } else {
            DropReason::Rejected
        };
        let mut all: Vec<_> = [&mut self.guilty, &mut self.unknown]
            .map(|batch| (std::mem::take(batch), reason))
            .into();
        for lone in self.lone.drain(..) {
            let reason = if lone.has_proof(evidence) {
                lone.charge.reason
            } else {
                DropReason::Refused
            };
            all.push((lone.batch, reason));
        }
        all.retain(|(batch, _)| batch.events() > 0);
        self.held = 0;
        all
    }
}

fn at_most(events: u32, limits: Limits) -> Limits {
    Limits {
        max_events: events.min(limits.max_events),
        ..limits
    }
}
