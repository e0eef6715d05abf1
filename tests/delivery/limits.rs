//! Rate limits and allowances: the server says when to come back, and nobody comes sooner.

use std::thread;
use std::time::{Duration, Instant};

use axiom_layer::{Cause, DropReason};
use axiom_local::{Fault, Server};
use chrono::{DateTime, Utc};

use crate::common::{LONG, Program, server, timed, unix_now};

/// How long before the end of the window the next request may come: the two clocks are read at different times. How long after it,
/// the worker's own tests show.
const EARLY: Duration = Duration::from_millis(250);

const TEN_YEARS: u64 = 10 * 365 * 24 * 60 * 60;

fn http_date(in_seconds: i64) -> String {
    let at = unix_now() as i64 + in_seconds;
    let date: DateTime<Utc> = DateTime::from_timestamp(at, 0).unwrap();
    date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn epoch(in_seconds: u64) -> String {
    (unix_now() + in_seconds).to_string()
}

/// The time between the first two requests.
fn gap(server: &Server) -> Duration {
    let requests = server.requests();
    requests[1].received_at - requests[0].received_at
}

/// A program that records 1,000 events, of which the endpoint turns away the first request.
fn limited(fault: Fault) -> (Server, Program) {
    let server = server();
    server.fault(fault);
    let program = Program::slow(server.url());
    program.record(0..1_000);
    program.push();
    // By the time it speaks of the answer, it has acted on it.
    program.said.wait();
    (server, program)
}

fn each<const N: usize>(cases: [(&'static str, String); N], test: impl Fn(&str, &str) + Sync) {
    thread::scope(|scope| {
        for (name, value) in &cases {
            let test = &test;
            thread::Builder::new()
                .name(format!("{name}: {value}"))
                .spawn_scoped(scope, move || test(name, value))
                .unwrap();
        }
    });
}

#[test]
fn after_a_429_nothing_is_sent_inside_the_window_and_nothing_is_lost() {
    let cases = [
        ("retry-after", "2".into()),
        ("retry-after", http_date(3)),
        ("x-ratelimit-reset", epoch(3)),
        ("x-ingestlimit-reset", epoch(3)),
    ];
    each(cases, |name, value| {
        let until = Instant::now() + Duration::from_secs(2);
        let (server, program) = limited(Fault::status(429).header(name, value));
        // More records do not make it impatient.
        program.record(1_000..2_000);
        program.flush().unwrap();
        let second = server.requests()[1].received_at;
        println!(
            "429 with {name}: {value}: the next request after {:?}",
            gap(&server)
        );
        // A date has whole seconds: 3 s from now are 2 to 3.
        assert!(second + EARLY >= until, "{name}: {:?}", gap(&server));
        assert_eq!(program.said.causes(), [Cause::RateLimited]);
        let account = program.finish(&server);
        assert_eq!((account.lost(), account.duplicates), (0, 0));
    });
}

#[test]
fn a_429_without_a_usable_hint_is_retried_soon() {
    let past = (unix_now() - 5).to_string();
    let cases = [
        ("x-unrelated", "1".into()),
        ("x-ratelimit-reset", past.clone()),
        ("x-ratelimit-reset", "soon".into()),
        ("x-ratelimit-reset", "-1".into()),
        ("retry-after", "0".into()),
        ("retry-after", http_date(-3_600)),
        ("retry-after", "99999999999999999999999".into()),
    ];
    each(cases, |name, value| {
        let (server, program) = limited(Fault::status(429).header(name, value));
        program.flush().unwrap();
        assert_eq!(program.finish(&server).lost(), 0);
    });
}

#[test]
fn a_429_that_names_the_next_decade_does_not_hold_up_the_exit() {
    let cases = [
        ("x-ratelimit-reset", epoch(TEN_YEARS)),
        ("x-ingestlimit-reset", epoch(TEN_YEARS)),
        ("retry-after", TEN_YEARS.to_string()),
        ("retry-after", http_date(TEN_YEARS as i64)),
    ];
    each(cases, |name, value| {
        let (server, program) = limited(Fault::status(429).header(name, value));
        let (error, took) = timed(|| program.guard.shutdown(LONG).unwrap_err());
        assert!(took < LONG / 2, "{took:?}");
        assert_eq!(error.stats().dropped_for(DropReason::Shutdown), 1_000);
        assert_eq!(server.requests_seen(), 1);
        program.audit(&[&server]);
    });
}

#[test]
fn a_rate_limit_holds_for_both_datasets_for_it_is_the_tokens() {
    let server = server();
    let program = Program::with(server.url(), |builder| {
        builder
            .traces_dataset("traces")
            .flush_interval(Duration::from_millis(50))
    });
    server.fault(Fault::status(429).header("retry-after", "1"));
    program.record(0..10);
    assert!(server.wait_until(LONG, |server| server.requests_seen() == 1));
    assert!(
        program
            .said
            .wait_for(Cause::RateLimited)
            .what()
            .contains("fewer")
    );
    tracing::dispatcher::with_default(&program.dispatch, || drop(tracing::info_span!("work")));
    program.flush().unwrap();
    let requests = server.requests();
    let datasets: Vec<_> = requests.iter().map(|one| one.dataset.as_deref()).collect();
    assert_eq!(datasets.len(), 3, "{datasets:?}");
    assert!(datasets[1..].contains(&Some("traces")), "{datasets:?}");
    for later in &requests[1..] {
        assert!(later.received_at - requests[0].received_at + EARLY >= Duration::from_secs(1));
    }
    assert_eq!(server.ingested_in("traces"), 1);
    let stats = program.guard.shutdown(LONG).unwrap();
    assert_eq!((stats.delivered(), stats.pending()), (11, 0));
    assert_eq!(server.violations(), []);
}

#[test]
fn a_503_may_say_when_to_come_back_too() {
    let (server, program) = limited(Fault::status(503).header("retry-after", "1"));
    program.flush().unwrap();
    assert!(
        gap(&server) + EARLY >= Duration::from_secs(1),
        "{:?}",
        gap(&server)
    );
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn a_430_that_ends_within_a_minute_is_waited_for() {
    let cases = [
        ("x-ingestlimit-reset", epoch(2)),
        ("x-ratelimit-reset", epoch(2)),
        ("retry-after", "1".into()),
    ];
    each(cases, |name, value| {
        let (server, program) = limited(Fault::status(430).header(name, value));
        program.record(1_000..2_000);
        program.flush().unwrap();
        assert!(
            gap(&server) + EARLY >= Duration::from_secs(1),
            "{:?}",
            gap(&server)
        );
        assert_eq!(program.said.causes(), [Cause::Quota]);
        assert_eq!(program.finish(&server).lost(), 0);
    });
}

#[test]
fn a_430_that_does_not_say_when_it_ends_costs_no_record_and_is_asked_for_slowly() {
    let cases = [
        ("x-ingestlimit-reset", (unix_now() - 5).to_string()),
        ("x-ratelimit-reset", (unix_now() - 86_400).to_string()),
        ("retry-after", http_date(-3_600)),
        ("x-unrelated", "1".into()),
    ];
    each(cases, |name, value| {
        let server = server();
        server.always(Some(Fault::status(430).header(name, value)));
        let program = Program::slow(server.url());
        program.record(0..1_000);
        program.push();
        let said = program.said.wait_for(Cause::Quota);
        assert!(said.effect().contains("0 records were dropped"), "{said}");
        let (error, took) = timed(|| program.flush().unwrap_err());
        assert!(error.is_blocked() && took < LONG / 2, "{error} {took:?}");
        assert_eq!(
            (error.stats().dropped(), error.stats().pending()),
            (0, 1_000)
        );
        let error = program.guard.shutdown(LONG).unwrap_err();
        assert_eq!(error.stats().dropped_for(DropReason::Quota), 1_000);
        assert_eq!(server.requests_seen(), 1);
        program.audit(&[&server]);
    });
}

#[test]
fn a_430_for_longer_drops_what_it_was_asked_about_and_says_so_once() {
    let cases = [
        ("x-ingestlimit-reset", epoch(TEN_YEARS)),
        ("retry-after", "864000".into()),
    ];
    each(cases, |name, value| {
        let server = server();
        server.always(Some(Fault::status(430).header(name, value)));
        let program = Program::slow(server.url());
        program.record(0..1_000);
        program.push();
        let said = program.said.wait_for(Cause::Quota);
        assert!(
            said.effect().contains("1000 records were dropped"),
            "{said}"
        );
        // What is recorded meanwhile waits: it would only be refused.
        program.record(1_000..2_000);
        let (error, took) = timed(|| program.flush().unwrap_err());
        assert!(error.is_blocked() && took < LONG / 2, "{error} {took:?}");
        let (error, took) = timed(|| program.guard.shutdown(LONG).unwrap_err());
        assert!(took < LONG / 2, "{took:?}");
        assert!(error.to_string().contains("quota 2000"), "{error}");
        assert_eq!(program.said.causes()[0], Cause::Quota);
        let quota = program
            .said
            .causes()
            .iter()
            .filter(|one| **one == Cause::Quota)
            .count();
        assert_eq!((quota, server.requests_seen()), (1, 1));
        program.audit(&[&server]);
    });
}
