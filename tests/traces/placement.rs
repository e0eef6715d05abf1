//! Where the fields of the application go, and which dataset a record goes to.

use axiom_layer::FieldPlacement;
use serde_json::json;
use tracing::{error, info, info_span};

use crate::*;

/// What of a record is the application's: without the names that the layer itself writes.
fn own(record: &Event) -> Value {
    const OURS: [&str; 20] = [
        "_time",
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
        "status.code",
        "status.message",
        "scope.name",
        "busy_ns",
        "idle_ns",
        "service.name",
        "service.instance.id",
        "resource.host.name",
        "resource.process.pid",
    ];
    let mut fields = record.fields().clone();
    fields.retain(|name, _| !OURS.contains(&name.as_str()));
    fields.into()
}

fn program() {
    let _span = info_span!("span", http.route = "/orders", order = 7, level = "high").entered();
    info!(
        http.route = "/stock",
        name = "teapot",
        env = "mine",
        _cursor = 1,
        "event"
    );
}

#[test]
fn by_default_all_fields_are_attributes() {
    let records = record_with(|builder| builder.tag("env", "prod"), program);
    assert_eq!(
        own(records.span("span")),
        json!({
            "attributes": { "http.route": "/orders", "order": 7, "level": "high" },
            "env": "prod",
        })
    );
    assert_eq!(
        own(records.event("event")),
        json!({
            "attributes": { "http.route": "/stock", "name": "teapot", "env": "mine", "_cursor": 1 },
            "env": "prod",
        })
    );
}

#[test]
fn at_the_top_level_taken_names_and_tags_stay_in_attributes() {
    let options = |builder: Builder| {
        builder
            .field_placement(FieldPlacement::TopLevel)
            .tag("env", "prod")
            .span_fields_on_events(true)
    };
    for in_records in [false, true] {
        let records = record_with(
            |builder| options(builder).tags_in_records(in_records),
            program,
        );
        assert_eq!(
            own(records.span("span")),
            json!({
                "http.route": "/orders",
                "order": 7,
                "attributes": { "level": "high" },
                "env": "prod",
            })
        );
        // Of the span's fields, those that the event does not have itself.
        assert_eq!(
            own(records.event("event")),
            json!({
                "http.route": "/stock",
                "order": 7,
                "attributes": { "name": "teapot", "env": "mine", "_cursor": 1, "level": "high" },
                "env": "prod",
            })
        );
        assert_eq!(text(records.event("event"), "level"), "info");
    }
}

#[test]
fn the_otlp_split_has_conventional_names_apart_from_all_others() {
    let records = record_with(
        |builder| {
            builder
                .field_placement(FieldPlacement::Otlp)
                .tag("env", "prod")
        },
        || {
            program();
            let error: &(dyn std::error::Error + 'static) = &std::fmt::Error;
            error!(error, custom = true, "failed");
        },
    );
    assert_eq!(
        own(records.span("span")),
        json!({
            "attributes": { "http.route": "/orders", "custom": { "order": 7, "level": "high" } },
            "env": "prod",
        })
    );
    assert_eq!(
        own(records.event("failed")),
        json!({
            "attributes": {
                "exception.message": std::fmt::Error.to_string(),
                "exception.type": "Error",
                "custom": { "error": std::fmt::Error.to_string(), "custom": true },
            },
            "env": "prod",
        })
    );
}

#[test]
fn an_event_that_describes_an_exception_has_nothing_of_the_spans_exception() {
    let records = record_with(
        |builder| builder.span_fields_on_events(true),
        || {
            let span = info_span!("span", exception.type = "Outer", a = 1);
            span.in_scope(|| error!(exception.message = "inner", "failed"));
        },
    );
    assert_eq!(
        Value::from(attributes(records.event("failed"))),
        json!({ "exception.message": "inner", "a": 1 })
    );
}

#[test]
fn an_event_has_the_nearest_value_of_each_field_around_it() {
    let records = record_with(
        |builder| builder.span_fields_on_events(true),
        || {
            let outer = info_span!(
                "outer",
                a = "outer",
                b = "outer",
                c = "outer",
                d = 1,
                late = tracing::field::Empty
            );
            let _outer = outer.enter();
            let _inner = info_span!("inner", b = "inner", c = "inner").entered();
            outer.record("late", true);
            info!(c = "event", "inside");
            info!(parent: &outer, "told");
            info!(parent: None, "apart");
        },
    );
    assert_eq!(
        Value::from(attributes(records.event("inside"))),
        json!({ "a": "outer", "b": "inner", "c": "event", "d": 1, "late": true })
    );
    assert_eq!(
        Value::from(attributes(records.event("told"))),
        json!({ "a": "outer", "b": "outer", "c": "outer", "d": 1, "late": true })
    );
    assert!(attributes(records.event("apart")).is_empty());
    // The spans' own records are as they were.
    assert_eq!(
        Value::from(attributes(records.span("inner"))),
        json!({ "b": "inner", "c": "inner" })
    );
}

#[test]
fn events_and_whole_trees_go_to_their_own_datasets() {
    for placement in [
        FieldPlacement::Attributes,
        FieldPlacement::TopLevel,
        FieldPlacement::Otlp,
    ] {
        let records = record_with(
            |builder| {
                builder
                    .traces_dataset("shop-traces")
                    .field_placement(placement)
            },
            || {
                for order in 0..50 {
                    let _root = info_span!("root", order).entered();
                    info_span!("child", order).in_scope(|| info!(order, "inside"));
                    error!(order, "failed");
                }
            },
        );
        assert_eq!(
            (records.spans().count(), records.events().count()),
            (100, 100)
        );
        assert!(records.spans().all(|span| span.dataset() == "shop-traces"));
        assert!(records.events().all(|event| event.dataset() == "shop"));
        // Each event still leads to its span.
        for event in records.events() {
            let span = records
                .spans()
                .find(|span| span.get("span_id") == event.get("span_id"));
            assert_eq!(span.unwrap().get("trace_id"), event.get("trace_id"));
        }
    }
}

#[test]
fn without_a_dataset_for_traces_both_go_to_one() {
    let records = record(|| info_span!("span").in_scope(|| info!("event")));
    assert!(records.0.iter().all(|record| record.dataset() == "shop"));
    assert_eq!(records.0.len(), 2);
}
