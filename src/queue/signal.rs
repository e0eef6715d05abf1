//! How a producer wakes the worker: rarely, and without a lock.

use std::task::{Context, Poll};

use crate::sync::{self, AtomicBool, AtomicWaker, Ordering};

/// The worker is *armed* while it has a timer running: it will look at the queue by itself.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    armed: AtomicBool,
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    /// Called after every push: one load, unless the worker sleeps without a timer.
    pub(super) fn arm(&self) {
        sync::seen_within_an_interval();
        if !self.armed.load(Ordering::Relaxed) && !self.armed.swap(true, Ordering::AcqRel) {
            self.raise();
        }
    }

    /// Wakes the worker now.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// The worker says that it will sleep without a timer. It looks at the queue once more, one
    /// interval after this: a producer that read the old value has published its event by then.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
        sync::seen_within_an_interval();
    }

    /// Ready once for any number of [`raise`](Self::raise)s before it.
    pub(crate) fn poll_raised(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.raised.swap(false, Ordering::AcqRel) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
