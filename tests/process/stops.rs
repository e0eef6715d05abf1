//! A process that is killed, and one that is frozen for a while.

use std::time::{Duration, Instant};

use axiom_local::Server;
use serde_json::Value;

use crate::app::{App, PATIENCE, assert_holds, seqs, server};

#[test]
fn what_was_delivered_before_a_kill_is_whole_and_once() {
    let server = server();
    let mut app = App::start(&server, "steady flush_ms=20");
    // In the midst of it: some batches are delivered, one is under way.
    assert!(server.wait_until(PATIENCE, |server| server.ingested() > 2_000));
    app.wait_for("delivered ");
    app.signal("KILL");
    let ended = app.end();
    let known: u64 = ended
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("delivered ")?.parse().ok())
        .max()
        .unwrap();
    // The endpoint holds at least what the application knew of.
    assert!(server.ingested() >= known);
    let seqs = seqs(&server);
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "each once");
    // Every request was stored whole or not at all.
    let requests = server.requests();
    for request in &requests {
        assert!(
            [0, request.events].contains(&request.ingested),
            "{request:?}"
        );
    }
    let stored: usize = requests.iter().map(|request| request.ingested).sum();
    assert_eq!(stored as u64, server.ingested());
    assert_eq!(server.violations(), []);
}

/// Waits until the process is frozen, which it was told to be, or for as long as is asked for: what matters is that timers and
/// connections are from before.
fn freeze(app: &App) {
    if let Ok(seconds) = std::env::var("AXIOM_LAYER_FREEZE_SECONDS") {
        return std::thread::sleep(Duration::from_secs(seconds.parse().unwrap()));
    }
    let start = Instant::now();
    while !is_stopped(app.id()) {
        assert!(start.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether each of its threads is. Where the system does not tell, it had a second.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        std::thread::sleep(Duration::from_secs(1));
        return true;
    };
    threads.flatten().all(|thread| {
        // One that ended meanwhile does nothing either. The name before the state may hold anything.
        let stat = std::fs::read_to_string(thread.path().join("stat"));
        stat.is_ok_and(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('T'))
    })
}

/// Flushes; the ledger after it.
fn flush(app: &mut App) -> Value {
    app.tell("flush");
    println!("{}", app.wait_for("took "));
    serde_json::from_str(&app.wait_for("{")).unwrap()
}

#[test]
fn a_flush_after_a_freeze_takes_one_round_trip() {
    let server = server();
    let mut app = App::start(&server, "steady asked");
    flush(&mut app);
    flush(&mut app);
    app.signal("STOP");
    freeze(&app);
    app.signal("CONT");
    let ledger = flush(&mut app);
    assert_eq!(
        (&ledger["delivered"], &ledger["retried"]),
        (&300.into(), &0.into())
    );
    // One round trip each: nothing was tried twice, and nothing else was asked.
    assert_eq!(server.requests_seen(), 3);
    app.tell("end");
    let ended = app.end();
    ended.assert_ended_well();
    assert_holds(&server, 0..300);
}

#[test]
fn a_connection_that_was_closed_during_a_freeze_costs_no_record() {
    let first = server();
    let port = first.addr().port();
    let mut app = App::start(&first, "steady asked");
    flush(&mut app);
    app.signal("STOP");
    assert_holds(&first, 0..100);
    // Closes all connections; its successor has the same address.
    drop(first);
    let second = Server::builder().port(port).start().unwrap();
    freeze(&app);
    app.signal("CONT");
    let ledger = flush(&mut app);
    assert_eq!(ledger["delivered"], 200);
    // At most one attempt goes out on the stale connection; the next one gets through.
    let retried = ledger["retried"].as_u64().unwrap();
    assert!(retried <= 1, "{ledger}");
    assert_eq!(second.requests_seen(), 1);
    app.tell("end");
    app.end().assert_ended_well();
    assert_holds(&second, 100..200);
}
