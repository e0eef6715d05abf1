//! Panics: the application's own hook runs first, and what was recorded arrives whether the process survives or not.

use crate::app::{App, Ended, assert_holds, server};

fn hooks_that_ran(ended: &Ended) -> Vec<&str> {
    ended
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("hook: "))
        .collect()
}

#[test]
fn a_panic_in_main_loses_nothing() {
    for words in ["panic guard=kept where=main", "panic hooks where=main"] {
        let server = server();
        let ended = App::start(&server, words).end();
        assert_eq!(ended.status.code(), Some(101), "{words}: {}", ended.stderr);
        assert_eq!(hooks_that_ran(&ended), ["on purpose"]);
        assert_holds(&server, 0..1_001);
    }
}

#[test]
fn a_panic_in_a_thread_or_a_task_is_survived_and_loses_nothing() {
    for place in ["thread", "task"] {
        for rest in ["guard=kept", "hooks"] {
            let server = server();
            let words = format!("panic {rest} where={place}");
            let ended = App::start(&server, &words).end();
            ended.assert_ended_well();
            assert_eq!(hooks_that_ran(&ended), ["on purpose"], "{words}");
            assert!(ended.lines.contains(&"caught: true".to_owned()));
            assert_holds(&server, 0..1_001);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_panic_that_may_not_unwind_aborts_but_loses_nothing_with_the_hooks() {
    use std::os::unix::process::ExitStatusExt;
    for (place, said) in [
        (
            "destructor",
            [
                "on purpose",
                "once more",
                "panic in a destructor during cleanup",
            ]
            .as_slice(),
        ),
        (
            "extern",
            ["on purpose", "panic in a function that cannot unwind"].as_slice(),
        ),
    ] {
        let server = server();
        let ended = App::start(&server, &format!("panic hooks where={place}")).end();
        assert_eq!(ended.status.signal(), Some(6), "{place}: {}", ended.stderr);
        assert_eq!(hooks_that_ran(&ended), said);
        // The application's hook records each time it runs.
        let panics = std::iter::repeat_n(1_000, said.len());
        assert_holds(&server, (0..1_000).chain(panics));
    }
}

#[test]
fn a_panic_hook_set_later_replaces_ours_and_the_end_still_delivers() {
    let server = server();
    let ended = App::start(&server, "panic hooks replaced where=main").end();
    assert_eq!(ended.status.code(), Some(101), "{}", ended.stderr);
    assert_eq!(hooks_that_ran(&ended), ["replaced"]);
    assert_holds(&server, 0..1_000);
}
