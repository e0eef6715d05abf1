//! What a row is to a trace: which trace it belongs to, and whether it is a span or an event.

use crate::event::Event;

/// The trace that a row belongs to.
pub fn trace_id(event: &Event) -> Option<&str> {
    event.text("trace_id").filter(|id| !id.is_empty())
}

/// True if the row is a span, or was meant as one, rather than an event.
pub fn is_span(event: &Event) -> bool {
    let has = |name| event.get(name).is_some_and(|value| !value.is_null());
    if has("span_id") {
        has("duration") || (has("name") && has("kind"))
    } else {
        has("trace_id") && has("kind") && (has("name") || has("duration") || has("parent_span_id"))
    }
}
