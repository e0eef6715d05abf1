//! Answers that are not what their status says, and bodies that are too large.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axiom_layer::{Cause, Compression, DropReason};
use axiom_local::Fault;
use serde_json::json;

use crate::common::{LONG, Program, server, timed};
use crate::endpoints::Gate;

#[test]
fn three_failures_of_1_000_are_counted_with_samples_and_nothing_is_sent_again() {
    let server = server();
    server.fault(Fault::fail_events(3));
    let program = Program::slow(server.url());
    program.record(0..1_000);
    let error = program.flush().unwrap_err();
    assert!(error.is_lost(), "{error}");
    assert_eq!(
        (error.stats().delivered(), error.stats().pending()),
        (997, 0)
    );
    let samples = error.stats().rejection_samples();
    assert_eq!(samples.len(), 3, "{samples:?}");
    assert!(samples[0].contains("failed on purpose"), "{samples:?}");
    assert_eq!(program.said.causes(), [Cause::Rejected]);
    assert_eq!(server.requests_seen(), 1);
    // The loss was told of: the next receipt is clean.
    program.record(1_000..1_100);
    program.flush().unwrap();
    let account = program.finish(&server);
    assert_eq!(account.dropped(DropReason::Rejected), 3);
    assert_eq!((account.stored.len(), account.duplicates), (1_097, 0));
}

#[test]
fn a_warning_is_passed_on_once_and_costs_nothing() {
    let server = server();
    let message = json!([{"priority": "warn", "code": "schema_rules_drop:attributes.text", "count": 2, "msg": "locked"}]);
    server.always(Some(Fault::messages(message)));
    let program = Program::new(server.url());
    for turn in 0..3 {
        program.record(turn * 100..(turn + 1) * 100);
        program.flush().unwrap();
    }
    let said = program.said.wait_for(Cause::Warning);
    assert!(
        said.what().contains("schema_rules_drop:attributes.text"),
        "{said}"
    );
    assert_eq!(program.said.causes(), [Cause::Warning]);
    let account = program.finish(&server);
    assert_eq!((account.stats.delivered(), account.duplicates), (300, 0));
}

#[test]
fn an_answer_that_is_not_axioms_is_no_success() {
    let elsewhere = server();
    let answers = [
        Fault::garbage("<html><title>Welcome to the hotel</title></html>"),
        Fault::garbage("{}").header("content-type", "application/json"),
        Fault::garbage("\u{0}\u{1}\u{fffd}"),
        Fault::status(302).header(
            "location",
            format!("{}/v1/datasets/logs/ingest", elsewhere.url()),
        ),
        Fault::status(307).header(
            "location",
            format!("{}/v1/datasets/logs/ingest", elsewhere.url()),
        ),
    ];
    for answer in answers {
        let server = server();
        server.fault(answer.clone());
        let program = Program::new(server.url());
        program.record(0..1_000);
        program.flush().unwrap();
        let said = program.said.wait_for(Cause::UnexpectedAnswer);
        println!("{said}");
        assert_eq!(program.said.causes(), [Cause::UnexpectedAnswer]);
        let account = program.finish(&server);
        assert_eq!(account.stats.retried(), 1, "{answer:?}");
        assert_eq!((account.lost(), account.duplicates), (0, 0), "{answer:?}");
    }
    assert_eq!(elsewhere.requests_seen(), 0, "a redirect was followed");
}

/// A gate that lets bodies of up to `limit` bytes through.
fn narrow(server: &axiom_local::Server, limit: usize) -> (Gate, Arc<AtomicUsize>) {
    let largest = Arc::new(AtomicUsize::new(0));
    let seen_largest = Arc::clone(&largest);
    let gate = Gate::before(server, move |seen| {
        seen_largest.fetch_max(seen.body.len(), Ordering::SeqCst);
        (seen.body.len() > limit).then_some(413)
    });
    (gate, largest)
}

#[test]
fn a_body_that_is_too_large_is_halved_until_it_fits() {
    for limit in [100_000, 10_000, 400] {
        let server = server();
        let (gate, largest) = narrow(&server, limit);
        let program = Program::with(&gate.url(), |builder| {
            builder.compression(Compression::None).flush_interval(LONG)
        });
        let events = 10_000.min(limit as u64);
        program.record(0..events);
        program.flush().unwrap();
        assert!(
            program.said.causes().is_empty(),
            "{:?}",
            program.said.causes()
        );
        let refused = gate.turned_away();
        let whole = largest.load(Ordering::SeqCst);
        println!("413 above {limit} bytes: {refused} refusals of a body of {whole} bytes");
        // Halving, and ever fewer tries whether the limit still stands.
        let most = 2 * u64::from(events.next_power_of_two().ilog2());
        assert!(
            whole > limit && (1..=most).contains(&refused),
            "{refused} refusals"
        );
        // The size was learned: later bodies are cut to it.
        let before = server.requests_seen();
        program.record(events..2 * events);
        program.flush().unwrap();
        let requests = server.requests_seen() - before;
        let refused = gate.turned_away() - refused;
        println!("  then {refused} of {requests} more");
        assert!(refused <= 3 + requests / 64, "{refused} of {requests}");
        let account = program.finish(&server);
        assert_eq!((account.lost(), account.duplicates), (0, 0));
    }
}

#[test]
fn a_record_too_large_alone_is_dropped_and_its_neighbours_arrive() {
    let server = server();
    let (gate, _) = narrow(&server, 50_000);
    let program = Program::with(&gate.url(), |builder| {
        builder.compression(Compression::None).flush_interval(LONG)
    });
    program.record(0..500);
    program.record_with(500..501, &"x".repeat(200_000));
    program.record(501..1_000);
    let error = program.flush().unwrap_err();
    assert!(error.is_lost(), "{error}");
    println!(
        "one of 200 KB among 1,000, 413 above 50 KB: {} refusals",
        gate.turned_away()
    );
    assert!(gate.turned_away() <= 20, "{} refusals", gate.turned_away());
    assert_eq!(program.said.causes(), [Cause::TooLarge]);
    let account = program.finish(&server);
    assert_eq!(account.dropped(DropReason::TooLarge), 1);
    assert_eq!((account.stored.len(), account.duplicates), (999, 0));
}

#[test]
fn an_endpoint_that_finds_everything_too_large_costs_no_record_and_few_requests() {
    let server = server();
    server.always(Some(Fault::status(413)));
    let program = Program::slow(server.url());
    program.record(0..10_000);
    program.push();
    let said = program.said.wait_for(Cause::TooLarge);
    println!("413 for good: {} requests; {said}", server.requests_seen());
    assert!(said.effect().contains("10000 records wait"), "{said}");
    assert!(server.requests_seen() <= 2 * 14, "a pause after halving");
    let (error, took) = timed(|| program.flush().unwrap_err());
    assert!(error.is_blocked() && took < LONG / 2, "{error} {took:?}");
    assert_eq!(program.stats().dropped(), 0);
    let (error, took) = timed(|| program.guard.shutdown(LONG).unwrap_err());
    assert!(took < LONG / 2, "{took:?}");
    assert_eq!(error.stats().dropped_for(DropReason::Refused), 10_000);
    program.audit(&[&server]);
}
