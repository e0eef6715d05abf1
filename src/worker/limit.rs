//! How often this process may send, so that a fleet of them keeps within one rate limit. A value: it is given the time.
//!
//! The limit belongs to the organization or the token, and each answer says how much of it is left in the current
//! minute. Nobody says how many processes share it. But all of them read the same numbers, so a worker compares two
//! of its answers: what is gone between them was spent by the whole fleet. If that is faster than the limit allows, it
//! lowers its own rate by the same factor as all the others do, and so on until the fleet fits.
//!
//! While the fleet keeps within its limit, or the answers do not carry the headers, there is no rate and nothing waits.

use std::time::{Duration, Instant};

use super::allowance::{Allowance, RATE_WINDOW as WINDOW, RateRefusal};
use super::pace::HURRY_EVERY;

/// Two answers further apart than this tell the fleet's rate; nearer ones tell chance.
const LOOK: Duration = Duration::from_secs(1);

/// A window tells the fleet's rate once it is so old: its beginning is known to the second only.
const SETTLED: Duration = Duration::from_secs(5);

/// The part of the limit that a worker aims at. The steps towards fairness lift the fleet above its aim, by a fourth if
/// each has a request in ten seconds. Nearer the end of a window the correction does the rest.
const AIM: f64 = 0.75;

/// How strongly the aim is corrected by how far the fleet is ahead of, or behind, the even use of a window.
const CORRECTION: f64 = 3.0;

/// The fleet must be faster than its aim by a fourth before a worker without a rate takes one: one second says little.
const CLEARLY: f64 = 0.8;

/// One look changes what is asked for by no more than these factors: it may have fallen on a moment that says little.
const LEAST_CHANGE: f64 = 0.125;
const MOST_CHANGE: f64 = 4.0;

/// A step towards fairness. Factors alone keep the proportions between the workers for ever; this addition is larger,
/// in proportion, for whoever has less. It is nearly the same for all rates, but a little smaller for small ones.
const STEP: f64 = 0.02;
const STEP_POWER: f64 = 0.2;
/// Of the rate, so that a worker with a request in minutes does not leap.
const LONGEST_STEP: f64 = 0.5;

/// From this rate on, in requests a second, there is nothing to pace: it is more than a worker needs.
const FREE: f64 = 20.0;

/// No wait between two requests is longer because of the rate.
const LONGEST_GAP: Duration = Duration::from_secs(180);

/// Requests accepted in a minute that tell a share of the limit. Fewer tell nothing.
const FEW: f64 = 3.0;

/// Without success for so long, the others were without it, too, and all have much to send.
const OUTAGE: Duration = Duration::from_secs(5);

/// While the answers do not say what is left, the rate grows by this part of itself in a window without a 429.
const BLIND_GROWTH: f64 = 0.15;

/// However long ago the last look was, it tells of no more windows than this.
const MOST_WINDOWS: f64 = 4.0;

/// A window ends at the same time however often it is read; the clocks and whole seconds may differ by less than this.
const SAME_WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// Known if the answer carried it.
    remaining: Option<f64>,
    resets: Instant,
}

/// The rate of a worker that always has something to send, but no full batch.
fn ordinary(interval: Duration) -> f64 {
    interval.max(LOOK).as_secs_f64().recip()
}

/// The rate that a worker begins with if it had none, and nothing tells of a higher one.
fn little(interval: Duration) -> f64 {
    (ordinary(interval) * LEAST_CHANGE).max(WINDOW.as_secs_f64().recip())
}

fn step(rate: f64) -> f64 {
    (STEP * rate.powf(STEP_POWER)).min(LONGEST_STEP * rate)
}

/// How many requests were accepted in about the last minute. What a process needed before that says nothing of the limit.
#[derive(Debug, Default)]
struct Recent {
    /// The minute that is being counted begins here.
    minute: Option<Instant>,
    accepted: u32,
    /// Those of the minute before, unless the count began in this one.
    before: Option<u32>,
}

impl Recent {
    /// Counts from here on.
    fn since(at: Instant) -> Self {
        Self {
            minute: Some(at),
            ..Self::default()
        }
    }

    fn begin(&mut self, now: Instant) {
        self.minute.get_or_insert(now);
    }

    fn add(&mut self, now: Instant) {
        self.begin(now);
        self.roll(now);
        self.accepted += 1;
    }

    /// How old the minute is that is being counted.
    fn roll(&mut self, now: Instant) -> Duration {
        let minute = *self.minute.get_or_insert(now);
        let mut age = now.saturating_duration_since(minute);
        if age >= WINDOW {
            let is_next = age < 2 * WINDOW;
            let before = std::mem::take(&mut self.accepted);
            self.before = Some(if is_next { before } else { 0 });
            age = if is_next {
                age - WINDOW
            } else {
                Duration::ZERO
            };
            self.minute = Some(now - age);
        }
        age
    }

    /// How many, and in which time: a minute, or less if the count began later.
    fn count(&mut self, now: Instant) -> (f64, Duration) {
        let age = self.roll(now);
        let accepted = f64::from(self.accepted);
        match self.before {
            None => (accepted, age),
            Some(before) => {
                let part = 1.0 - age.as_secs_f64() / WINDOW.as_secs_f64();
                (accepted + f64::from(before) * part, WINDOW)
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct RateLimit {
    /// Requests a second. `None`: as many as there are.
    rate: Option<f64>,
    /// The next turn. Nothing is sent before it, unless somebody waits for that.
    next: Option<Instant>,
    /// What the server said is over by then. Nothing is sent before it either.
    hold: Option<Instant>,
    /// Requests that had their turn and were not processed: as many have none to wait for.
    returned: u32,
    last_sent: Option<Instant>,
    look: Option<Look>,
    /// Since the last look.
    sent: u32,
    /// Requests that were accepted.
    accepted: Recent,
    /// Refusals by 429 in a row.
    refusals: u32,
    /// When to come back, if the last 429 told nothing else: a limit that is over so soon is tried again as soon. `None`: the
    /// window is a minute.
    told_window: Option<Duration>,
    failing_since: Option<Instant>,
    /// When a wait was last cut short.
    hurried: Option<Instant>,
}

impl RateLimit {
    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.resumes_at(now).is_none()
    }

    /// When the next request may be sent, if that is later than `now`.
    pub(super) fn resumes_at(&self, now: Instant) -> Option<Instant> {
        let turn = self.next.filter(|_| self.returned == 0);
        turn.max(self.hold).filter(|at| *at > now)
    }

    /// Somebody waits for delivery: one request may leave now. At most once a second, for some programs ask after each
    /// piece of work.
    pub(super) fn hurry(&mut self, now: Instant) {
        let is_too_soon = self.hurried.is_some_and(|last| now < last + HURRY_EVERY);
        if !self.may_send(now) && !is_too_soon {
            self.hurried = Some(now);
            self.next = None;
            self.hold = None;
        }
    }

    /// A request leaves. `random` lies in `0.0..1.0`, as everywhere here.
    pub(super) fn sent(&mut self, now: Instant, random: f64) {
        if self.returned > 0 {
            self.returned -= 1;
            return;
        }
        self.sent += 1;
        self.last_sent = Some(now);
        self.accepted.begin(now);
        self.next = self.after(now, random);
    }

    /// A request came back that goes again at once, as the server had not processed it: it has had its turn, and needs no other.
    pub(super) fn returned(&mut self) {
        self.returned += 1;
    }

    /// A gap after `from`, on the average. No two workers stay in step.
    fn after(&self, from: Instant, random: f64) -> Option<Instant> {
        Some(from + self.gap()?.mul_f64(0.5 + random))
    }

    fn gap(&self) -> Option<Duration> {
        let rate = self.rate?;
        Some(Duration::from_secs_f64(
            rate.recip().min(LONGEST_GAP.as_secs_f64()),
        ))
    }

    /// A request was accepted, and its answer said this of the limit, if anything. Without a limit, a worker sends
    /// every `interval`.
    pub(super) fn accepted(
        &mut self,
        now: Instant,
        allowance: Option<Allowance>,
        interval: Duration,
        random: f64,
    ) {
        self.accepted.add(now);
        self.refusals = 0;
        let was_outage = self
            .failing_since
            .take()
            .is_some_and(|since| now >= since + OUTAGE);
        let before = self.rate;
        match allowance {
            Some(allowance) => {
                if was_outage && self.rate.is_none() {
                    // All have a backlog, and none knows yet how fast the others send theirs.
                    self.rate = Some(ordinary(interval));
                }
                self.look(now, allowance, interval);
            }
            None => self.grow_blindly(now),
        }
        if self.rate != before {
            self.next = self.last_sent.and_then(|last| self.after(last, random));
        }
        if let Some(Allowance {
            remaining, resets, ..
        }) = allowance
            && remaining < 1.0
        {
            // The next one would be refused.
            let spread = self.gap().unwrap_or(interval).min(WINDOW);
            self.hold(now + resets + spread.mul_f64(random));
        }
    }

    fn look(&mut self, now: Instant, allowance: Allowance, interval: Duration) {
        let Allowance {
            limit,
            remaining,
            resets: left,
        } = allowance;
        let resets = now + left;
        let elapsed = WINDOW.saturating_sub(left);
        let before = self.look;
        let is_same_window = before.is_some_and(|look| {
            let (earlier, later) = (look.resets.min(resets), look.resets.max(resets));
            later - earlier < SAME_WINDOW
        });
        if before.is_some() && !is_same_window {
            self.accepted = Recent::since(now);
            self.accepted.add(now);
        }
        let since = before.map_or(Duration::MAX, |look| now - look.at);
        if since < LOOK {
            return;
        }
        // What the fleet has spent, and in which time.
        let (spent, time) = match before.and_then(|look| look.remaining) {
            Some(before) if is_same_window => ((before - remaining).max(0.0), since),
            _ => (limit - remaining, elapsed),
        };
        self.look = Some(Look {
            at: now,
            remaining: Some(remaining),
            resets,
        });
        let sent = std::mem::take(&mut self.sent);
        // The two clocks may differ by a part of a second.
        if time < if is_same_window { LOOK } else { SETTLED } {
            return;
        }
        let fleet = spent / time.as_secs_f64();
        // What is left is spread over what is left of the window, and over the next.
        let ahead = remaining / limit - left.as_secs_f64() / WINDOW.as_secs_f64();
        let aim = AIM * limit / WINDOW.as_secs_f64() * (1.0 + CORRECTION * ahead).clamp(0.1, 2.0);
        let change = (aim / fleet.max(f64::MIN_POSITIVE)).clamp(LEAST_CHANGE, MOST_CHANGE);
        self.rate = match self.rate {
            None if change >= CLEARLY => None,
            None => {
                let own = f64::from(sent) / since.as_secs_f64();
                Some(own.max(ordinary(interval)) * change)
            }
            // All correct the same difference at the same time, each after its own delay: half of it is enough.
            Some(rate) => Some(rate * change.sqrt() + step(rate)),
        };
        let is_plenty = FREE.max(limit / WINDOW.as_secs_f64());
        self.rate = self.rate.filter(|rate| change < 1.0 || *rate < is_plenty);
    }

    fn grow_blindly(&mut self, now: Instant) {
        let Some(rate) = self.rate else {
            return;
        };
        let since = self.look.map_or(WINDOW, |look| now - look.at);
        if since < LOOK {
            return;
        }
        self.look = Some(Look {
            at: now,
            remaining: None,
            resets: now,
        });
        let window = self.told_window.unwrap_or(WINDOW);
        let windows = (since.as_secs_f64() / window.as_secs_f64()).min(MOST_WINDOWS);
        let rate = rate * (1.0 + BLIND_GROWTH * windows) + step(rate) * windows;
        self.rate = Some(rate).filter(|rate| *rate < FREE);
    }

    /// A request was refused for the rate limit.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        refusal: RateRefusal,
        interval: Duration,
        random: f64,
    ) {
        let told = refusal.after;
        self.returned = 0;
        let is_first = self.refusals == 0;
        self.refusals = self.refusals.saturating_add(1);
        self.told_window = match (refusal.resets, refusal.allowance) {
            (None, None) => told.map(|told| told.clamp(LOOK, WINDOW)),
            _ => None,
        };
        // Requests that were under way together are refused together, and count once.
        if is_first || self.rate.is_none() {
            let (accepted, elapsed) = self.accepted.count(now);
            match (self.rate, refusal.allowance) {
                // The limit was used up before its window was over.
                (Some(rate), _) => {
                    let left = refusal.resets.unwrap_or(WINDOW / 2).min(WINDOW);
                    let elapsed = (WINDOW - left).as_secs_f64() / WINDOW.as_secs_f64();
                    self.rate = Some(rate * elapsed.clamp(0.5, 0.95));
                }
                (None, Some(allowance)) => {
                    self.look(now, allowance, interval);
                    self.rate.get_or_insert(little(interval));
                }
                // If each sends next time as many as got through this time, the fleet fits exactly.
                (None, None) if accepted > 0.0 => {
                    // Whoever says when to come back says when the window ends.
                    let window = told.map_or(WINDOW, |told| WINDOW.min(elapsed + told.max(LOOK)));
                    let rate = accepted / elapsed.max(window).as_secs_f64();
                    // After a quiet time so few say what was needed, and nothing of the limit.
                    let least = if accepted < FEW {
                        little(interval)
                    } else {
                        0.0
                    };
                    self.rate = Some(rate.max(least));
                }
                (None, None) => {}
            }
            self.accepted = Recent::since(now + told.unwrap_or_default());
        }
        let Some(told) = told else {
            return;
        };
        // All who were refused come back after the same time.
        let span = match self.gap() {
            Some(gap) => gap.min(WINDOW),
            // Nothing got through yet, so nothing is known but the wait: it says what scale of time matters.
            None => (told / 2)
                .max(LOOK)
                .saturating_mul(1 << self.refusals.min(7).saturating_sub(1))
                .min(WINDOW),
        };
        self.hold(now + told + span.mul_f64(random));
    }

    /// A request failed in another way.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
        self.returned = 0;
    }

    fn hold(&mut self, until: Instant) {
        self.hold = self.hold.max(Some(until));
    }
}

#[cfg(test)]
mod tests;
