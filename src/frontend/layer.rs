//! The tracing callbacks. They run on the application's threads: no I/O, no waiting, no panic.

use std::fmt;
use std::sync::Arc;

use tracing_core::span::{Attributes as SpanAttributes, Id, Record};
use tracing_core::{Dispatch, Event, Interest, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::callsite::Callsite;
use super::current::{self, Entered};
use super::scratch::{self, Scratch};
use super::thread;
use super::tracer::{Made, Tracer};
use super::visit::FieldVisitor;
use crate::process::fence;
use crate::record::clock;

/// Delivers the spans and events of a `tracing` registry to Axiom.
///
/// Built by `Builder::build` and added to a registry like any other layer:
/// below filters, boxed, in an `Option`, behind `reload`, or twice.
///
/// A callback encodes the record and copies it into the queue. It performs no I/O, waits for nothing
/// (unless [`Overflow::Block`](crate::Overflow::Block) asks for that) and does not panic, whatever a
/// `Debug` implementation does.
#[must_use = "a layer does nothing until it is added to a registry"]
pub struct AxiomLayer {
    /// `None`: the layer is inert, and each callback returns at once.
    tracer: Option<Arc<Tracer>>,
}

impl fmt::Debug for AxiomLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AxiomLayer")
            .field("id", &self.tracer.as_ref().map(|tracer| tracer.id))
            .finish_non_exhaustive()
    }
}

impl AxiomLayer {
    pub(crate) fn new(tracer: Arc<Tracer>) -> Self {
        Self {
            tracer: Some(tracer),
        }
    }

    /// One that records nothing, for a program without a token.
    pub(crate) fn inert() -> Self {
        Self { tracer: None }
    }
}

fn visitor<'a>(callsite: &'a Callsite, scratch: &'a mut Scratch) -> FieldVisitor<'a> {
    FieldVisitor {
        callsite,
        fields: &mut scratch.fields,
        special: &mut scratch.special,
        incomplete: 0,
    }
}

impl<S> Layer<S> for AxiomLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// What the HTTP client records is to be asked about each time: see [`enabled`](Layer::enabled).
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.tracer.is_some() && fence::is_of_client(metadata.target()) {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }

    /// Keeps our own HTTP work from the other layers, too. Where this layer has a filter to itself, `tracing-subscriber` does
    /// not ask, and they see it.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.tracer.is_none() || !(fence::is_raised() && fence::is_of_client(metadata.target()))
    }

    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        if let Some(tracer) = &self.tracer {
            tracer.home.set(subscriber);
        }
    }

    fn on_new_span(&self, attributes: &SpanAttributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(tracer) = self.tracer.as_deref().filter(|_| !fence::is_raised()) else {
            return;
        };
        let metadata = attributes.metadata();
        if !tracer.home.is_known() {
            tracer.home.look_around(id, Some(metadata));
        }
        let current = ctx.current_span();
        let parent = if attributes.is_contextual() {
            current.id()
        } else {
            attributes.parent()
        };
        let Some(span) = tracer.open(id, metadata, parent, &ctx) else {
            return;
        };
        let callsite = tracer.callsites.of(metadata);
        let recorded = scratch::with(|scratch| {
            scratch.fields.begin_kept();
            let mut visitor = visitor(callsite, scratch);
            attributes.record(&mut visitor);
            let incomplete = visitor.incomplete;
            span.with(|content| {
                content.record(span, &scratch.fields, &scratch.special, incomplete);
            });
        });
        if recorded.is_none() {
            span.lose();
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let Some(tracer) = &self.tracer else { return };
        let Some(span) = tracer.span(id) else { return };
        let Some(metadata) = span.with(|content| content.metadata).flatten() else {
            return;
        };
        let callsite = tracer.callsites.of(metadata);
        // The fields are encoded before the span is locked: a `Debug` may use the same span.
        let recorded = scratch::with(|scratch| {
            scratch.fields.begin_kept();
            let mut visitor = visitor(callsite, scratch);
            values.record(&mut visitor);
            let incomplete = visitor.incomplete;
            span.with(|content| {
                content.record(span, &scratch.fields, &scratch.special, incomplete);
            });
        });
        if recorded.is_none() {
            span.lose();
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let Some(tracer) = self.tracer.as_deref().filter(|_| !fence::is_raised()) else {
            return;
        };
        current::at_work();
        let time = clock::wall_clock();
        let callsite = tracer.callsites.of(event.metadata());
        let around = tracer.around_event(event, &ctx);
        // Before code of the application's runs, which may close the span.
        let ids = around.map(|around| around.span.ids());
        let made = Made {
            time,
            callsite,
            around,
            fails_span: callsite.is_error && tracer.errors_fail_spans,
        };
        tracer.encode(|scratch| {
            thread::with_members(tracer.thread_names, |place| {
                tracer.begin_event(scratch, &made, ids.as_ref(), place);
            });
            let mut visitor = visitor(callsite, scratch);
            event.record(&mut visitor);
            let incomplete = visitor.incomplete;
            tracer.put_event(scratch, made, incomplete);
        });
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        if let Some(tracer) = &self.tracer
            && let Some(span) = tracer.span(id)
            && let Some(followed) = tracer.around_followed(follows, &ctx)
        {
            let ids = followed.span.ids();
            span.with(|content| content.add_link(span, &ids));
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let Some(tracer) = &self.tracer else { return };
        let Some(span) = tracer.span(id) else { return };
        if !tracer.home.is_known() {
            let metadata = span.with(|content| content.metadata);
            tracer.home.look_around(id, metadata.flatten());
        }
        span.enter();
        current::enter(Entered {
            tracer: tracer.id,
            span: id.into_u64(),
        });
        if std::thread::panicking() {
            span.with(|content| content.enter_unwinding());
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let Some(tracer) = &self.tracer else { return };
        let Some(span) = tracer.span(id) else { return };
        span.exit();
        current::exit(Entered {
            tracer: tracer.id,
            span: id.into_u64(),
        });
        if std::thread::panicking() {
            current::with_panic(|message| {
                span.with(|content| content.exit_unwinding(span, message));
            });
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        if let Some(tracer) = &self.tracer
            && let Some(span) = tracer.span(&id)
        {
            let known = span.with(|content| content.metadata).flatten();
            let metadata = known.or_else(|| Some(ctx.span(&id)?.metadata()));
            if let Some(metadata) = metadata {
                tracer.close(&id, metadata);
            }
        }
    }
}
