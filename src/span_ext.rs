//! What an application asks of a span beyond `tracing`: its context, a parent in another process, links.

use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::frontend::{SpanIds, SpanStates};
use crate::trace::TraceContext;

/// Carries context between a span and other processes.
///
/// Works wherever an [`AxiomLayer`](crate::AxiomLayer) sits on a `tracing_subscriber` registry, however deep below
/// other layers. On a span that is disabled, or that the layer does not see, nothing happens.
///
/// ```
/// use axiom_layer::{SpanExt, TraceContext};
/// # let headers = [("traceparent", "00-5a0f8e3c21d94b7786a1c0de5eed1234-00c0ffee0ddba115-01")];
///
/// # let traceparent = headers.iter().map(|(_, value)| value);
/// # let tracestate = [""; 0];
/// let span = tracing::info_span!("request", otel.kind = "server");
/// // A caller without a valid context is none: the span stays the root of a trace of its own.
/// if let Some(caller) = TraceContext::from_headers(traceparent, tracestate) {
///     span.set_parent(&caller);
/// }
/// // To send along with a request to another service:
/// let traceparent = span.context().map(|context| context.traceparent().to_owned());
/// ```
pub trait SpanExt {
    /// Makes the span continue the trace of its caller in another process.
    ///
    /// Best called before anything is recorded in the span. Called later, it applies to everything recorded
    /// from then on; events and children that were there before keep the trace that they had.
    fn set_parent(&self, caller: &TraceContext);

    /// The context of the span, to be sent to other processes; or that of the nearest span around it that
    /// the layer sees. `None` if there is no such span.
    fn context(&self) -> Option<TraceContext>;

    /// Links the span to another, in this or another process, that is not its parent: the message that a batch
    /// was made of, the request that scheduled a job. At most 128 links for a span; what is beyond is
    /// counted in `links_dropped`.
    fn add_link(&self, other: &TraceContext);
}

impl SpanExt for Span {
    fn set_parent(&self, caller: &TraceContext) {
        with_registry(self, |span| {
            if let Some(states) = span.extensions_mut().get_mut::<SpanStates>() {
                states
                    .all_mut()
                    .for_each(|(_, state)| state.set_parent(caller));
            }
        });
    }

    fn context(&self) -> Option<TraceContext> {
        with_registry(self, |span| {
            span.scope().find_map(|span| {
                let extensions = span.extensions();
                let states = extensions.get::<SpanStates>()?;
                Some(states.first().context())
            })
        })?
    }

    fn add_link(&self, other: &TraceContext) {
        let ids = SpanIds {
            trace: other.trace(),
            span: other.span(),
        };
        with_registry(self, |span| {
            if let Some(states) = span.extensions_mut().get_mut::<SpanStates>() {
                states.all_mut().for_each(|(_, state)| state.add_link(&ids));
            }
        });
    }
}

fn with_registry<T>(span: &Span, run: impl FnOnce(SpanRef<'_, Registry>) -> T) -> Option<T> {
    span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        registry.span(id).map(run)
    })?
}

impl TraceContext {
    /// The context of the current span, as [`SpanExt::context`] has it.
    ///
    /// ```
    /// let context = axiom_layer::TraceContext::current();
    /// assert!(context.is_none(), "there is no span around this line");
    /// ```
    #[must_use]
    pub fn current() -> Option<Self> {
        Span::current().context()
    }
}
