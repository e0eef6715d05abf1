//! What a layer knows and does. The callbacks of `tracing`, `SpanExt` and the panic hook are its doors.

pub(crate) mod all;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing_core::span::Id;
use tracing_core::{Event, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::callsite::{Callsite, CallsiteOptions, Callsites, KEY_BYTES};
use super::current;
use super::entry;
use super::home::Home;
use super::members::{Keys, VALUE_BYTES};
use super::open::{Content, OpenSpan};
use super::record::{self, Frame};
use super::scratch::{self, Scratch};
use super::table::Table;
use super::times::Anchor;
use super::visit::Special;
use crate::config::TagValue;
use crate::queue::{Kind, Outlet};
use crate::record::clock;
use crate::record::json;
use crate::report::DropReason;
use crate::trace::{self, SpanIds, TraceContext};

/// Spans around an event whose fields it may have. Further out there is nobody who reads them at each event, and each costs.
const SPANS_INHERITED: usize = 128;

/// The spans that are open, by the registry's ids.
pub(crate) type OpenSpans = Table<OpenSpan>;

/// Which parts of a record the application has asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// `thread.name` and `thread.id`
    pub(crate) thread_names: bool,
    /// Events have the fields of the spans around them, too.
    pub(crate) span_fields: bool,
    /// Events are in the `events` of the span around them, too.
    pub(crate) span_events: bool,
    /// An ERROR event fails the span around it.
    pub(crate) errors_fail_spans: bool,
    /// A panic is recorded.
    pub(crate) panics: bool,
    pub(crate) callsites: CallsiteOptions,
    /// Members that each record carries because they do not travel in the labels header.
    pub(crate) labels: Box<[u8]>,
}

pub(crate) struct Tracer {
    /// Tells it from the others of this process.
    pub(super) id: usize,
    pub(super) callsites: Callsites,
    outlet: Outlet,
    pub(super) thread_names: bool,
    pub(super) span_fields: bool,
    pub(super) span_events: bool,
    pub(super) errors_fail_spans: bool,
    pub(super) panics: bool,
    pub(super) frame: Frame,
    pub(super) spans: Arc<OpenSpans>,
    pub(super) home: Home,
}

/// A span that something happens in: the registry's id, and what is kept of it.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) id: u64,
    pub(super) span: &'a OpenSpan,
}

/// When, where and in what an event was made.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) time: u64,
    pub(super) callsite: &'a Callsite,
    pub(super) around: Option<Around<'a>>,
    pub(super) fails_span: bool,
}

/// How well a layer knows which span a new one is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Knows {
    Nothing,
    AnAncestor,
    TheParent,
}

impl Knows {
    fn of(around: Option<u64>, parent: Option<u64>) -> Self {
        match around {
            None => Self::Nothing,
            Some(around) if Some(around) == parent => Self::TheParent,
            Some(_) => Self::AnAncestor,
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        all::removed();
    }
}

impl Tracer {
    pub(crate) fn new(outlet: Outlet, spans: Arc<OpenSpans>, options: Options) -> Arc<Self> {
        // The clock's first reading, which is kept: a fork must not come amid it.
        clock::monotonic();
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let tracer = Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            frame: Frame {
                placement: options.callsites.placement.fields,
                source_location: options.callsites.source_location,
                labels: options.labels,
            },
            callsites: Callsites::new(options.callsites),
            outlet,
            thread_names: options.thread_names,
            span_fields: options.span_fields,
            span_events: options.span_events,
            errors_fail_spans: options.errors_fail_spans,
            panics: options.panics,
            spans,
            home: Home::default(),
        });
        all::add(&tracer);
        tracer
    }

    /// Encodes with this thread's buffers, or counts a record that is nested too deep.
    pub(super) fn encode<T>(&self, encode: impl FnOnce(&mut Scratch) -> T) -> Option<T> {
        let encoded = scratch::with(encode);
        if encoded.is_none() {
            self.outlet.drop_unmade(DropReason::Recursion);
        }
        encoded
    }

    /// Whether the layer may live in the registry at this address.
    pub(crate) fn may_live_in(&self, address: usize) -> bool {
        self.home.may_be(address)
    }

    // Which span something belongs to.

    pub(crate) fn span(&self, id: &Id) -> Option<&OpenSpan> {
        self.spans.get(id.into_u64())
    }

    fn known(&self, id: &Id) -> Option<Around<'_>> {
        let id = id.into_u64();
        self.spans.get(id).map(|span| Around { id, span })
    }

    /// From this span outwards, the first that is known: those that are hidden from the layer, or older than it, are not.
    fn nearest_from<'a, R>(&self, mut span: SpanRef<'a, R>) -> Option<Around<'_>>
    where
        R: LookupSpan<'a>,
    {
        loop {
            if let Some(known) = self.known(&span.id()) {
                return Some(known);
            }
            span = span.parent()?;
        }
    }

    /// The same from the span of this id, also if it is hidden from the layer itself.
    fn nearest<S>(&self, id: &Id, is_current: bool, ctx: &Context<'_, S>) -> Option<Around<'_>>
    where
        S: Subscriber + for<'b> LookupSpan<'b>,
    {
        if let Some(known) = self.known(id) {
            return Some(known);
        }
        if let Some(span) = ctx.span(id) {
            return self.nearest_from(span);
        }
        // A filter hides it, and its ancestors with it. The registry knows them.
        if !self.home.is_known() {
            self.home.look_around(id, None);
        }
        if self.home.is_known() {
            return self.nearest_unfiltered(id);
        }
        // Of those that this thread is in, the innermost is nearly always an ancestor.
        if is_current { self.current() } else { None }
    }

    fn nearest_unfiltered(&self, id: &Id) -> Option<Around<'_>> {
        self.home
            .with_registry(|registry: &Registry| self.nearest_from(registry.span(id)?))
    }

    /// The innermost span that the layer saw the thread enter.
    pub(super) fn current(&self) -> Option<Around<'_>> {
        current::find(|entered| {
            let id = (entered.tracer == self.id).then_some(entered.span)?;
            self.spans.get(id).map(|span| Around { id, span })
        })
    }

    /// The span that an event belongs to.
    pub(super) fn around_event<S>(
        &self,
        event: &Event<'_>,
        ctx: &Context<'_, S>,
    ) -> Option<Around<'_>>
    where
        S: Subscriber + for<'b> LookupSpan<'b>,
    {
        if event.is_contextual() {
            self.nearest(ctx.current_span().id()?, true, ctx)
        } else {
            self.nearest(event.parent()?, false, ctx)
        }
    }

    /// The span that another follows from.
    pub(super) fn around_followed<S>(&self, id: &Id, ctx: &Context<'_, S>) -> Option<Around<'_>>
    where
        S: Subscriber + for<'b> LookupSpan<'b>,
    {
        self.nearest(id, false, ctx)
    }

    // Spans.

    /// Begins to keep a span that the registry has just made below `parent`.
    pub(super) fn open<S>(
        &self,
        id: &Id,
        metadata: &'static Metadata<'static>,
        parent: Option<&Id>,
        ctx: &Context<'_, S>,
    ) -> Option<&OpenSpan>
    where
        S: Subscriber + for<'b> LookupSpan<'b>,
    {
        let around = parent.and_then(|parent| {
            self.known(parent)
                // From the new span, which no filter hides, the registry's own way outwards is open.
                .or_else(|| self.nearest_from(ctx.span(id)?.parent()?))
        });
        let parent = parent.map(Id::into_u64);
        let now = clock::monotonic();
        let anchor = Anchor::inherit(around.map(|around| around.span.anchor()), now);
        let above = around.map(|around| around.span.ids());
        let mut ids = match above {
            Some(above) => SpanIds {
                span: trace::random_span_id(),
                ..above
            },
            None => {
                let (trace, span) = trace::random_ids();
                SpanIds { trace, span }
            }
        };
        let mut remote = around.and_then(|around| around.span.remote());
        if all::are_several() {
            let knows = Knows::of(around.map(|around| around.id), parent);
            self.agree(id, metadata, parent, knows, &mut ids, &mut remote);
        }
        self.spans.claim(id.into_u64(), |span| {
            span.begin(&ids, remote.is_some(), anchor, now);
            span.set_callsite(metadata);
            span.with(|content| {
                // Nobody said that the span before it was closed.
                if content.metadata.is_some() {
                    content.clear();
                }
                content.metadata = Some(metadata);
                content.around = around.map(|around| around.id);
                content.parent = above.map(|ids| ids.span);
                content.remote = remote;
            });
        })
    }

    /// Two layers in one registry call a span and its trace the same, so that the context which goes to other processes is
    /// right in both. The layer that knows best where the span belongs decides: a filter may hide the parent from the other.
    fn agree(
        &self,
        id: &Id,
        metadata: &'static Metadata<'static>,
        parent: Option<u64>,
        knows: Knows,
        ids: &mut SpanIds,
        remote: &mut Option<Arc<TraceContext>>,
    ) {
        all::each(|other| {
            if other.id == self.id || !other.home.may_be_shared_with(&self.home) {
                return;
            }
            if let Some(span) = other.span(id) {
                // The other layer saw it first. One that was entered is no new one, but has its id in another registry.
                span.with(|content| {
                    if !span.is_of(metadata) || span.was_entered() {
                        return;
                    }
                    let theirs = span.ids();
                    ids.span = theirs.span;
                    if knows > Knows::of(content.around, parent) {
                        content.remote.clone_from(remote);
                        span.change_ids(content, ids);
                    } else {
                        ids.trace = theirs.trace;
                        remote.clone_from(&content.remote);
                    }
                });
            } else if knows == Knows::Nothing
                && let Some(parent) = parent.map(Id::from_u64)
                // In another registry, it would be a stranger's trace.
                && other.home.has(id, metadata)
                && let Some(ancestor) = other
                    .known(&parent)
                    .or_else(|| other.nearest_unfiltered(&parent))
            {
                ids.trace = ancestor.span.ids().trace;
                *remote = ancestor.span.remote();
            }
        });
    }

    /// Appends the record of a span that ends, unless it was sent before.
    fn put_span(
        &self,
        span: &OpenSpan,
        metadata: &'static Metadata<'static>,
        is_told: bool,
        line: &mut Vec<u8>,
    ) -> Option<u32> {
        if !span.end() {
            return None;
        }
        let times = span.times(is_told);
        let callsite = self.callsites.of(metadata);
        let mut put = |content: &Content| content.put(line, span, times, callsite, &self.frame);
        let incomplete = span.with(|content| put(content));
        // Without its contents it is at least told that it was.
        Some(incomplete.unwrap_or_else(|| put(&Content::default())))
    }

    /// Sends the record of a span whose end somebody knows, and goes on to know its ids.
    pub(crate) fn end(&self, span: &OpenSpan, metadata: &'static Metadata<'static>) {
        scratch::lend(|scratch| {
            if let Some(incomplete) = self.put_span(span, metadata, true, &mut scratch.line) {
                self.outlet.push(Kind::Span, &scratch.line, incomplete > 0);
            }
        });
    }

    /// Sends the record of a span that the registry gives up, and forgets the span.
    pub(super) fn close(&self, id: &Id, metadata: &'static Metadata<'static>) {
        scratch::lend(|scratch| {
            let released = self.spans.release(id.into_u64(), |span| {
                let put = self.put_span(span, metadata, false, &mut scratch.line);
                // The lock of one that could not be emptied is held by nobody who will ever let it go.
                let is_empty = span.with(Content::clear).is_some();
                (put, is_empty)
            });
            if let Some(incomplete) = released.flatten() {
                self.outlet.push(Kind::Span, &scratch.line, incomplete > 0);
            }
        });
    }

    /// Sets an attribute that the span's callsite need not declare. The fields of OpenTelemetry mean there what they mean among
    /// a span's declared fields.
    pub(crate) fn set_attribute(
        &self,
        span: &OpenSpan,
        metadata: &'static Metadata<'static>,
        name: &str,
        value: &TagValue,
    ) {
        let mut special = Special::default();
        if let Some(is_whole) = special.set(name, value) {
            span.with(|content| {
                content.record_special(span, &special);
                if !is_whole {
                    span.lose();
                }
            });
            return;
        }
        let mut json = Vec::new();
        let options = self.callsites.options();
        let is_whole = if value.is_text() || options.is_text(name) {
            value.put_text(&mut json, VALUE_BYTES, options.ansi)
        } else {
            value.put(&mut json, VALUE_BYTES)
        };
        let kept = &name[..json::floor_char_boundary(name, KEY_BYTES)];
        let mut key = Vec::with_capacity(kept.len() + 3);
        json::put_str(&mut key, kept, usize::MAX);
        key.push(b':');
        let is_outer = options.placement.is_outer(kept);
        let callsite = self.callsites.of(metadata);
        span.with(|content| {
            content.set_attribute(callsite, is_outer, &key, &json);
            if !is_whole || kept.len() < name.len() {
                span.lose();
            }
        });
    }

    /// Begins the line of an event. Its fields are to follow.
    #[inline]
    pub(super) fn begin_event(
        &self,
        scratch: &mut Scratch,
        made: &Made<'_>,
        ids: Option<&SpanIds>,
        place: &[u8],
    ) {
        // Fields are looked for only if others may be added, or a later one may replace an earlier.
        let has_index = self.span_fields || made.callsite.repeats_keys;
        let line = scratch.fields.begin_line(has_index);
        record::begin_event(line, made.time, made.callsite, ids, place);
    }

    /// Sends the record of an event whose fields are in `scratch`.
    pub(super) fn put_event(&self, scratch: &mut Scratch, made: Made<'_>, mut incomplete: u32) {
        let Made { time, callsite, .. } = made;
        scratch.fields.end_fields();
        // A value may have closed the span while it was formatted, and its place may be another's.
        let around = made
            .around
            .filter(|around| self.spans.get(around.id).is_some());
        if let (true, Some(around)) = (self.span_events, around) {
            around.span.with(|content| {
                content.add_event(|out| {
                    entry::put_event(out, time, callsite, scratch, self.frame.source_location);
                });
            });
        }
        if let (true, Some(around)) = (made.fails_span, around) {
            let message = scratch.special.error_message(&scratch.fields);
            around
                .span
                .with(|content| content.fail(around.span, message));
        }
        // Last, so that the span's events and status have only what is the event's own.
        if let (true, Some(around)) = (self.span_fields, around) {
            incomplete += self.inherit(around, callsite, scratch);
        }
        let Scratch {
            fields, special, ..
        } = scratch;
        record::end_event(fields, special, callsite, incomplete, &self.frame);
        let (line, ..) = fields.line();
        self.outlet.push(Kind::Event, line, incomplete > 0);
    }

    /// Adds the fields of the spans around an event, the nearest first: where two have a key, it wins.
    fn inherit(&self, innermost: Around<'_>, callsite: &Callsite, scratch: &mut Scratch) -> u32 {
        let mut incomplete = 0;
        // An event's own exception is not mixed with another.
        let has_exception = callsite.has_exception || !scratch.special.exception.is_empty();
        let Scratch { fields, keys, .. } = scratch;
        let keys: &mut Keys = keys;
        keys.of(fields);
        let mut next = Some(innermost.span);
        for _ in 0..SPANS_INHERITED {
            let Some(span) = next else {
                return incomplete;
            };
            let around = span.with(|content| {
                fields.inherit(&content.fields, has_exception, keys, &mut incomplete);
                content.around
            });
            next = around.flatten().and_then(|id| self.spans.get(id));
        }
        // Nobody looked whether those further out have fields.
        incomplete + u32::from(next.is_some())
    }
}
