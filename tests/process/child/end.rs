//! Ends without a panic: returning from main and `process::exit`, with the guard in different places.

use std::sync::OnceLock;

use axiom_layer::Guard;

use crate::{LONG, Wanted, build, builder, ledger, record, say, start};

/// As in an application that has nowhere else to put it.
static GUARD: OnceLock<Guard> = OnceLock::new();

pub(crate) fn run(wanted: &Wanted) {
    let guard = if wanted.has("layers") {
        return several(wanted);
    } else if wanted.has("hook") {
        with_a_diagnostics_hook(wanted)
    } else {
        start(wanted)
    };
    record(0..wanted.number("events", 1_000));
    let guard = match wanted.text("guard") {
        "kept" => Some(guard),
        "static" => {
            GUARD.set(guard).unwrap();
            None
        }
        "forgotten" => {
            std::mem::forget(guard);
            None
        }
        // As when tasks outlive it: `#[tokio::main]` ends them after it has dropped what `main` holds.
        "early" => {
            drop(guard);
            record(1_000..1_003);
            None
        }
        "shut" => {
            let stats = guard
                .shutdown(LONG)
                .unwrap_or_else(|error| error.stats().clone());
            say(ledger("main", &stats));
            Some(guard)
        }
        other => panic!("no such place: {other}"),
    };
    say("ending");
    match wanted.text("how") {
        "return" => {}
        "exit" => std::process::exit(0),
        "exit-thread" => {
            std::thread::spawn(|| std::process::exit(0));
            crate::wait_for_the_end();
        }
        // While another thread holds what the end might want.
        "exit-locked" => {
            let _out = std::io::stdout().lock();
            let _err = std::io::stderr().lock();
            std::process::exit(0);
        }
        "exit-told" => {
            crate::hear();
            std::process::exit(0);
        }
        // Something else ends it.
        "wait" => crate::wait_for_the_end(),
        other => panic!("no such end: {other}"),
    }
    drop(guard);
}

/// The hook may end the process itself, on whatever thread it runs.
fn with_a_diagnostics_hook(wanted: &Wanted) -> Guard {
    use tracing_subscriber::prelude::*;
    let hook = wanted.text("hook").to_owned();
    let (layer, guard) = builder(wanted)
        .on_diagnostic(move |diagnostic| {
            say(format_args!(
                "diagnostic: {:?}: {diagnostic}",
                diagnostic.cause()
            ));
            match hook.as_str() {
                "exits" if diagnostic.cause() == axiom_layer::Cause::Unauthorized => {
                    std::process::exit(3)
                }
                "always-exits" => std::process::exit(3),
                "blocks" => crate::wait_for_the_end(),
                _ => {}
            }
        })
        .build()
        .unwrap();
    tracing_subscriber::registry().with(layer).init();
    guard
}

/// Several pipelines, all of which end at once.
fn several(wanted: &Wanted) {
    use tracing_subscriber::prelude::*;
    let (layers, guards): (Vec<_>, Vec<_>) = (0..wanted.number("layers", 2))
        .map(|_| build(wanted))
        .unzip();
    tracing_subscriber::registry().with(layers).init();
    record(0..wanted.number("events", 1_000));
    std::mem::forget(guards);
    say("ending");
}
