//! Bodies that were refused for what they hold: 400 and 413.

use super::*;
use crate::worker::streak::REFUSED_IN_A_ROW;

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
