//! What we keep on an open span, by layer, so that two layers of ours can share a registry.

use std::time::Instant;

use super::callsite::Callsite;
use super::fields::{Attributes, Special};
use super::json;
use super::record::{self, SpanIds, SpanRecord, Status};
use super::time::{self, Anchor};
use crate::trace::{self, SpanId};

#[derive(Debug)]
pub(crate) struct SpanState {
    pub(crate) ids: SpanIds,
    parent: Option<SpanId>,
    pub(crate) anchor: Anchor,
    started: Instant,
    /// Threads that are inside the span now, since when, and the time spent inside until then.
    inside: u32,
    entered: Instant,
    busy: u64,
    kind: &'static str,
    status: Status,
    attributes: Attributes,
    special: Special,
    incomplete: u32,
}

impl SpanState {
    /// A new span below `parent`, or the root of a new trace.
    pub(crate) fn new(parent: Option<(SpanIds, Anchor)>) -> Self {
        let now = Instant::now();
        let trace = parent.map_or_else(trace::random_trace_id, |(ids, _)| ids.trace);
        Self {
            ids: SpanIds {
                trace,
                span: trace::random_span_id(),
            },
            parent: parent.map(|(ids, _)| ids.span),
            anchor: Anchor::inherit(parent.map(|(_, anchor)| anchor), now),
            started: now,
            inside: 0,
            entered: now,
            busy: 0,
            kind: "internal",
            status: Status::Unset,
            attributes: Attributes::default(),
            special: Special::default(),
            incomplete: 0,
        }
    }

    /// Takes over fields that were encoded without a lock on the span.
    pub(crate) fn record(
        &mut self,
        callsite: &Callsite,
        attributes: &mut Attributes,
        special: &Special,
        incomplete: u32,
    ) {
        self.incomplete += incomplete;
        if self.attributes.bytes.is_empty() {
            self.attributes.copy_from(attributes);
        } else {
            self.attributes
                .merge(callsite, attributes, &mut self.incomplete);
        }
        if !special.name.is_empty() {
            self.special.name.clone_from(&special.name);
        }
        if !special.status_message.is_empty() {
            self.special
                .status_message
                .clone_from(&special.status_message);
        }
        if let Some(kind) = record::kind_from_field(&special.kind) {
            self.kind = kind;
        }
        if let Some(status) = Status::from_field(&special.status_code) {
            self.status = status;
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
            let text = &mut self.special.status_message;
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
    }

    /// Appends the finished span.
    pub(crate) fn put(&self, line: &mut Vec<u8>, callsite: &Callsite, resource: &[u8]) -> u32 {
        let record = SpanRecord {
            start: self.anchor.wall_at(self.started),
            duration: time::nanoseconds(self.started.elapsed()),
            busy: self.busy,
            callsite,
            ids: self.ids,
            parent: self.parent,
            kind: self.kind,
            status: self.status,
            special: &self.special,
            attributes: &self.attributes,
            incomplete: self.incomplete,
            resource,
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
        std::iter::once(&mut self.first)
            .chain(&mut self.others)
            .find_map(|(id, state)| (*id == layer).then_some(state))
    }
}
