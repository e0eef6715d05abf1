//! `fork`: each process delivers its own records once, and neither waits for the other.

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;

use axiom_local::Fault;

use crate::app::{App, Ended, assert_holds, server, signal};

fn children(ended: &Ended) -> Vec<&str> {
    ended
        .lines
        .iter()
        .filter_map(|line| line.split_once("child ended ").map(|(_, status)| status))
        .collect()
}

#[test]
fn parent_and_child_deliver_their_own_records_once() {
    for hooks in ["", "hooks"] {
        let server = server();
        let ended = App::start(&server, &format!("fork what=queued {hooks}")).end();
        ended.assert_ended_well();
        assert_eq!(children(&ended), ["0"], "{}", ended.stderr);
        assert_eq!(ended.ledger("child")["recorded"], 100);
        assert_eq!(ended.ledger("child")["delivered"], 100);
        assert_eq!(ended.ledger("parent")["recorded"], 510);
        assert_eq!(ended.ledger("parent")["delivered"], 510);
        assert_holds(&server, 0..610);
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn the_hooks_deliver_what_a_child_recorded_when_it_exits() {
    let server = server();
    let ended = App::start(&server, "fork what=exit hooks").end();
    ended.assert_ended_well();
    assert_eq!(children(&ended), ["0"]);
    assert_holds(&server, 0..600);
}

#[test]
fn a_child_that_exits_without_hooks_says_what_it_loses() {
    let server = server();
    let ended = App::start(&server, "fork what=exit").end();
    ended.assert_ended_well();
    assert_holds(&server, 0..500);
    let said = ended.lost_at_the_end();
    assert_eq!(said.len(), 1, "{}", ended.stderr);
    assert!(
        said[0].contains("; 100 records were not delivered; "),
        "{said:?}"
    );
}

#[test]
fn a_child_that_drops_the_layer_keeps_its_own_threads() {
    let server = server();
    let ended = App::start(&server, "fork what=threads").end();
    ended.assert_ended_well();
    assert_eq!(children(&ended), ["0"], "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
}

#[test]
fn what_a_parent_was_told_of_losses_hides_none_of_the_child() {
    let server = server();
    server.faults([Some(Fault::fail_events(10)), Some(Fault::fail_events(5))]);
    let ended = App::start(&server, "fork what=lost").end();
    assert_eq!(children(&ended), ["0"]);
    for who in ["parent", "child"] {
        let said = format!("{who} lost some: true");
        assert!(ended.lines.contains(&said), "{:?}", ended.lines);
    }
}

#[test]
fn ids_of_parent_and_child_differ() {
    let server = server();
    let ended = App::start(&server, "fork what=ids").end();
    ended.assert_ended_well();
    assert_holds(&server, 0..201);
    let events = server.events(crate::app::DATASET);
    for id in ["trace_id", "span_id"] {
        let ids: HashSet<_> = events
            .iter()
            .map(|event| event.get(id).unwrap().as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), 201, "{id}");
    }
}

#[test]
fn a_child_that_records_nothing_ends_without_a_word() {
    for hooks in ["", "hooks"] {
        let server = server();
        let ended = App::start(&server, &format!("fork what=idle {hooks}")).end();
        ended.assert_ended_well();
        assert_eq!(children(&ended), ["0"]);
        assert_eq!(ended.stderr, "");
        assert_holds(&server, 0..500);
    }
}

#[test]
fn a_grandchild_delivers_its_own_whether_the_child_recorded_or_not() {
    for (between, expected) in [("child-records", 700), ("", 600)] {
        let server = server();
        let ended = App::start(&server, &format!("fork what=grandchild {between}")).end();
        ended.assert_ended_well();
        assert_eq!(children(&ended), ["0", "0"], "{}", ended.stderr);
        assert_eq!(ended.ledger("grandchild")["delivered"], 100);
        assert_eq!(ended.ledger("parent")["delivered"], 500);
        let without = if expected == 700 { 500..500 } else { 500..600 };
        assert_holds(&server, (0..700).filter(|seq| !without.contains(seq)));
    }
}

#[test]
fn the_ledger_of_a_child_that_records_nothing_is_zero_and_starts_no_thread() {
    let server = server();
    let ended = App::start(&server, "fork what=stats").end();
    ended.assert_ended_well();
    assert_eq!(ended.ledger("child")["recorded"], 0);
    let threads = "child threads 1".to_owned();
    assert!(ended.lines.contains(&threads), "{:?}", ended.lines);
    assert_eq!(children(&ended), ["0"]);
    assert_holds(&server, 0..500);
}

#[test]
fn a_child_that_records_after_its_guard_is_told_while_it_goes_on() {
    let server = server();
    let ended = App::start(&server, "fork what=late").end();
    ended.assert_ended_well();
    assert_eq!(children(&ended), ["0"], "{}", ended.stderr);
    let told = ended.lines.iter().filter(|line| *line == "told").count();
    assert_eq!(told, 1, "{:?}", ended.lines);
    assert_holds(&server, 0..600);
}

#[test]
fn the_hooks_deliver_what_a_layer_recorded_that_the_child_made() {
    let server = server();
    let ended = App::start(&server, "fork what=another hooks").end();
    ended.assert_ended_well();
    assert_eq!(children(&ended), ["0"], "{}", ended.stderr);
    assert_holds(&server, 0..600);
}

#[test]
fn a_fork_amid_the_first_record_of_a_child_does_not_hang() {
    let server = server();
    let ended = App::start(&server, "fork what=amid").end();
    ended.assert_ended_well();
    assert_eq!(children(&ended), ["0"; 60], "{}", ended.stderr);
    assert_holds(&server, 0..600);
}

#[test]
fn a_guard_dropped_in_the_child_leaves_the_parent_alone() {
    for hooks in ["", "hooks"] {
        let server = server();
        let ended = App::start(&server, &format!("fork what=drop {hooks}")).end();
        ended.assert_ended_well();
        assert_eq!(children(&ended), ["0"]);
        assert_eq!(ended.ledger("parent")["delivered"], 600);
        // Nor is anything said of a guard that was dropped too early.
        assert_eq!(ended.stderr, "");
        assert_holds(&server, 0..600);
    }
}

#[test]
fn forks_amid_recording_threads_neither_hang_nor_lose() {
    let server = server();
    let ended = App::start(&server, "fork what=busy flush_ms=50").end();
    ended.assert_ended_well();
    assert_eq!(children(&ended), ["0"; 20]);
    for ledger in ended.ledgers("child") {
        assert_eq!(ledger["delivered"], 100);
    }
    let parent = ended.ledger("parent");
    assert_eq!(parent["delivered"], parent["recorded"]);
    let of_parent = 1_000_000..1_000_000 + parent["recorded"].as_u64().unwrap();
    assert_holds(&server, (0..2_000).chain(of_parent));
}

#[test]
fn a_signal_ends_a_forked_child_and_it_alone() {
    for (words, delivered) in [("", 500), ("child-records", 600)] {
        let server = server();
        let mut app = App::start(&server, &format!("fork what=signal hooks {words}"));
        let line = app.wait_for("child ");
        let id = line["child ".len()..].parse().unwrap();
        signal(id, "TERM");
        let line = app.wait_for("child ended ");
        let status: i32 = line["child ended ".len()..].parse().unwrap();
        let status = std::process::ExitStatus::from_raw(status);
        assert_eq!(status.signal(), Some(15), "{words}");
        app.tell("go on");
        let ended = app.end();
        ended.assert_ended_well();
        assert_eq!(ended.ledger("parent")["delivered"], 500);
        assert_holds(&server, 0..delivered);
    }
}
