//! Attributes that a callsite did not declare.

use axiom_layer::{FieldPlacement, SpanExt};
use tracing::field::Empty;
use tracing::{Span, info, info_span};

use crate::*;

#[test]
fn an_attribute_that_was_not_declared_is_set_on_the_span() {
    let records = record(|| {
        let span = info_span!("span", declared = 1, late = Empty, both = Empty).entered();
        Span::current().set_attribute("customer", 42);
        Span::current().set_attribute("name", "tea \"pot\"");
        Span::current().set_attribute("ratio", 0.5);
        Span::current().set_attribute("is_new", true);
        // Of one name the last counts, however it came.
        Span::current().set_attribute("customer", 43);
        span.set_attribute("declared", 2);
        span.set_attribute("late", "set");
        span.record("late", "recorded");
        span.record("both", "recorded");
        span.set_attribute("both", "set");
    });
    let expected = serde_json::json!({
        "declared": 2, "customer": 43, "name": "tea \"pot\"", "ratio": 0.5, "is_new": true, "late": "recorded",
        "both": "set",
    });
    assert_eq!(
        serde_json::Value::from(attributes(records.span("span"))),
        expected
    );
    Span::none().set_attribute("nobody", 1);
}

#[test]
fn the_attributes_of_opentelemetry_mean_what_they_mean_as_fields() {
    let records = record(|| {
        let span = info_span!("span");
        span.set_attribute("otel.name", "renamed");
        span.set_attribute("otel.kind", "SERVER");
        span.set_attribute("otel.status_code", "ERROR");
        span.set_attribute("otel.status_description", "sold out");
    });
    let span = records.span("renamed");
    assert_eq!(text(span, "kind"), "server");
    assert_eq!(span.get("error"), Some(&true.into()));
    assert_eq!(text(span, "status.message"), "sold out");
    assert!(attributes(span).is_empty());
}

#[test]
fn attributes_follow_the_placement_and_the_limits() {
    let records = record_with(
        |builder| builder.field_placement(FieldPlacement::TopLevel),
        || {
            let span = info_span!("span");
            span.set_attribute("customer", 42);
            span.set_attribute("level", "taken");
        },
    );
    let span = records.span("span");
    assert_eq!(span.get("customer"), Some(&42.into()));
    assert_eq!(text(span, "attributes.level"), "taken");

    let records = record(|| {
        let span = info_span!("full");
        (0..300).for_each(|n| span.set_attribute(&format!("n{n}"), n));
        span.set_attribute(&"k".repeat(300), "long");
    });
    let full = records.span("full");
    assert_eq!(attributes(full).len(), 250);
    assert_eq!(number(full, "incomplete"), 52);
}

#[test]
fn the_attributes_of_opentelemetry_are_as_short_as_the_fields() {
    let huge = "x".repeat(300_000);
    let records = record(|| {
        let span = info_span!("span");
        for name in ["otel.name", "otel.status_description", "a", "b"] {
            span.set_attribute(name, huge.as_str());
        }
        span.set_attribute("otel.kind", huge.as_str());
        span.set_attribute("otel.status_code", "error");
    });
    let span = records.spans().next().unwrap();
    assert!(span.size() <= 1_000_000, "{} bytes", span.size());
    assert!(text(span, "name").len() <= 1_024 + "…".len());
    assert!(text(span, "status.message").len() <= 4_096 + "…".len());
    // The name, the description, the kind, and both attributes.
    assert_eq!(number(span, "incomplete"), 5);
}

#[test]
fn an_exception_that_was_set_goes_before_that_of_an_error() {
    let placements = [
        FieldPlacement::Attributes,
        FieldPlacement::Otlp,
        FieldPlacement::TopLevel,
    ];
    for placement in placements {
        let records = record_with(
            |builder| builder.field_placement(placement),
            || {
                let error = std::fmt::Error;
                let error = &error as &(dyn std::error::Error + 'static);
                let before = info_span!("before", error = Empty);
                before.set_attribute("exception.message", "set");
                before.record("error", error);
                let after = info_span!("after", error);
                after.set_attribute("exception.message", "set");
                drop(info_span!("without", error));
            },
        );
        for (name, expected) in [
            ("before", (Some("set"), None)),
            ("after", (Some("set"), None)),
            ("without", (None, Some("Error"))),
        ] {
            let span = records.span(name);
            let field = |field: &str| {
                let below = format!("attributes.{field}");
                span.get(field)
                    .or_else(|| span.get(&below))
                    .and_then(Value::as_str)
            };
            let message = field("exception.message").filter(|message| *message == "set");
            assert_eq!(
                (message, field("exception.type")),
                expected,
                "{placement:?}"
            );
        }
    }
}

#[test]
fn events_inherit_what_was_set() {
    let records = record_with(
        |builder| builder.span_fields_on_events(true),
        || {
            let span = info_span!("span", a = 1).entered();
            span.set_attribute("b", 2);
            info!(a = 3, "event");
        },
    );
    let expected = serde_json::json!({ "a": 3, "b": 2 });
    assert_eq!(
        serde_json::Value::from(attributes(records.event("event"))),
        expected
    );
}

#[test]
fn an_attribute_is_text_and_without_escape_sequences_like_a_declared_field() {
    let records = record_with(
        |builder| builder.text_fields(["hash"]),
        || {
            let span = info_span!("span");
            span.set_attribute("hash", u64::MAX);
            span.set_attribute("count", u64::MAX);
            span.set_attribute("colour", "\u{1b}[31mred\u{1b}[0m");
        },
    );
    let attributes = attributes(records.span("span"));
    assert_eq!(attributes["hash"], "18446744073709551615");
    assert_eq!(attributes["count"], 18446744073709551615_f64);
    assert_eq!(attributes["colour"], "red");
}
