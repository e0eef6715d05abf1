//! One event or span as one NDJSON line: the schema's names and their order.

use super::callsite::Callsite;
use super::fields::{Attributes, Special};
use super::{json, time};
use crate::trace::{SpanId, TraceId};

/// What the worker relies on: every line starts with this, the timestamp, and a quote.
pub(crate) const LINE_START: &[u8] = b"{\"_time\":\"";

/// `kind` of a span, in the words of OpenTelemetry.
const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];

/// The span that a record belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanIds {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    #[default]
    Unset,
    Ok,
    Error,
}

impl Status {
    /// Reads `otel.status_code`; a word that is none of OpenTelemetry's leaves the status as it was.
    pub(crate) fn from_field(json: &[u8]) -> Option<Self> {
        let word = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if word.eq_ignore_ascii_case(b"ok") {
            Some(Self::Ok)
        } else if word.eq_ignore_ascii_case(b"error") {
            Some(Self::Error)
        } else {
            None
        }
    }
}

/// Reads `otel.kind`, in any case, as tracing-opentelemetry does.
pub(crate) fn kind_from_field(json: &[u8]) -> Option<&'static str> {
    let word = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    KINDS
        .into_iter()
        .find(|kind| word.eq_ignore_ascii_case(kind.as_bytes()))
}

pub(crate) struct EventRecord<'a> {
    pub(crate) time: u64,
    pub(crate) callsite: &'a Callsite,
    pub(crate) attributes: &'a Attributes,
    pub(crate) special: &'a Special,
    pub(crate) ids: Option<SpanIds>,
    /// `,"thread.name":…` or nothing.
    pub(crate) thread: &'a [u8],
    pub(crate) incomplete: u32,
    /// `,"service.name":…` when the resource does not travel in the labels header.
    pub(crate) resource: &'a [u8],
}

impl EventRecord<'_> {
    pub(crate) fn put(&self, line: &mut Vec<u8>) {
        put_time(line, self.time);
        line.extend_from_slice(&self.callsite.event);
        if !self.special.message.is_empty() {
            line.extend_from_slice(b",\"message\":");
            line.extend_from_slice(&self.special.message);
        }
        if let Some(ids) = &self.ids {
            put_ids(line, ids);
        }
        line.extend_from_slice(self.thread);
        put_rest(line, self.attributes, self.incomplete, self.resource);
    }
}

pub(crate) struct SpanRecord<'a> {
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) busy: u64,
    pub(crate) callsite: &'a Callsite,
    pub(crate) ids: SpanIds,
    pub(crate) parent: Option<SpanId>,
    pub(crate) kind: &'static str,
    pub(crate) status: Status,
    /// `name` and `status_message` are read.
    pub(crate) special: &'a Special,
    pub(crate) attributes: &'a Attributes,
    pub(crate) incomplete: u32,
    pub(crate) resource: &'a [u8],
}

impl SpanRecord<'_> {
    pub(crate) fn put(&self, line: &mut Vec<u8>) {
        put_time(line, self.start);
        line.extend_from_slice(b",\"duration\":");
        json::put_u64(line, self.duration);
        line.extend_from_slice(b",\"name\":");
        if self.special.name.is_empty() {
            line.extend_from_slice(&self.callsite.name);
        } else {
            line.extend_from_slice(&self.special.name);
        }
        line.extend_from_slice(b",\"kind\":\"");
        line.extend_from_slice(self.kind.as_bytes());
        line.push(b'"');
        put_ids(line, &self.ids);
        if let Some(parent) = &self.parent {
            line.extend_from_slice(b",\"parent_span_id\":\"");
            line.extend_from_slice(parent);
            line.push(b'"');
        }
        line.extend_from_slice(match self.status {
            Status::Unset => b",\"error\":false".as_slice(),
            Status::Ok => b",\"error\":false,\"status.code\":\"OK\"",
            Status::Error => b",\"error\":true,\"status.code\":\"ERROR\"",
        });
        if !self.special.status_message.is_empty() {
            line.extend_from_slice(b",\"status.message\":");
            line.extend_from_slice(&self.special.status_message);
        }
        line.extend_from_slice(&self.callsite.span);
        line.extend_from_slice(b",\"busy_ns\":");
        json::put_u64(line, self.busy);
        line.extend_from_slice(b",\"idle_ns\":");
        json::put_u64(line, self.duration.saturating_sub(self.busy));
        put_rest(line, self.attributes, self.incomplete, self.resource);
    }
}

fn put_time(line: &mut Vec<u8>, nanos: u64) {
    line.extend_from_slice(LINE_START);
    time::put_timestamp(line, nanos);
    line.push(b'"');
}

fn put_ids(line: &mut Vec<u8>, ids: &SpanIds) {
    line.extend_from_slice(b",\"trace_id\":\"");
    line.extend_from_slice(&ids.trace);
    line.extend_from_slice(b"\",\"span_id\":\"");
    line.extend_from_slice(&ids.span);
    line.push(b'"');
}

fn put_rest(line: &mut Vec<u8>, attributes: &Attributes, incomplete: u32, resource: &[u8]) {
    if let Some(members) = attributes.bytes.strip_suffix(b",") {
        line.extend_from_slice(b",\"attributes\":{");
        line.extend_from_slice(members);
        line.push(b'}');
    }
    if incomplete > 0 {
        line.extend_from_slice(b",\"incomplete\":");
        json::put_u64(line, u64::from(incomplete));
    }
    line.extend_from_slice(resource);
    line.extend_from_slice(b"}\n");
}
