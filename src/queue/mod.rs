//! The crossing: producers append finished lines to open chunks, the worker takes chunks.
//!
//! Bounded in bytes by its pool of chunks. No `unsafe`: a chunk is a `Box`, moved by atomic swaps.

mod chunk;
#[cfg(not(loom))]
mod outlet;
mod signal;
mod unit;

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

pub(crate) use self::chunk::{CHUNK_BYTES, Chunk};
#[cfg(not(loom))]
pub(crate) use self::outlet::{Kind, Lanes, Outlet, Owner};
pub(crate) use self::signal::Signal;
pub(crate) use self::unit::Unit;
use crate::process::fence;
use crate::report::{Counters, DropReason};
use crate::sync::{
    ArrayQueue, AtomicBool, AtomicCell, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering,
};

/// What happens to a record when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The new record is dropped and counted. The caller never waits. The default.
    #[default]
    DropNewest,
    /// The oldest records that are not on their way yet are dropped and counted, a chunk of 64 KiB at a time. At
    /// most half of the queue is on its way at a time, so that an endpoint that stalls can not hold on to all of it.
    DropOldest,
    /// The caller waits for room, at most this long; then the record is dropped and counted.
    Block {
        /// The longest wait for one record.
        timeout: Duration,
    },
}

/// How often a producer looks for an open chunk, or for a place to leave one.
const STRIPES_TRIED: usize = 3;

thread_local! {
    /// Where this thread looks first. Given out in turn, so that threads spread over the stripes.
    static HOME: Cell<usize> = {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        Cell::new(NEXT.fetch_add(1, Ordering::Relaxed))
    };
}

/// The two cumulative counts of one chunk identity.
#[derive(Debug, Default)]
struct Account {
    /// Written only by whoever owns the chunk.
    appended: AtomicU64,
    /// Grows by all that the chunk holds at once.
    settled: AtomicU64,
}

/// What had been appended when a flush was asked for.
#[derive(Debug)]
pub(crate) struct Mark(Vec<u64>);

/// Where an open chunk waits for the next push. Empty means that there is nobody to wait for.
type Slot = AtomicCell<Option<Box<Chunk>>>;

pub(crate) struct Queue {
    stripes: Box<[CachePadded<Slot>]>,
    full: ArrayQueue<Box<Chunk>>,
    free: ArrayQueue<Box<Chunk>>,
    /// Chunks made so far; the pool fills as it is needed.
    made: AtomicUsize,
    /// Chunks in the worker's hands.
    taken: AtomicUsize,
    accounts: Box<[CachePadded<Account>]>,
    overflow: Overflow,
    /// The worker was told that there is no room, and has made none since.
    starved: AtomicBool,
    closed: AtomicBool,
    /// The worker looks no more: what is appended from now on is settled by whoever appends it.
    ended: AtomicBool,
    /// Full chunks at which the worker is woken before its tick.
    wake_at: usize,
    signal: Arc<Signal>,
    counters: Arc<Counters>,
    blocked: AtomicUsize,
    /// Held to look for room and to say that there is some, so that none misses the other.
    room: Mutex<()>,
    /// A chunk was freed. All who wait here wait for any one chunk, so that one chunk wakes one of them.
    freed: Condvar,
    /// Only one thread at a time collects chunks for a long line: two would each hold what the other waits for.
    long_turn: AtomicBool,
    /// The turn is over.
    turn_over: Condvar,
}

/// Until when a push may wait for room: a time too far away to be computed is never.
#[derive(Debug, Clone, Copy)]
struct Patience(Option<Instant>);

impl Patience {
    fn new(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("overflow", &self.overflow)
            .field("full", &self.full.len())
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue of at most `max_bytes`, rounded down to whole chunks.
    pub(crate) fn new(
        max_bytes: usize,
        overflow: Overflow,
        batch_bytes: usize,
        signal: Arc<Signal>,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let chunks = (max_bytes / CHUNK_BYTES).max(2);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let stripes = (2 * cores)
            .next_power_of_two()
            .clamp(1, (chunks / 4).max(1));
        let stripes = if stripes.is_power_of_two() {
            stripes
        } else {
            stripes.next_power_of_two() / 2
        };
        Arc::new(Self {
            stripes: (0..stripes)
                .map(|_| CachePadded::new(AtomicCell::new(None)))
                .collect(),
            full: ArrayQueue::new(chunks),
            free: ArrayQueue::new(chunks),
            made: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            accounts: (0..chunks).map(|_| CachePadded::default()).collect(),
            overflow,
            starved: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            wake_at: (batch_bytes / CHUNK_BYTES).min(chunks / 2).max(1),
            signal,
            counters,
            blocked: AtomicUsize::new(0),
            room: Mutex::new(()),
            freed: Condvar::new(),
            long_turn: AtomicBool::new(false),
            turn_over: Condvar::new(),
        })
    }

    /// Appends one line, newline included, or counts why it could not. `false`: the queue is closed.
    pub(crate) fn push(&self, line: &[u8]) -> bool {
        if self.closed.load(Ordering::Relaxed) {
            self.counters.add_dropped(DropReason::AfterShutdown, 1);
            return false;
        }
        let pushed = if line.len() > CHUNK_BYTES {
            self.push_long(line)
        } else {
            self.push_short(line)
        };
        // The queue may have ended since the check above. This load pairs with the store in `end`: either the worker finds the
        // chunk that this push left, or this push sees that the worker has gone, and settles what is left. A push that found no
        // room looks as well, for it may have left a chunk that was full.
        if self.ended.load(Ordering::SeqCst) {
            self.sweep();
        }
        match pushed {
            Some(()) => self.signal.arm(),
            None => self.counters.add_dropped(DropReason::QueueFull, 1),
        }
        true
    }

    fn push_short(&self, line: &[u8]) -> Option<()> {
        let home = HOME.try_with(Cell::get).unwrap_or(0);
        let mut chunk = match self.take_open(home) {
            Some(chunk) if chunk.fits(line) => chunk,
            Some(full) => {
                self.seal(full);
                self.fresh(None)?
            }
            None => self.fresh(None)?,
        };
        chunk.append(line);
        self.count_appended(&chunk);
        self.put_open(home, chunk);
        Some(())
    }

    /// A line longer than a chunk: as many chunks as it takes, as one unit.
    fn push_long(&self, line: &[u8]) -> Option<()> {
        let Overflow::Block { timeout } = self.overflow else {
            return self.push_parts(line, None);
        };
        // All of its chunks within one timeout.
        let patience = Patience::new(if fence::is_raised() {
            Duration::ZERO
        } else {
            timeout
        });
        let turn = || {
            let order = Ordering::SeqCst;
            let taken = self.long_turn.compare_exchange(false, true, order, order);
            taken.is_ok().then_some(())
        };
        turn().or_else(|| self.wait_for(&self.turn_over, patience, turn))?;
        let pushed = self.push_parts(line, Some(patience));
        self.long_turn.store(false, Ordering::SeqCst);
        self.wake_blocked(&self.turn_over, 1);
        pushed
    }

    fn push_parts(&self, line: &[u8], patience: Option<Patience>) -> Option<()> {
        let mut unit = None;
        for part in line.rchunks(CHUNK_BYTES) {
            let Some(mut chunk) = self.fresh(patience) else {
                self.recycle(unit);
                return None;
            };
            chunk.begin_long(part, unit.take());
            unit = Some(chunk);
        }
        let mut unit = unit?;
        unit.count_long();
        self.count_appended(&unit);
        self.seal(unit);
        Some(())
    }

    /// Single writer: the caller owns the chunk, so a load and a store are enough.
    fn count_appended(&self, chunk: &Chunk) {
        let appended = &self.accounts[chunk.id].appended;
        appended.store(appended.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn stripe(&self, home: usize, step: usize) -> &Slot {
        &self.stripes[(home + step) & (self.stripes.len() - 1)]
    }

    fn take_open(&self, home: usize) -> Option<Box<Chunk>> {
        (0..STRIPES_TRIED).find_map(|step| self.stripe(home, step).take())
    }

    /// Leaves the chunk where the next push finds it. A chunk that another thread left there
    /// meanwhile is carried on to the next stripe; with no place left it goes to the worker.
    fn put_open(&self, home: usize, mut chunk: Box<Chunk>) {
        for step in 0..STRIPES_TRIED {
            match self.stripe(home, step).swap(Some(chunk)) {
                None => return,
                Some(other) => chunk = other,
            }
        }
        self.seal(chunk);
    }

    fn seal(&self, chunk: Box<Chunk>) {
        // There is room for every chunk that exists.
        if let Err(chunk) = self.full.push(chunk) {
            self.settle_whole(&chunk, DropReason::Internal);
            return self.recycle(Some(chunk));
        }
        if self.wants_worker() {
            self.signal.raise();
        }
    }

    /// `patience`: what is left of it, when this is not a push's first wait.
    fn fresh(&self, patience: Option<Patience>) -> Option<Box<Chunk>> {
        if let Some(chunk) = self.pooled() {
            return Some(chunk);
        }
        // Once: waking the worker for each record that finds no room would cost more than the record.
        if !self.starved.load(Ordering::Relaxed) && !self.starved.swap(true, Ordering::Relaxed) {
            self.signal.raise();
        }
        match self.overflow {
            Overflow::DropNewest => None,
            Overflow::DropOldest => self.full.pop().map(|chunk| self.evict(chunk)),
            // The worker, which makes the room, must not wait for it.
            Overflow::Block { .. } if fence::is_raised() => None,
            Overflow::Block { timeout } => {
                let patience = patience.unwrap_or_else(|| Patience::new(timeout));
                self.wait_for(&self.freed, patience, || self.pooled())
            }
        }
    }

    fn pooled(&self) -> Option<Box<Chunk>> {
        self.free.pop().or_else(|| {
            let id = self
                .made
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
                    (made < self.accounts.len()).then_some(made + 1)
                })
                .ok()?;
            Some(Chunk::new(id))
        })
    }

    /// Waits until `look` finds something, which it may after `change`.
    fn wait_for<T>(
        &self,
        change: &Condvar,
        patience: Patience,
        look: impl Fn() -> Option<T>,
    ) -> Option<T> {
        // Announced before the last look: whoever frees a chunk after that look sees it.
        self.blocked.fetch_add(1, Ordering::SeqCst);
        let mut lock = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let found = loop {
            if let Some(found) = look() {
                break Some(found);
            }
            let left = patience.left();
            if left.is_zero() || self.closed.load(Ordering::SeqCst) {
                break None;
            }
            lock = change
                .wait_timeout(lock, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        drop(lock);
        self.blocked.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// Gives a unit's chunks back to the pool.
    fn recycle(&self, unit: Option<Box<Chunk>>) {
        let mut next = unit;
        let mut freed = 0;
        while let Some(mut chunk) = next {
            next = chunk.rest.take();
            chunk.clear();
            // There is room for every chunk that exists.
            drop(self.free.push(chunk));
            freed += 1;
        }
        self.wake_blocked(&self.freed, freed);
    }

    /// Wakes as many of those who wait for `change` as it has something for.
    fn wake_blocked(&self, change: &Condvar, changes: usize) {
        let blocked = self.blocked.load(Ordering::SeqCst);
        if blocked > 0 {
            drop(self.room.lock());
            (0..changes.min(blocked)).for_each(|_| change.notify_one());
        }
    }

    fn settle_whole(&self, chunk: &Chunk, reason: DropReason) {
        let events = u64::from(chunk.events());
        self.counters.add_dropped(reason, events);
        self.accounts[chunk.id]
            .settled
            .fetch_add(events, Ordering::Release);
    }

    /// Empties a full chunk for whoever needs one. By way of the pool another thread might take it.
    fn evict(&self, mut chunk: Box<Chunk>) -> Box<Chunk> {
        self.settle_whole(&chunk, DropReason::Evicted);
        self.recycle(chunk.rest.take());
        chunk.clear();
        chunk
    }

    // The worker's side.

    /// Moves the part-full open chunks to the full ones.
    pub(crate) fn collect_open(&self) {
        for stripe in &self.stripes {
            if let Some(chunk) = stripe.take() {
                self.seal(chunk);
            }
        }
    }

    /// The next full chunk, oldest first.
    ///
    /// What the worker has taken can not make room any more, so for `DropOldest` it is given half at the most.
    pub(crate) fn pop(self: &Arc<Self>) -> Option<Unit> {
        let most = match self.overflow {
            Overflow::DropOldest => self.accounts.len() / 2,
            Overflow::DropNewest | Overflow::Block { .. } => usize::MAX,
        };
        if self.taken.load(Ordering::Relaxed) >= most {
            return None;
        }
        let chunk = self.full.pop()?;
        self.taken
            .fetch_add(chunk.parts().count(), Ordering::Relaxed);
        Some(Unit::new(Arc::clone(self), chunk))
    }

    /// There are full chunks for a batch, or half of the pool is in use.
    pub(crate) fn wants_worker(&self) -> bool {
        self.full.len() >= self.wake_at
    }

    /// The pool's size.
    pub(crate) fn chunks(&self) -> usize {
        self.accounts.len()
    }

    /// From now on a push is counted as `AfterShutdown`.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(self.room.lock());
        self.freed.notify_all();
        self.turn_over.notify_all();
    }

    /// The worker drops what is there after this, and then looks no more.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Settles what came too late for the worker.
    #[cold]
    fn sweep(&self) {
        self.collect_open();
        while let Some(chunk) = self.full.pop() {
            self.settle_whole(&chunk, DropReason::Shutdown);
            self.recycle(Some(chunk));
        }
    }

    /// Events appended since the start.
    pub(crate) fn appended(&self) -> u64 {
        let sum = |account: &CachePadded<Account>| account.appended.load(Ordering::Acquire);
        self.accounts.iter().map(sum).sum()
    }

    /// Whether anything appended is neither delivered nor dropped.
    pub(crate) fn has_pending(&self) -> bool {
        let is_pending = |account: &CachePadded<Account>| {
            let appended = account.appended.load(Ordering::Acquire);
            account.settled.load(Ordering::Acquire) < appended
        };
        self.accounts.iter().any(is_pending)
    }

    pub(crate) fn mark(&self) -> Mark {
        let appended = |account: &CachePadded<Account>| account.appended.load(Ordering::Acquire);
        Mark(self.accounts.iter().map(appended).collect())
    }

    pub(crate) fn settled_up_to(&self, mark: &Mark) -> bool {
        let settled = |(account, appended): (&CachePadded<Account>, &u64)| {
            account.settled.load(Ordering::Acquire) >= *appended
        };
        self.accounts.iter().zip(&mark.0).all(settled)
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
