//! A process that was about to end and goes on: the worker keeps to its pace again.

use super::*;

#[test]
fn after_an_end_that_did_not_come_the_backoff_grows_again_and_nothing_is_given_up_early() {
    let mut bench = Bench::new(10);
    bench.destination.close(bench.now);
    for _ in 0..3 {
        refuse_connection(&mut bench);
        bench.pass(SHUTDOWN_WAIT);
    }
    assert!(bench.destination.stays_unheard(bench.now));
    bench.destination.goes_on();
    assert!(!bench.destination.stays_unheard(bench.now));
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        refuse_connection(&mut bench);
        let resumes = bench.destination.resumes_at(bench.now).unwrap();
        longest = longest.max(resumes - bench.now);
        bench.now = resumes;
    }
    assert!(longest > 5 * SHUTDOWN_WAIT, "{longest:?}");
    // Another end has its own time.
    bench.destination.close(bench.now);
    refuse_connection(&mut bench);
    assert!(
        !bench
            .destination
            .stays_unheard(bench.now + Duration::from_secs(60))
    );
}
