//! The primitives as loom explores them, and why each is a faithful model. Only under `cfg(loom)`.
//!
//! loom runs one thread at a time and changes threads only at its own operations. So the content of a cell or
//! queue, kept in a mutex of std that nobody ever waits for, moves together with the loom operation before it.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::task::Waker;

use loom::sync::atomic::fence;
pub(crate) use loom::sync::{Condvar, Mutex};

use super::Ordering;

/// loom takes a `SeqCst` access for an `AcqRel` one, and would report races that the total order of such accesses
/// forbids. A fence on the side where compilers put one gives it that order. It orders the accesses around it
/// too, which the language does not promise: what relies on that, the models do not find.
fn before(order: Ordering) {
    if order == Ordering::SeqCst {
        fence(order);
    }
}

fn after(order: Ordering) {
    before(order);
}

macro_rules! atomic {
    ($name:ident of $value:ty { $($read_modify_write:ident),* }) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name(loom::sync::atomic::$name);

        impl $name {
            #[track_caller]
            pub(crate) fn new(value: $value) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                before(order);
                self.0.load(order)
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
                after(order);
            }

            $(
                #[track_caller]
                pub(crate) fn $read_modify_write(&self, value: $value, order: Ordering) -> $value {
                    before(order);
                    let was = self.0.$read_modify_write(value, order);
                    after(order);
                    was
                }
            )*
        }
    };
}

atomic!(AtomicBool of bool { swap });
atomic!(AtomicU32 of u32 { fetch_add });
atomic!(AtomicU64 of u64 { fetch_add });
atomic!(AtomicUsize of usize { fetch_add, fetch_sub });

impl AtomicBool {
    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        current: bool,
        new: bool,
        success: Ordering,
        failure: Ordering,
    ) -> Result<bool, bool> {
        before(success);
        let exchanged = self.0.compare_exchange(current, new, success, failure);
        after(success);
        exchanged
    }
}

impl AtomicUsize {
    #[track_caller]
    pub(crate) fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        update: impl FnMut(usize) -> Option<usize>,
    ) -> Result<usize, usize> {
        self.0.fetch_update(set, fetch, update)
    }
}

/// crossbeam's cell, of a value as large as a pointer: one swap, `AcqRel`.
#[derive(Debug)]
pub(crate) struct AtomicCell<T> {
    order: loom::sync::atomic::AtomicUsize,
    value: std::sync::Mutex<T>,
}

impl<T: Default> AtomicCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            order: loom::sync::atomic::AtomicUsize::new(0),
            value: std::sync::Mutex::new(value),
        }
    }

    #[track_caller]
    pub(crate) fn swap(&self, value: T) -> T {
        self.order.fetch_add(1, Ordering::AcqRel);
        let mut held = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut held, value)
    }

    #[track_caller]
    pub(crate) fn take(&self) -> T {
        self.swap(T::default())
    }
}

/// crossbeam's bounded queue, as far as its callers can tell. What was done before a push is seen after the pop
/// that finds it. A pop that finds nothing promises no such thing: like crossbeam's it is a fence, ordered with
/// pushes and with other `SeqCst` accesses. Its slots and laps are crossbeam's to test.
pub(crate) struct ArrayQueue<T> {
    order: loom::sync::atomic::AtomicUsize,
    items: std::sync::Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            order: loom::sync::atomic::AtomicUsize::new(0),
            items: std::sync::Mutex::new(VecDeque::new()),
            capacity,
        }
    }

    fn items(&self) -> std::sync::MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        self.order.fetch_add(1, Ordering::AcqRel);
        let mut items = self.items();
        if items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }

    #[track_caller]
    pub(crate) fn pop(&self) -> Option<T> {
        self.reach_latest();
        let item = self.items().pop_front();
        fence(match item {
            Some(_) => Ordering::Acquire,
            None => Ordering::SeqCst,
        });
        item
    }

    #[track_caller]
    pub(crate) fn len(&self) -> usize {
        self.reach_latest();
        self.items().len()
    }

    /// Here threads may change. An exchange that fails reads the latest push; nobody else learns of it, and this
    /// thread learns nothing until it says `Acquire`.
    #[track_caller]
    fn reach_latest(&self) {
        let never = usize::MAX;
        let exchanged =
            self.order
                .compare_exchange(never, never, Ordering::Relaxed, Ordering::Relaxed);
        assert!(exchanged.is_err(), "more pushes than any model makes");
    }
}

/// The `atomic-waker`: registering and waking are swaps of one word there, so they have an order and each sees
/// what came before it, as under a lock.
#[derive(Debug, Default)]
pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

impl AtomicWaker {
    pub(crate) fn register(&self, waker: &Waker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    pub(crate) fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
