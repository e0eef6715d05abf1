//! Programs of every kind of runtime, and of none: the same records arrive, and the program ends by itself.
//!
//! Each is a process of its own with a global subscriber, killed if it does not end.

#[path = "common/child.rs"]
mod child;
#[path = "common/no_tokio.rs"]
mod no_tokio;

use std::process::Stdio;
use std::time::{Duration, Instant};

use axiom_layer::Guard;
use axiom_local::{Event, Server};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tracing::{Instrument, info, info_span};
use tracing_subscriber::prelude::*;

const LONG: Duration = Duration::from_secs(30);

/// What each program records: a span around three events, one of them after a wait.
async fn work_async() {
    async {
        info!("first");
        tokio::task::yield_now().await;
        info!("second");
        tokio::time::sleep(Duration::from_millis(2)).await;
        info!("third");
    }
    .instrument(info_span!("work"))
    .await;
}

async fn work_in_smol() {
    async {
        info!("first");
        smol::future::yield_now().await;
        info!("second");
        smol::Timer::after(Duration::from_millis(2)).await;
        info!("third");
    }
    .instrument(info_span!("work"))
    .await;
}

fn work() {
    let _span = info_span!("work").entered();
    info!("first");
    info!("second");
    info!("third");
}

/// Configured by the environment. Nothing leaves before it is asked to. No program is to run into the shutdown timeout, which is twice
/// what the test waits.
fn start() -> Guard {
    let (layer, guard) = axiom_layer::builder()
        .flush_interval(2 * LONG)
        .shutdown_timeout(2 * LONG)
        .build()
        .unwrap();
    tracing_subscriber::registry()
        .with(no_tokio::filter())
        .with(layer)
        .init();
    guard
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[tokio::main]
async fn tokio_main() {
    let _guard = start();
    work_async().await;
}

#[tokio::main(flavor = "current_thread")]
async fn tokio_main_current_thread() {
    let _guard = start();
    tokio::spawn(work_async()).await.unwrap();
}

fn program(name: &str) {
    match name {
        "no runtime" => {
            let _guard = start();
            work();
        }
        "built outside, used inside" => {
            let guard = start();
            current_thread().block_on(work_async());
            drop(guard);
        }
        "tokio::main" => tokio_main(),
        "tokio::main, current_thread" => tokio_main_current_thread(),
        "guard dropped in async code" => multi_thread().block_on(async {
            let guard = start();
            tokio::spawn(work_async()).await.unwrap();
            drop(guard);
            tokio::task::yield_now().await;
        }),
        "guard dropped in a task" => multi_thread().block_on(async {
            let guard = start();
            work_async().await;
            tokio::spawn(async move { drop(guard) }).await.unwrap();
        }),
        "guard dropped by a runtime that ends" => {
            let runtime = multi_thread();
            let guard = start();
            runtime.block_on(work_async());
            runtime.spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
            drop(runtime);
        }
        "flush on a thread of the runtime" => current_thread().block_on(async {
            let guard = start();
            work_async().await;
            assert_eq!(guard.flush(LONG).unwrap().delivered(), 4);
        }),
        "flush_async" => current_thread().block_on(async {
            let guard = start();
            work_async().await;
            assert_eq!(guard.flush_async().await.unwrap().delivered(), 4);
        }),
        "flush_async with a time-out" => multi_thread().block_on(async {
            let guard = start();
            work_async().await;
            let flushed = tokio::time::timeout(LONG, guard.flush_async()).await;
            assert_eq!(flushed.unwrap().unwrap().delivered(), 4);
        }),
        "LocalSet" => {
            let local = LocalSet::new();
            let runtime = current_thread();
            local.block_on(&runtime, async {
                let guard = start();
                tokio::task::spawn_local(work_async()).await.unwrap();
                tokio::task::spawn_local(async move { guard.shutdown(LONG).unwrap() })
                    .await
                    .unwrap();
            });
        }
        "block_in_place" => multi_thread().block_on(async {
            let guard = start();
            work_async().await;
            tokio::spawn(async move { tokio::task::block_in_place(|| drop(guard)) })
                .await
                .unwrap();
        }),
        "guard dropped on another thread" => {
            let guard = start();
            work();
            std::thread::spawn(move || drop(guard)).join().unwrap();
        }
        "smol::block_on" => smol::block_on(async {
            let guard = start();
            work_in_smol().await;
            assert_eq!(guard.flush_async().await.unwrap().delivered(), 4);
        }),
        "guard dropped in a task of smol" => smol::block_on(async {
            let guard = start();
            smol::spawn(work_in_smol()).await;
            smol::spawn(async move {
                assert_eq!(guard.flush_async().await.unwrap().delivered(), 4);
                smol::future::yield_now().await;
                drop(guard);
            })
            .await;
        }),
        "panic" => {
            let outcome = std::panic::catch_unwind(|| {
                let _guard = start();
                work();
                panic!("on purpose");
            });
            assert!(outcome.is_err());
        }
        other => panic!("no program {other}"),
    }
}

const PROGRAMS: [&str; 16] = [
    "no runtime",
    "built outside, used inside",
    "tokio::main",
    "tokio::main, current_thread",
    "guard dropped in async code",
    "guard dropped in a task",
    "guard dropped by a runtime that ends",
    "flush on a thread of the runtime",
    "flush_async",
    "flush_async with a time-out",
    "LocalSet",
    "block_in_place",
    "guard dropped on another thread",
    "smol::block_on",
    "guard dropped in a task of smol",
    "panic",
];

#[test]
fn every_program_delivers_the_same_and_ends() {
    if let Some(name) = child::role() {
        return program(&name);
    }
    for name in PROGRAMS {
        let server = Server::start().unwrap();
        let start = Instant::now();
        let child = child::command("every_program_delivers_the_same_and_ends", name)
            .env("AXIOM_TOKEN", "xaat-any")
            .env("AXIOM_DATASET", "main")
            .env("AXIOM_URL", server.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (_, err) = child::succeeded(&child.wait_with_output().unwrap());
        let took = start.elapsed();
        assert!(took < LONG, "{name}: {took:?}");
        assert!(!err.contains("axiom-layer:"), "{name}: {err}");
        let events = server.events("main");
        let texts: Vec<_> = events.iter().map(text).collect();
        assert_eq!(texts, ["first", "second", "third", "work"], "{name}");
        let span = |event: &Event| event.get("span_id").cloned();
        assert!(
            events.iter().all(|event| span(event) == span(&events[3])),
            "{name}"
        );
        assert_eq!(server.violations(), [], "{name}");
    }
}

fn text(event: &Event) -> String {
    let text = event.get("message").or_else(|| event.get("name"));
    text.unwrap().as_str().unwrap().to_owned()
}
