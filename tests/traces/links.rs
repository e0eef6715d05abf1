//! Links to other spans, and events inside a span's own record.

use axiom_layer::{SpanExt, TraceContext};
use serde_json::json;
use tracing::{error, info, info_span};

use crate::*;

fn list(span: &Event, name: &str) -> Vec<Value> {
    span.get(name)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

#[test]
fn follows_from_and_add_link_link_to_spans_here_and_elsewhere() {
    let there = TraceContext::new("5a0f8e3c21d94b7786a1c0de5eed1234", "00c0ffee0ddba115").unwrap();
    let records = record(|| {
        let cause = info_span!("cause");
        let job = info_span!("job");
        job.follows_from(&cause);
        job.add_link(&there);
    });
    let (cause, job) = (records.span("cause"), records.span("job"));
    assert_eq!(
        list(job, "links"),
        [
            json!({ "trace_id": cause.get("trace_id"), "span_id": cause.get("span_id") }),
            json!({ "trace_id": there.trace_id(), "span_id": there.span_id() }),
        ]
    );
    // A link is no parent, and says nothing on the other end.
    records.assert_root("job");
    assert_eq!((cause.get("links"), job.get("links_dropped")), (None, None));
}

#[test]
fn a_span_is_not_linked_to_itself() {
    let records = record(|| {
        let span = info_span!("span");
        span.follows_from(&span);
        span.add_link(&span.context().unwrap());
    });
    assert_eq!(records.span("span").get("links"), None);
}

#[test]
fn links_beyond_128_are_counted() {
    let there = TraceContext::new("5a0f8e3c21d94b7786a1c0de5eed1234", "00c0ffee0ddba115").unwrap();
    let records = record(|| {
        let batch = info_span!("batch");
        (0..150).for_each(|_| batch.add_link(&there));
    });
    let batch = records.span("batch");
    assert_eq!(list(batch, "links").len(), 128);
    assert_eq!(number(batch, "links_dropped"), 22);
}

#[test]
fn events_are_on_the_span_around_them_when_asked_for() {
    let records = record_with(
        |builder| builder.events_on_spans(true).span_fields_on_events(true),
        || {
            let _outer = info_span!("outer", order = 7).entered();
            let _inner = info_span!("inner").entered();
            info!(items = 3, "reserved");
            error!(level = "severe", target = "moon", "failed");
        },
    );
    let (inner, reserved) = (records.span("inner"), records.event("reserved"));
    let events = list(inner, "events");
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["name"], "reserved");
    // The same moment as the event's own record, as integer nanoseconds.
    assert_eq!(events[0]["timestamp"].as_i64(), reserved.unix_nanos());
    assert_eq!(
        events[0]["attributes"],
        json!({ "level": "info", "target": "traces::links", "items": 3 }),
        "the fields of the spans around it are on those"
    );
    // A field of the application's own that has a taken name is kept, once.
    assert_eq!(events[1]["attributes"]["level"], "severe");
    assert_eq!(events[1]["attributes"]["target"], "moon");
    assert_eq!(records.span("outer").get("events"), None);
    assert_eq!(reserved.get("attributes.order"), Some(&7.into()));
    let (start, end) = times(inner);
    let at = events[0]["timestamp"].as_u64().unwrap();
    // Events read the wall clock, spans the monotonic one: they may part by the clock's own corrections.
    let slack = 50_000_000;
    assert!(
        start <= at + slack && at <= end + slack,
        "{start} {at} {end}"
    );
}

#[test]
fn events_beyond_128_on_a_span_are_counted_and_have_their_own_records() {
    let records = record_with(
        |builder| builder.events_on_spans(true),
        || {
            let _span = info_span!("busy").entered();
            (0..200).for_each(|at| info!(at, "tick"));
        },
    );
    let busy = records.span("busy");
    assert_eq!(list(busy, "events").len(), 128);
    assert_eq!(number(busy, "events_dropped"), 72);
    assert_eq!(records.events().count(), 200);
}

#[test]
fn large_events_on_a_span_are_bounded_in_bytes() {
    let large = "x".repeat(20_000);
    let records = record_with(
        |builder| builder.events_on_spans(true),
        || {
            let _span = info_span!("busy").entered();
            (0..10).for_each(|_| info!(large, "tick"));
        },
    );
    let busy = records.span("busy");
    assert_eq!(list(busy, "events").len(), 3);
    assert_eq!(number(busy, "events_dropped"), 7);
}

#[test]
fn spans_list_no_events_unless_asked() {
    let records = record(|| info_span!("span").in_scope(|| info!("inside")));
    assert_eq!(records.span("span").get("events"), None);
}

#[test]
fn an_entry_says_where_in_the_source_when_asked_for() {
    let records = record_with(
        |builder| builder.events_on_spans(true).source_location(true),
        || {
            info_span!("span").in_scope(|| {
                info!("inside");
                info!(code.line.number = 7, "elsewhere");
            });
        },
    );
    let events = list(records.span("span"), "events");
    let line = records.event("inside").get("code.line.number");
    assert_eq!(events[0]["attributes"].get("code.line.number"), line);
    assert_eq!(events[0]["attributes"]["code.file.path"], file!());
    assert_eq!(events[1]["attributes"]["code.line.number"], 7);
}
