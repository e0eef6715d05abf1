//! Endpoints that never come to an end: the application does not notice, and nobody waits beyond a deadline.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axiom_layer::{Cause, Compression, DropReason};
use axiom_local::{Fault, Server};
use tracing::dispatcher::with_default;

use crate::common::{LONG, Program, SLACK, server, timed};
use crate::endpoints::{FullBacklog, Gate};
use crate::work;

const SHUTDOWN: Duration = Duration::from_secs(5);

/// Shuts down a program with 1,000 records that nobody will ever confirm.
fn ends_in_time(name: &str, program: &Program) {
    program.record(0..1_000);
    program.push();
    let (error, took) = timed(|| program.guard.shutdown(SHUTDOWN).unwrap_err());
    println!("{name}: shutdown(5 s) took {took:?}: {error}");
    assert!(took < SHUTDOWN + SLACK, "{name}: {took:?}");
    assert!(took >= SHUTDOWN, "{name}: gave up after {took:?}");
    assert!(error.is_lost(), "{name}: {error}");
    assert!(
        error.to_string().contains("shutdown 1000"),
        "{name}: {error}"
    );
    assert_eq!(
        error.stats().dropped_for(DropReason::Shutdown),
        1_000,
        "{name}"
    );
    assert!(program.said.causes().contains(&Cause::Shutdown), "{name}");
}

#[test]
fn no_endpoint_however_slow_can_hold_up_a_shutdown() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let full = FullBacklog::new();
    let faulty = |fault| {
        let server = server();
        server.always(Some(fault));
        server
    };
    let cases: [(&str, Option<Server>, String); 6] = [
        (
            "one byte a second",
            Some(faulty(Fault::trickle(1))),
            String::new(),
        ),
        ("never answers", Some(faulty(Fault::hang())), String::new()),
        (
            "stores, never answers",
            Some(faulty(Fault::hang_after_store())),
            String::new(),
        ),
        (
            "answers after an hour",
            Some(faulty(Fault::delay(Duration::from_secs(3_600)))),
            String::new(),
        ),
        ("accepts, never reads", None, silent_url),
        ("drops SYN", None, full.url()),
    ];
    thread::scope(|scope| {
        for (name, server, url) in &cases {
            scope.spawn(move || {
                let url = server.as_ref().map_or(url.as_str(), Server::url);
                let program = Program::new(url);
                ends_in_time(name, &program);
                match server {
                    Some(server) => program.audit(&[server]),
                    None => program.audit(&[]),
                }
            });
        }
    });
}

#[test]
fn a_dataset_that_stalls_does_not_hold_up_the_other() {
    let server = server();
    let (held, is_held) = mpsc::channel();
    let gate = Gate::before(&server, move |request| {
        while request.head.contains("/logs/") {
            held.send(()).ok();
            thread::park();
        }
        None
    });
    let program = Program::with(&gate.url(), |builder| {
        builder
            .traces_dataset("traces")
            .compression(Compression::None)
            .flush_interval(LONG)
    });
    // Full batches: more bodies than the worker keeps under way.
    let text = "x".repeat(1_000);
    program.record_with(0..20_000, &text);
    is_held.recv_timeout(LONG).unwrap();
    with_default(&program.dispatch, || drop(tracing::info_span!("step")));
    program.push();
    let is_there = |server: &Server| server.ingested_in("traces") == 1;
    let (delivered, took) = timed(|| server.wait_until(Duration::from_secs(10), is_there));
    println!("the span came after {took:?}");
    assert!(delivered, "{}", program.stats());
    drop(program.guard.shutdown(Duration::ZERO));
}

#[test]
fn dropping_the_guard_takes_no_longer_than_the_shutdown_timeout() {
    let server = server();
    server.always(Some(Fault::hang()));
    let timeout = Duration::from_millis(500);
    let program = Program::with(server.url(), |builder| builder.shutdown_timeout(timeout));
    program.record(0..1_000);
    program.push();
    assert!(server.wait_until(LONG, |server| server.requests_seen() > 0));
    let Program { guard, .. } = program;
    let ((), took) = timed(|| drop(guard));
    // Of the default of five seconds nine tenths are left for a busy machine.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn an_attempt_ends_at_its_timeout_and_the_next_one_delivers() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let faults = [
        Fault::hang(),
        Fault::trickle(1),
        Fault::delay(Duration::from_secs(3_600)),
    ];
    thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || {
                let server = server();
                server.fault(fault.clone());
                let program = Program::with(server.url(), |builder| {
                    builder.flush_interval(LONG).request_timeout(TIMEOUT)
                });
                program.record(0..1_000);
                program.push();
                let said = program.said.wait_for(Cause::Unreachable);
                assert!(said.what().contains("time-out"), "{said}");
                program.flush().unwrap();
                let requests = server.requests();
                let gap = requests[1].received_at - requests[0].received_at;
                println!("{fault:?}: the next attempt after {gap:?}");
                // Not after the 30 seconds that are the default.
                assert!(requests.len() == 2 && gap < LONG / 2, "{gap:?}");
                assert_eq!(program.finish(&server).lost(), 0);
            });
        }
    });
}

#[test]
fn a_connection_that_does_not_come_about_ends_at_the_request_timeout() {
    let full = FullBacklog::new();
    let timeout = Duration::from_secs(1);
    let program = Program::with(&full.url(), |builder| builder.request_timeout(timeout));
    program.record(0..1_000);
    let (said, took) = timed(|| program.said.wait_for(Cause::Unreachable));
    println!("SYN dropped: after {took:?}: {said}");
    // A connection may take ten seconds where the request has the time for it.
    assert!(took < timeout + SLACK, "{took:?}");
    assert!(!program.flush_within(Duration::from_millis(100)));
    drop(program.guard.shutdown(Duration::from_millis(100)));
    assert_eq!(program.audit(&[]).dropped(DropReason::Shutdown), 1_000);
}

/// How often this thread waits and allocates for 10,000 events, in bursts with pauses for the worker.
fn cost(program: &Program) -> (u64, u64) {
    let before = work::waits();
    let counted = allocation_counter::measure(|| {
        for burst in 10..110 {
            program.record(burst * 100..(burst + 1) * 100);
            thread::yield_now();
        }
    });
    (work::waits() - before, counted.count_total)
}

#[test]
fn the_application_does_not_notice_an_endpoint_that_stalls() {
    for fault in [None, Some(Fault::hang())] {
        let server = server();
        server.always(fault.clone());
        let program = Program::new(server.url());
        // The endpoint has these, and the worker waits for its answer.
        program.record(0..1_000);
        program.push();
        assert!(server.wait_until(LONG, |server| server.requests_seen() > 0));
        let (waits, allocations) = cost(&program);
        println!("10,000 events, {fault:?}: {waits} waits, {allocations} allocations");
        // For memory: what stalls is kept, which takes room.
        assert!(waits < 100, "{waits} waits");
        assert!(allocations < 1_000, "{allocations} allocations");
        let patience = fault.map_or(LONG, |_| Duration::from_millis(200));
        drop(program.guard.shutdown(patience));
        program.audit(&[&server]);
    }
}
