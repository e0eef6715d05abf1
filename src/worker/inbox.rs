//! What guards, exit hooks and panic hooks ask of the worker: one place for all, read as a whole.
//!
//! It is bounded by those who wait. However often delivery is asked for while the worker is busy, or blocked in a
//! diagnostics hook, it remembers that it was asked for and whoever still waits for the answer.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use atomic_waker::AtomicWaker;
use futures_channel::oneshot;

use super::commands::Flushed;

/// Waiters below which nobody looks whether they still wait.
const FEW: usize = 16;

pub(crate) type Reply = oneshot::Sender<Flushed>;

/// All that was asked for since the worker last looked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Everything that was recorded before is to be delivered.
    pub(super) delivery: bool,
    /// The process ends: waits are cut short as in a shutdown.
    pub(super) is_last: bool,
    pub(super) waiters: Vec<Reply>,
    /// Those who wait for a last delivery.
    pub(super) last_waiters: Vec<Reply>,
    /// What is there is to be delivered until this deadline, and the worker is to end.
    pub(super) deadline: Option<Instant>,
    pub(super) ends: Vec<Reply>,
}

impl Asked {
    fn is_anything(&self) -> bool {
        self.delivery || self.is_last || self.deadline.is_some()
    }
}

#[derive(Debug, Default)]
struct State {
    asked: Asked,
    /// Waiters at which those who gave up are looked for.
    crowd: usize,
    /// The worker has ended, or was never there.
    is_closed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    waker: AtomicWaker,
}

impl Inbox {
    /// Asks for the delivery of what was recorded so far. If the worker is gone, the answer is that nobody answers.
    pub(crate) fn ask_for_delivery(&self, is_last: bool) -> oneshot::Receiver<Flushed> {
        let (reply, replied) = oneshot::channel();
        self.ask(|state| {
            state.asked.delivery = true;
            state.asked.is_last |= is_last;
            let crowd = state.crowd.max(FEW);
            let waiters = if is_last {
                &mut state.asked.last_waiters
            } else {
                &mut state.asked.waiters
            };
            waiters.push(reply);
            if waiters.len() >= crowd {
                waiters.retain(|waiter| !waiter.is_canceled());
                state.crowd = 2 * waiters.len();
            }
        });
        replied
    }

    /// Asks for the end of the worker. `None`: it has ended before.
    pub(crate) fn ask_for_end(&self, deadline: Instant) -> Option<oneshot::Receiver<Flushed>> {
        let (reply, replied) = oneshot::channel();
        let is_heard = self.ask(|state| {
            let asked = &mut state.asked;
            asked.deadline = asked.deadline.max(Some(deadline));
            asked.ends.push(reply);
        });
        is_heard.then_some(replied)
    }

    /// `false`: nobody is there to hear it.
    fn ask(&self, say: impl FnOnce(&mut State)) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return false;
        }
        say(&mut state);
        drop(state);
        self.waker.wake();
        true
    }

    // The worker's side.

    /// Ready with all that was asked for, if anything was.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Asked> {
        self.waker.register(context.waker());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.asked.is_anything() {
            Poll::Ready(std::mem::take(&mut state.asked))
        } else {
            Poll::Pending
        }
    }

    /// From now on nobody is heard. Returns what was asked for last.
    pub(super) fn close(&self) -> Asked {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_closed = true;
        std::mem::take(&mut state.asked)
    }

    /// The inbox of a worker that was never there.
    pub(crate) fn closed() -> Self {
        let inbox = Self::default();
        drop(inbox.close());
        inbox
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn read(inbox: &Inbox) -> Option<Asked> {
        match inbox.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(asked) => Some(asked),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_million_flushes_that_nobody_waits_for_are_one_wish() {
        let inbox = Inbox::default();
        let kept: Vec<_> = (0..10).map(|_| inbox.ask_for_delivery(false)).collect();
        let mut most = 0;
        for _ in 0..1_000_000 {
            drop(inbox.ask_for_delivery(false));
            most = most.max(inbox.state.lock().unwrap().asked.waiters.len());
        }
        assert!(most <= 2 * (kept.len() + FEW), "{most} waiters");
        let asked = read(&inbox).unwrap();
        assert!(asked.delivery && !asked.is_last && asked.deadline.is_none());
        let living = asked.waiters.iter().filter(|waiter| !waiter.is_canceled());
        assert_eq!(living.count(), kept.len());
        assert!(read(&inbox).is_none(), "it was read");
    }

    #[test]
    fn of_several_deadlines_the_latest_counts_and_each_asker_is_answered() {
        let inbox = Inbox::default();
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        let asked: Vec<_> = [later, now].map(|at| inbox.ask_for_end(at).unwrap()).into();
        let read = read(&inbox).unwrap();
        assert_eq!(read.deadline, Some(later));
        assert_eq!(read.ends.len(), asked.len());
    }

    #[test]
    fn whoever_asks_after_the_end_is_told_that_nobody_is_there() {
        let inbox = Inbox::default();
        let mut before = inbox.ask_for_delivery(false);
        assert_eq!(inbox.close().waiters.len(), 1);
        assert!(inbox.ask_for_end(Instant::now()).is_none());
        assert!(inbox.ask_for_delivery(true).try_recv().is_err());
        assert!(before.try_recv().is_err());
        assert!(read(&inbox).is_none());
    }
}
