//! Panics: the application's own hook runs first, and what was recorded arrives whether the process survives or not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use axiom_local::{Fault, Server};

use crate::app::{App, Ended, SLACK, assert_holds, built, server};

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

#[test]
fn panics_that_are_caught_do_not_ask_for_a_request_each() {
    let server = server();
    let start = Instant::now();
    let ended = App::start(&server, "panic where=often panics=5000 guard=kept hooks").end();
    let seconds = start.elapsed().as_secs();
    ended.assert_ended_well();
    assert_eq!(hooks_that_ran(&ended).len(), 5_000);
    assert_eq!(server.ingested(), 1_000 + 5_000);
    // One each second, and one when a batch is full.
    let requests = server.requests_seen();
    println!("5,000 panics in {seconds} s, {requests} requests");
    assert!(
        requests <= seconds + 8,
        "{requests} requests in {seconds} s"
    );
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

#[cfg(unix)]
#[test]
fn an_abort_loses_nothing_with_the_hooks() {
    use std::os::unix::process::ExitStatusExt;
    // Each ends long before its shutdown timeout.
    for place in ["abort", "abort-in-thread", "overflow"] {
        let server = server();
        let ended = App::start(&server, &format!("panic hooks where={place}")).end();
        assert_eq!(ended.status.signal(), Some(6), "{place}: {}", ended.stderr);
        assert_holds(&server, 0..1_000);
    }
}

#[cfg(unix)]
#[test]
fn an_abort_takes_no_longer_than_the_deadline_when_the_endpoint_hangs() {
    use std::os::unix::process::ExitStatusExt;
    const DEADLINE: Duration = Duration::from_secs(6);
    std::thread::scope(|scope| {
        for place in ["abort", "extern"] {
            scope.spawn(move || {
                let server = server();
                server.always(Some(Fault::hang()));
                let words = format!("panic hooks where={place} shutdown_ms=6000");
                let ended = App::start(&server, &words).end();
                assert_eq!(ended.status.signal(), Some(6), "{place}: {}", ended.stderr);
                // Once: the hook of a panic that ends in an abort has waited already.
                let took = ended.took;
                assert!(took < DEADLINE + SLACK, "{place}: {took:?}");
            });
        }
    });
}

#[test]
fn a_panic_hook_set_later_replaces_ours_and_the_end_still_delivers() {
    let server = server();
    let ended = App::start(&server, "panic hooks replaced where=main").end();
    assert_eq!(ended.status.code(), Some(101), "{}", ended.stderr);
    assert_eq!(hooks_that_ran(&ended), ["replaced"]);
    assert_holds(&server, 0..1_000);
}

/// A package of its own, for the profile is a workspace's: with few features, and a target directory that is kept.
fn aborting() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aborting");
    std::fs::create_dir_all(&package).unwrap();
    let manifest = format!(
        r#"
            [package]
            name = "aborting"
            edition = "2024"
            [workspace]
            [[bin]]
            name = "aborting"
            path = {main:?}
            [dependencies]
            axiom-layer = {{ path = {root:?}, default-features = false }}
            tracing = {{ version = "0.1", default-features = false, features = ["std"] }}
            tracing-subscriber = {{ version = "0.3", default-features = false, features = ["std", "registry"] }}
            [profile.dev]
            panic = "abort"
            debug = false
        "#,
        main = root.join("tests/process/abort/main.rs"),
    );
    std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .args(["build", "--offline", "--message-format=json"]);
    built(&mut cargo, "aborting")
}

#[cfg(unix)]
#[test]
#[ignore = "builds the crate once more, which takes up to a minute; .ci/run runs it"]
fn a_panic_where_panics_abort_loses_nothing_with_the_hooks() {
    use std::os::unix::process::ExitStatusExt;
    let program = aborting();
    let run = |server: &Server, words: &str| {
        let ended = App::start_command(Command::new(&program), server, words).end();
        assert_eq!(ended.status.signal(), Some(6), "{words}: {}", ended.stderr);
        assert_eq!(hooks_that_ran(&ended), ["on purpose"], "{words}");
        ended
    };
    for place in ["main", "thread"] {
        let server = server();
        run(&server, &format!("{place} hooks"));
        assert_holds(&server, 0..1_001);
    }
    // The panic itself is a record, too.
    let recording = server();
    run(&recording, "main hooks panics");
    let panics = recording.all_events();
    let mut panics = panics
        .iter()
        .filter(|event| event.get("target") == Some(&"panic".into()));
    let panic = panics.next().unwrap();
    assert_eq!(panic.get("message"), Some(&"on purpose".into()));
    assert!(panics.next().is_none());
    // Within its deadline, too.
    let hanging = server();
    hanging.always(Some(Fault::hang()));
    let took = run(&hanging, "main hooks hurried").took;
    assert!(took < Duration::from_secs(2) + SLACK, "{took:?}");
    // An abort runs nothing of ours, so that there the loss can not be said.
    let without = server();
    run(&without, "main");
    assert_holds(&without, []);
}
