//! What the crossing and the ledger are made of: crossbeam's and std's primitives, or those that loom explores.
//!
//! A leaf. Outside of `cfg(loom)` these are names and nothing else.

#[cfg(loom)]
mod modelled;

pub(crate) use std::sync::atomic::Ordering;

#[cfg(not(loom))]
pub(crate) use {
    atomic_waker::AtomicWaker,
    crossbeam_queue::ArrayQueue,
    crossbeam_utils::atomic::AtomicCell,
    std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize},
    std::sync::{Condvar, Mutex},
};

#[cfg(loom)]
pub(crate) use self::modelled::{
    ArrayQueue, AtomicBool, AtomicCell, AtomicU32, AtomicU64, AtomicUsize, AtomicWaker, Condvar,
    Mutex,
};

/// States an assumption about time: what this thread did before is seen by every other within a flush interval,
/// and what it reads after was not outdated for that long. Costs nothing; loom, which knows no time, needs a fence.
#[inline]
pub(crate) fn seen_within_an_interval() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}
