//! The tracing callbacks. They run on the application's threads: no I/O, no waiting, no panic.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tracing_core::dispatcher::WeakDispatch;
use tracing_core::span::{Attributes as SpanAttributes, Id, Record};
use tracing_core::{Dispatch, Event, Interest, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::callsite::{Callsite, CallsiteOptions, Callsites};
use super::list;
use super::record::{EventRecord, Frame, SpanIds};
use super::scratch::{self, Scratch};
use super::span::{SpanState, SpanStates};
use super::thread;
use super::time;
use super::visit::FieldVisitor;
use crate::fence;
use crate::pipeline::Pipeline;
use crate::stats::DropReason;

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
    id: usize,
    callsites: Callsites,
    /// `None`: the layer is inert, and each callback returns at once.
    pipeline: Option<Arc<Pipeline>>,
    thread_names: bool,
    span_fields: bool,
    span_events: bool,
    frame: Frame,
    /// The subscriber that this layer is part of: leads to spans that a filter hides from us.
    subscriber: OnceLock<WeakDispatch>,
}

/// What of a record is on request.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// `thread.name` and `thread.id`
    pub(crate) thread_names: bool,
    /// Events have the fields of the spans around them, too.
    pub(crate) span_fields: bool,
    /// Events are in the `events` of the span around them, too.
    pub(crate) span_events: bool,
    pub(crate) callsites: CallsiteOptions,
    /// Members that each record carries because they do not travel in the labels header.
    pub(crate) labels: Box<[u8]>,
}

impl fmt::Debug for AxiomLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AxiomLayer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl AxiomLayer {
    pub(crate) fn new(pipeline: Arc<Pipeline>, options: Options) -> Self {
        Self::with(Some(pipeline), options)
    }

    /// A layer that records nothing.
    pub(crate) fn inert() -> Self {
        Self::with(None, Options::default())
    }

    fn is_inert(&self) -> bool {
        self.pipeline.is_none()
    }

    fn with(pipeline: Option<Arc<Pipeline>>, options: Options) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            frame: Frame {
                placement: options.callsites.placement.fields,
                source_location: options.callsites.source_location,
                labels: options.labels,
            },
            callsites: Callsites::new(options.callsites),
            pipeline,
            thread_names: options.thread_names,
            span_fields: options.span_fields,
            span_events: options.span_events,
            subscriber: OnceLock::new(),
        }
    }

    /// Encodes with this thread's buffers, or counts a record that is nested too deep.
    fn encode(&self, encode: impl FnOnce(&mut Scratch)) {
        let Some(pipeline) = &self.pipeline else {
            return;
        };
        if scratch::with(encode).is_none() {
            let counters = pipeline.here().counters();
            counters.add_dropped(DropReason::Recursion, 1);
        }
    }

    fn push(&self, is_span: bool, line: &[u8], incomplete: u32) {
        let Some(pipeline) = &self.pipeline else {
            return;
        };
        let pipeline = pipeline.here();
        if incomplete > 0 {
            pipeline.counters().add_incomplete();
        }
        let is_open = if is_span {
            pipeline.spans().push(line)
        } else {
            pipeline.events().push(line)
        };
        if !is_open {
            pipeline.recorded_late();
        }
    }

    /// Reads the nearest state, from this span outwards: spans that are hidden from this layer, or older than it,
    /// have none.
    fn nearest<'a, R, T>(
        &self,
        mut span: SpanRef<'a, R>,
        read: impl Fn(&SpanState) -> T,
    ) -> Option<(Id, T)>
    where
        R: LookupSpan<'a>,
    {
        loop {
            if let Some(states) = span.extensions().get::<SpanStates>()
                && let Some(state) = states.of(self.id)
            {
                return Some((span.id(), read(state)));
            }
            span = span.parent()?;
        }
    }

    /// The span that an event belongs to.
    fn around<S>(&self, event: &Event<'_>, ctx: &Context<'_, S>) -> Option<(Id, SpanIds)>
    where
        S: Subscriber + for<'b> LookupSpan<'b>,
    {
        let current = ctx.current_span();
        let id = if event.is_contextual() {
            current.id()?
        } else {
            event.parent()?
        };
        if let Some(span) = ctx.span(id) {
            return self.nearest(span, SpanState::ids);
        }
        // A filter hides it from us. `Context` would look among the spans that this thread happens to be
        // in; only the registry knows the ancestors.
        let subscriber = self.subscriber.get()?.upgrade()?;
        let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
        self.nearest(span, SpanState::ids)
    }

    /// Adds the fields of the spans around an event, the nearest first: where two have a key, it wins.
    fn inherit<S>(&self, innermost: &Id, ctx: &Context<'_, S>, scratch: &mut Scratch) -> u32
    where
        S: Subscriber + for<'b> LookupSpan<'b>,
    {
        let mut incomplete = 0;
        // An event's own exception is not mixed with another.
        let has_exception = !scratch.special.exception.is_empty();
        for span in ctx.span_scope(innermost).into_iter().flatten() {
            if let Some(states) = span.extensions().get::<SpanStates>()
                && let Some(state) = states.of(self.id)
            {
                let fields = &mut scratch.fields;
                fields.inherit(state.fields(), has_exception, &mut incomplete);
            }
        }
        incomplete
    }

    /// Runs `change` on this layer's state of the span, if it has one.
    fn with_state<S>(&self, id: &Id, ctx: &Context<'_, S>, change: impl FnOnce(&mut SpanState))
    where
        S: Subscriber + for<'b> LookupSpan<'b>,
    {
        if let Some(span) = ctx.span(id)
            && let Some(states) = span.extensions_mut().get_mut::<SpanStates>()
            && let Some(state) = states.of_mut(self.id)
        {
            change(state);
        }
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
        if !self.is_inert() && fence::is_of_client(metadata.target()) {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }

    /// Our own HTTP work is of no interest to the other layers either. Below a filter of ours alone nobody asks, and
    /// they see it.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.is_inert() || !(fence::is_raised() && fence::is_of_client(metadata.target()))
    }

    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        if self.is_inert() {
            return;
        }
        // Weak, for it owns us. A layer is part of one subscriber, so there is no second call.
        drop(self.subscriber.set(subscriber.downgrade()));
    }

    fn on_new_span(&self, attributes: &SpanAttributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if self.is_inert() || fence::is_raised() {
            return;
        }
        let Some(span) = ctx.span(id) else { return };
        let parent = span
            .parent()
            .and_then(|parent| self.nearest(parent, SpanState::surroundings));
        let callsite = self.callsites.of(attributes.metadata());
        let mut state = SpanState::new(parent.map(|(_, surroundings)| surroundings));
        let recorded = scratch::with(|scratch| {
            let mut visitor = visitor(callsite, scratch);
            attributes.record(&mut visitor);
            let incomplete = visitor.incomplete;
            state.record(callsite, &scratch.fields, &scratch.special, incomplete);
        });
        if recorded.is_none() {
            state.lose_fields();
        }
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<SpanStates>() {
            Some(states) => states.add(self.id, state),
            None => extensions.insert(SpanStates::new(self.id, state)),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if self.is_inert() {
            return;
        }
        let Some(span) = ctx.span(id) else { return };
        let callsite = self.callsites.of(span.metadata());
        // The fields are encoded before the span is locked: a `Debug` may use the same span.
        let recorded = scratch::with(|scratch| {
            let mut visitor = visitor(callsite, scratch);
            values.record(&mut visitor);
            let incomplete = visitor.incomplete;
            self.with_state(id, &ctx, |state| {
                state.record(callsite, &scratch.fields, &scratch.special, incomplete);
            });
        });
        if recorded.is_none() {
            self.with_state(id, &ctx, SpanState::lose_fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if self.is_inert() || fence::is_raised() {
            return;
        }
        let time = time::wall_clock();
        let callsite = self.callsites.of(event.metadata());
        let around = self.around(event, &ctx);
        self.encode(|scratch| {
            let mut visitor = visitor(callsite, scratch);
            event.record(&mut visitor);
            let mut incomplete = visitor.incomplete;
            if let (true, Some((span, _))) = (self.span_events, &around) {
                self.with_state(span, &ctx, |state| {
                    state.add_event(|out| {
                        list::put_event(out, time, callsite, scratch, self.frame.source_location)
                    });
                });
            }
            if let (true, Some((span, _))) = (callsite.is_error, &around) {
                let message = scratch.special.error_message(&scratch.fields);
                self.with_state(span, &ctx, |state| state.mark_error(message));
            }
            // Last: what is the event's own was looked at.
            if let (true, Some((span, _))) = (self.span_fields, &around) {
                incomplete += self.inherit(span, &ctx, scratch);
            }
            thread::with_members(self.thread_names, |thread| {
                let record = EventRecord {
                    time,
                    callsite,
                    fields: &scratch.fields,
                    special: &scratch.special,
                    ids: around.as_ref().map(|(_, ids)| *ids),
                    thread,
                    incomplete,
                    frame: &self.frame,
                };
                record.put(&mut scratch.line);
            });
            self.push(false, &scratch.line, incomplete);
        });
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        if self.is_inert() {
            return;
        }
        if let Some(followed) = ctx.span(follows)
            && let Some((_, ids)) = self.nearest(followed, SpanState::ids)
        {
            self.with_state(id, &ctx, |state| state.add_link(&ids));
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if self.is_inert() {
            return;
        }
        self.with_state(id, &ctx, SpanState::enter);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        if self.is_inert() {
            return;
        }
        self.with_state(id, &ctx, SpanState::exit);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        if self.is_inert() {
            return;
        }
        let Some(span) = ctx.span(&id) else { return };
        let callsite = self.callsites.of(span.metadata());
        let extensions = span.extensions();
        let Some(state) = extensions
            .get::<SpanStates>()
            .and_then(|states| states.of(self.id))
        else {
            return;
        };
        self.encode(|scratch| {
            let incomplete = state.put(&mut scratch.line, callsite, &self.frame);
            self.push(true, &scratch.line, incomplete);
        });
    }
}
