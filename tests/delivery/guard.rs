//! Where a guard may be dropped: anywhere. It returns in time and everything has arrived.

use std::future::Future;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use axiom_layer::{Cause, Diagnostic, DropReason, FlushError, Guard, Stats};
use axiom_local::{Fault, Server};
use tokio::runtime::{Builder, Runtime};
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

use crate::audit::{Held, account};
use crate::common::{LONG, Program, builder, server, timed};
use crate::work;

const EVENTS: u64 = 1_000;

/// A program whose guard lives apart from it, so that it can be dropped by itself.
struct Parts {
    server: Server,
    program: Program,
}

impl Parts {
    /// With records that nothing but the end makes leave.
    fn recorded() -> Self {
        let server = server();
        let options =
            |builder: axiom_layer::Builder| builder.flush_interval(LONG).shutdown_timeout(LONG);
        let program = Program::with(server.url(), options);
        program.record(0..EVENTS);
        Self { server, program }
    }

    /// Lets `end` have the guard, and audits.
    fn end<T>(self, end: impl FnOnce(Guard) -> T) -> T {
        let Self { server, program } = self;
        let stats = program.stats();
        assert_eq!((stats.recorded(), stats.delivered()), (EVENTS, 0));
        let Program { guard, .. } = program;
        let (value, took) = timed(|| end(guard));
        assert!(took < LONG / 2, "{took:?}");
        assert_eq!(server.ingested(), EVENTS);
        assert_eq!(Held::by(&server).distinct(), EVENTS);
        value
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn one_worker() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn on_a_plain_thread() {
    Parts::recorded().end(drop);
}

#[test]
fn on_another_thread() {
    Parts::recorded().end(|guard| thread::spawn(move || drop(guard)).join().unwrap());
}

#[test]
fn inside_block_on_of_a_current_thread_runtime() {
    Parts::recorded().end(|guard| current_thread().block_on(async move { drop(guard) }));
}

#[test]
fn in_a_task_of_a_runtime_with_one_worker() {
    Parts::recorded().end(|guard| {
        let runtime = one_worker();
        runtime.block_on(async { tokio::spawn(async move { drop(guard) }).await.unwrap() });
    });
}

#[test]
fn in_a_local_set() {
    Parts::recorded().end(|guard| {
        let local = tokio::task::LocalSet::new();
        local.block_on(&current_thread(), async {
            tokio::task::spawn_local(async move { drop(guard) })
                .await
                .unwrap();
        });
    });
}

#[test]
fn with_a_future_that_is_cancelled() {
    Parts::recorded().end(|guard| {
        current_thread().block_on(async {
            let forever = async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            };
            tokio::time::timeout(Duration::from_millis(1), forever)
                .await
                .unwrap_err();
        });
    });
}

#[test]
fn after_the_runtime_is_gone() {
    Parts::recorded().end(|guard| {
        let runtime = one_worker();
        runtime.block_on(async { tokio::task::yield_now().await });
        drop(runtime);
        drop(guard);
    });
}

#[test]
fn with_the_runtime_that_owns_it() {
    Parts::recorded().end(|guard| {
        let runtime = one_worker();
        runtime.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        // Shutting a runtime down drops its tasks where they are.
        drop(runtime);
    });
}

#[test]
fn while_its_thread_unwinds() {
    Parts::recorded().end(|guard| {
        let panicking = thread::Builder::new().name("panics on purpose".into());
        let thread = panicking.spawn(move || {
            let _guard = guard;
            panic!("on purpose");
        });
        assert!(thread.unwrap().join().is_err());
    });
}

#[test]
fn in_a_thread_local_of_a_thread_that_ends() {
    thread_local! {
        static GUARD: Mutex<Option<Guard>> = const { Mutex::new(None) };
    }
    Parts::recorded().end(|guard| {
        let thread = thread::spawn(|| GUARD.with(|slot| *slot.lock().unwrap() = Some(guard)));
        thread.join().unwrap();
    });
}

#[test]
fn in_a_static_shut_down_twice() {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    let server = server();
    let program = PROGRAM.get_or_init(|| Program::slow(server.url()));
    program.record(0..EVENTS);
    let first = program.guard.shutdown(LONG).unwrap();
    assert_eq!(first.delivered(), EVENTS);
    let (second, took) = timed(|| program.guard.shutdown(LONG));
    assert_eq!(second.unwrap(), first);
    assert!(took < LONG / 2, "{took:?}");
    account(&program.stats(), EVENTS, &[Held::by(&server)]);
}

#[test]
fn shut_down_from_several_threads_at_once() {
    for _ in 0..20 {
        let server = server();
        let program = Program::slow(server.url());
        program.record(0..EVENTS);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let (stats, took) = timed(|| program.guard.shutdown(LONG).unwrap());
                    assert!(took < LONG / 2, "{took:?}");
                    assert_eq!(stats.delivered(), EVENTS);
                });
            }
        });
        assert_eq!(program.audit(&[&server]).lost(), 0);
    }
}

#[test]
fn flushed_from_several_threads_while_others_record() {
    let server = server();
    let program = Program::slow(server.url());
    thread::scope(|scope| {
        for thread in 0..4 {
            let program = &program;
            scope.spawn(move || {
                for turn in 0..10 {
                    let start = thread * EVENTS + turn * 100;
                    program.record(start..start + 100);
                    let stats = program.flush().unwrap();
                    // What this thread recorded is delivered, whatever others do meanwhile.
                    assert!(stats.delivered() >= (turn + 1) * 100, "{stats}");
                }
            });
        }
    });
    assert_eq!(program.stats().delivered(), 4 * EVENTS);
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn a_flush_can_be_awaited_where_blocking_would_stop_the_runtime() {
    let server = server();
    let program = Program::slow(server.url());
    program.record(0..EVENTS);
    fn run<F: Future>(future: F) -> F::Output {
        current_thread().block_on(future)
    }
    let stats = run(async {
        let flush = tokio::time::timeout(LONG, program.guard.flush_async());
        flush.await.unwrap().unwrap()
    });
    assert_eq!(stats.delivered(), EVENTS);
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn what_comes_after_the_shutdown_is_counted_and_nothing_waits_for_it() {
    let server = server();
    let program = Program::new(server.url());
    program.record(0..EVENTS);
    program.guard.shutdown(LONG).unwrap();
    let before = work::waits();
    program.record(EVENTS..EVENTS + 100);
    // Now and then a thread waits for something else, such as the kernel's lock on memory.
    let waits = work::waits() - before;
    assert!(waits < 10, "100 records waited {waits} times");
    let error = program.guard.flush(LONG).unwrap_err();
    assert!(error.is_closed(), "{error}");
    let account = program.finish(&server);
    assert_eq!(account.dropped(DropReason::AfterShutdown), 100);
    assert_eq!(account.lost(), 100);
}

#[test]
fn records_that_race_with_the_shutdown_are_delivered_or_counted() {
    for _ in 0..50 {
        let server = server();
        let program = Program::new(server.url());
        thread::scope(|scope| {
            for thread in 0..4 {
                let program = &program;
                scope.spawn(move || program.record(thread * 500..(thread + 1) * 500));
            }
            drop(program.guard.shutdown(LONG));
        });
        let account = program.audit(&[&server]);
        // Some had been let in when the queue was closed, and came too late all the same.
        let late = account.dropped(DropReason::AfterShutdown);
        assert_eq!(account.lost(), late + account.dropped(DropReason::Shutdown));
    }
}

/// A layer whose diagnostics arrive at the other end of a channel.
fn listening() -> (Dispatch, Guard, Receiver<Diagnostic>) {
    let (said, heard) = mpsc::channel();
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-any")
        .dataset("main")
        // Nothing is sent.
        .url("http://127.0.0.1:9")
        .on_diagnostic(move |diagnostic| said.send(diagnostic.clone()).unwrap())
        .build()
        .unwrap();
    let registry = tracing_subscriber::registry().with(layer);
    (Dispatch::new(registry), guard, heard)
}

#[test]
fn a_program_that_has_nothing_to_record_hears_nothing_at_its_end() {
    let (program, guard, heard) = listening();
    drop(guard);
    drop(program);
    assert!(heard.recv().is_err(), "the hook is gone and was not called");
}

#[test]
fn a_program_that_records_without_a_guard_hears_of_it_once() {
    let (program, guard, heard) = listening();
    drop(guard);
    tracing::dispatcher::with_default(&program, || {
        for seq in 0..100 {
            tracing::info!(seq);
        }
    });
    let said = heard.recv_timeout(LONG).unwrap();
    assert_eq!(said.cause(), Cause::AfterShutdown);
    assert!(said.fix().contains("keep the guard"), "{said}");
    drop(program);
    assert!(heard.recv().is_err(), "once");
}

/// What a diagnostics hook does with the guard, on the worker's own thread, at the first report of an outage that is over
/// by then. All is delivered. How long the guard took.
fn in_a_hook(use_it: impl Fn(Guard) + Send + Sync + 'static) -> Duration {
    let server = server();
    server.fault(Fault::status(503));
    let guard: Arc<Mutex<Option<Guard>>> = Arc::default();
    let (told, is_told) = mpsc::channel();
    let hook = {
        let guard = Arc::clone(&guard);
        move |_: &Diagnostic| {
            if let Some(guard) = guard.lock().unwrap().take() {
                let ((), took) = timed(|| use_it(guard));
                told.send(took).unwrap();
            }
        }
    };
    let builder = builder(server.url()).shutdown_timeout(LONG);
    let (layer, real) = builder.on_diagnostic(hook).build().unwrap();
    let mut guard = guard.lock().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        (0..EVENTS).for_each(|seq| tracing::info!(seq, "step"));
    });
    *guard = Some(real);
    drop(guard);
    let took = is_told.recv_timeout(LONG).unwrap();
    assert!(server.wait_until(LONG, |server| server.ingested() == EVENTS));
    took
}

#[test]
fn a_guard_that_a_diagnostics_hook_drops_delivers_everything() {
    let took = in_a_hook(drop);
    assert!(took < LONG / 2, "{took:?}");
}

#[test]
fn a_diagnostics_hook_that_flushes_or_shuts_down_holds_up_no_delivery() {
    for end in [
        (|guard| guard.flush(LONG)) as fn(&Guard) -> Result<Stats, FlushError>,
        |guard| guard.shutdown(LONG),
    ] {
        let took = in_a_hook(move |guard| {
            let error = end(&guard).unwrap_err();
            assert!(error.is_timeout(), "{error}");
            std::mem::forget(guard);
        });
        assert!(took < LONG / 2, "{took:?}");
    }
}
