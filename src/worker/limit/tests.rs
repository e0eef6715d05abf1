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
        bench.limit.hold = None;
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
    assert!(rate > 0.11 && rate < 0.2, "{rate}");
}

#[test]
fn a_429_after_a_quiet_time_slows_down_to_what_got_through_of_late_not_to_what_was_needed_before() {
    for hours in [0, 1, 10] {
        let mut bench = Bench::new();
        let mut accepted = |every: Duration, times: u32| {
            for _ in 0..times {
                bench.limit.sent(bench.now, 0.5);
                bench.limit.accepted(bench.now, None, SECOND, 0.5);
                bench.now += every;
            }
        };
        accepted(WINDOW, 60 * hours);
        accepted(SECOND / 2, 20);
        bench.refused(refusal(30, None), 0.5);
        // 20 got through in the last minute; of a process that has just started it is known that its window ends in 30 s.
        let rate = bench.limit.rate.unwrap();
        assert!(
            (20.0 / 60.0..=0.5).contains(&rate),
            "{rate} after {hours} h"
        );
    }
}

#[test]
fn the_first_busy_request_after_a_quiet_time_may_be_refused_without_slowing_it_down_for_minutes() {
    let mut bench = Bench::new();
    for _ in 0..600 {
        bench.limit.sent(bench.now, 0.5);
        bench.limit.accepted(bench.now, None, SECOND, 0.5);
        bench.now += WINDOW;
    }
    bench.refused(refusal(30, None), 0.5);
    // As slow as a worker without a rate begins where the numbers are known.
    assert!(bench.limit.rate >= Some(0.125), "{:?}", bench.limit.rate);
}

#[test]
fn a_limit_that_is_over_in_a_second_does_not_slow_a_process_down_for_minutes() {
    let mut bench = Bench::new();
    for _ in 0..50 {
        bench.limit.sent(bench.now, 0.5);
        bench.limit.accepted(bench.now, None, SECOND, 0.5);
        bench.now += SECOND / 10;
    }
    bench.refused(refusal(1, None), 0.5);
    // 50 requests got through in 5 s, and the window ends a second later.
    let rate = bench.limit.rate.unwrap();
    assert!(rate > 8.0, "{rate}");
    for _ in 0..10 {
        bench.now += SECOND;
        bench.limit.sent(bench.now, 0.5);
        bench.limit.accepted(bench.now, None, SECOND, 0.5);
    }
    assert_eq!(bench.limit.rate, None, "after ten seconds without a 429");
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
fn what_was_not_processed_has_had_its_turn_and_waits_for_the_end_of_a_window_only() {
    let mut bench = Bench::new();
    bench.accepted(20, 500);
    bench.accepted(21, 400);
    let wait = bench.wait();
    assert!(wait > Duration::ZERO);
    bench.limit.returned();
    assert_eq!(bench.wait(), Duration::ZERO);
    bench.limit.sent(bench.now, 0.5);
    assert_eq!(bench.wait(), wait, "the next one waits as it would have");
    // Nothing is left of the window.
    bench.limit.returned();
    let none = Some(left(0, 21));
    bench.limit.accepted(bench.now, none, SECOND, 0.5);
    assert!(bench.wait() >= 39 * SECOND);
    // What comes back amid trouble waits for other reasons, and all of it is not to leave at once after that.
    for end in [
        |bench: &mut Bench| bench.limit.failed(bench.now),
        |bench: &mut Bench| bench.refused(refusal(1, None), 0.5),
    ] {
        let mut bench = Bench::new();
        bench.accepted(20, 500);
        bench.accepted(21, 400);
        bench.limit.returned();
        end(&mut bench);
        assert!(bench.wait() > Duration::ZERO);
    }
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
