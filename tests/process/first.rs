//! The first process of a container, which the kernel keeps from what signals do by default.

use std::io::Write;
use std::process::Command;

use axiom_local::{Fault, Server};

use crate::app::{App, PATIENCE, assert_holds, program, server, signal};

/// The application as the first process of a PID namespace of its own. `None`: the system does not allow one.
fn first(server: &Server, words: &str) -> Option<App> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]);
        command
    };
    let allowed = unshare().arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        // Not by the macro, whose text is kept from whoever runs the tests as long as they pass.
        let said = "*** NOT TESTED: this system allows no PID namespace (unshare --pid), so nothing is shown of PID 1 ***";
        let mut stderr = std::io::stderr();
        writeln!(stderr, "\n{said}\n").unwrap();
        return None;
    }
    let mut command = unshare();
    command.arg(program());
    Some(App::start_command(command, server, words))
}

/// The process in the namespace, as it is called outside.
fn inside(app: &App) -> u32 {
    let id = app.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.trim().parse().unwrap()
}

#[test]
fn a_signal_ends_the_first_process_after_delivery_and_the_status_tells_which() {
    for (name, status) in [("TERM", 143), ("INT", 130), ("ABRT", 134)] {
        let server = server();
        let Some(mut app) = first(&server, "signal hooks") else {
            return;
        };
        app.wait_for("ready");
        signal(inside(&app), name);
        let ended = app.end();
        assert_eq!(
            ended.status.code(),
            Some(status),
            "{name}: {}",
            ended.stderr
        );
        assert_holds(&server, 0..1_000);
    }
}

#[test]
fn an_abort_of_the_first_process_loses_nothing() {
    let server = server();
    let Some(app) = first(&server, "panic hooks where=abort") else {
        return;
    };
    let ended = app.end();
    assert_eq!(ended.status.code(), Some(134), "{}", ended.stderr);
    assert_holds(&server, 0..1_000);
}

#[test]
fn the_second_signal_ends_the_first_process_at_once() {
    let server = server();
    server.always(Some(Fault::hang()));
    let Some(mut app) = first(&server, "signal hooks") else {
        return;
    };
    app.wait_for("ready");
    signal(inside(&app), "TERM");
    assert!(server.wait_until(PATIENCE, |server| server.requests_seen() > 0));
    signal(inside(&app), "TERM");
    let ended = app.end();
    assert_eq!(ended.status.code(), Some(143), "{}", ended.stderr);
}

#[test]
fn a_first_process_that_handles_the_signal_keeps_control() {
    let server = server();
    let Some(mut app) = first(&server, "signal hooks handler=plain-after") else {
        return;
    };
    app.wait_for("ready");
    signal(inside(&app), "TERM");
    app.wait_for("shutting down");
    signal(inside(&app), "TERM");
    app.wait_for("asked again");
    app.tell("go on");
    let ended = app.end();
    ended.assert_ended_well();
    assert_eq!(ended.ledger("main")["delivered"], 1_010);
    assert_holds(&server, 0..1_010);
}
