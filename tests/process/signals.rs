//! SIGTERM and SIGINT: nothing is lost, the signal does what it would have done, and the application's handlers decide.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use axiom_local::Fault;

use crate::app::{App, PATIENCE, SLACK, assert_holds, seqs, server};

#[test]
fn a_signal_that_nobody_handles_ends_the_process_after_delivery() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("ABRT", 6)] {
        let server = server();
        let mut app = App::start(&server, "signal hooks");
        app.wait_for("ready");
        app.signal(name);
        let ended = app.end();
        assert_eq!(ended.status.signal(), Some(number), "{}", ended.stderr);
        assert_holds(&server, 0..1_000);
    }
}

#[test]
fn a_signal_ends_the_process_at_the_deadline_when_the_endpoint_hangs() {
    let server = server();
    server.always(Some(Fault::hang()));
    let mut app = App::start(&server, "signal hooks shutdown_ms=2000");
    app.wait_for("ready");
    app.signal("TERM");
    let ended = app.end();
    assert_eq!(ended.status.signal(), Some(15), "{}", ended.stderr);
    let took = ended.took;
    assert!(took < Duration::from_secs(2) + SLACK, "{took:?}");
}

#[test]
fn a_signal_ends_the_process_early_when_nothing_listens() {
    let server = server();
    let mut app = App::start(&server, "signal hooks");
    app.wait_for("ready");
    drop(server);
    app.signal("TERM");
    let ended = app.end();
    assert_eq!(ended.status.signal(), Some(15), "{}", ended.stderr);
    assert!(ended.stderr.contains("refused"), "{}", ended.stderr);
}

#[test]
fn a_request_without_an_answer_is_sent_once_more_when_half_of_the_time_is_over() {
    let server = server();
    // As on a wedged connection: the request itself would last for longer than the process may.
    server.fault(Fault::hang());
    let mut app = App::start(&server, "signal hooks shutdown_ms=2000");
    app.wait_for("ready");
    app.signal("TERM");
    let ended = app.end();
    assert_eq!(ended.status.signal(), Some(15), "{}", ended.stderr);
    assert_holds(&server, 0..1_000);
}

#[test]
fn the_second_sigint_ends_the_process_at_once() {
    let server = server();
    server.always(Some(Fault::hang()));
    let mut app = App::start(&server, "signal hooks");
    app.wait_for("ready");
    app.signal("INT");
    assert!(server.wait_until(PATIENCE, |server| server.requests_seen() > 0));
    app.signal("INT");
    let ended = app.end();
    assert_eq!(ended.status.signal(), Some(2), "{}", ended.stderr);
}

#[test]
fn without_the_hooks_a_signal_ends_the_process_as_ever() {
    let server = server();
    let mut app = App::start(&server, "signal");
    app.wait_for("ready");
    app.signal("TERM");
    let ended = app.end();
    assert_eq!(ended.status.signal(), Some(15));
    assert_holds(&server, []);
}

#[test]
fn an_application_that_handles_the_signal_keeps_control() {
    for handler in ["plain-before", "plain-after", "tokio-before", "tokio-after"] {
        let server = server();
        let mut app = App::start(&server, &format!("signal hooks handler={handler}"));
        app.wait_for("ready");
        app.signal("TERM");
        app.wait_for("shutting down");
        // Nor does the second one end it: how often it has to be asked is the application's business. Hooks that had taken the
        // first one would end the process at the second, before the application can tell of it.
        app.signal("TERM");
        app.wait_for("asked again");
        app.tell("go on");
        let ended = app.end();
        assert!(ended.status.success(), "{handler}: {}", ended.status);
        assert_eq!(ended.ledger("main")["delivered"], 1_010);
        assert_holds(&server, 0..1_010);
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    // As a shell without job control starts what runs in the background, and as `nohup` does for another.
    let server = server();
    let mut app = App::start_ignoring(&server, "INT TERM", "signal hooks once ignored");
    app.wait_for("ready");
    app.signal("INT");
    app.signal("TERM");
    app.tell("still here");
    let ended = app.end();
    ended.assert_ended_well();
    assert!(ended.lines.contains(&"still here".to_owned()));
    assert_holds(&server, 0..1_000);
}

#[test]
fn an_application_that_took_a_signal_and_aborts_later_loses_nothing() {
    let server = server();
    let mut app = App::start(&server, "signal hooks handler=then-abort");
    app.wait_for("ready");
    app.signal("TERM");
    let ended = app.end();
    assert_eq!(ended.status.signal(), Some(6), "{}", ended.stderr);
    assert_holds(&server, 0..1_000);
}

#[test]
fn an_application_that_takes_a_signal_over_while_we_end_keeps_control() {
    let server = server();
    // The delivery gets through, and the end waits for the record that came after it.
    server.fault(Fault::delay(Duration::from_secs(1)));
    server.always(Some(Fault::hang()));
    let mut app = App::start(&server, "signal hooks handler=late shutdown_ms=6000");
    app.wait_for("ready");
    app.signal("TERM");
    assert!(server.wait_until(PATIENCE, |server| server.requests_seen() > 0));
    app.tell("record");
    app.wait_for("taken over");
    server.no_faults();
    // We have ended the layer, but not the process.
    app.wait_for("ended");
    app.signal("TERM");
    app.wait_for("asked again");
    let ended = app.end();
    ended.assert_ended_well();
    let delivered = ended.ledger("main")["delivered"].as_u64().unwrap();
    assert_holds(&server, 0..delivered);
}

/// As a program that daemonizes does, or one that is careful before it starts another.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_a_process_that_closed_every_descriptor_and_writes_into_no_file() {
    let path = std::env::temp_dir().join(format!("axiom-layer-signal-{}", std::process::id()));
    std::fs::write(&path, "").unwrap();
    let server = server();
    let words = format!("signal hooks handler=closes-all file={}", path.display());
    let mut app = App::start(&server, &words);
    app.wait_for("ready");
    app.signal("TERM");
    let ended = app.end();
    let written = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ended.status.signal(), Some(15), "{}", ended.stderr);
    assert_eq!(written, b"");
}

#[test]
fn what_is_recorded_while_a_signal_ends_the_process_is_delivered_or_told() {
    let told = "records were made while a signal ended the process";
    // On a busy machine the process may be gone before its thread gets to record once more: then there is nothing to tell.
    let is_told = (0..10).any(|_| {
        let server = server();
        let mut app = App::start(&server, "signal hooks handler=goes-on");
        app.wait_for("ready");
        app.signal("TERM");
        let ended = app.end();
        assert_eq!(ended.status.signal(), Some(15), "{}", ended.stderr);
        let seqs = seqs(&server);
        let delivered = seqs.len() as u64;
        assert!(delivered >= 1_000);
        // Without a gap: what came after the end is all that is missing.
        assert_eq!(seqs, (0..delivered).collect::<Vec<_>>());
        ended.stderr.contains(told)
    });
    assert!(is_told, "nobody was told");
}
