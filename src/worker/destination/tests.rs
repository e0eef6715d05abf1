mod goes_on;
mod left;

use super::*;
use crate::queue::{CHUNK_BYTES, Overflow, Signal};
use crate::report::{Counters, Stats};
use crate::worker::isolate::TESTS_PER_SECOND;
use crate::worker::pace::{MAX_IN_FLIGHT, SHUTDOWN_WAIT};
use crate::worker::streak::REFUSED_IN_A_ROW;

const LIMITS: Limits = Limits {
    max_events: 10_000,
    max_bytes: 4 << 20,
};

struct Bench {
    destination: Destination,
    counters: Arc<Counters>,
    now: Instant,
}

impl Bench {
    fn new(events: usize) -> Self {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(
            256 * CHUNK_BYTES,
            Overflow::DropNewest,
            LIMITS.max_bytes,
            Arc::new(Signal::default()),
            Arc::clone(&counters),
        );
        let url = Url::parse("http://127.0.0.1/").unwrap();
        let mut bench = Self {
            destination: Destination::new("logs".into(), url, queue, LIMITS),
            counters,
            now: Instant::now(),
        };
        bench.record(0..events);
        bench
    }

    fn record(&mut self, seqs: std::ops::Range<usize>) {
        for seq in seqs {
            self.destination
                .queue
                .push(format!("{{\"seq\":{seq}}}\n").as_bytes());
        }
        self.destination.make_due();
    }

    fn record_long(&mut self, bytes: usize) {
        self.destination
            .queue
            .push(format!("{{\"text\":\"{}\"}}\n", "x".repeat(bytes)).as_bytes());
        self.destination.make_due();
    }

    fn too_large(&mut self, shipment: Shipment) -> Verdict {
        self.destination.too_large(shipment, self.now)
    }

    fn next(&mut self) -> Option<Shipment> {
        self.destination.next(self.now, true)
    }

    /// The same, if need be after the wait that the pace of the search asks for.
    fn next_soon(&mut self) -> Option<Shipment> {
        self.next().or_else(|| {
            let at = self.destination.resumes_at(self.now)?;
            if at > self.now + Duration::from_secs(1) {
                return None;
            }
            self.now = at;
            self.next()
        })
    }

    /// Whether nothing can be done but wait for half a minute, or for somebody.
    fn is_blocked(&self) -> bool {
        self.destination.is_blocked(self.now)
    }

    /// Lets so many requests be in flight as may be.
    fn warm_up(&mut self) {
        for _ in 0..MAX_IN_FLIGHT {
            self.record(0..1);
            self.serve_all_but(&[]);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn stats(&self) -> Stats {
        self.counters.snapshot(|| self.destination.queue.appended())
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.stats().dropped_for(reason)
    }

    /// An endpoint that can not read any body with one of these records. Returns how many requests it took.
    fn serve_all_but(&mut self, bad: &[usize]) -> u32 {
        let mut requests = 0;
        while let Some(shipment) = self.next_soon() {
            requests += 1;
            let body: Vec<u8> = shipment.batch.parts().flatten().copied().collect();
            let body = String::from_utf8(body).unwrap();
            if bad
                .iter()
                .any(|seq| body.contains(&format!("{{\"seq\":{seq}}}")))
            {
                self.destination.unreadable(shipment, self.now);
            } else {
                self.destination.delivered(shipment, 0);
            }
        }
        requests
    }
}

#[test]
fn the_record_at_fault_is_found_and_only_it_is_dropped() {
    for bad in [0, 1, 4_999, 5_000, 9_999] {
        let mut bench = Bench::new(10_000);
        let requests = bench.serve_all_but(&[bad]);
        assert_eq!(bench.dropped(DropReason::Rejected), 1, "bad record {bad}");
        assert_eq!(bench.stats().delivered(), 9_999, "bad record {bad}");
        assert!(requests <= 2 * 14 + 2, "{requests} requests");
    }
}

#[test]
fn several_records_at_fault_are_dropped_and_the_others_arrive() {
    let mut bench = Bench::new(1_000);
    let mut rounds = 0;
    while bench.stats().pending() > 0 && rounds < 10 {
        bench.serve_all_but(&[3, 4, 500, 501, 999]);
        bench.pass(REFUSED_PAUSE);
        rounds += 1;
    }
    assert_eq!(bench.dropped(DropReason::Rejected), 5);
    assert_eq!(bench.stats().delivered(), 995);
}

#[test]
fn an_endpoint_that_can_read_nothing_costs_no_record_and_is_probed_slowly() {
    let mut bench = Bench::new(10_000);
    let mut requests = 0;
    for _ in 0..20 {
        while let Some(shipment) = bench.next_soon() {
            requests += 1;
            bench.destination.unreadable(shipment, bench.now);
        }
        assert!(bench.is_blocked());
        bench.pass(REFUSED_PAUSE);
    }
    assert!(requests <= REFUSED_IN_A_ROW + 20, "{requests} requests");
    assert_eq!(bench.stats().dropped(), 0);
    bench.serve_all_but(&[]);
    assert_eq!(bench.stats().delivered(), 10_000);
}

#[test]
fn a_single_bad_record_of_a_quiet_program_is_dropped_once_others_got_through() {
    let mut bench = Bench::new(1);
    bench.serve_all_but(&[]);
    bench.record(1..2);
    bench.serve_all_but(&[1]);
    assert_eq!(bench.stats().dropped(), 0, "nothing got through since");
    assert!(bench.is_blocked());
    bench.pass(Duration::from_secs(10));
    bench.record(2..3);
    assert_eq!(bench.serve_all_but(&[1]), 2, "the other is not held up");
    assert_eq!(bench.dropped(DropReason::Rejected), 1);
    assert_eq!(bench.stats().delivered(), 2);
}

#[test]
fn a_quiet_program_loses_nothing_to_an_endpoint_that_begins_to_answer_400_to_all() {
    for quiet in [Duration::from_secs(1), Duration::from_secs(60)] {
        let mut bench = Bench::new(1);
        bench.serve_all_but(&[]);
        let all: Vec<_> = (1..101).collect();
        let mut requests = 0;
        for seq in &all {
            bench.pass(quiet);
            bench.record(*seq..seq + 1);
            requests += bench.serve_all_but(&all);
            assert_eq!(bench.stats().dropped(), 0, "record {seq}");
        }
        println!("{requests} requests for 100 records, one each {quiet:?}");
        assert!(requests <= 220, "{requests} requests");
        bench.pass(REFUSED_PAUSE);
        bench.serve_all_but(&[]);
        assert_eq!(bench.stats().delivered(), 101);
    }
}

#[test]
fn bad_records_at_the_very_start_do_not_block_those_after_them() {
    let mut bench = Bench::new(3);
    bench.serve_all_but(&[0, 1, 2]);
    assert!(bench.is_blocked());
    bench.record(3..100);
    let mut rounds = 0;
    while bench.stats().pending() > 0 && rounds < 10 {
        bench.pass(REFUSED_PAUSE);
        bench.serve_all_but(&[0, 1, 2]);
        rounds += 1;
    }
    assert_eq!(rounds, 1, "{}", bench.stats());
    assert_eq!(bench.dropped(DropReason::Rejected), 3);
    assert_eq!(bench.stats().delivered(), 97);
}

/// An endpoint that takes bodies of so many bytes. Returns how many it took and how many it refused.
fn serve_up_to(bench: &mut Bench, limit: usize) -> (u32, u32) {
    let (mut taken, mut refused) = (0, 0);
    while let Some(shipment) = bench.next_soon() {
        if shipment.batch.bytes() > limit {
            refused += 1;
            bench.too_large(shipment);
        } else {
            taken += 1;
            bench.destination.delivered(shipment, 0);
        }
    }
    (taken, refused)
}

#[test]
fn too_large_bodies_are_halved_until_they_fit_and_later_ones_are_cut_to_size() {
    let mut bench = Bench::new(10_000);
    // 10,000 records of about 14 bytes: 140 KB, 70, 35, 17.5. Then trials of 35 KB.
    let (taken, refused) = serve_up_to(&mut bench, 20_000);
    assert_eq!(bench.stats().delivered(), 10_000);
    assert!(taken <= 10 && refused <= 3 + 2, "{refused} of {taken}");
}

#[test]
fn a_record_whose_size_explains_it_is_dropped_alone_once_others_got_through() {
    let mut bench = Bench::new(1);
    bench.record_long(100_000);
    bench.record(1..1_000);
    serve_up_to(&mut bench, 50_000);
    assert_eq!(bench.dropped(DropReason::TooLarge), 1);
    assert_eq!(bench.stats().delivered(), 1_000);
    // When it comes by itself, it waits for another.
    bench.record(0..1);
    serve_up_to(&mut bench, 50_000);
    bench.record_long(100_000);
    assert_eq!(serve_up_to(&mut bench, 50_000), (0, 1));
    assert_eq!(
        bench.dropped(DropReason::TooLarge),
        1,
        "nothing got through since"
    );
    bench.record(0..1);
    assert_eq!(serve_up_to(&mut bench, 50_000), (1, 1));
    assert_eq!(bench.dropped(DropReason::TooLarge), 2);
}

#[test]
fn a_limit_that_came_later_drops_what_is_too_large_for_it() {
    let mut bench = Bench::new(1);
    bench.record_long(100_000);
    serve_up_to(&mut bench, usize::MAX);
    bench.record_long(100_000);
    for _ in 0..5 {
        bench.record(1..2);
        serve_up_to(&mut bench, 50_000);
        bench.pass(REFUSED_PAUSE);
    }
    assert_eq!(bench.dropped(DropReason::TooLarge), 1, "{}", bench.stats());
    assert_eq!(bench.stats().pending(), 0);
}

#[test]
fn an_endpoint_that_finds_everything_too_large_costs_no_record_and_is_probed_slowly() {
    for events in [1, 3, 10_000, 50_000] {
        for was_well in [false, true] {
            let mut bench = Bench::new(if was_well { 5 } else { 0 });
            serve_up_to(&mut bench, usize::MAX);
            bench.record(0..events);
            let mut requests = 0;
            for _ in 0..20 {
                requests += serve_up_to(&mut bench, 0).1;
                assert!(bench.is_blocked());
                bench.pass(REFUSED_PAUSE);
            }
            assert!(requests <= REFUSED_IN_A_ROW + 20, "{requests} requests");
            assert_eq!(bench.stats().dropped(), 0);
            // It heals within a few requests for each doubling.
            let (taken, _) = serve_up_to(&mut bench, usize::MAX);
            assert!(taken < 120, "{taken} requests");
            assert_eq!(bench.stats().pending(), 0);
        }
    }
}

#[test]
fn a_small_record_that_meets_a_passing_413_is_delivered() {
    let mut bench = Bench::new(1);
    serve_up_to(&mut bench, usize::MAX);
    for seq in 1..100 {
        bench.record(seq..seq + 1);
        serve_up_to(&mut bench, 0);
        assert!(bench.is_blocked());
        bench.pass(REFUSED_PAUSE);
        serve_up_to(&mut bench, usize::MAX);
    }
    assert_eq!(bench.stats().delivered(), 100);
}

#[test]
fn a_small_record_that_is_refused_each_time_while_others_pass_is_given_up() {
    let mut bench = Bench::new(11);
    let mut requests = 0;
    for _ in 0..4 {
        while let Some(shipment) = bench.next_soon() {
            requests += 1;
            let body: Vec<u8> = shipment.batch.parts().flatten().copied().collect();
            if String::from_utf8(body).unwrap().contains(":10}") {
                bench.too_large(shipment);
            } else {
                bench.destination.delivered(shipment, 0);
            }
        }
        bench.pass(REFUSED_PAUSE);
        bench.record(0..1);
    }
    assert_eq!(bench.dropped(DropReason::TooLarge), 1, "{}", bench.stats());
    assert!(requests < 20, "{requests} requests");
}

#[test]
fn passing_413s_cost_no_record_and_leave_bodies_large() {
    let mut bench = Bench::new(0);
    let (mut requests, mut largest) = (0, 0);
    for round in 0..200 {
        bench.record(0..1_000);
        while let Some(shipment) = bench.next_soon() {
            requests += 1;
            if requests % 10 == 0 {
                bench.too_large(shipment);
            } else {
                largest = shipment.batch.events().max(largest);
                bench.destination.delivered(shipment, 0);
            }
        }
        if round % 10 == 9 {
            assert_eq!(largest, 1_000, "in round {round}");
            largest = 0;
        }
        bench.pass(REFUSED_PAUSE);
    }
    assert_eq!(bench.stats().delivered(), 200_000);
    assert!(requests < 600, "{requests} requests for 200 bodies");
}

#[test]
fn bodies_that_are_refused_together_count_once_and_do_not_stop_everything() {
    let mut bench = Bench::new(0);
    bench.warm_up();
    bench.record(0..160_000);
    let flights: Vec<_> = std::iter::from_fn(|| bench.next()).collect();
    assert_eq!(flights.len(), 16);
    bench.pass(Duration::from_millis(10));
    for shipment in flights {
        bench.destination.unreadable(shipment, bench.now);
    }
    assert_eq!(bench.destination.paused(bench.now), None);
    bench.serve_all_but(&[]);
    assert_eq!(bench.stats().delivered(), 160_000 + 16);
}

#[test]
fn after_a_failure_the_same_bytes_are_sent_again_and_nothing_sooner() {
    let mut bench = Bench::new(10);
    let shipment = bench.next().unwrap();
    let started = bench.now;
    bench
        .destination
        .failed(shipment, started, bench.now, None, 1.0);
    assert!(bench.next().is_none());
    assert_eq!(bench.destination.paused(bench.now), Some(Why::Backoff));
    bench.pass(Duration::from_millis(200));
    assert_eq!(bench.next().unwrap().batch.events(), 10);
}

#[test]
fn failures_of_requests_under_way_together_count_once() {
    let mut bench = Bench::new(25_000);
    let (one, two) = (bench.next().unwrap(), bench.next().unwrap());
    let started = bench.now;
    bench.pass(Duration::from_millis(10));
    bench.destination.failed(one, started, bench.now, None, 1.0);
    bench.destination.failed(two, started, bench.now, None, 1.0);
    bench.pass(Duration::from_millis(200));
    assert!(
        bench.next().is_some(),
        "the second failure made it wait longer"
    );
    assert!(
        bench.next().is_none(),
        "one request at a time after a failure"
    );
}

#[test]
fn a_wait_that_the_server_asked_for_is_kept_even_while_closing() {
    let mut bench = Bench::new(10);
    let shipment = bench.next().unwrap();
    let told = Some(Duration::from_secs(5));
    bench
        .destination
        .failed(shipment, bench.now, bench.now, told, 0.0);
    bench.destination.close(bench.now);
    assert!(bench.next().is_none());
    assert!(
        bench
            .destination
            .is_hopeless(bench.now + Duration::from_secs(1), bench.now)
    );
    assert!(
        !bench
            .destination
            .is_hopeless(bench.now + Duration::from_secs(6), bench.now)
    );
    bench.pass(Duration::from_millis(4_999));
    assert!(bench.next().is_none());
    bench.pass(Duration::from_millis(1));
    assert!(bench.next().is_some());
}

#[test]
fn a_flush_makes_one_attempt_without_waiting_for_the_backoff() {
    let mut bench = Bench::new(10);
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    assert!(bench.next().is_none());
    bench.destination.hurry(bench.now);
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    assert!(bench.next().is_none(), "the next attempt waits again");
    bench.pass(Duration::from_secs(1));
    let shipment = bench.next().unwrap();
    let told = Some(Duration::from_secs(5));
    bench
        .destination
        .failed(shipment, bench.now, bench.now, told, 1.0);
    bench.destination.hurry(bench.now);
    assert!(bench.next().is_none(), "what the server asked for is kept");
}

#[test]
fn a_backoff_is_cut_short_when_closing() {
    let mut bench = Bench::new(10);
    for _ in 0..8 {
        let shipment = bench.next().unwrap();
        bench
            .destination
            .failed(shipment, bench.now, bench.now, None, 1.0);
        bench.pass(Duration::from_secs(60));
    }
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    assert!(bench.next().is_none());
    bench.destination.close(bench.now);
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    bench.pass(SHUTDOWN_WAIT);
    assert!(bench.next().is_some());
}

#[test]
fn a_refusal_is_probed_once_in_thirty_seconds_and_heals() {
    let mut bench = Bench::new(10);
    for _ in 0..3 {
        let shipment = bench.next().unwrap();
        bench.destination.refused(shipment, bench.now);
        bench.pass(Duration::from_millis(29_999));
        assert!(bench.next().is_none());
        bench.pass(Duration::from_millis(1));
    }
    bench.serve_all_but(&[]);
    assert_eq!(bench.stats().delivered(), 10);
}

#[test]
fn in_an_outage_a_nearly_empty_chunk_does_not_take_the_room_of_a_full_one() {
    let mut bench = Bench::new(1);
    let shipment = bench.next().unwrap();
    bench.destination.refused(shipment, bench.now);
    // 300 ticks with one record each: more than the pool has chunks.
    for seq in 1..=300 {
        bench.record(seq..seq + 1);
        assert!(bench.next().is_none());
    }
    assert_eq!(bench.stats().dropped(), 0);
    bench.pass(REFUSED_PAUSE);
    bench.serve_all_but(&[]);
    assert_eq!(bench.stats().delivered(), 301);
}

#[test]
fn what_is_left_at_the_end_is_dropped_for_the_reason_that_explains_it() {
    for (why, reason) in [
        (Some(Why::Refused), DropReason::Refused),
        (Some(Why::Quota), DropReason::Quota),
        (Some(Why::Told), DropReason::Shutdown),
        (None, DropReason::Shutdown),
    ] {
        let mut bench = Bench::new(25_000);
        let shipment = bench.next().unwrap();
        bench.destination.attempt_lost(shipment);
        if let Some(why) = why {
            bench
                .destination
                .pause(bench.now + Duration::from_secs(1), why);
        }
        assert_eq!(bench.destination.drop_all(bench.now), 25_000);
        assert_eq!(bench.dropped(reason), 25_000);
        assert_eq!(bench.stats().pending(), 0);
    }
}

/// An attempt that is refused a connection, and the wait after it.
fn refuse_connection(bench: &mut Bench) {
    let shipment = bench.next().unwrap();
    bench.destination.attempted(bench.now, true);
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 0.5);
}

#[test]
fn a_shutdown_goes_on_for_a_second_where_nothing_listens() {
    let mut bench = Bench::new(10);
    for _ in 0..5 {
        refuse_connection(&mut bench);
        bench.pass(Duration::from_secs(30));
    }
    let deadline = bench.now + Duration::from_secs(5);
    bench.destination.close(bench.now);
    let start = bench.now;
    let mut attempts = 0;
    while !bench.destination.is_hopeless(deadline, bench.now) {
        refuse_connection(&mut bench);
        attempts += 1;
        bench.now = bench.destination.resumes_at(bench.now).unwrap();
        if bench.now == start + Duration::from_secs(1) {
            break;
        }
    }
    assert!(bench.destination.is_hopeless(deadline, bench.now));
    assert!(
        (2..=6).contains(&attempts),
        "{attempts} attempts in a second"
    );
    assert!(bench.destination.is_unheard());
}

#[test]
fn a_shutdown_is_hopeless_only_if_its_own_last_attempts_were_all_refused() {
    let mut bench = Bench::new(10);
    let deadline = bench.now + Duration::from_secs(60);
    // Begun before the shutdown.
    let before = bench.now;
    let shipment = bench.next().unwrap();
    bench.pass(Duration::from_millis(1));
    bench.destination.close(bench.now);
    bench.destination.attempted(before, true);
    bench
        .destination
        .failed(shipment, before, bench.now, None, 0.5);
    bench.pass(Duration::from_secs(2));
    refuse_connection(&mut bench);
    bench.pass(SHUTDOWN_WAIT);
    assert!(
        !bench.destination.is_hopeless(deadline, bench.now),
        "one attempt tells nothing"
    );
    // The endpoint is there, and in trouble.
    let shipment = bench.next().unwrap();
    bench.destination.attempted(bench.now, false);
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 0.5);
    assert!(!bench.destination.is_unheard());
    bench.pass(SHUTDOWN_WAIT);
    refuse_connection(&mut bench);
    assert!(!bench.destination.is_hopeless(deadline, bench.now));
    bench.pass(SHUTDOWN_WAIT);
    refuse_connection(&mut bench);
    assert!(bench.destination.is_hopeless(deadline, bench.now));
    // It may be there by now.
    bench.pass(SHUTDOWN_WAIT);
    let shipment = bench.next().unwrap();
    assert!(!bench.destination.is_hopeless(deadline, bench.now));
    bench.destination.attempted(bench.now, false);
    bench.destination.delivered(shipment, 0);
    assert_eq!(bench.stats().delivered(), 10);
}

#[test]
fn what_was_not_processed_goes_again_at_once_three_times_while_nothing_gets_through() {
    let mut bench = Bench::new(10);
    let mut at_once = || {
        let mut times = 0;
        while let Some(shipment) = bench.next() {
            match bench.destination.unprocessed(shipment) {
                None => times += 1,
                Some(shipment) => {
                    // Another one got through meanwhile, with which the count begins anew.
                    bench.destination.pace.launched(Kind::Ordinary);
                    let mut other = Shipment::new(Batch::default(), Kind::Ordinary);
                    other.attempt = shipment.attempt + 1;
                    bench.destination.delivered(other, 0);
                    bench.destination.attempt_lost(shipment);
                    break;
                }
            }
        }
        times
    };
    let rounds = AT_ONCE_IN_ALL / AT_ONCE;
    for round in 0..rounds {
        assert_eq!(at_once(), AT_ONCE, "{round}");
    }
    // But not without end.
    assert_eq!(at_once(), AT_ONCE_IN_ALL - rounds * AT_ONCE);
    assert_eq!(at_once(), 0);
}

#[test]
fn requests_on_connections_that_were_left_hold_up_no_others() {
    let mut bench = Bench::new(0);
    let mut under_way = Vec::new();
    for _ in 0..2 {
        bench.record(0..10);
        under_way.push(bench.next().unwrap());
    }
    bench.record(0..10);
    assert!(bench.next().is_none());
    bench.destination.left_behind(2);
    let other = bench.next().unwrap();
    // They come back in the end, and count no more.
    for shipment in under_way {
        bench.destination.left_behind(-1);
        bench.destination.delivered(shipment, 0);
    }
    bench.destination.delivered(other, 0);
    assert!(bench.destination.pace.is_idle());
}

// Storms of bad records.

/// Answers every request at once and lets time pass by the pace of the search, with ordinary traffic beside it.
#[derive(Default)]
struct Storm {
    tests: Vec<Instant>,
    ordinary: u32,
    /// Requests until the first ordinary record got through.
    chunks_held: usize,
}

impl Storm {
    /// `more`: called each 10 ms. Ends when everything is settled or after `most`.
    fn blow(
        bench: &mut Bench,
        is_bad: impl Fn(usize) -> bool,
        most: Duration,
        mut more: impl FnMut(&mut Bench, Duration),
    ) -> Self {
        let (mut storm, start) = (Self::default(), bench.now);
        while bench.now - start < most {
            more(bench, bench.now - start);
            while let Some(shipment) = bench.next() {
                match shipment.kind {
                    Kind::Test => storm.tests.push(bench.now),
                    Kind::Ordinary => storm.ordinary += 1,
                }
                if seqs(&shipment).any(&is_bad) {
                    bench.destination.unreadable(shipment, bench.now);
                } else {
                    bench.destination.delivered(shipment, 0);
                }
                let held = bench.destination.isolate.held();
                storm.chunks_held = storm.chunks_held.max(held);
            }
            if bench.stats().pending() == 0 && bench.now > start + Duration::from_secs(1) {
                break;
            }
            bench.pass(Duration::from_millis(10));
        }
        let mut seconds = storm.tests.windows(TESTS_PER_SECOND + 1);
        assert!(
            seconds.all(|some| some[TESTS_PER_SECOND] - some[0] >= Duration::from_secs(1)),
            "more than {TESTS_PER_SECOND} tests in a second"
        );
        storm
    }
}

fn seqs(shipment: &Shipment) -> impl Iterator<Item = usize> {
    let body: Vec<u8> = shipment.batch.parts().flatten().copied().collect();
    let body = String::from_utf8(body).unwrap();
    let lines: Vec<_> = body
        .lines()
        .map(|line| line[7..line.len() - 1].parse().unwrap())
        .collect();
    lines.into_iter()
}

const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn a_thousand_bad_records_among_ten_thousand_are_found_slowly_and_no_good_one_is_dropped() {
    // Every tenth, or the first thousand, with a good one each second beside them: it proves that others get through.
    for step in [10, 1] {
        let mut bench = Bench::new(10_000);
        let start = bench.now;
        let is_bad = |seq: usize| seq.is_multiple_of(step) && seq / step < 1_000;
        let mut good = 0;
        let storm = Storm::blow(&mut bench, is_bad, HOUR, |bench, passed| {
            if step == 1 && passed.as_millis() % 1_000 == 500 {
                bench.record(10_000..10_001);
                good += 1;
            }
        });
        println!(
            "every {step}th of 10,000: {} tests and {} other requests in {:?}",
            storm.tests.len(),
            storm.ordinary,
            bench.now - start
        );
        assert_eq!(
            bench.dropped(DropReason::Rejected),
            1_000,
            "{}",
            bench.stats()
        );
        assert_eq!(bench.stats().delivered(), 9_000 + good);
        assert!(storm.tests.len() < 7_500, "{} tests", storm.tests.len());
    }
}

#[test]
fn records_that_nobody_suspects_are_not_held_up_by_the_search() {
    let mut bench = Bench::new(10_000);
    let is_bad = |seq: usize| seq < 10_000 && seq.is_multiple_of(10);
    let mut next = 10_000;
    Storm::blow(
        &mut bench,
        is_bad,
        Duration::from_secs(60),
        |bench, passed| {
            if passed < Duration::from_millis(10) {
                return;
            }
            // What was recorded before this tick is delivered by now.
            let delivered = bench.stats().delivered() as usize;
            assert!(delivered >= next - 10_000, "{delivered} after {passed:?}");
            bench.record(next..next + 100);
            next += 100;
        },
    );
}

#[test]
fn storms_without_end_keep_a_fourth_of_the_queue_at_the_most_and_others_go_on() {
    let mut bench = Bench::new(0);
    let is_bad = |seq: usize| seq.is_multiple_of(10);
    let mut batches = 0;
    // A batch with bad records each second, one without each 100 ms.
    let storm = Storm::blow(&mut bench, is_bad, HOUR / 6, |bench, passed| {
        if passed.as_millis() % 1_000 == 0 {
            bench.record(0..10_000);
        } else if passed.as_millis() % 100 == 50 {
            (0..10).for_each(|_| bench.record(1..2));
            batches += 1;
        }
    });
    let stats = bench.stats();
    println!(
        "ten minutes of storm: {} chunks held, {stats}",
        storm.chunks_held
    );
    let batch = 10_000 * 14 / CHUNK_BYTES + 1;
    println!("{batches} batches without a bad one");
    assert!(
        storm.chunks_held <= 256 / SUSPECTS_SHARE + 4 * batch,
        "{}",
        storm.chunks_held
    );
    assert!(stats.delivered() >= batches * 10, "{stats}");
    assert_eq!(stats.dropped_for(DropReason::QueueFull), 0, "{stats}");
    let settled = stats.delivered() + stats.dropped() + stats.pending();
    assert_eq!(stats.recorded(), settled);
    bench.destination.drop_all(bench.now);
    assert_eq!(bench.stats().pending(), 0);
}

#[test]
fn suspects_that_could_not_be_cleared_by_the_end_are_dropped_as_rejected() {
    let mut bench = Bench::new(10_000);
    Storm::blow(
        &mut bench,
        |seq| seq.is_multiple_of(10),
        Duration::from_secs(5),
        |_, _| {},
    );
    bench.destination.close(bench.now);
    let pending = bench.stats().pending();
    assert!(
        pending > 0 && !bench.is_blocked(),
        "a flush waits for the search"
    );
    assert_eq!(u64::from(bench.destination.drop_all(bench.now)), pending);
    let stats = bench.stats();
    assert_eq!(
        stats.dropped_for(DropReason::Rejected),
        stats.dropped(),
        "{stats}"
    );
    assert_eq!(stats.pending(), 0);
}

#[test]
fn a_test_that_fails_is_made_again_and_one_that_a_panic_took_is_forgotten() {
    let mut bench = Bench::new(100);
    let shipment = bench.next().unwrap();
    bench.destination.unreadable(shipment, bench.now);
    let test = bench.next().unwrap();
    assert_eq!((test.kind, test.batch.events()), (Kind::Test, 50));
    bench
        .destination
        .failed(test, bench.now, bench.now, None, 1.0);
    assert!(bench.next().is_none(), "no other test meanwhile");
    bench.pass(Duration::from_secs(1));
    let test = bench.next().unwrap();
    assert_eq!(test.batch.events(), 50);
    drop(test);
    bench.destination.restarted();
    bench.pass(Duration::from_secs(1));
    bench.serve_all_but(&[]);
    assert_eq!(bench.dropped(DropReason::Internal), 50);
    assert_eq!(bench.stats().delivered(), 50);
}
