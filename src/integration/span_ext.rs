//! What an application asks of a span beyond `tracing`: its context, a parent in another process, links.

use std::sync::Arc;

use tracing::span::Id;
use tracing::{Metadata, Span, dispatcher};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TagValue;
use crate::frontend::{self, OpenSpan, Tracer};
use crate::trace::{SpanIds, TraceContext};

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
///
/// # Beside `tracing-opentelemetry`
/// Its `OpenTelemetrySpanExt` has methods of the same names (`context`, `set_parent`, `add_link`, `set_attribute`). With both
/// traits in scope, say which is meant: `axiom_layer::SpanExt::context(&span)`.
///
/// So that both layers tell one trace, let its tracer take the trace ids of this layer, and add this layer first:
///
/// ```ignore
/// impl opentelemetry_sdk::trace::IdGenerator for OurTraceIds {
///     fn new_trace_id(&self) -> TraceId {
///         axiom_layer::TraceContext::current()
///             .and_then(|context| TraceId::from_hex(context.trace_id()).ok())
///             .unwrap_or_else(|| self.0.new_trace_id()) // of a RandomIdGenerator
///     }
///     // new_span_id as that generator has it
/// }
///
/// let provider = SdkTracerProvider::builder().with_id_generator(OurTraceIds::default());
/// tracing_subscriber::registry().with(axiom).with(opentelemetry)
/// ```
///
/// This holds for spans that are entered before their OpenTelemetry context is asked for, since there a span begins at its first
/// entry. The context of a caller in another process is to be set on both.
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

    /// Sets an attribute of the span that its callsite need not declare, unlike `Span::record`, which ignores such a field.
    ///
    /// Of one name, the value that was recorded or set last counts. `otel.name`, `otel.kind`, `otel.status_code` and
    /// `otel.status_description` mean here what they mean among declared fields. A text is shortened to 256 KiB, a name
    /// to 182 bytes.
    ///
    /// ```
    /// use axiom_layer::SpanExt;
    ///
    /// tracing::Span::current().set_attribute("customer.id", 4711);
    /// ```
    fn set_attribute(&self, name: &str, value: impl Into<TagValue>);

    /// Ends the span now and sends its record, whoever still holds the span.
    ///
    /// Without this call a span that was ever entered ends when it was left last, and one that never was when it is
    /// closed; its record is sent when it is closed, which is not before all spans below it are. Whoever knows better when
    /// the operation is over says so.
    ///
    /// What is recorded in the span afterwards, events and spans, still belongs to it. Fields and attributes that are set
    /// afterwards are not in the record. A second call does nothing.
    ///
    /// ```
    /// use axiom_layer::SpanExt;
    ///
    /// let request = tracing::info_span!("request");
    /// // A task that outlives the request, and keeps its span.
    /// let background = request.clone();
    /// request.end();
    /// # drop(background);
    /// ```
    fn end(&self);
}

impl SpanExt for Span {
    fn set_parent(&self, caller: &TraceContext) {
        each(self, |_, span, _| {
            span.with(|content| content.set_parent(span, caller));
        });
    }

    fn context(&self) -> Option<TraceContext> {
        self.with_subscriber(|(id, dispatch)| {
            let registry = dispatch.downcast_ref::<Registry>()?;
            let tracers = in_registry(registry);
            // A span that is hidden from all of ours is passed over.
            registry.span(id)?.scope().find_map(|span| {
                let (id, metadata) = (span.id(), span.metadata());
                tracers
                    .iter()
                    .find_map(|tracer| Some(kept(tracer, &id, metadata)?.context()))
            })
        })?
    }

    fn add_link(&self, other: &TraceContext) {
        let ids = SpanIds {
            trace: other.trace(),
            span: other.span(),
        };
        each(self, |_, span, _| {
            span.with(|content| content.add_link(span, &ids));
        });
    }

    fn set_attribute(&self, name: &str, value: impl Into<TagValue>) {
        let value = value.into();
        each(self, |tracer, span, metadata| {
            tracer.set_attribute(span, metadata, name, &value);
        });
    }

    fn end(&self) {
        each(self, |tracer, span, metadata| tracer.end(span, metadata));
    }
}

/// The layers that live in this registry.
fn in_registry(registry: &Registry) -> Vec<Arc<Tracer>> {
    let address = frontend::address(registry);
    let mut tracers = frontend::tracers::all();
    tracers.retain(|tracer| tracer.may_live_in(address));
    tracers
}

/// Runs `run` on what each layer keeps of this span.
fn each(span: &Span, run: impl Fn(&Tracer, &OpenSpan, &'static Metadata<'static>)) {
    let Some(metadata) = span.metadata() else {
        return;
    };
    span.with_subscriber(|(id, dispatch)| {
        let Some(registry) = dispatch.downcast_ref::<Registry>() else {
            return;
        };
        for tracer in in_registry(registry) {
            if let Some(span) = kept(&tracer, id, metadata) {
                run(&tracer, span, metadata);
            }
        }
    });
}

/// What a layer keeps of this span. One that does not know its registry may keep a span of the same id in another.
fn kept<'a>(
    tracer: &'a Tracer,
    id: &Id,
    metadata: &'static Metadata<'static>,
) -> Option<&'a OpenSpan> {
    tracer.span(id).filter(|span| span.is_of(metadata))
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
        let has_registry =
            dispatcher::get_default(|dispatch| dispatch.downcast_ref::<Registry>().is_some());
        if has_registry {
            Span::current().context()
        } else {
            // Where `tracing` is at work on a record, it says that there is no subscriber; the layers know better.
            frontend::tracers::current_context()
        }
    }
}
