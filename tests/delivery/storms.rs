//! Much of one kind of trouble: many bad records, many flushes. What is made of it is counted in requests.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axiom_layer::{Cause, Compression, DropReason};
use axiom_local::Fault;

use crate::common::{LONG, Program, SLACK, server, timed};
use crate::endpoints::Gate;

/// Bodies with a bad record are refused. Without compression, so that the gate can look into them.
fn gate(server: &axiom_local::Server) -> Gate {
    Gate::before(server, |seen| seen.holds("poison").then_some(400))
}

/// Requests about the refused body that are waited for: it, and three seconds of tests.
const TESTS: usize = 16;

/// Records below this are those of the refused body.
const SUSPECTS: u64 = 10_000;

/// Whether a body holds any of these. Each record has its number.
fn is_about_suspects(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    let numbers = body.split("\"seq\":").skip(1);
    let digits = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    };
    numbers
        .into_iter()
        .any(|text| digits(text).parse::<u64>().unwrap() < SUSPECTS)
}

#[test]
fn the_search_among_a_thousand_bad_records_makes_five_requests_a_second_and_holds_nobody_up() {
    let server = server();
    let tests = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&tests);
    let gate = Gate::before(&server, move |seen| {
        if is_about_suspects(&seen.body) {
            times.lock().unwrap().push(Instant::now());
        }
        seen.holds("poison").then_some(400)
    });
    let program = Program::with(&gate.url(), |builder| {
        builder.compression(Compression::None).flush_interval(LONG)
    });
    for start in (0..10_000).step_by(10) {
        program.record_with(start..start + 1, "poison");
        program.record(start + 1..start + 10);
    }
    program.push();
    assert!(server.wait_until(LONG, |_| gate.turned_away() > 0));
    // Records that nobody suspects, meanwhile: each is there before the next is made.
    let mut next = SUSPECTS;
    while tests.lock().unwrap().len() < TESTS {
        program.record(next..next + 100);
        program.push();
        next += 100;
        // Long before the search is at its end, which takes half an hour.
        let is_last = |event: &axiom_local::Event| {
            event.get("attributes.seq").and_then(|seq| seq.as_u64()) == Some(next - 1)
        };
        assert!(server.wait_until(LONG, |server| server.all_events().iter().any(is_last)));
    }
    // The first was no test.
    let tests = tests.lock().unwrap()[1..].to_vec();
    let (number, took) = (tests.len(), tests[tests.len() - 1] - tests[0]);
    let ordinary = (next - SUSPECTS) / 100;
    println!(
        "1,000 bad of 10,000: {number} tests in {took:?}; {ordinary} flushes of 100 good ones meanwhile"
    );
    assert!(
        number as f64 <= 5.0 * took.as_secs_f64() + 5.0,
        "{number} tests in {took:?}"
    );
    assert_eq!(program.stats().dropped_for(DropReason::QueueFull), 0);
    // A flush waits for the search, but not for ever.
    let (error, took) = timed(|| program.guard.flush(Duration::from_millis(300)).unwrap_err());
    assert!(error.is_timeout() && took < SLACK, "{error} {took:?}");
    let (error, took) = timed(|| program.guard.shutdown(Duration::from_secs(1)).unwrap_err());
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
    // One that was refused alone may wait for another to get through.
    let stats = error.stats();
    let suspects =
        [DropReason::Rejected, DropReason::Refused].map(|reason| stats.dropped_for(reason));
    assert_eq!(suspects.iter().sum::<u64>(), stats.dropped(), "{stats}");
    assert!(suspects[1] < 10, "{stats}");
    program.audit(&[&server]);
}

#[test]
fn ten_bad_records_among_a_thousand_are_all_found_and_only_they_are_dropped() {
    let server = server();
    let gate = gate(&server);
    let program = Program::with(&gate.url(), |builder| {
        builder.compression(Compression::None).flush_interval(LONG)
    });
    for start in (0..1_000).step_by(100) {
        program.record(start..start + 37);
        program.record_with(start + 37..start + 38, "poison");
        program.record(start + 38..start + 100);
    }
    let (error, took) = timed(|| program.guard.flush(LONG * 2).unwrap_err());
    println!(
        "10 bad of 1,000: {took:?}, {} turned away",
        gate.turned_away()
    );
    assert!(error.is_lost(), "{error}");
    assert_eq!(program.said.causes(), [Cause::Rejected]);
    let account = program.finish(&server);
    assert_eq!(account.dropped(DropReason::Rejected), 10);
    assert_eq!(account.lost(), 10);
    assert!(account.stored.iter().all(|seq| seq % 100 != 37));
}

#[test]
fn a_thousand_flushes_in_an_outage_are_not_a_thousand_requests() {
    let server = server();
    server.always(Some(Fault::status(503)));
    let program = Program::slow(server.url());
    program.record(0..10);
    let ((), took) = timed(|| {
        (0..1_000).for_each(|_| drop(program.guard.flush(Duration::from_millis(1))));
    });
    let requests = server.requests_seen();
    println!("1,000 flushes in {took:?} of an outage: {requests} requests");
    // The backoff alone makes about five in two seconds, and ever fewer; a flush a second adds one.
    assert!(requests <= 100, "{requests} requests");
    server.always(None);
    program.flush().unwrap();
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn a_shutdown_in_an_outage_tries_at_once_and_then_backs_off() {
    let server = server();
    server.always(Some(Fault::status(503)));
    let program = Program::slow(server.url());
    program.record(0..10);
    program.push();
    assert!(server.wait_until(LONG, |server| server.requests_seen() >= 5));
    let before = server.requests_seen();
    let error = program.guard.shutdown(Duration::from_secs(3)).unwrap_err();
    let attempts = server.requests_seen() - before;
    println!("a shutdown of 3 s in an outage: {attempts} attempts");
    assert!((2..=20).contains(&attempts), "{attempts} attempts");
    assert_eq!(error.stats().dropped_for(DropReason::Shutdown), 10);
    program.audit(&[&server]);
}

#[test]
fn a_quiet_program_loses_no_record_when_an_endpoint_begins_to_answer_400_to_all() {
    let server = server();
    let program = Program::new(server.url());
    program.record(0..1);
    program.flush().unwrap();
    server.always(Some(Fault::status(400)));
    program.record(1..2);
    let error = program.flush().unwrap_err();
    assert!(error.is_blocked(), "{error}");
    assert_eq!(error.stats().dropped(), 0);
    program.said.wait_for(Cause::BadRequest);
    server.always(None);
    program.record(2..3);
    // The other one gets through, which is reason enough to try the first again.
    program.flush().unwrap();
    let account = program.finish(&server);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
}

#[test]
fn each_status_that_is_nobodys_fault_has_words_and_a_fix_of_its_own() {
    let cases = [
        (402, Cause::Payment, "paid for", "Billing"),
        (431, Cause::HeadersTooLarge, "headers", "tags_in_records"),
    ];
    for (status, cause, what, fix) in cases {
        let server = server();
        server.always(Some(Fault::status(status)));
        let program = Program::slow(server.url());
        program.record(0..1_000);
        program.push();
        let said = program.said.wait_for(cause);
        println!("{said}");
        assert!(
            said.what().contains(what) && said.fix().contains(fix),
            "{said}"
        );
        let (error, took) = timed(|| program.flush().unwrap_err());
        assert!(error.is_blocked() && took < LONG / 2, "{error} {took:?}");
        assert_eq!(server.requests_seen(), 1, "it was halved");
        let error = program.guard.shutdown(LONG).unwrap_err();
        assert_eq!(error.stats().dropped_for(DropReason::Refused), 1_000);
        program.audit(&[&server]);
    }
}

#[test]
fn a_connection_that_is_the_wrong_one_is_left_at_once_and_nothing_is_said() {
    let server = server();
    let program = Program::slow(server.url());
    program.record(0..10);
    program.flush().unwrap();
    server.fault(Fault::status(421));
    program.record(10..1_000);
    program.flush().unwrap();
    assert_eq!(server.requests_seen(), 3);
    assert!(
        program.said.causes().is_empty(),
        "{:?}",
        program.said.causes()
    );
    let account = program.finish(&server);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
}

#[test]
fn an_address_where_every_connection_is_the_wrong_one_is_a_refusal() {
    let server = server();
    server.always(Some(Fault::status(421)));
    let program = Program::slow(server.url());
    program.record(0..10);
    program.push();
    let said = program.said.wait_for(Cause::NotFound);
    assert!(
        said.what().contains("421") && said.fix().contains("address"),
        "{said}"
    );
    assert_eq!(server.requests_seen(), 2);
    drop(program.guard.shutdown(LONG));
    program.audit(&[&server]);
}

#[test]
fn what_came_too_early_is_sent_again_later() {
    let server = server();
    server.fault(Fault::status(425));
    let program = Program::slow(server.url());
    program.record(0..1_000);
    program.flush().unwrap();
    assert_eq!(server.requests_seen(), 2);
    let account = program.finish(&server);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
}
