//! Waits for the worker's answer on the calling thread, in bounded time and without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::pipeline::Pipeline;
use crate::worker::Flushed;

/// What a caller waits beyond its deadline for the worker's last word: the worker drops what is left
/// at the deadline, and then answers.
const LAST_WORD: Duration = Duration::from_millis(250);

/// Whether the worker has ended.
pub(super) enum Ended {
    /// With its last word.
    InTime(Flushed),
    NotYet,
}

/// Shuts a pipeline down, in bounded time.
pub(super) fn end(pipeline: &Pipeline, timeout: Duration) -> Ended {
    let deadline = deadline(timeout);
    let ended = last_word(pipeline, deadline, pipeline.ask_for_shutdown(deadline));
    if matches!(ended, Ended::InTime(_)) {
        pipeline.join();
    }
    ended
}

/// Waits until the worker has answered a shutdown that was asked for.
fn last_word(
    pipeline: &Pipeline,
    deadline: Instant,
    reply: Option<oneshot::Receiver<Flushed>>,
) -> Ended {
    // The worker is gone if it was shut down before, and then there is nothing to wait for.
    let Some(reply) = reply else {
        return Ended::InTime(Flushed::Settled);
    };
    match block_until(patience(pipeline, deadline + LAST_WORD), reply) {
        Some(flushed) => Ended::InTime(flushed.unwrap_or(Flushed::Settled)),
        None => Ended::NotYet,
    }
}

/// Shuts pipelines down before the process ends, side by side, each within its own shutdown timeout from `start`.
///
/// The workers' threads are not waited for once they have answered. One that ends waits for a lock of the standard library, which
/// after a stack overflow is held by the thread that aborts.
pub(super) fn end_all(pipelines: &[Arc<Pipeline>], start: Instant) {
    let ask = |pipeline: &Arc<Pipeline>| {
        let deadline = deadline_from(start, pipeline.shutdown_timeout());
        (deadline, pipeline.ask_for_shutdown(deadline))
    };
    let asked: Vec<_> = pipelines.iter().map(ask).collect();
    for (pipeline, (deadline, reply)) in pipelines.iter().zip(asked) {
        if let Ended::InTime(_) = last_word(pipeline, deadline, reply) {
            pipeline.leave();
        }
    }
}

/// Delivers what pipelines hold before the process ends, side by side, each within its own shutdown timeout from `start`.
pub(super) fn flush_all(pipelines: &[Arc<Pipeline>], start: Instant) {
    let ask = |pipeline: &Arc<Pipeline>| {
        let deadline = deadline_from(start, pipeline.shutdown_timeout());
        (deadline, pipeline.ask_for_last_flush(deadline))
    };
    let asked: Vec<_> = pipelines.iter().map(ask).collect();
    for (deadline, reply) in asked {
        // The ledger tells how it went.
        block_until(deadline, reply);
    }
}

/// Far enough away to be never.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

pub(super) fn deadline(timeout: Duration) -> Instant {
    deadline_from(Instant::now(), timeout)
}

fn deadline_from(start: Instant, timeout: Duration) -> Instant {
    start.checked_add(timeout.min(NEVER)).unwrap_or(start)
}

/// How long to wait for the worker's answer. It can not wait for itself: on its thread, where diagnostics hooks run,
/// that would keep it from the work until all time for it is over.
pub(super) fn patience(pipeline: &Pipeline, deadline: Instant) -> Instant {
    if pipeline.is_worker() {
        Instant::now()
    } else {
        deadline
    }
}

/// Waits for a future on the calling thread, without any runtime. `None`: the deadline came first.
pub(super) fn block_until<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if !woken.wait(deadline) {
            return None;
        }
    }
}

/// A condition variable rather than a parked thread: at the exit of the process, a thread can not be named any more.
#[derive(Default)]
struct Woken {
    is_woken: Mutex<bool>,
    changed: Condvar,
}

impl Woken {
    /// `false`: the deadline came first.
    fn wait(&self, deadline: Instant) -> bool {
        let mut is_woken = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
        while !std::mem::take(&mut *is_woken) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            is_woken = self
                .changed
                .wait_timeout(is_woken, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_never_ends_is_left_at_the_deadline() {
        let start = Instant::now();
        let wait = Duration::from_millis(20);
        assert_eq!(
            block_until(start + wait, std::future::pending::<()>()),
            None
        );
        assert!(start.elapsed() >= wait);
    }

    #[test]
    fn a_future_that_ends_on_another_thread_is_noticed() {
        let (send, receive) = oneshot::channel();
        let sender = std::thread::spawn(move || send.send(7));
        let value = block_until(deadline(Duration::from_secs(60)), receive);
        assert_eq!(value, Some(Ok(7)));
        sender.join().unwrap().unwrap();
    }
}
