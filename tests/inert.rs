//! A layer that is switched off: for want of a token (`if_token_present`), or by `OTEL_SDK_DISABLED`. In processes of
//! their own, for the environment decides.

#[path = "common/child.rs"]
mod child;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use allocation_counter::measure;
use axiom_layer::{AxiomLayer, Builder, Cause, Guard, SpanExt};
use axiom_local::Server;
use tracing::subscriber::with_default;
use tracing::{Span, error, info, info_span};
use tracing_subscriber::{prelude::*, registry};

const TOKEN: &str = "xaat-00c0ffee-5ec2-e755-ec2e-755ec2e755ec";
const LONG: Duration = Duration::from_secs(30);

/// Counts how often it is formatted.
struct Counted<'a>(&'a AtomicU32);

impl fmt::Debug for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        f.write_str("counted")
    }
}

/// Everything that a callback hears of.
fn work(formatted: &AtomicU32) {
    let outer = info_span!("outer", value = ?Counted(formatted), late = tracing::field::Empty);
    let _entered = outer.enter();
    let inner = info_span!("inner");
    inner.follows_from(&outer);
    inner.in_scope(|| info!(value = ?Counted(formatted), "event"));
    outer.record("late", tracing::field::debug(Counted(formatted)));
    error!("failed");
}

/// The threads of this process by name; none where the system does not list them.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

/// The layer is there, and it is as if it were not.
fn assert_inert((layer, guard): (AxiomLayer, Guard)) {
    let ours = |name: &String| name.starts_with("axiom-layer");
    assert!(!threads().iter().any(ours), "{:?}", threads());

    let formatted = AtomicU32::new(0);
    let cost = || {
        // Until the registry itself has what it needs.
        (0..1_000).for_each(|_| work(&formatted));
        // For each round: the registry allocates now and then for itself.
        measure(|| (0..100).for_each(|_| work(&formatted))).count_total / 100
    };
    let without = with_default(registry(), cost);
    let with = with_default(registry().with(layer), || {
        let cost = cost();
        let span = info_span!("of its own");
        assert!(span.in_scope(|| Span::current().context()).is_none());
        cost
    });
    assert_eq!((with, without), (0, 0), "allocations");
    assert_eq!(formatted.into_inner(), 0, "no value is looked at");

    let stats = guard.stats();
    assert_eq!(
        (stats.recorded(), stats.dropped(), stats.pending()),
        (0, 0, 0)
    );
    assert_eq!(guard.flush(Duration::ZERO).unwrap(), stats);
    assert_eq!(guard.shutdown(Duration::ZERO).unwrap(), stats);
    assert_eq!(guard.flush(LONG).unwrap(), stats);
    assert!(!threads().iter().any(ours), "{:?}", threads());
    drop(guard);
}

fn builder() -> Builder {
    axiom_layer::builder().exit_hooks(true)
}

fn program(role: &str) {
    match role {
        "without a token" => {
            assert_inert(builder().if_token_present().build().unwrap());
            assert_inert(builder().if_token_present().build().unwrap());
        }
        "with a hook" => {
            let (said, heard) = mpsc::channel();
            let hook = move |diagnostic: &axiom_layer::Diagnostic| {
                said.send((diagnostic.cause(), diagnostic.fix().to_owned()))
                    .unwrap();
            };
            let builder = builder().dataset("main").if_token_present();
            assert_inert(builder.on_diagnostic(hook).build().unwrap());
            let fix = "to enable it, set AXIOM_TOKEN or AXIOM_TOKEN_FILE".to_owned();
            assert_eq!(heard.iter().collect::<Vec<_>>(), [(Cause::NoToken, fix)]);
        }
        "told to be quiet" => {
            let builder = builder().if_token_present().diagnostics(false);
            assert_inert(builder.build().unwrap());
        }
        "with what is wrong" => {
            let wrong = |builder: Builder| builder.if_token_present().build().unwrap_err();
            for (error, setting) in [
                (wrong(builder().url("nonsense")), "url"),
                (wrong(builder().dataset("")), "dataset"),
                (
                    wrong(builder().flush_interval(Duration::ZERO)),
                    "flush_interval",
                ),
                (wrong(builder().tag("_x", 1)), "tag"),
                (wrong(builder().token("")), "token"),
                (wrong(builder().token_file("/nowhere/at/all")), "token_file"),
            ] {
                assert_eq!(error.setting(), Some(setting), "{error}");
            }
        }
        "with a wrong token" => {
            let error = builder().dataset("main").if_token_present().build();
            println!("ERROR {}", error.unwrap_err());
        }
        "switched off" => {
            assert_inert(builder().build().unwrap());
            // A switch for everything does not make a program fail that it is to save.
            assert_inert(builder().dataset("").build().unwrap());
            println!("{}", axiom_layer::doctor());
        }
        "records" => {
            let (layer, guard) = builder().if_token_present().build().unwrap();
            with_default(registry().with(layer), || info!("hello"));
            drop(guard);
        }
        role => panic!("{role}"),
    }
}

/// The programs that the other tests run.
#[test]
fn programs() {
    if let Some(role) = child::role() {
        program(&role);
    }
}

/// What the program says on standard output and standard error.
fn run(role: &str, environment: &[(&str, &str)]) -> (String, String) {
    let output = child::command("programs", role)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = child::succeeded(&output);
    assert!(!out.contains(TOKEN) && !err.contains(TOKEN), "{out}\n{err}");
    (out, err)
}

/// The lines of ours on standard error.
fn said(err: &str) -> Vec<&str> {
    let lines = err.lines();
    lines
        .filter(|line| line.starts_with("axiom-layer: "))
        .collect()
}

#[test]
fn without_a_token_the_layer_costs_nothing_and_says_once_how_to_enable_it() {
    // Empty is unset, and what else is in the environment is of no interest.
    let environment = [("AXIOM_TOKEN", " "), ("AXIOM_URL", "nonsense")];
    let (_, err) = run("without a token", &environment);
    assert_eq!(
        said(&err),
        [
            "axiom-layer: no token is set, so the layer for Axiom is off; nothing is sent; to enable it, set AXIOM_TOKEN or AXIOM_TOKEN_FILE, and AXIOM_DATASET"
        ]
    );
}

#[test]
fn the_hook_hears_of_a_missing_token_instead_of_standard_error() {
    for role in ["with a hook", "told to be quiet"] {
        let (_, err) = run(role, &[]);
        assert_eq!(said(&err), [""; 0], "{role}");
    }
}

#[test]
fn what_was_set_wrongly_is_an_error_without_a_token_too() {
    run("with what is wrong", &[]);
}

#[test]
fn a_token_that_is_wrong_is_not_taken_for_none() {
    for (variable, value) in [
        ("AXIOM_TOKEN", "two words"),
        ("AXIOM_TOKEN_FILE", "/nowhere/at/all"),
    ] {
        let (out, err) = run("with a wrong token", &[(variable, value)]);
        assert!(out.contains(&format!("ERROR {variable}")), "{out}");
        assert_eq!(said(&err), [""; 0]);
    }
}

#[test]
fn with_a_token_records_arrive() {
    let server = Server::builder().token(TOKEN).start().unwrap();
    let environment = [
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_DATASET", "main"),
        ("AXIOM_URL", server.url()),
    ];
    let (_, err) = run("records", &environment);
    assert_eq!((server.ingested(), said(&err).len()), (1, 0), "{err}");
}

#[test]
fn opentelemetrys_switch_turns_the_layer_off_and_says_nothing() {
    let server = Server::builder().token(TOKEN).start().unwrap();
    for (switch, is_off) in [
        ("true", true),
        ("True", true),
        ("TRUE", true),
        ("false", false),
        ("1", false),
        ("", false),
    ] {
        let environment = [
            ("AXIOM_TOKEN", TOKEN),
            ("AXIOM_DATASET", "main"),
            ("AXIOM_URL", server.url()),
            ("OTEL_SDK_DISABLED", switch),
        ];
        let before = server.ingested();
        let (_, err) = run("records", &environment);
        assert_eq!(server.ingested() - before, u64::from(!is_off), "{switch}");
        assert_eq!(said(&err), [""; 0], "{switch}");
    }
    let before = server.requests_seen();
    let (out, _) = run("switched off", &[("OTEL_SDK_DISABLED", "true")]);
    assert!(
        out.contains("OTEL_SDK_DISABLED=true switches the layer off"),
        "{out}"
    );
    assert_eq!(server.requests_seen(), before);
}
