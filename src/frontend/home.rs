//! The registry that a layer lives in.
//!
//! A callback is not told it, and a layer in an `Option`, a `Vec` or an `Arc<dyn Subscriber>`, or one that `reload` put in, is not
//! told when the subscriber is made either. It is found out from what can be asked: see [`Home::look_around`].

use once_cell::race::OnceBox;
use tracing_core::dispatcher::{self, WeakDispatch};
use tracing_core::span::Id;
use tracing_core::{Dispatch, Metadata};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

/// Known for good once it is known: a layer is part of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Home(OnceBox<Known>);

#[derive(Debug)]
struct Known {
    address: usize,
    /// Weak, for the subscriber owns the layer.
    dispatch: WeakDispatch,
}

impl Home {
    #[inline]
    pub(crate) fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    /// The subscriber says that it is this one.
    pub(crate) fn set(&self, dispatch: &Dispatch) {
        if let Some(registry) = dispatch.downcast_ref::<Registry>() {
            let known = Known {
                address: address(registry),
                dispatch: dispatch.downgrade(),
            };
            // A second one is the same.
            self.0.set(Box::new(known)).ok();
        }
    }

    /// Takes the thread's current subscriber, if it has this span. Of a scoped subscriber it can be asked while a span is
    /// entered, but not while a span or an event is made: tracing then says that there is none.
    #[cold]
    pub(crate) fn look_around(&self, id: &Id, metadata: Option<&'static Metadata<'static>>) {
        dispatcher::get_default(|dispatch| {
            let found = dispatch
                .downcast_ref::<Registry>()
                .and_then(|registry| registry.span(id));
            let is_it = found.is_some_and(|span| {
                metadata.is_none_or(|metadata| std::ptr::eq(metadata, span.metadata()))
            });
            if is_it {
                self.set(dispatch);
            }
        });
    }

    /// Whether the layer is known to live in this registry.
    pub(crate) fn is(&self, address: usize) -> bool {
        self.0.get().is_some_and(|known| known.address == address)
    }

    /// Whether the layer may live in this registry. One that does not know its own may live in any.
    pub(crate) fn may_be(&self, address: usize) -> bool {
        self.0.get().is_none_or(|known| known.address == address)
    }

    /// Whether two layers may live in one registry.
    pub(crate) fn may_be_shared_with(&self, other: &Self) -> bool {
        self.0.get().is_none_or(|known| other.may_be(known.address))
    }

    /// Whether the layer is known to live where this span is.
    pub(crate) fn has(&self, id: &Id, metadata: &'static Metadata<'static>) -> bool {
        let found = self.with_registry(|registry: &Registry| Some(registry.span(id)?.metadata()));
        found.is_some_and(|found| std::ptr::eq(found, metadata))
    }

    /// Looks into the registry, where no filter hides anything.
    pub(crate) fn with_registry<T>(&self, look: impl FnOnce(&Registry) -> Option<T>) -> Option<T> {
        let dispatch = self.0.get()?.dispatch.upgrade()?;
        look(dispatch.downcast_ref::<Registry>()?)
    }
}

/// Tells registries apart: a subscriber does not move once it is in use.
pub(crate) fn address(registry: &Registry) -> usize {
    std::ptr::from_ref(registry).addr()
}
