//! The names that records use themselves, and so can not be had for tags or for top-level fields.

/// Names, or first parts of dotted names, of the fields that the layer writes.
const TAKEN: [&str; 23] = [
    "level",
    "message",
    "target",
    "trace_id",
    "span_id",
    "parent_span_id",
    "duration",
    "name",
    "kind",
    "error",
    "status",
    "scope",
    "attributes",
    "events",
    "events_dropped",
    "links",
    "links_dropped",
    "busy_ns",
    "idle_ns",
    "incomplete",
    "thread",
    "code",
    "event",
];

/// Names that hold the resource's attributes and so can not have a value.
pub(crate) const RESOURCE_GROUPS: [&str; 3] = ["service", "telemetry", "resource"];

/// The first part of a dotted name, if records use it themselves.
pub(crate) fn taken(name: &str) -> Option<&str> {
    let first = first_part(name);
    TAKEN.contains(&first).then_some(first)
}

pub(crate) fn first_part(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}
