//! Storms of bad records: the search for them, and what flows beside it.

use super::*;
use crate::worker::destination::refused::SUSPECTS_SHARE;
use crate::worker::isolate::TESTS_PER_SECOND;

/// Answers every request at once and lets time pass by the pace of the search, with ordinary traffic beside it.
#[derive(Default)]
struct Storm {
    tests: Vec<Instant>,
    ordinary: u32,
    /// Tests that were refused for their size.
    too_large: usize,
    /// The most chunks that suspects kept.
    chunks_held: usize,
}

/// What the endpoint makes of a body.
enum Says {
    Taken,
    Unreadable,
    TooLarge,
}

impl Storm {
    /// An endpoint that can not read any body with a bad record.
    fn blow(
        bench: &mut Bench,
        is_bad: impl Fn(usize) -> bool,
        most: Duration,
        more: impl FnMut(&mut Bench, Duration),
    ) -> Self {
        let says = |shipment: &Shipment| match seqs(shipment).any(&is_bad) {
            true => Says::Unreadable,
            false => Says::Taken,
        };
        Self::blow_at(bench, says, most, more)
    }

    /// `more`: called each 10 ms. Ends when everything is settled or after `most`.
    fn blow_at(
        bench: &mut Bench,
        endpoint: impl Fn(&Shipment) -> Says,
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
                match endpoint(&shipment) {
                    Says::Taken => bench.destination.delivered(shipment, 0),
                    Says::Unreadable => {
                        bench.destination.unreadable(shipment, bench.now);
                    }
                    Says::TooLarge => {
                        storm.too_large += usize::from(shipment.kind == Kind::Test);
                        bench.too_large(shipment);
                    }
                }
                let held = bench.destination.isolate.held();
                storm.chunks_held = storm.chunks_held.max(held);
            }
            if bench.stats().pending() == 0 && bench.now > start + Duration::from_secs(1) {
                break;
            }
            bench.pass(Duration::from_millis(10));
        }
        keep_to_their_pace(&storm.tests);
        storm
    }
}

fn keep_to_their_pace(tests: &[Instant]) {
    let mut seconds = tests.windows(TESTS_PER_SECOND + 1);
    assert!(
        seconds.all(|some| some[TESTS_PER_SECOND] - some[0] >= Duration::from_secs(1)),
        "more than {TESTS_PER_SECOND} tests in a second"
    );
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

const MINUTE: Duration = Duration::from_secs(60);
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
    Storm::blow(&mut bench, is_bad, MINUTE, |bench, passed| {
        if passed < Duration::from_millis(10) {
            return;
        }
        // What was recorded before this tick is delivered by now.
        let delivered = bench.stats().delivered() as usize;
        assert!(delivered >= next - 10_000, "{delivered} after {passed:?}");
        bench.record(next..next + 100);
        next += 100;
    });
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
        storm.chunks_held <= CHUNKS / SUSPECTS_SHARE + 4 * batch,
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

#[test]
fn while_requests_are_rationed_the_search_and_other_records_take_turns() {
    let mut bench = Bench::new(10_000);
    bench.ration(6);
    let is_bad = |seq: usize| seq < 10_000 && seq.is_multiple_of(10);
    let mut next = 10_000;
    let storm = Storm::blow(&mut bench, is_bad, 10 * MINUTE, |bench, passed| {
        if passed.as_millis() % 1_000 == 0 {
            bench.record(next..next + 1);
            next += 1;
        }
    });
    let tests = storm.tests.len() as u32;
    assert_eq!(tests + storm.ordinary, 60);
    assert!(tests.abs_diff(storm.ordinary) <= 2, "{tests} tests");
}

#[test]
fn records_that_were_refused_alone_keep_a_fourth_of_the_queue_at_the_most() {
    for says in [|| Says::Unreadable, || Says::TooLarge] {
        let mut bench = Bench::new(0);
        let endpoint = |shipment: &Shipment| match seqs(shipment).any(|seq| seq == 0) {
            true => says(),
            false => Says::Taken,
        };
        // Bodies of one record: ten bad ones and ten good ones a second.
        let mut good = 0;
        let storm = Storm::blow_at(&mut bench, endpoint, 2 * MINUTE, |bench, passed| {
            match passed.as_millis() % 100 {
                0 => bench.record(0..1),
                50 => {
                    bench.record(1..2);
                    good += 1;
                }
                _ => {}
            }
        });
        let stats = bench.stats();
        assert_eq!(stats.dropped_for(DropReason::QueueFull), 0, "{stats}");
        assert_eq!(stats.delivered(), good, "{stats}");
        let held = storm.chunks_held;
        assert!(held <= CHUNKS / SUSPECTS_SHARE, "{held} chunks");
    }
}

#[test]
fn the_search_does_not_try_whether_larger_bodies_are_taken_by_now() {
    let mut bench = Bench::new(0);
    bench.record(12_000..12_000 + 9_600);
    // Of each body that fits, the first or the last is bad.
    let is_bad = |seq: usize| [0, 2_399].contains(&(seq % 2_400));
    let endpoint = |shipment: &Shipment| {
        if shipment.batch.bytes() > 20_000 {
            Says::TooLarge
        } else if seqs(shipment).any(is_bad) {
            Says::Unreadable
        } else {
            Says::Taken
        }
    };
    let storm = Storm::blow_at(&mut bench, endpoint, HOUR, |_, _| {});
    println!("{} tests", storm.tests.len());
    let stats = bench.stats();
    assert_eq!(stats.dropped_for(DropReason::Rejected), 8, "{stats}");
    assert_eq!(stats.delivered(), 9_600 - 8, "{stats}");
    assert_eq!(storm.too_large, 0, "of {} tests", storm.tests.len());
}

#[test]
fn a_test_that_is_too_large_though_others_of_its_size_are_not_is_made_smaller() {
    let mut bench = Bench::new(500);
    let endpoint = |shipment: &Shipment| {
        if seqs(shipment).any(|seq| seq == 321) {
            Says::TooLarge
        } else if seqs(shipment).any(|seq| seq < 500 && seq.is_multiple_of(100)) {
            Says::Unreadable
        } else {
            Says::Taken
        }
    };
    // The first body is refused for the records that can not be read.
    let first = bench.next().unwrap();
    bench.destination.unreadable(first, bench.now);
    let storm = Storm::blow_at(&mut bench, endpoint, MINUTE, |bench, passed| {
        if passed.as_millis() % 100 == 0 {
            bench.record(1_000..2_000);
        }
    });
    println!("{} tests", storm.tests.len());
    let stats = bench.stats();
    assert_eq!(stats.dropped_for(DropReason::Rejected), 5, "{stats}");
    assert_eq!(stats.dropped_for(DropReason::TooLarge), 1, "{stats}");
    let (refused, tests) = (storm.too_large, storm.tests.len());
    assert!(refused < 20, "{refused} of {tests} tests");
}

#[test]
fn where_everything_is_refused_a_busy_program_learns_at_once_that_delivery_is_blocked() {
    // With this queue, two bodies are as many suspects as may be.
    let mut bench = Bench::with_queue(16, 0);
    Storm::blow(
        &mut bench,
        |_| true,
        Duration::from_secs(50),
        |bench, _| bench.record(0..100),
    );
    bench.destination.hurry(bench.now);
    assert!(bench.is_blocked());
    bench.destination.close(bench.now);
    assert!(bench.is_blocked());
    bench.destination.drop_all(bench.now);
    let stats = bench.stats();
    assert_eq!(stats.dropped_for(DropReason::Shutdown), 0, "{stats}");
    assert!(stats.dropped_for(DropReason::Refused) > 0, "{stats}");
}

#[test]
fn a_test_that_was_not_processed_is_made_again_at_the_pace_of_the_search() {
    let mut bench = Bench::new(10_000);
    let first = bench.next().unwrap();
    bench.destination.unreadable(first, bench.now);
    let (mut tests, end) = (Vec::new(), bench.now + Duration::from_secs(10));
    while bench.now < end {
        while let Some(test) = bench.next() {
            assert_eq!(test.kind, Kind::Test);
            tests.push(bench.now);
            if let Some(test) = bench.destination.unprocessed(test) {
                bench.destination.delivered(test, 0);
            }
        }
        let at = bench.destination.resumes_at(bench.now);
        assert!(at.is_none_or(|at| at > bench.now));
        bench.now = at.unwrap_or(end);
    }
    keep_to_their_pace(&tests);
    assert!(tests.len() > 40, "{} tests", tests.len());
}

/// The worker has come to its end while this test was under way.
fn end_amid(bench: &mut Bench, test: Shipment) {
    assert_eq!(test.kind, Kind::Test);
    bench.destination.close(bench.now);
    bench.destination.sent_again(test);
    assert!(bench.destination.suspicion().is_some());
    bench.destination.drop_all(bench.now);
    assert_eq!(bench.stats().pending(), 0);
}

#[test]
fn a_test_under_way_at_the_end_is_dropped_as_refused_if_nothing_got_through() {
    for events in [1, 100] {
        let mut bench = Bench::new(events);
        bench.destination.heard("no");
        let first = bench.next().unwrap();
        bench.destination.unreadable(first, bench.now);
        // A record that was refused alone is tried again after this time.
        bench.pass(REFUSED_PAUSE);
        let test = bench.next().unwrap();
        end_amid(&mut bench, test);
        let refused = bench.dropped(DropReason::Refused);
        assert_eq!(refused, events as u64, "{}", bench.stats());
    }
}

#[test]
fn suspects_at_the_end_are_dropped_as_refused_if_the_search_has_met_nothing_but_refusals() {
    let mut bench = Bench::new(1);
    bench.serve_all_but(&[]);
    bench.record(0..10_000);
    bench.destination.heard("no");
    Storm::blow(&mut bench, |_| true, Duration::from_secs(20), |_, _| {});
    // The search has rested, and asks once more.
    bench.pass(REFUSED_PAUSE);
    let test = bench.next().unwrap();
    end_amid(&mut bench, test);
    let refused = bench.dropped(DropReason::Refused);
    assert_eq!(refused, 10_000, "{}", bench.stats());
}

#[test]
fn a_test_under_way_at_the_end_is_dropped_as_rejected_if_others_got_through() {
    let mut bench = Bench::new(1);
    bench.serve_all_but(&[]);
    bench.record(0..100);
    bench.destination.heard("no");
    let first = bench.next().unwrap();
    bench.destination.unreadable(first, bench.now);
    let test = bench.next().unwrap();
    end_amid(&mut bench, test);
    let rejected = bench.dropped(DropReason::Rejected);
    assert_eq!(rejected, 100, "{}", bench.stats());
}

#[test]
fn good_records_arrive_though_more_bad_ones_were_refused_before_them_than_are_kept() {
    // With this queue, five bodies are more suspects than may be. Ten bad ones come first.
    let mut bench = Bench::with_queue(16, 0);
    let (mut seconds, is_bad) = (0, |seq: usize| seq < 10_000);
    Storm::blow(&mut bench, is_bad, 5 * MINUTE, |bench, passed| {
        if passed < Duration::from_secs(1) && passed.as_millis() % 100 == 0 {
            bench.record(0..1_000);
        } else if passed.as_millis() % 1_000 == 0 {
            seconds += 1;
            bench.record(10_000 + seconds..10_001 + seconds);
        }
    });
    let stats = bench.stats();
    assert_eq!(stats.dropped_for(DropReason::QueueFull), 0, "{stats}");
    assert!(stats.delivered() >= 180, "{stats}");
}

#[test]
fn what_waited_for_the_search_at_the_end_is_dropped_as_refused() {
    let mut bench = Bench::with_queue(16, 0);
    let time = Duration::from_secs(2);
    Storm::blow(&mut bench, |_| true, time, |bench, _| bench.record(0..100));
    assert_eq!(bench.destination.paused(bench.now), None);
    bench.destination.close(bench.now);
    bench.destination.drop_all(bench.now);
    let stats = bench.stats();
    assert_eq!(stats.dropped_for(DropReason::Shutdown), 0, "{stats}");
}
