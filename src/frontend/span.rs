//! What we keep on an open span, by layer, so that two layers of ours can share a registry.

use std::sync::Arc;
use std::time::Instant;

use super::callsite::Callsite;
use super::json;
use super::list::{self, List};
use super::members::Fields;
use super::record::{self, Frame, SpanIds, SpanRecord, Status};
use super::time::{self, Anchor};
use super::visit::{STATUS_MESSAGE_BYTES, Special};
use crate::trace::{self, SpanId, TraceContext};

/// What children take over from their parent.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    ids: SpanIds,
    anchor: Anchor,
    remote: Option<Arc<TraceContext>>,
}

#[derive(Debug)]
pub(crate) struct SpanState {
    ids: SpanIds,
    parent: Option<SpanId>,
    /// The caller's context if the trace came from another process: its flags and `tracestate` travel on.
    remote: Option<Arc<TraceContext>>,
    anchor: Anchor,
    started: Instant,
    /// Threads that are inside the span now, since when, and the time spent inside until then.
    inside: u32,
    entered: Instant,
    busy: u64,
    /// How many of those entered while they were unwinding already: when they leave, it says nothing.
    inside_unwinding: u32,
    kind: &'static str,
    status: Status,
    fields: Fields,
    /// `otel.name`, the status description and the exception, as JSON; empty when absent.
    name: Vec<u8>,
    status_message: Vec<u8>,
    exception: Vec<u8>,
    /// Events and links, which most spans have not.
    lists: Option<Box<Lists>>,
    incomplete: u32,
}

#[derive(Debug, Default)]
struct Lists {
    events: List,
    links: List,
}

impl SpanState {
    /// A new span below `parent`, or the root of a new trace.
    pub(crate) fn new(parent: Option<Surroundings>) -> Self {
        let now = Instant::now();
        let trace = parent
            .as_ref()
            .map_or_else(trace::random_trace_id, |parent| parent.ids.trace);
        Self {
            ids: SpanIds {
                trace,
                span: trace::random_span_id(),
            },
            parent: parent.as_ref().map(|parent| parent.ids.span),
            anchor: Anchor::inherit(parent.as_ref().map(|parent| parent.anchor), now),
            remote: parent.and_then(|parent| parent.remote),
            started: now,
            inside: 0,
            entered: now,
            busy: 0,
            inside_unwinding: 0,
            kind: "internal",
            status: Status::Unset,
            fields: Fields::default(),
            name: Vec::new(),
            status_message: Vec::new(),
            exception: Vec::new(),
            lists: None,
            incomplete: 0,
        }
    }

    pub(crate) fn surroundings(&self) -> Surroundings {
        Surroundings {
            ids: self.ids,
            anchor: self.anchor,
            remote: self.remote.clone(),
        }
    }

    pub(crate) fn ids(&self) -> SpanIds {
        self.ids
    }

    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Takes over fields that were encoded without a lock on the span.
    pub(crate) fn record(
        &mut self,
        callsite: &Callsite,
        fields: &Fields,
        special: &Special,
        incomplete: u32,
    ) {
        self.incomplete += incomplete;
        if self.fields.is_empty() {
            self.fields.copy_from(fields);
        } else {
            self.fields.merge(callsite, fields, &mut self.incomplete);
        }
        let replace = |own: &mut Vec<u8>, new: &Vec<u8>| {
            if !new.is_empty() {
                own.clone_from(new);
            }
        };
        // A span must have a name.
        if special.name != b"\"\"" {
            replace(&mut self.name, &special.name);
        }
        replace(&mut self.exception, &special.exception);
        replace(&mut self.status_message, &special.status_message);
        if let Some(kind) = record::kind_from_field(&special.kind) {
            self.kind = kind;
        }
        if let Some(status) = Status::from_field(&special.status_code) {
            self.status = status;
        } else if !special.status_message.is_empty() || !special.error.is_empty() {
            // OpenTelemetry knows a description only of an error, and an error among the fields is one.
            self.mark_error(&special.error);
        }
    }

    /// Fields were recorded while records were nested too deep to encode them.
    pub(crate) fn lose_fields(&mut self) {
        self.incomplete += 1;
    }

    /// An ERROR event happened inside. The first message stays, and so does a status set by the application.
    pub(crate) fn mark_error(&mut self, message: &[u8]) {
        if self.status == Status::Unset {
            self.status = Status::Error;
            if self.status_message.is_empty() && !message.is_empty() {
                json::put_shortened(&mut self.status_message, message, STATUS_MESSAGE_BYTES);
            }
        }
    }

    pub(crate) fn enter(&mut self) {
        if self.inside == 0 {
            self.entered = Instant::now();
        }
        self.inside += 1;
        if std::thread::panicking() {
            self.inside_unwinding += 1;
        }
    }

    pub(crate) fn exit(&mut self) {
        self.inside = self.inside.saturating_sub(1);
        if self.inside == 0 {
            self.busy = self
                .busy
                .saturating_add(time::nanoseconds(self.entered.elapsed()));
        }
        if std::thread::panicking() {
            // Of one thread, the last to enter is the first to leave.
            match self.inside_unwinding.checked_sub(1) {
                Some(others) => self.inside_unwinding = others,
                None => self.mark_error(b"\"panicked\""),
            }
        }
        if self.inside == 0 {
            self.inside_unwinding = 0;
        }
    }

    // Context and links.

    /// The context to send to another process from inside this span.
    pub(crate) fn context(&self) -> TraceContext {
        match &self.remote {
            Some(remote) => remote.at_span(&self.ids.span),
            None => TraceContext::root(&self.ids.trace, &self.ids.span),
        }
    }

    /// Makes this span a child of one in another process. What was recorded in it before stays as it was.
    pub(crate) fn set_parent(&mut self, context: &TraceContext) {
        // Nobody draws a circle.
        if context.span() == self.ids.span {
            return;
        }
        self.ids.trace = context.trace();
        self.parent = Some(context.span());
        self.remote = Some(Arc::new(context.clone()));
    }

    pub(crate) fn add_link(&mut self, ids: &SpanIds) {
        self.lists
            .get_or_insert_default()
            .links
            .add(|out| list::put_link(out, ids));
    }

    /// Adds what `write` appends to the span's `events`.
    pub(crate) fn add_event(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.lists.get_or_insert_default().events.add(write);
    }

    /// Appends the finished span.
    pub(crate) fn put(&self, line: &mut Vec<u8>, callsite: &Callsite, frame: &Frame) -> u32 {
        let none = Lists::default();
        let lists = self.lists.as_deref().unwrap_or(&none);
        let record = SpanRecord {
            start: self.anchor.wall_at(self.started),
            duration: time::nanoseconds(self.started.elapsed()),
            busy: self.busy,
            name: if self.name.is_empty() {
                &callsite.name
            } else {
                &self.name
            },
            ids: self.ids,
            parent: self.parent,
            kind: self.kind,
            status: self.status,
            status_message: &self.status_message,
            exception: &self.exception,
            callsite,
            fields: &self.fields,
            events: &lists.events,
            links: &lists.links,
            incomplete: self.incomplete,
            frame,
        };
        record.put(line);
        self.incomplete
    }
}

/// The states of all our layers on one span. Nearly always one.
#[derive(Debug)]
pub(crate) struct SpanStates {
    first: (usize, SpanState),
    others: Vec<(usize, SpanState)>,
}

impl SpanStates {
    pub(crate) fn new(layer: usize, state: SpanState) -> Self {
        Self {
            first: (layer, state),
            others: Vec::new(),
        }
    }

    /// A second layer calls the span what the first calls it, so that the context which goes to other
    /// processes is right in both.
    pub(crate) fn add(&mut self, layer: usize, mut state: SpanState) {
        let first = self.first();
        state.ids.span = first.ids.span;
        if state.parent.is_none() {
            state.ids.trace = first.ids.trace;
            state.remote.clone_from(&first.remote);
        }
        self.others.push((layer, state));
    }

    pub(crate) fn of(&self, layer: usize) -> Option<&SpanState> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find_map(|(id, state)| (*id == layer).then_some(state))
    }

    pub(crate) fn of_mut(&mut self, layer: usize) -> Option<&mut SpanState> {
        self.all_mut()
            .find_map(|(id, state)| (*id == layer).then_some(state))
    }

    /// The state that speaks for the span when no layer is asked for.
    pub(crate) fn first(&self) -> &SpanState {
        &self.first.1
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut (usize, SpanState)> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }
}
