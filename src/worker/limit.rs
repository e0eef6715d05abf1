//! How often this process may send, so that a fleet of them keeps within one rate limit. A value: it is given the time.
//!
//! The limit belongs to the organization or the token, and each answer says how much of it is left in the current
//! minute. Nobody says how many processes share it. But all of them read the same numbers, so a worker compares two
//! of its answers: what is gone between them was spent by the whole fleet. If that is faster than the limit allows, it
//! lowers its own rate by the same factor as all the others do, and so on until the fleet fits.
//!
//! While the fleet keeps within its limit, or the answers do not carry the headers, there is no rate and nothing waits.

use std::time::{Duration, Instant};

use super::pace::HURRY_EVERY;
use super::response::{Allowance, RATE_WINDOW as WINDOW, RateRefusal};

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

/// Without success for so long, the others were without it, too, and all have much to send.
const OUTAGE: Duration = Duration::from_secs(5);

/// While the answers do not say what is left, the rate grows by this part of itself in a minute without a 429.
const BLIND_GROWTH: f64 = 0.15;

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

fn step(rate: f64) -> f64 {
    (STEP * rate.powf(STEP_POWER)).min(LONGEST_STEP * rate)
}

#[derive(Debug, Default)]
pub(super) struct RateLimit {
    /// Requests a second. `None`: as many as there are.
    rate: Option<f64>,
    /// Nothing is sent before this, unless somebody waits for it.
    next: Option<Instant>,
    last_sent: Option<Instant>,
    look: Option<Look>,
    /// Since the last look.
    sent: u32,
    /// Requests that were accepted, and since when they are counted.
    accepted: u32,
    accepted_since: Option<Instant>,
    /// Refusals by 429 in a row.
    refusals: u32,
    failing_since: Option<Instant>,
    /// When a wait was last cut short.
    hurried: Option<Instant>,
}

impl RateLimit {
    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// When the next request may be sent, if that is later than `now`.
    pub(super) fn resumes_at(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now)
    }

    /// Somebody waits for delivery: one request may leave now. At most once a second, for some programs ask after each
    /// piece of work.
    pub(super) fn hurry(&mut self, now: Instant) {
        let is_too_soon = self.hurried.is_some_and(|last| now < last + HURRY_EVERY);
        if !self.may_send(now) && !is_too_soon {
            self.hurried = Some(now);
            self.next = None;
        }
    }

    /// A request leaves. `random` lies in `0.0..1.0`, as everywhere here.
    pub(super) fn sent(&mut self, now: Instant, random: f64) {
        self.sent += 1;
        self.last_sent = Some(now);
        self.accepted_since.get_or_insert(now);
        self.next = self.after(now, random);
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
        self.accepted += 1;
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
            self.accepted = 1;
            self.accepted_since = Some(now);
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
        let minutes = since.min(WINDOW).as_secs_f64() / WINDOW.as_secs_f64();
        let rate = rate * (1.0 + BLIND_GROWTH * minutes) + step(rate) * minutes;
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
        let is_first = self.refusals == 0;
        self.refusals = self.refusals.saturating_add(1);
        // Requests that were under way together are refused together, and count once.
        if is_first || self.rate.is_none() {
            match (self.rate, refusal.allowance) {
                // The limit was used up before its window was over.
                (Some(rate), _) => {
                    let left = refusal.resets.unwrap_or(WINDOW / 2).min(WINDOW);
                    let elapsed = (WINDOW - left).as_secs_f64() / WINDOW.as_secs_f64();
                    self.rate = Some(rate * elapsed.clamp(0.5, 0.95));
                }
                (None, Some(allowance)) => {
                    self.look(now, allowance, interval);
                    let little = ordinary(interval) * LEAST_CHANGE;
                    self.rate
                        .get_or_insert(little.max(WINDOW.as_secs_f64().recip()));
                }
                // If each sends next time as many as got through this time, the fleet fits exactly.
                (None, None) if self.accepted > 0 => {
                    let since = self.accepted_since.unwrap_or(now);
                    let time = now.saturating_duration_since(since).max(WINDOW);
                    self.rate = Some(f64::from(self.accepted) / time.as_secs_f64());
                }
                (None, None) => {}
            }
            self.accepted = 0;
            self.accepted_since = Some(now + told.unwrap_or_default());
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
    }

    fn hold(&mut self, until: Instant) {
        self.next = Some(self.next.map_or(until, |next| next.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The answer to a request when the window is `age` seconds old.
    fn left(remaining: u32, age: u64) -> Allowance {
        Allowance {
            limit: 600.0,
            remaining: f64::from(remaining),
            resets: WINDOW - Duration::from_secs(age),
        }
    }

    fn refusal(after: u64, allowance: Option<Allowance>) -> RateRefusal {
        RateRefusal {
            after: Some(Duration::from_secs(after)),
            resets: allowance.map(|known| known.resets),
            allowance,
        }
    }

    /// A worker that sends every second, and the gaps it then keeps.
    struct Bench {
        limit: RateLimit,
        start: Instant,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                limit: RateLimit::default(),
                start,
                now: start,
            }
        }

        /// Sends at `age` seconds of the window, of which `remaining` are left then.
        fn accepted(&mut self, age: u64, remaining: u32) {
            self.now = self.start + Duration::from_secs(age);
            self.limit.sent(self.now, 0.5);
            let allowance = Some(left(remaining, age % 60));
            self.limit.accepted(self.now, allowance, SECOND, 0.5);
        }

        fn refused(&mut self, refusal: RateRefusal, random: f64) {
            self.limit.sent(self.now, random);
            self.limit.refused(self.now, refusal, SECOND, random);
        }

        fn wait(&self) -> Duration {
            let next = self.limit.resumes_at(self.now);
            next.map_or(Duration::ZERO, |next| next - self.now)
        }
    }

    #[test]
    fn within_the_limit_nothing_waits() {
        let mut bench = Bench::new();
        for age in 0..300 {
            // 8 requests a second of 10 that are allowed.
            bench.accepted(age, 600 - 8 * (age as u32 % 60));
            assert!(bench.limit.may_send(bench.now), "at {age} s");
        }
    }

    #[test]
    fn a_fleet_that_is_too_fast_is_slowed_in_proportion_before_any_429() {
        let mut bench = Bench::new();
        bench.accepted(20, 500);
        assert_eq!(bench.wait(), Duration::ZERO);
        // 50 a second, where 7.5 are aimed at and the window is a little behind its even use.
        bench.accepted(21, 450);
        let wait = bench.wait();
        assert!((5 * SECOND..9 * SECOND).contains(&wait), "{wait:?}");
    }

    #[test]
    fn the_less_is_left_the_longer_is_the_wait() {
        let waits = [500, 350, 200].map(|remaining| {
            let mut bench = Bench::new();
            bench.accepted(20, remaining);
            bench.accepted(21, remaining - 20);
            bench.wait()
        });
        assert!(waits.is_sorted() && waits[0] < waits[2], "{waits:?}");
    }

    #[test]
    fn the_rate_is_given_up_when_the_fleet_becomes_slower() {
        let mut bench = Bench::new();
        bench.accepted(20, 500);
        bench.accepted(21, 400);
        assert!(bench.wait() > Duration::ZERO);
        let mut age = 21;
        while bench.wait() > Duration::ZERO {
            age += bench.wait().as_secs() + 1;
            bench.accepted(age, 600 - (age % 60) as u32);
            assert!(age < 180, "it stays slow");
        }
    }

    #[test]
    fn two_workers_with_different_rates_become_equal() {
        let mut rates = [0.5, 0.02].map(|rate| RateLimit {
            rate: Some(rate),
            ..RateLimit::default()
        });
        let start = Instant::now();
        for second in 0..1_200 {
            let now = start + second * SECOND;
            let age = u64::from(second % 60);
            for limit in &mut rates {
                limit.sent(now, 0.5);
                if second % 10 == 0 {
                    // The limit is used evenly.
                    let allowance = Some(left(600 - 10 * age as u32, age));
                    limit.accepted(now, allowance, SECOND, 0.5);
                }
            }
        }
        let [first, second] = rates.map(|limit| limit.rate.unwrap());
        assert!(second / first > 0.7, "{first} and {second}");
    }

    #[test]
    fn the_last_request_of_a_window_makes_the_next_wait_for_its_end() {
        let mut bench = Bench::new();
        bench.accepted(40, 0);
        assert!((20 * SECOND..30 * SECOND).contains(&bench.wait()));
    }

    #[test]
    fn those_who_were_refused_come_back_at_different_times_and_none_before_it_was_told() {
        for allowance in [None, Some(left(0, 30))] {
            let waits = [0.0, 0.25, 0.5, 0.75, 0.99].map(|random| {
                let mut bench = Bench::new();
                bench.refused(refusal(30, allowance), random);
                bench.wait()
            });
            assert!(waits.is_sorted() && waits[0] >= 30 * SECOND, "{waits:?}");
            assert!(waits[4] - waits[0] >= 5 * SECOND, "{waits:?}");
            assert!(waits[4] <= 90 * SECOND, "{waits:?}");
        }
    }

    #[test]
    fn refused_again_and_again_without_any_number_they_spread_further() {
        let mut bench = Bench::new();
        let mut waits = Vec::new();
        for _ in 0..10 {
            bench.limit.next = None;
            bench.refused(refusal(1, None), 1.0);
            waits.push(bench.wait());
        }
        assert_eq!(waits[..3], [2 * SECOND, 3 * SECOND, 5 * SECOND]);
        assert_eq!(waits[9], SECOND + WINDOW);
    }

    #[test]
    fn without_the_numbers_each_sends_as_many_as_got_through() {
        let mut bench = Bench::new();
        for _ in 0..6 {
            bench.limit.sent(bench.now, 0.5);
            bench.limit.accepted(bench.now, None, SECOND, 0.5);
            bench.now += 5 * SECOND;
        }
        bench.refused(refusal(30, None), 0.5);
        assert_eq!(bench.limit.rate, Some(0.1));
        // And grows slowly, for want of numbers, until the next refusal.
        bench.now += 2 * WINDOW;
        bench.limit.sent(bench.now, 0.5);
        bench.limit.accepted(bench.now, None, SECOND, 0.5);
        let rate = bench.limit.rate.unwrap();
        assert!(rate > 0.11 && rate < 0.15, "{rate}");
    }

    #[test]
    fn whoever_waits_for_delivery_cuts_the_wait_short_for_one_request() {
        let mut bench = Bench::new();
        bench.refused(refusal(30, Some(left(0, 30))), 0.5);
        bench.limit.hurry(bench.now);
        assert!(bench.limit.may_send(bench.now));
        bench.limit.sent(bench.now, 0.5);
        bench.limit.hurry(bench.now);
        assert!(!bench.limit.may_send(bench.now), "once a second");
        bench.now += HURRY_EVERY;
        bench.limit.hurry(bench.now);
        assert!(bench.limit.may_send(bench.now));
    }

    #[test]
    fn after_an_outage_everybody_starts_slowly_if_there_is_a_limit() {
        for (allowance, is_slow) in [(Some(left(590, 1)), true), (None, false)] {
            let mut bench = Bench::new();
            bench.limit.failed(bench.now);
            bench.now += OUTAGE;
            bench.limit.sent(bench.now, 0.5);
            bench.limit.accepted(bench.now, allowance, SECOND, 0.5);
            assert_eq!(bench.wait() > Duration::ZERO, is_slow);
        }
    }

    #[test]
    fn no_number_however_silly_stops_a_worker() {
        for (limit, remaining, resets) in [
            (1.0, 0.0, 60.0),
            (1.0, 1.0, 0.001),
            (u64::MAX as f64, 0.0, 60.0),
            (u64::MAX as f64, u64::MAX as f64, 60.0),
            (600.0, 0.0, 0.001),
        ] {
            let mut bench = Bench::new();
            for _ in 0..100 {
                let allowance = Allowance {
                    limit,
                    remaining,
                    resets: Duration::from_secs_f64(resets),
                };
                bench.now += bench.wait() + SECOND;
                bench.limit.sent(bench.now, 0.9);
                let allowance = Some(allowance);
                bench.limit.accepted(bench.now, allowance, SECOND, 0.9);
                assert!(
                    bench.wait() <= LONGEST_GAP.mul_f64(1.5),
                    "{bench_wait:?}",
                    bench_wait = bench.wait()
                );
            }
        }
    }
}
