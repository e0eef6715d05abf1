//! Requests on connections that were left hold up no others, but they run: nobody gives them up or polls for them.

use super::*;

/// Two requests under way on a connection that was left, one of which has just come to its end.
fn one_of_two_ends() -> (Bench, Shipment, Shipment) {
    let mut bench = Bench::new(10);
    bench.destination.close(bench.now);
    let first = bench.next().unwrap();
    bench.record(10..20);
    let second = bench.next().unwrap();
    bench.destination.left_behind(2);
    bench.pass(Duration::from_secs(3));
    bench.destination.left_behind(-1);
    (bench, first, second)
}

#[test]
fn a_wait_beyond_the_deadline_does_not_give_up_what_is_still_under_way() {
    let (mut bench, first, second) = one_of_two_ends();
    let started = bench.now - Duration::from_secs(3);
    let deadline = bench.now + Duration::from_secs(2);
    let told = Some(Duration::from_secs(60));
    bench
        .destination
        .failed(first, started, bench.now, told, 0.5);
    assert!(!bench.destination.is_hopeless(deadline, bench.now));
    bench.destination.left_behind(-1);
    bench.destination.delivered(second, 0);
    assert!(bench.destination.is_hopeless(deadline, bench.now));
}

#[test]
fn connections_that_are_refused_do_not_give_up_what_is_still_under_way() {
    let (mut bench, first, second) = one_of_two_ends();
    bench
        .destination
        .failed(first, bench.now, bench.now, None, 0.5);
    for _ in 0..3 {
        bench.pass(SHUTDOWN_WAIT);
        refuse_connection(&mut bench);
    }
    assert!(!bench.destination.stays_unheard(bench.now));
    bench.destination.left_behind(-1);
    bench.destination.delivered(second, 0);
    assert!(bench.destination.stays_unheard(bench.now));
}

#[test]
fn a_refusal_does_not_tell_a_flush_that_it_is_blocked_while_others_are_under_way() {
    let (mut bench, first, second) = one_of_two_ends();
    bench.destination.refused(first, bench.now);
    assert!(!bench.is_blocked());
    bench.destination.left_behind(-1);
    bench.destination.refused(second, bench.now);
    assert!(bench.is_blocked());
}

#[test]
fn requests_under_way_are_no_straggler_though_their_connection_was_left() {
    let mut bench = Bench::new(10);
    let shipment = bench.next().unwrap();
    bench.destination.left_behind(1);
    assert!(bench.next().is_none());
    bench.destination.make_due();
    assert!(!bench.destination.has_straggler(bench.now));
    bench.destination.left_behind(-1);
    bench.destination.delivered(shipment, 0);
}

#[test]
fn a_record_that_is_just_now_appended_is_looked_for_only_if_somebody_waits_for_it() {
    let mut bench = Bench::new(10);
    // In the hands of a producer: neither in a chunk that can be taken nor under way.
    bench.destination.queue.collect_open();
    let appended = bench.destination.queue.pop().unwrap();
    assert!(bench.next().is_none());
    assert!(!bench.destination.has_straggler(bench.now), "nobody waits");
    bench.destination.make_due();
    assert!(bench.destination.has_straggler(bench.now));
    drop(appended);
}
