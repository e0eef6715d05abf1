//! A full chunk, or the several of one long line, on the worker's side.

use std::sync::Arc;

use super::{Chunk, Queue};
use crate::report::DropReason;
use crate::sync::{AtomicU32, Ordering};

/// A full chunk in the worker's hands. It settles each of its events once; what is left unsettled
/// when it is dropped counts as lost by a defect of ours, so that the ledger can not leak.
#[derive(Debug)]
pub(crate) struct Unit {
    queue: Arc<Queue>,
    chunk: Option<Box<Chunk>>,
    settled: AtomicU32,
}

impl Unit {
    pub(super) fn new(queue: Arc<Queue>, chunk: Box<Chunk>) -> Self {
        Self {
            queue,
            chunk: Some(chunk),
            settled: AtomicU32::new(0),
        }
    }

    pub(crate) fn events(&self) -> u32 {
        self.chunk.as_ref().map_or(0, |chunk| chunk.events())
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.chunk.iter().flat_map(|chunk| chunk.parts())
    }

    pub(crate) fn delivered(&self, events: u32) {
        self.queue.counters.add_delivered(u64::from(events));
        self.settle(events);
    }

    pub(crate) fn dropped(&self, events: u32, reason: DropReason) {
        self.queue.counters.add_dropped(reason, u64::from(events));
        self.settle(events);
    }

    /// The account learns of it when the last of them is settled. Parts are settled in any order, and those that
    /// a flush waits for may be the last.
    fn settle(&self, events: u32) {
        let before = self.settled.fetch_add(events, Ordering::AcqRel);
        let all = self.events();
        if let Some(chunk) = &self.chunk
            && before < all
            && all - before <= events
        {
            let settled = &self.queue.accounts[chunk.id].settled;
            settled.fetch_add(u64::from(all), Ordering::Release);
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let left = self.events() - self.settled.load(Ordering::Relaxed).min(self.events());
        if left > 0 {
            self.dropped(left, DropReason::Internal);
        }
        self.queue
            .taken
            .fetch_sub(self.parts().count(), Ordering::Relaxed);
        self.queue.recycle(self.chunk.take());
        self.queue.starved.store(false, Ordering::Relaxed);
    }
}
