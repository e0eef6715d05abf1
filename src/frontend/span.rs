//! What we keep on an open span, by layer, so that two layers of ours can share a registry.

use std::sync::Arc;
use std::time::Instant;

use super::callsite::Callsite;
use super::json;
use super::list::{self, List};
use super::members::Fields;
use super::record::{self, Frame, SpanIds, SpanRecord, Status};
use super::time::{self, Anchor};
use super::visit::{self, Special};
use crate::trace::{self, SpanId, TraceContext};

/// What children and events take over from the span around them.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) ids: SpanIds,
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
    /// It was entered while its thread was panicking: then leaving it so says nothing.
    entered_in_panic: bool,
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
            entered_in_panic: false,
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
        replace(&mut self.name, &special.name);
        replace(&mut self.exception, &special.exception);
        replace(&mut self.status_message, &special.status_message);
        if let Some(kind) = record::kind_from_field(&special.kind) {
            self.kind = kind;
        }
        if let Some(status) = Status::from_field(&special.status_code) {
            self.status = status;
        } else if !special.status_message.is_empty() || !special.error.is_empty() {
            // OpenTelemetry knows a description only of an error, and an error among the fields is one.
            self.mark_error(visit::opened(&special.error));
        }
    }

    /// Fields could not be encoded at all.
    pub(crate) fn mark_incomplete(&mut self) {
        self.incomplete += 1;
    }

    /// An ERROR event happened inside. The first message stays, and so does a status set by the application.
    pub(crate) fn mark_error(&mut self, (message, is_shortened): (&[u8], bool)) {
        if self.status == Status::Unset {
            self.status = Status::Error;
            let text = &mut self.status_message;
            if text.is_empty() && !message.is_empty() {
                text.extend_from_slice(message);
                if is_shortened {
                    text.extend_from_slice(json::ELLIPSIS.as_bytes());
                }
                text.push(b'"');
            }
        }
    }

    pub(crate) fn enter(&mut self) {
        if self.inside == 0 {
            self.entered = Instant::now();
            self.entered_in_panic = std::thread::panicking();
        }
        self.inside += 1;
    }

    pub(crate) fn exit(&mut self) {
        self.inside = self.inside.saturating_sub(1);
        if self.inside == 0 {
            self.busy = self
                .busy
                .saturating_add(time::nanoseconds(self.entered.elapsed()));
        }
        if std::thread::panicking() && !self.entered_in_panic {
            self.mark_error((b"\"panicked", false));
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

    pub(crate) fn add(&mut self, layer: usize, state: SpanState) {
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
