//! The spans that the calling thread is in, as our layers saw it enter them.
//!
//! What the registry knows too, but cannot be asked everywhere: not for spans of one layer, not in a panic hook, and not for
//! the dispatcher of a scoped subscriber while it is at work.

use std::cell::{Cell, RefCell};

/// A span of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entered {
    /// Which layer: [`Tracer::id`](super::tracer::Tracer).
    pub(crate) tracer: usize,
    /// The registry's id.
    pub(crate) span: u64,
}

/// Deeper than this, only the innermost spans are known. A span that is entered and never left would fill memory.
const DEPTH: usize = 4_096;

#[derive(Debug)]
struct Thread {
    entered: Vec<Entered>,
    /// The message of the first panic of those that [`HEARD`] counts, as JSON.
    panic: Vec<u8>,
}

thread_local! {
    static THREAD: RefCell<Thread> = const {
        RefCell::new(Thread {
            entered: Vec::new(),
            panic: Vec::new(),
        })
    };
    /// The panics of this thread that were heard since it was last seen at work and not unwinding. Of several, any may be the
    /// one that unwinds it: a later one may have been caught in a destructor, an earlier one before the next began.
    static HEARD: Cell<u32> = const { Cell::new(0) };
}

pub(crate) fn enter(entered: Entered) {
    change(|thread| {
        let all = &mut thread.entered;
        if all.len() >= DEPTH {
            all.drain(..DEPTH / 2);
        }
        all.push(entered);
    });
    at_work();
}

/// The thread records something: unless it is unwinding, the panic was caught, and a later one may come without a message.
#[inline]
pub(crate) fn at_work() {
    if HEARD.get() > 0 && !std::thread::panicking() {
        HEARD.set(0);
    }
}

/// What the panic says that begins on this thread.
pub(crate) fn set_panic(message: &[u8]) {
    let heard = HEARD.get();
    HEARD.set(heard.saturating_add(1));
    if heard == 0 {
        change(|thread| {
            thread.panic.clear();
            thread.panic.extend_from_slice(message);
        });
    }
}

pub(crate) fn panics_heard() -> u32 {
    HEARD.get()
}

/// The panics that were heard since then were caught.
pub(crate) fn forget_panics_since(heard: u32) {
    HEARD.set(HEARD.get().min(heard));
}

/// Lends the message of the panic that unwinds this thread, if it is known which that is: the message of another would be
/// worse than none.
pub(crate) fn with_panic(run: impl FnOnce(&[u8])) {
    let message = THREAD.try_with(|thread| {
        let thread = thread.try_borrow().ok()?;
        (HEARD.get() == 1 && !thread.panic.is_empty()).then(|| thread.panic.clone())
    });
    match message.ok().flatten() {
        Some(message) => run(&message),
        None => run(b"\"panicked\""),
    }
}

/// Leaves the innermost entry of this span. Spans need not be left in the order in which they were entered.
pub(crate) fn exit(left: Entered) {
    change(|thread| {
        let all = &mut thread.entered;
        if let Some(index) = all.iter().rposition(|entered| *entered == left) {
            all.remove(index);
        }
    });
    at_work();
}

/// The innermost span for which `find` has an answer.
pub(crate) fn find<T>(find: impl FnMut(Entered) -> Option<T>) -> Option<T> {
    let entered = THREAD.try_with(|thread| {
        let thread = thread.try_borrow().ok()?;
        thread.entered.iter().rev().copied().find_map(find)
    });
    // A thread that is ending has forgotten.
    entered.ok().flatten()
}

fn change(change: impl FnOnce(&mut Thread)) {
    // A thread that is ending is in no span any more. Nothing of the application's runs while this is borrowed.
    THREAD
        .try_with(|thread| {
            if let Ok(mut thread) = thread.try_borrow_mut() {
                change(&mut thread);
            }
        })
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn innermost(tracer: usize) -> Option<u64> {
        find(|entered| (entered.tracer == tracer).then_some(entered.span))
    }

    #[test]
    fn the_innermost_span_of_a_layer_is_found_whatever_the_order_of_exits() {
        let at = |tracer, span| Entered { tracer, span };
        for (tracer, span) in [(1, 10), (2, 10), (1, 11), (1, 10)] {
            enter(at(tracer, span));
        }
        assert_eq!((innermost(1), innermost(2)), (Some(10), Some(10)));
        exit(at(1, 10));
        assert_eq!(innermost(1), Some(11));
        exit(at(1, 10));
        exit(at(1, 10));
        assert_eq!((innermost(1), innermost(2)), (Some(11), Some(10)));
        exit(at(1, 11));
        assert_eq!((innermost(1), innermost(2)), (None, Some(10)));
        (0..3 * DEPTH as u64).for_each(|span| enter(at(1, span)));
        assert_eq!(innermost(1), Some(3 * DEPTH as u64 - 1));
    }
}
