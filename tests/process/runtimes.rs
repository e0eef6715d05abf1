//! Applications without tokio: plain threads, and executors of other kinds.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use axiom_layer::Guard;
use tracing_subscriber::prelude::*;

use crate::app::{DATASET, PATIENCE, assert_holds, server};

/// The layer as the subscriber of the calling thread alone, for tests run side by side.
fn with_layer(application: impl FnOnce(Guard)) {
    let server = server();
    let (layer, guard) = axiom_layer::builder()
        .url(server.url())
        .token("xaat-test")
        .dataset(DATASET)
        .flush_interval(PATIENCE)
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || application(guard));
    assert_holds(&server, 0..1_000);
}

fn record(seqs: std::ops::Range<u64>) {
    for seq in seqs {
        tracing::info!(seq, "recorded");
    }
}

/// Wakes a thread that waits for one future, as `pollster` and `smol::block_on` do.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A queue of tasks that several threads run, as in `smol` and `async-executor`: a task moves between them.
#[derive(Default)]
struct Executor {
    tasks: Mutex<VecDeque<Arc<Task>>>,
    added: Condvar,
}

struct Task {
    executor: Arc<Executor>,
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let executor = Arc::clone(&self.executor);
        executor.tasks.lock().unwrap().push_back(self);
        executor.added.notify_one();
    }
}

impl Executor {
    fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let task = Task {
            executor: Arc::clone(self),
            future: Mutex::new(Some(Box::pin(future))),
        };
        Arc::new(task).wake();
    }

    /// Runs tasks as they are woken, until the work is done.
    fn run(&self, is_done: impl Fn() -> bool) {
        // A task that panicked is never done.
        let deadline = Instant::now() + PATIENCE;
        while !is_done() && Instant::now() < deadline {
            let tasks = self.tasks.lock().unwrap();
            let (mut tasks, _) = self
                .added
                .wait_timeout_while(tasks, Duration::from_millis(10), |tasks| tasks.is_empty())
                .unwrap();
            let Some(task) = tasks.pop_front() else {
                continue;
            };
            drop(tasks);
            let mut future = task.future.lock().unwrap();
            let waker = Waker::from(Arc::clone(&task));
            let is_ready = future.as_mut().is_some_and(|future| {
                let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                polled.is_ready()
            });
            if is_ready {
                *future = None;
            }
        }
    }
}

#[test]
fn a_guard_is_flushed_and_dropped_without_any_runtime() {
    with_layer(|guard| {
        record(0..500);
        assert_eq!(guard.flush(PATIENCE).unwrap().delivered(), 500);
        record(500..1_000);
        drop(guard);
    });
}

#[test]
fn a_guard_is_flushed_and_dropped_on_a_foreign_block_on() {
    with_layer(|guard| {
        block_on(async {
            record(0..500);
            assert_eq!(guard.flush_async().await.unwrap().delivered(), 500);
            record(500..1_000);
            drop(guard);
        });
    });
}

#[test]
fn a_guard_is_flushed_and_dropped_in_a_task_that_moves_between_threads() {
    with_layer(|guard| {
        let executor = Arc::new(Executor::default());
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        let done = Arc::new(Mutex::new(false));
        let end = Arc::clone(&done);
        executor.spawn(async move {
            record(0..500);
            let flushed = guard.flush_async().await;
            assert_eq!(flushed.unwrap().delivered(), 500);
            record(500..1_000);
            drop(guard);
            *end.lock().unwrap() = true;
        });
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let is_done = || *done.lock().unwrap();
                    tracing::dispatcher::with_default(&subscriber, || executor.run(is_done));
                });
            }
        });
    });
}
