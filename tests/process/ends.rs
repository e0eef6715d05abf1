//! Returning from main and `process::exit`: with the guard or the exit hooks nothing is lost, without either it is said.

use std::time::{Duration, Instant};

use axiom_local::Fault;

use crate::app::{App, SLACK, assert_holds, server};

#[test]
fn guard_delivers_everything_when_main_returns() {
    let server = server();
    let ended = App::start(&server, "end guard=kept how=return").end();
    ended.assert_ended_well();
    assert_holds(&server, 0..1_000);
    assert_eq!(ended.stderr, "");
}

#[test]
fn exit_hooks_deliver_everything_however_the_process_exits_and_wherever_the_guard_is() {
    for guard in ["kept", "forgotten", "static"] {
        for how in ["return", "exit", "exit-thread", "exit-locked"] {
            let server = server();
            let words = format!("end hooks guard={guard} how={how}");
            let mut app = App::start(&server, &words);
            app.wait_for("ending");
            let ended = app.end();
            ended.assert_ended_well();
            assert_holds(&server, 0..1_000);
            assert_eq!(ended.stderr, "", "{words}");
        }
    }
}

#[test]
fn without_guard_and_hooks_the_loss_is_said_to_the_record() {
    for (guard, how) in [
        ("forgotten", "return"),
        ("static", "return"),
        ("kept", "exit"),
        ("kept", "exit-thread"),
        ("kept", "exit-locked"),
    ] {
        let server = server();
        let words = format!("end guard={guard} how={how}");
        let ended = App::start(&server, &words).end();
        ended.assert_ended_well();
        assert_holds(&server, []);
        let said = ended.lost_at_the_end();
        assert_eq!(said.len(), 1, "{words}: {}", ended.stderr);
        assert!(
            said[0].contains("; 1000 records were not delivered; "),
            "{said:?}"
        );
    }
}

#[test]
fn what_came_after_the_guard_while_the_program_wound_down_is_said_at_the_exit() {
    for hooks in ["", "hooks"] {
        let server = server();
        let words = format!("end {hooks} guard=early how=return");
        let ended = App::start(&server, &words).end();
        ended.assert_ended_well();
        assert_holds(&server, 0..1_000);
        let said: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(said.len(), 1, "{words}: {said:?}");
        assert!(said[0].contains("; 3 records were dropped "), "{said:?}");
    }
}

#[test]
fn the_loss_is_said_to_the_diagnostics_hook() {
    let server = server();
    let ended = App::start(&server, "end hook events=321 guard=forgotten how=return").end();
    ended.assert_ended_well();
    assert_eq!(ended.stderr, "");
    let said = ended
        .lines
        .iter()
        .find(|line| line.starts_with("diagnostic: Shutdown"));
    assert!(
        said.unwrap().contains("321 records were not delivered"),
        "{said:?}"
    );
}

#[test]
fn nothing_is_said_and_no_time_lost_when_all_was_delivered_before() {
    for hooks in ["", "hooks"] {
        let server = server();
        let words = format!("end {hooks} guard=shut how=exit");
        let ended = App::start(&server, &words).end();
        ended.assert_ended_well();
        assert_eq!(ended.ledger("main")["delivered"], 1_000);
        assert_eq!(ended.stderr, "", "{words}");
        assert_holds(&server, 0..1_000);
    }
}

#[test]
fn the_end_keeps_its_deadline_when_the_endpoint_hangs() {
    const DEADLINE: Duration = Duration::from_secs(2);
    for words in [
        "end guard=kept how=return",
        "end hooks guard=forgotten how=return",
        "end hooks guard=forgotten how=exit-thread",
    ] {
        let server = server();
        server.always(Some(Fault::hang()));
        let start = Instant::now();
        let mut app = App::start(&server, &format!("{words} shutdown_ms=2000"));
        app.wait_for("ending");
        let ended = app.end();
        ended.assert_ended_well();
        assert!(start.elapsed() >= DEADLINE, "{words}: {:?}", ended.took);
        assert!(ended.took < DEADLINE + SLACK, "{words}: {:?}", ended.took);
        let lost = "1000 records could not be delivered before the end";
        assert!(ended.stderr.contains(lost), "{words}: {}", ended.stderr);
    }
}

#[test]
fn several_layers_end_together_within_one_deadline() {
    let server = server();
    server.always(Some(Fault::hang()));
    let mut app = App::start(&server, "end hooks layers=12 shutdown_ms=1000");
    app.wait_for("ending");
    let ended = app.end();
    ended.assert_ended_well();
    // One after the other would take twelve seconds.
    let took = ended.took;
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
}

#[test]
fn several_layers_with_hooks_deliver_everything() {
    let server = server();
    let ended = App::start(&server, "end hooks layers=3").end();
    ended.assert_ended_well();
    assert_holds(&server, (0..1_000).flat_map(|seq| [seq; 3]));
}

#[test]
fn a_diagnostics_hook_that_exits_whatever_it_is_told_ends_the_process_once() {
    for (words, code) in [
        ("end guard=kept how=wait", 3),
        ("end hooks guard=kept how=wait", 3),
        // It is first called when the process is ending already.
        ("end guard=forgotten how=return", 0),
    ] {
        let server = server();
        server.always(Some(Fault::status(401)));
        let words = format!("{words} flush_ms=50 hook=always-exits");
        let ended = App::start(&server, &words).end();
        assert_eq!(
            ended.status.code(),
            Some(code),
            "{words}: {}, {}",
            ended.status,
            ended.stderr
        );
    }
}

#[test]
fn a_diagnostics_hook_that_never_returns_does_not_keep_the_process_from_ending() {
    for words in [
        "end guard=kept how=exit-told",
        "end guard=forgotten how=exit-told",
        "end hooks guard=forgotten how=exit-told",
    ] {
        let server = server();
        server.always(Some(Fault::status(401)));
        let words = format!("{words} flush_ms=50 hook=blocks shutdown_ms=2000");
        let mut app = App::start(&server, &words);
        app.wait_for("diagnostic: Unauthorized");
        app.tell("exit");
        app.end().assert_ended_well();
    }
}

#[test]
fn a_diagnostics_hook_may_exit_although_it_runs_on_the_worker() {
    for hooks in ["", "hooks"] {
        let server = server();
        server.always(Some(Fault::status(401)));
        let words = format!("end {hooks} hook=exits flush_ms=50 guard=kept how=wait");
        let mut app = App::start(&server, &words);
        app.wait_for("diagnostic: Unauthorized");
        let ended = app.end();
        assert_eq!(ended.status.code(), Some(3), "{words}: {}", ended.stderr);
        let said = ended
            .lines
            .iter()
            .find(|line| line.starts_with("diagnostic: Shutdown"));
        assert!(said.unwrap().contains("1000 records"), "{:?}", ended.lines);
    }
}
