//! Failures that pass: they cost time, never a record.

use std::time::Duration;

use axiom_layer::{Cause, DropReason};
use axiom_local::{Fault, StreamError};

use crate::audit::{Held, account};
use crate::common::{LONG, Program, is_over_http2, server, server_options, timed, url_of};
use crate::endpoints::reserved_port;
use crate::work;

#[test]
fn half_of_all_requests_failing_loses_nothing_of_100_000() {
    let server = server();
    // A connection that is reset takes all requests on it along, of which over HTTP/2 there are several.
    let reset = match is_over_http2() {
        true => Fault::reset_stream(StreamError::Internal),
        false => Fault::reset(),
    };
    // Each is asked in turn, so that each hits about a tenth: 1 - 0.87^5 is half.
    for (seed, fault) in [
        Fault::status(500),
        Fault::status(502),
        Fault::status(503),
        Fault::status(504),
        reset,
    ]
    .into_iter()
    .enumerate()
    {
        server.with_probability(seed as u64, 0.13, fault);
    }
    let program = Program::with(server.url(), |builder| builder.batch_max_events(2_500));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let program = &program;
            scope.spawn(move || program.record(thread * 25_000..(thread + 1) * 25_000));
        }
    });
    let account = program.finish(&server);
    let requests = server.requests();
    let failed = requests.iter().filter(|one| one.fault.is_some()).count();
    println!(
        "{} requests, {failed} failed, {}",
        requests.len(),
        account.stats
    );
    assert!(failed * 3 > requests.len(), "the dice are loaded");
    assert_eq!(account.stats.delivered(), 100_000);
    assert_eq!(account.stats.retried(), failed as u64);
    // Nothing was stored and then reported as failed, so there is no excuse for a duplicate.
    assert_eq!((account.lost(), account.duplicates), (0, 0));
}

#[test]
fn an_answer_that_gets_lost_costs_duplicates_and_no_record() {
    let server = server();
    let lost_answers = [
        Fault::cut_body(),
        Fault::reset_after_store(),
        Fault::close_after_store(),
    ];
    server.faults(lost_answers.map(Some));
    let program = Program::new(server.url());
    program.record(0..1_000);
    program.flush().unwrap();
    let account = program.finish(&server);
    assert_eq!(account.lost(), 0);
    assert_eq!(account.duplicates, 3_000);
    assert_eq!(account.stats.delivered(), 1_000);
}

#[test]
fn every_way_to_lose_a_connection_is_survived() {
    let server = server();
    let faults = [
        Fault::close_before_read(),
        Fault::close_before_answer(),
        Fault::reset(),
        Fault::status(408),
        Fault::status(500).body("<html>oops</html>"),
    ];
    server.faults(faults.map(Some));
    let program = Program::new(server.url());
    program.record(0..1_000);
    program.flush().unwrap();
    let account = program.finish(&server);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
    assert_eq!(account.stats.retried(), 5);
}

#[test]
fn an_endpoint_that_is_down_at_the_start_gets_everything_once_it_is_up() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let (reserved, port) = reserved_port();
    let url = url_of(port);
    let (program, took) = timed(|| Program::new(&url));
    println!("build() took {took:?}");
    work::assert_builds_at_once(|| Program::new(&url));
    program.record(0..10_000);
    let said = program.said.wait_for(Cause::Unreachable);
    assert!(said.what().contains(&url), "{said}");
    assert!(said.fix().contains("AXIOM_URL"), "{said}");
    assert!(!program.flush_within(Duration::from_millis(300)));
    drop(reserved);
    let server = server_options().port(port).start().unwrap();
    program.record(10_000..20_000);
    program.flush().unwrap();
    assert_eq!(program.said.causes(), [Cause::Unreachable]);
    let account = program.finish(&server);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
}

#[test]
fn an_endpoint_that_restarts_costs_nothing() {
    let first = server();
    let program = Program::new(first.url());
    program.record(0..1_000);
    program.flush().unwrap();
    let port = first.addr().port();
    let before = Held::by(&first);
    drop(first);
    // The kept connection is stale now.
    let second = server_options().port(port).start().unwrap();
    program.record(1_000..2_000);
    let (stats, took) = timed(|| program.flush());
    println!("delivered {took:?} after a restart");
    assert_eq!(stats.unwrap().delivered(), 2_000);
    drop(program.guard.shutdown(LONG));
    let held = [before, Held::by(&second)];
    let account = account(&program.stats(), program.recorded(), &held);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
}

#[test]
fn a_retry_timeout_gives_up_and_says_how_many() {
    let server = server();
    server.always(Some(Fault::status(503)));
    let program = Program::with(server.url(), |builder| {
        builder.retry_timeout(Duration::from_millis(300))
    });
    program.record(0..1_000);
    let error = program.flush().unwrap_err();
    assert!(error.is_lost(), "{error}");
    assert!(
        error.to_string().contains("retries_exhausted 1000"),
        "{error}"
    );
    server.no_faults();
    program.record(1_000..1_100);
    let account = program.finish(&server);
    assert_eq!(account.dropped(DropReason::RetriesExhausted), 1_000);
    assert_eq!(account.stored.len(), 100);
}

#[test]
fn a_retry_timeout_that_is_over_at_once_does_not_make_it_hurry() {
    let server = server();
    server.always(Some(Fault::status(503)));
    let program = Program::with(server.url(), |builder| {
        builder
            .retry_timeout(Duration::from_nanos(1))
            .batch_max_events(10)
    });
    program.record(0..10_000);
    // Batches, none of which is tried twice: two together, and then one after each wait, of which none is shorter than 20 ms.
    assert!(server.wait_until(LONG, |server| server.requests_seen() >= 5));
    let requests = server.requests();
    let took = requests[4].received_at - requests[2].received_at;
    assert!(took >= 2 * Duration::from_millis(20), "{took:?}");
    drop(program.guard.shutdown(Duration::from_millis(100)));
    program.audit(&[&server]);
}

#[test]
fn many_programs_that_fail_together_do_not_come_back_together() {
    let server = server();
    server.faults((0..10).map(|_| Some(Fault::status(503))));
    let programs: Vec<_> = (0..10).map(|_| Program::new(server.url())).collect();
    for program in &programs {
        program.record(0..1);
    }
    // No flush: it makes an attempt at once, whatever the backoff says.
    assert!(server.wait_until(LONG, |server| server.requests().len() == 20));
    let requests = server.requests();
    let first = requests[0].received_at;
    let mut retries: Vec<_> = requests[10..]
        .iter()
        .map(|one| (one.received_at - first).as_millis())
        .collect();
    retries.sort_unstable();
    println!("retries after {retries:?} ms");
    // Full jitter over 200 ms: were they all at once, this would be nearly nothing.
    assert!(retries[9] - retries[0] >= 40, "{retries:?}");
}
