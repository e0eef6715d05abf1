//! Endpoints that never come to an end: the application does not notice, and nobody waits beyond a deadline.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use axiom_layer::{Cause, Compression, DropReason};
use axiom_local::{Fault, Server};
use tracing::dispatcher::with_default;

use crate::common::{GRACE, LONG, Program, server, timed};
use crate::endpoints::{FullBacklog, Gate};

const SHUTDOWN: Duration = Duration::from_secs(5);

/// Shuts down a program with 1,000 records that nobody will ever confirm.
fn ends_in_time(name: &str, program: &Program) {
    program.record(0..1_000);
    program.push();
    let (error, took) = timed(|| program.guard.shutdown(SHUTDOWN).unwrap_err());
    println!("{name}: shutdown(5 s) took {took:?}: {error}");
    assert!(took < SHUTDOWN + GRACE, "{name}: {took:?}");
    assert!(took > SHUTDOWN - GRACE, "{name}: gave up after {took:?}");
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
    assert!(took < timeout + GRACE, "{took:?}");
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
                // The server's clock starts when the head of a request is in, the timeout's before; and the flush
                // that follows the report does not wait for the backoff.
                let slack = Duration::from_millis(450);
                assert!((TIMEOUT - slack..TIMEOUT + slack).contains(&gap), "{gap:?}");
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
    assert!(took < timeout + GRACE, "{took:?}");
    assert!(!program.flush_within(Duration::from_millis(100)));
    drop(program.guard.shutdown(Duration::from_millis(100)));
    assert_eq!(program.audit(&[]).dropped(DropReason::Shutdown), 1_000);
}

/// The median and the 99th percentile of one event's cost, in bursts with pauses for the worker.
fn cost(program: &Program) -> (Duration, Duration) {
    let mut costs = Vec::new();
    for _ in 0..100 {
        for _ in 0..100 {
            let seq = program.recorded();
            let start = Instant::now();
            program.record(seq..seq + 1);
            costs.push(start.elapsed());
        }
        thread::yield_now();
    }
    costs.sort_unstable();
    (costs[costs.len() / 2], costs[costs.len() * 99 / 100])
}

#[test]
fn the_application_does_not_notice_an_endpoint_that_stalls() {
    // Other tests share the processors: the best of a few rounds of each, in turn.
    let mut best = [(Duration::MAX, Duration::MAX); 2];
    for _ in 0..3 {
        for (stalls, best) in best.iter_mut().enumerate() {
            let server = server();
            server.always((stalls == 1).then(Fault::hang));
            let program = Program::new(server.url());
            let (median, p99) = cost(&program);
            *best = (best.0.min(median), best.1.min(p99));
            let patience = [LONG, Duration::from_millis(200)][stalls];
            drop(program.guard.shutdown(patience));
            program.audit(&[&server]);
        }
    }
    let [healthy, stalled] = best;
    println!("an event's median and p99: {healthy:?} healthy, {stalled:?} stalled");
    assert!(
        stalled.0 <= healthy.0.mul_f64(1.5),
        "{healthy:?} {stalled:?}"
    );
    assert!(
        stalled.1 <= healthy.1.mul_f64(2.0),
        "{healthy:?} {stalled:?}"
    );
}
