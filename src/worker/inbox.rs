//! What guards, exit hooks and panic hooks ask of the worker: one place for all, read as a whole.
//!
//! It is bounded by those who wait. However often delivery is asked for while the worker is busy, or blocked in a
//! diagnostics hook, it remembers that it was asked for and whoever still waits for the answer.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use atomic_waker::AtomicWaker;
use futures_channel::oneshot;

use super::waiters::{Flushed, Waiters};

/// All that was asked for since the worker last looked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Everything that was recorded before is to be delivered.
    pub(super) delivery: bool,
    pub(super) waiters: Waiters,
    /// The process ends, at this time at the latest: waits are cut short as in a shutdown.
    pub(super) last: Option<Instant>,
    /// The process goes on after all: what was asked for as the last delivery, before `last`, was none.
    pub(super) goes_on: bool,
    /// Those who wait for a last delivery.
    pub(super) last_waiters: Waiters,
    /// What is there is to be delivered until this deadline, and the worker is to end.
    pub(super) deadline: Option<Instant>,
    pub(super) ends: Waiters,
}

impl Asked {
    fn is_anything(&self) -> bool {
        self.delivery || self.last.is_some() || self.goes_on || self.deadline.is_some()
    }
}

#[derive(Debug, Default)]
struct State {
    asked: Asked,
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
    pub(crate) fn ask_for_delivery(&self) -> oneshot::Receiver<Flushed> {
        let (reply, replied) = oneshot::channel();
        self.ask(|asked| {
            asked.delivery = true;
            asked.waiters.push(reply);
        });
        replied
    }

    /// The same before the process ends, at the deadline at the latest.
    pub(crate) fn ask_for_last_delivery(&self, deadline: Instant) -> oneshot::Receiver<Flushed> {
        let (reply, replied) = oneshot::channel();
        self.ask(|asked| {
            asked.delivery = true;
            asked.last = asked.last.max(Some(deadline));
            asked.last_waiters.push(reply);
        });
        replied
    }

    /// The process does not end after all: the delivery that was asked for as its last was none, unless another waits for that.
    pub(crate) fn say_that_it_goes_on(&self) {
        self.ask(|asked| {
            asked.goes_on = true;
            if !asked.last_waiters.is_anybody() {
                asked.last = None;
            }
        });
    }

    /// Asks for the end of the worker. `None`: it has ended before.
    pub(crate) fn ask_for_end(&self, deadline: Instant) -> Option<oneshot::Receiver<Flushed>> {
        let (reply, replied) = oneshot::channel();
        let is_heard = self.ask(|asked| {
            asked.deadline = asked.deadline.max(Some(deadline));
            asked.ends.push(reply);
        });
        is_heard.then_some(replied)
    }

    /// `false`: nobody is there to hear it.
    fn ask(&self, say: impl FnOnce(&mut Asked)) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return false;
        }
        say(&mut state.asked);
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

    /// Those who wait, and those who are remembered though they gave up.
    fn remembered(inbox: &Inbox) -> usize {
        let state = inbox.state.lock().unwrap();
        let asked = &state.asked;
        asked.waiters.len() + asked.last_waiters.len() + asked.ends.len()
    }

    /// The most that are remembered while this is asked a million times, and nobody waits.
    fn most_remembered(inbox: &Inbox, ask: impl Fn(&Inbox)) -> usize {
        let remembered = (0..1_000_000).map(|_| {
            ask(inbox);
            remembered(inbox)
        });
        remembered.max().unwrap()
    }

    #[test]
    fn a_million_flushes_that_nobody_waits_for_are_one_wish() {
        let inbox = Inbox::default();
        let kept: Vec<_> = (0..10).map(|_| inbox.ask_for_delivery()).collect();
        let most = most_remembered(&inbox, |inbox| drop(inbox.ask_for_delivery()));
        assert!(most <= 52, "{most} waiters");
        let asked = read(&inbox).unwrap();
        assert!(asked.delivery && asked.last.is_none() && asked.deadline.is_none());
        assert!(asked.waiters.len() >= kept.len());
        assert!(read(&inbox).is_none(), "it was read");
    }

    #[test]
    fn a_million_shutdowns_that_nobody_waits_for_are_one_wish() {
        let (inbox, now) = (Inbox::default(), Instant::now());
        let most = most_remembered(&inbox, |inbox| drop(inbox.ask_for_end(now)));
        assert!(most <= 32, "{most} waiters");
    }

    #[test]
    fn a_crowd_that_was_read_leaves_nothing_behind() {
        let inbox = Inbox::default();
        let crowd: Vec<_> = (0..10_000).map(|_| inbox.ask_for_delivery()).collect();
        assert_eq!(read(&inbox).unwrap().waiters.len(), crowd.len());
        let most = most_remembered(&inbox, |inbox| drop(inbox.ask_for_delivery()));
        assert!(most <= 32, "{most} waiters");
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
    fn a_process_that_goes_on_takes_back_its_end_and_no_one_elses() {
        let (inbox, now) = (Inbox::default(), Instant::now());
        drop(inbox.ask_for_last_delivery(now));
        inbox.say_that_it_goes_on();
        let asked = read(&inbox).unwrap();
        assert!(asked.goes_on && asked.last.is_none());
        let aborting = inbox.ask_for_last_delivery(now);
        drop(inbox.ask_for_last_delivery(now));
        inbox.say_that_it_goes_on();
        assert_eq!(read(&inbox).unwrap().last, Some(now));
        drop(aborting);
        // A later end is another one.
        inbox.say_that_it_goes_on();
        drop(inbox.ask_for_last_delivery(now));
        let asked = read(&inbox).unwrap();
        assert!(asked.goes_on && asked.last.is_some());
    }

    #[test]
    fn whoever_asks_after_the_end_is_told_that_nobody_is_there() {
        let inbox = Inbox::default();
        let mut before = inbox.ask_for_delivery();
        assert_eq!(inbox.close().waiters.len(), 1);
        assert!(inbox.ask_for_end(Instant::now()).is_none());
        assert!(
            inbox
                .ask_for_last_delivery(Instant::now())
                .try_recv()
                .is_err()
        );
        assert!(before.try_recv().is_err());
        assert!(read(&inbox).is_none());
    }
}
