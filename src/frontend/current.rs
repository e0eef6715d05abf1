//! The spans that the calling thread is in, as our layers saw it enter them.
//!
//! What the registry knows too, but cannot be asked everywhere: not for spans of one layer, not in a panic hook, and not for
//! the dispatcher of a scoped subscriber while it is at work.

use std::cell::RefCell;

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

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn enter(entered: Entered) {
    change(|all| {
        if all.len() >= DEPTH {
            all.drain(..DEPTH / 2);
        }
        all.push(entered);
    });
}

/// Leaves the innermost entry of this span. Spans need not be left in the order in which they were entered.
pub(crate) fn exit(left: Entered) {
    change(|all| {
        if let Some(index) = all.iter().rposition(|entered| *entered == left) {
            all.remove(index);
        }
    });
}

/// The innermost span for which `find` has an answer.
pub(crate) fn find<T>(find: impl FnMut(Entered) -> Option<T>) -> Option<T> {
    let entered = ENTERED.try_with(|all| {
        let all = all.try_borrow().ok()?;
        all.iter().rev().copied().find_map(find)
    });
    // A thread that is ending has forgotten.
    entered.ok().flatten()
}

fn change(change: impl FnOnce(&mut Vec<Entered>)) {
    // A thread that is ending is in no span any more. Nothing of the application's runs while the list is borrowed.
    ENTERED
        .try_with(|all| {
            if let Ok(mut all) = all.try_borrow_mut() {
                change(&mut all);
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
