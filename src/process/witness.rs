//! Keeps our HTTP work from silencing the application's HTTP client. Runs on our own threads.
//!
//! The first thread that reaches a callsite of hyper's, say, makes tracing ask whether anybody wants it, and keeps the
//! answer. While only one subscriber is registered, tracing asks the default one of that thread instead of the registered one. If it is not
//! the global default but set for some threads only, our thread has none, and the answer is "never": the
//! callsite is dead for the application too. With a second subscriber registered, tracing asks all that are.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_utils::atomic::AtomicCell;
use tracing_core::dispatcher::{Dispatch, get_default};
use tracing_core::metadata::LevelFilter;
use tracing_core::subscriber::{Interest, NoSubscriber, Subscriber};
use tracing_core::{Event, Metadata, callsite, span};

/// The second subscriber, once one was needed. A forked child inherits it, registered.
static KEPT: AtomicCell<Option<Box<Dispatch>>> = AtomicCell::new(None);
static IS_KEPT: AtomicBool = AtomicBool::new(false);

/// Keeps a second subscriber registered for as long as there is no global default. It wants nothing, and is no thread's
/// default. To be called on our own threads, before the HTTP client is used.
///
/// Beside it, tracing asks the application's subscribers at each record whether they want it, since not all that are registered
/// agree. So it goes, with the answers of before, once there is a global default, whichever layer notices.
pub(crate) fn attend() {
    // Our threads have no default of their own.
    if get_default(|default| default.is::<NoSubscriber>()) {
        if !IS_KEPT.swap(true, Ordering::AcqRel) {
            KEPT.store(Some(Box::new(Dispatch::new(Nothing))));
        }
    } else if IS_KEPT.load(Ordering::Acquire)
        && let Some(kept) = KEPT.swap(None)
    {
        drop(kept);
        IS_KEPT.store(false, Ordering::Release);
        // The global default was registered beside it: all that are registered are asked, not this thread's default.
        callsite::rebuild_interest_cache();
    }
}

/// A subscriber that wants nothing. Unlike `NoSubscriber` it says so of the level too, which tracing takes the highest of.
struct Nothing;

impl Subscriber for Nothing {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
