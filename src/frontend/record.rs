//! One event or span as one NDJSON line: the schema's names and their order.

use super::callsite::{Callsite, put_what};
use super::list::List;
use super::members::{Fields, OPENING};
use super::status::{KINDS, Status};
use super::times::Times;
use super::visit::Special;
use crate::record::{FieldPlacement, clock, json};
use crate::trace::{SpanId, SpanIds};

/// Begins an event's line with what is known before its fields are. `place`: members that say on which thread, and where in the
/// source, `,"thread.name":…` or nothing.
pub(crate) fn begin_event(
    line: &mut Vec<u8>,
    time: u64,
    callsite: &Callsite,
    ids: Option<&SpanIds>,
    place: &[u8],
) {
    clock::put_start(line, time);
    line.extend_from_slice(&callsite.event);
    if let Some(ids) = ids {
        put_ids(line, ids);
    }
    if !place.is_empty() {
        line.extend_from_slice(place);
    }
}

/// Ends an event's line behind its fields.
pub(crate) fn end_event(
    fields: &mut Fields,
    special: &Special,
    callsite: &Callsite,
    incomplete: u32,
    frame: &Frame,
) {
    let (line, attributes, outer) = fields.line();
    frame.end_attributes(line, attributes, outer, &special.exception);
    if callsite.is_log {
        line.push(b',');
        put_log(line, special, frame.source_location);
        line.pop();
    }
    if !special.message.is_empty() {
        line.extend_from_slice(b",\"message\":");
        line.extend_from_slice(&special.message);
    }
    frame.end_line(line, incomplete);
}

/// Where a record of the `log` crate was made: members with a comma behind each.
pub(super) fn put_log(out: &mut Vec<u8>, special: &Special, source_location: bool) {
    let mut put = |name: &[u8], value: &[u8]| {
        if !value.is_empty() {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
            out.push(b',');
        }
    };
    put(b"\"target\":", &special.log_target);
    if source_location {
        put(b"\"code.file.path\":", &special.log_file);
        put(b"\"code.line.number\":", &special.log_line);
    }
}

pub(crate) struct SpanRecord<'a> {
    pub(crate) times: Times,
    /// As JSON, like the message of the status. `None`: that of the callsite.
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) ids: SpanIds,
    pub(crate) parent: Option<SpanId>,
    /// `None`: internal.
    pub(crate) kind: Option<&'static str>,
    pub(crate) status: Status,
    pub(crate) status_message: &'a [u8],
    pub(crate) exception: &'a [u8],
    pub(crate) callsite: &'a Callsite,
    pub(crate) fields: &'a Fields,
    /// Events and links, if there is any.
    pub(crate) lists: Option<(&'a List, &'a List)>,
    pub(crate) incomplete: u32,
    pub(crate) frame: &'a Frame,
}

impl SpanRecord<'_> {
    pub(crate) fn put(&self, line: &mut Vec<u8>) {
        let Times {
            start,
            duration,
            busy,
        } = self.times;
        clock::put_start(line, start);
        match (self.name, self.kind) {
            (None, None) => line.extend_from_slice(&self.callsite.span),
            (name, kind) => {
                let name = name.unwrap_or(&self.callsite.name);
                put_what(line, name, kind.unwrap_or(KINDS[0]));
                line.extend_from_slice(&self.callsite.scope);
            }
        }
        put_ids(line, &self.ids);
        if let Some(parent) = &self.parent {
            put_parent(line, parent);
        }
        line.extend_from_slice(match self.status {
            Status::Unset => b",\"error\":false".as_slice(),
            Status::Ok => b",\"error\":false,\"status.code\":\"OK\"",
            Status::Error => b",\"error\":true,\"status.code\":\"ERROR\"",
        });
        // OpenTelemetry: the description belongs to an error only.
        if self.status == Status::Error && !self.status_message.is_empty() {
            line.extend_from_slice(b",\"status.message\":");
            line.extend_from_slice(self.status_message);
        }
        line.extend_from_slice(b",\"duration\":");
        json::put_u64(line, duration);
        line.extend_from_slice(b",\"busy_ns\":");
        json::put_u64(line, busy);
        line.extend_from_slice(b",\"idle_ns\":");
        json::put_u64(line, duration.saturating_sub(busy));
        if let Some((events, links)) = self.lists {
            events.put(line, "events");
            links.put(line, "links");
        }
        line.extend_from_slice(OPENING);
        let start = line.len();
        line.extend_from_slice(self.fields.attributes.bytes());
        let outer = self.fields.outer.bytes();
        let frame = self.frame;
        frame.end_attributes(line, start, outer, self.exception);
        frame.end_line(line, self.incomplete);
    }
}

// Blocks of one size each, which the compiler copies without a call.

fn put_ids(line: &mut Vec<u8>, ids: &SpanIds) {
    let mut block =
        *b",\"trace_id\":\"00000000000000000000000000000000\",\"span_id\":\"0000000000000000\"";
    block[13..45].copy_from_slice(&ids.trace);
    block[58..74].copy_from_slice(&ids.span);
    line.extend_from_slice(&block);
}

fn put_parent(line: &mut Vec<u8>, parent: &SpanId) {
    let mut block = *b",\"parent_span_id\":\"0000000000000000\"";
    block[19..35].copy_from_slice(parent);
    line.extend_from_slice(&block);
}

/// What all records of a layer have in common.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) placement: FieldPlacement,
    pub(crate) source_location: bool,
    /// `,"service.name":…` when the labels do not travel in the header.
    pub(crate) labels: Box<[u8]>,
}

impl Frame {
    /// Ends the object of the attributes, whose members begin at `start`, and puts those that have another place into theirs.
    fn end_attributes(&self, line: &mut Vec<u8>, start: usize, outer: &[u8], exception: &[u8]) {
        if !exception.is_empty() {
            line.extend_from_slice(exception);
        }
        if self.placement == FieldPlacement::Otlp && !outer.is_empty() {
            line.extend_from_slice(b"\"custom\":{");
            line.extend_from_slice(outer);
            json::close(line);
            line.push(b',');
        }
        if line.len() > start {
            json::close(line);
        } else {
            line.truncate(start - OPENING.len());
        }
        if self.placement == FieldPlacement::TopLevel && !outer.is_empty() {
            line.push(b',');
            line.extend_from_slice(outer);
            line.pop();
        }
    }

    fn end_line(&self, line: &mut Vec<u8>, incomplete: u32) {
        if incomplete > 0 {
            line.extend_from_slice(b",\"incomplete\":");
            json::put_u64(line, u64::from(incomplete));
        }
        if !self.labels.is_empty() {
            line.extend_from_slice(&self.labels);
        }
        line.extend_from_slice(b"}\n");
    }
}
