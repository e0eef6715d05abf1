//! Requests on connections that were left hold up no others, but they run: nobody gives them up.

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
