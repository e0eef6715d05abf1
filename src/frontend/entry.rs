//! One entry of a span's `events` or `links`.

use super::callsite::Callsite;
use super::record::put_log;
use super::scratch::Scratch;
use crate::record::json;
use crate::trace::SpanIds;

/// One entry of a span's `links`.
pub(crate) fn put_link(out: &mut Vec<u8>, ids: &SpanIds) {
    out.extend_from_slice(b"{\"trace_id\":\"");
    out.extend_from_slice(&ids.trace);
    out.extend_from_slice(b"\",\"span_id\":\"");
    out.extend_from_slice(&ids.span);
    out.extend_from_slice(b"\"}");
}

/// One entry of a span's `events`, where the time is integer nanoseconds. It has the event's own fields
/// only: those of the spans around it are not far away.
pub(crate) fn put_event(
    out: &mut Vec<u8>,
    time: u64,
    callsite: &Callsite,
    scratch: &Scratch,
    source_location: bool,
) {
    let (fields, special) = (&scratch.fields, &scratch.special);
    out.extend_from_slice(b"{\"name\":");
    let messages = [fields.message(), &special.message];
    let message = messages.into_iter().find(|message| !message.is_empty());
    out.extend_from_slice(message.unwrap_or(&callsite.name));
    out.extend_from_slice(b",\"timestamp\":");
    json::put_u64(out, time);
    out.extend_from_slice(b",\"attributes\":{");
    out.extend_from_slice(&callsite.entry);
    if callsite.is_log {
        put_log(out, special, source_location);
    }
    out.extend_from_slice(fields.attributes.bytes());
    out.extend_from_slice(fields.outer.bytes());
    out.extend_from_slice(&special.exception);
    json::close(out);
    out.push(b'}');
}
