//! What somebody has to mend: a token, a dataset, an address, one record. Said once, probed slowly, healed alone.

use std::thread;
use std::time::Duration;

use axiom_layer::{Builder, Cause, Compression, DropReason};
use axiom_local::{Fault, Server};

use crate::common::{LONG, Program, server, timed};
use crate::endpoints::Gate;

/// The time between probes where a test waits for some. That it is 30 s without this, the worker's own tests show.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

fn quickly_probed(url: &str, options: impl FnOnce(Builder) -> Builder) -> Program {
    Program::with(url, |builder| options(builder.refused_pause(SHORT_PAUSE)))
}

/// Requests at the most to find one bad record among `n`: two for each halving, and the last one's second chance.
fn halvings(n: u64) -> u64 {
    2 * u64::from(n.next_power_of_two().ilog2())
}

#[test]
fn a_refusal_is_said_once_and_probed_slowly_and_holds_up_neither_flush_nor_exit() {
    let cases = [
        (401, Cause::Unauthorized, "AXIOM_TOKEN"),
        (403, Cause::Unauthorized, "AXIOM_TOKEN"),
        (404, Cause::NotFound, "AXIOM_DATASET"),
        (405, Cause::NotFound, "AXIOM_DATASET"),
    ];
    thread::scope(|scope| {
        for (status, cause, fix) in cases {
            scope.spawn(move || {
                let server = server();
                server.always(Some(Fault::status(status)));
                let program = Program::slow(server.url());
                program.record(0..1_000);
                program.push();
                let said = program.said.wait_for(cause);
                assert!(said.fix().contains(fix), "{said}");
                assert!(said.effect().contains("1000 records wait"), "{said}");
                program.record(1_000..2_000);
                let (error, took) = timed(|| program.flush().unwrap_err());
                assert!(error.is_blocked() && took < LONG / 2, "{error} {took:?}");
                let (error, took) = timed(|| program.guard.shutdown(LONG).unwrap_err());
                assert!(took < LONG / 2, "{took:?}");
                assert_eq!(error.stats().dropped_for(DropReason::Refused), 2_000);
                assert_eq!(program.said.causes(), [cause, Cause::Shutdown]);
                assert_eq!(server.requests_seen(), 1, "it was probed");
                program.audit(&[&server]);
            });
        }
    });
}

#[test]
fn the_real_answers_for_a_wrong_token_and_an_unknown_dataset_name_both() {
    let server = Server::builder()
        .token("xaat-right")
        .datasets(["other"])
        .start()
        .unwrap();
    let program = Program::new(server.url());
    program.record(0..10);
    let said = program.said.wait_for(Cause::Unauthorized);
    assert!(
        said.what().contains("logs") && said.what().contains("403"),
        "{said}"
    );
    assert!(!said.to_string().contains("xaat-test"), "{said}");
    drop(program.guard.shutdown(LONG));
    program.audit(&[&server]);
    let program = Program::with(server.url(), |builder| builder.token("xaat-right"));
    program.record(0..10);
    let said = program.said.wait_for(Cause::NotFound);
    assert!(
        said.what().contains("/logs/") && said.what().contains("404"),
        "{said}"
    );
    drop(program.guard.shutdown(LONG));
    program.audit(&[&server]);
}

#[test]
fn an_endpoint_that_understands_nothing_costs_no_record_and_few_requests() {
    let server = server();
    server.always(Some(Fault::status(400)));
    let program = Program::slow(server.url());
    program.record(0..10_000);
    program.push();
    program.said.wait_for(Cause::BadRequest);
    assert_eq!(program.stats().dropped(), 0);
    let (error, took) = timed(|| program.guard.shutdown(LONG).unwrap_err());
    assert!(took < LONG / 2, "{took:?}");
    assert_eq!(error.stats().dropped_for(DropReason::Refused), 10_000);
    let requests = server.requests_seen();
    println!("400 for good: {requests} requests");
    assert!(requests <= halvings(10_000), "{requests} requests");
    program.audit(&[&server]);
}

#[test]
fn a_refusal_keeps_what_the_queue_holds_and_no_more() {
    let server = server();
    server.always(Some(Fault::status(403)));
    let program = Program::with(server.url(), |builder| builder.queue_max_bytes(2 << 20));
    program.record(0..1_000);
    program.said.wait_for(Cause::Unauthorized);
    program.record_with(1_000..31_000, &"x".repeat(100));
    let stats = program.stats();
    println!("refused for good, 2 MiB: {stats}");
    assert!(stats.dropped_for(DropReason::QueueFull) > 15_000, "{stats}");
    assert!(stats.pending() > 5_000, "{stats}");
    drop(program.guard.shutdown(LONG));
    program.audit(&[&server]);
}

#[test]
fn a_dataset_that_is_refused_does_not_hold_up_the_other() {
    let server = Server::builder().datasets(["logs"]).start().unwrap();
    let program = Program::with(server.url(), |builder| builder.traces_dataset("traces"));
    tracing::dispatcher::with_default(&program.dispatch, || drop(tracing::info_span!("work")));
    program.said.wait_for(Cause::NotFound);
    program.record(0..1_000);
    let error = program.flush().unwrap_err();
    assert!(
        error.is_blocked() && error.to_string().contains("traces"),
        "{error}"
    );
    assert_eq!(server.ingested_in("logs"), 1_000);
    let error = program.guard.shutdown(LONG).unwrap_err();
    assert_eq!(error.stats().dropped_for(DropReason::Refused), 1);
    assert_eq!(
        (error.stats().delivered(), error.stats().pending()),
        (1_000, 0)
    );
}

#[test]
fn a_refusal_heals_by_itself_with_the_next_probe_after_the_repair() {
    thread::scope(|scope| {
        for (status, cause) in [
            (401, Cause::Unauthorized),
            (403, Cause::Unauthorized),
            (404, Cause::NotFound),
            (400, Cause::BadRequest),
        ] {
            scope.spawn(move || {
                let server = server();
                server.always(Some(Fault::status(status)));
                let program = quickly_probed(server.url(), |builder| builder);
                program.record(0..1_000);
                program.said.wait_for(cause);
                // The repair comes after a probe that was refused.
                let refused = server.requests_seen();
                assert!(server.wait_until(LONG, |server| server.requests_seen() > refused));
                server.always(None);
                program.record(1_000..2_000);
                // Nobody asks for it.
                assert!(server.wait_until(LONG, |server| server.ingested() >= 2_000));
                program.flush().unwrap();
                assert_eq!(program.said.causes(), [cause]);
                let account = program.finish(&server);
                assert_eq!((account.lost(), account.duplicates), (0, 0));
            });
        }
    });
}

#[test]
fn a_first_record_that_is_bad_does_not_block_those_after_it() {
    let server = server();
    let gate = Gate::before(&server, |seen| seen.holds("poison").then_some(400));
    let program = quickly_probed(&gate.url(), |builder| {
        builder.compression(Compression::None)
    });
    program.record_with(0..1, "poison");
    program.said.wait_for(Cause::BadRequest);
    program.record(1..1_000);
    assert!(server.wait_until(LONG, |server| server.ingested() == 999));
    let account = program.finish(&server);
    assert_eq!(account.dropped(DropReason::Rejected), 1);
}

/// Records 10,000 events, some of them poison. Returns the requests that were turned away.
fn among_10_000(poison: &[u64]) -> u64 {
    let server = server();
    let gate = Gate::before(&server, |seen| seen.holds("poison").then_some(400));
    let program = Program::with(&gate.url(), |builder| {
        builder
            .compression(Compression::None)
            // One batch of all, however slow this machine is.
            .flush_interval(LONG)
    });
    let mut next = 0;
    for bad in poison {
        program.record(next..*bad);
        program.record_with(*bad..*bad + 1, "poison");
        next = bad + 1;
    }
    program.record(next..10_000);
    let error = program.flush().unwrap_err();
    assert!(error.is_lost(), "{error}");
    let samples = error.stats().rejection_samples();
    assert!(
        samples[0].contains("turned away at the gate"),
        "{samples:?}"
    );
    assert_eq!(program.said.causes(), [Cause::Rejected]);
    let account = program.finish(&server);
    assert_eq!(account.dropped(DropReason::Rejected), poison.len() as u64);
    assert_eq!(account.lost(), poison.len() as u64);
    assert!(poison.iter().all(|bad| !account.stored.contains(bad)));
    println!(
        "{} bad of 10,000: {} requests, {} of them turned away",
        poison.len(),
        server.requests_seen() + gate.turned_away(),
        gate.turned_away()
    );
    server.requests_seen() + gate.turned_away()
}

#[test]
fn one_bad_record_is_found_among_10_000_and_only_it_is_dropped() {
    for bad in [0, 4_321, 9_999] {
        let requests = among_10_000(&[bad]);
        assert!(requests <= halvings(10_000) + 2, "{requests} requests");
    }
}

#[test]
fn three_bad_records_are_found_among_10_000() {
    let requests = among_10_000(&[17, 18, 7_000]);
    assert!(requests <= 3 * halvings(10_000) + 2, "{requests} requests");
}
