//! Events: names and order of the members, ids, times.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tracing::{Level, debug, error, event, info, info_span, trace, warn};

use crate::common::{recorded, recorded_with, text};
use crate::resource::of_a_known_process;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_nanos()).unwrap()
}

#[test]
fn an_event_is_exactly_this_line() {
    let records = recorded_with(of_a_known_process, || {
        let _span = info_span!("around").entered();
        info!(target: "shop", answer = 42, who = "me", "hello {}", "world");
    });
    let event = records.event("hello world");
    let (time, trace, span) = (
        text(event, "_time"),
        text(event, "trace_id"),
        text(event, "span_id"),
    );
    assert_eq!(
        event.to_string(),
        format!(
            r#"{{"_time":"{time}","level":"info","target":"shop","trace_id":"{trace}","span_id":"{span}","message":"hello world","attributes":{{"answer":42,"who":"me"}},"resource.host.name":"h","resource.process.pid":7,"service.instance.id":"i","service.name":"test"}}"#
        )
    );
    assert_eq!(event.dataset(), "main");
}

#[test]
fn an_event_without_anything_has_only_what_every_event_has() {
    let bare = || event!(target: "bare", Level::WARN, {});
    let records = recorded_with(of_a_known_process, bare);
    let keys: Vec<_> = records.all[0].fields().keys().cloned().collect();
    let expected = [
        "_time",
        "level",
        "resource.host.name",
        "resource.process.pid",
        "service.instance.id",
        "service.name",
        "target",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn an_event_without_anything_takes_over_the_fields_of_its_span_and_is_one_of_its_events() {
    let records = recorded_with(
        |builder| builder.span_fields_on_events(true).events_on_spans(true),
        || {
            let _span = info_span!("around", order = 7).entered();
            event!(target: "bare", Level::WARN, {});
        },
    );
    let event = records.events().next().unwrap();
    assert_eq!(event.get("attributes"), Some(&json!({"order": 7})));
    let entry = &records.span("around").get("events").unwrap()[0];
    assert_eq!(
        entry["attributes"],
        json!({"level": "warn", "target": "bare"})
    );
}

#[test]
fn a_name_that_the_application_gave_an_event_is_sent_and_one_that_a_macro_made_is_not() {
    let records = recorded_with(
        |builder| builder.events_on_spans(true),
        || {
            let _span = info_span!("around").entered();
            info!(name: "order.placed", target: "shop", items = 3, "named");
            event!(name: "event src/other.rs:7", Level::INFO, "as a macro would, but elsewhere");
            info!("unnamed");
            warn!(target: "shop", answer = 42);
        },
    );
    let named = records.event("named");
    let keys: Vec<_> = named.fields().keys().cloned().collect();
    let expected = [
        "_time",
        "level",
        "target",
        "event.name",
        "message",
        "trace_id",
        "span_id",
        "attributes",
        "service.name",
        "service.instance.id",
        "resource.host.name",
        "resource.process.pid",
    ];
    assert_eq!(keys.len(), expected.len(), "{keys:?}");
    assert!(
        expected
            .iter()
            .all(|key| keys.iter().any(|found| found == key)),
        "{keys:?}"
    );
    assert_eq!(text(named, "event.name"), "order.placed");
    let elsewhere = records.event("as a macro would, but elsewhere");
    assert_eq!(text(elsewhere, "event.name"), "event src/other.rs:7");
    let made_up = |record: &&axiom_local::Event| record.get("event.name").is_none();
    assert_eq!(records.events().filter(made_up).count(), 2);
    // The entries on the span: what names an entry there is its message.
    let entries = records.span("around").get("events").unwrap().clone();
    assert_eq!(entries[0]["attributes"]["event.name"], "order.placed");
    assert_eq!(entries[2]["attributes"].get("event.name"), None);
}

#[test]
fn a_field_called_event_does_not_collide_with_the_name_of_the_event() {
    let records = recorded_with(
        |builder| builder.field_placement(axiom_layer::FieldPlacement::TopLevel),
        || info!(name: "order.placed", event = "mine", event.name = "other", other = 1, "named"),
    );
    let named = records.event("named");
    assert_eq!(text(named, "event.name"), "order.placed");
    assert_eq!(
        named.fields()["attributes"],
        json!({ "event": "mine", "event.name": "other" })
    );
    assert_eq!(named.get("other"), Some(&json!(1)));
    let error = axiom_layer::builder()
        .token(crate::common::TOKEN)
        .url("http://localhost:1")
        .dataset("d");
    let error = error
        .tag("event.kind", "x")
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.contains("event"), "{error}");
}

#[test]
fn times_have_nine_digits_and_rise_in_the_order_of_recording() {
    let before = now();
    let records = recorded(|| (0..100).for_each(|number| info!(number)));
    let after = now();
    let mut last = before;
    for (number, event) in records.all.iter().enumerate() {
        assert_eq!(event.get("attributes.number"), Some(&json!(number)));
        let time = text(event, "_time");
        assert_eq!((time.len(), &time[19..20], &time[29..]), (30, ".", "Z"));
        let nanos = event.unix_nanos().unwrap();
        assert!((last..=after).contains(&nanos), "{last} {time} {after}");
        last = nanos;
    }
    assert_eq!(records.all.len(), 100);
}

#[test]
fn levels_are_lower_case_words() {
    let records = recorded(|| {
        trace!("trace");
        debug!("debug");
        info!("info");
        warn!("warn");
        error!("error");
    });
    assert_eq!(records.all.len(), 5);
    for event in &records.all {
        assert_eq!(text(event, "level"), text(event, "message"));
        assert_eq!(text(event, "target"), "records::events");
    }
}

#[test]
fn an_event_belongs_to_its_explicit_parent_else_to_the_innermost_span_else_to_none() {
    let records = recorded(|| {
        info!("outside");
        let other = info_span!("other");
        let outer = info_span!("outer").entered();
        let inner = info_span!("inner").entered();
        info!("inside");
        info!(parent: &other, "explicit");
        info!(parent: None, "without");
        drop(inner);
        info!("after");
        drop(outer);
        info!("outside again");
    });
    for (message, span) in [
        ("inside", "inner"),
        ("explicit", "other"),
        ("after", "outer"),
    ] {
        let (event, span) = (records.event(message), records.span(span));
        assert_eq!(text(event, "span_id"), text(span, "span_id"), "{message}");
        assert_eq!(text(event, "trace_id"), text(span, "trace_id"), "{message}");
    }
    for message in ["outside", "without", "outside again"] {
        let event = records.event(message);
        assert_eq!(event.get("span_id"), None, "{message}");
        assert_eq!(event.get("trace_id"), None, "{message}");
    }
}

#[test]
fn a_message_is_text_whatever_it_was() {
    let records = recorded(|| {
        info!(message = 42);
        info!(message = true);
        info!(message = 1.5);
        info!(message = ?Some("x"));
        info!(message = "plain", other = 1);
        info!(message = f64::NAN);
    });
    let messages: Vec<_> = records.all.iter().map(|e| text(e, "message")).collect();
    assert_eq!(
        messages,
        ["42", "true", "1.5", "Some(\"x\")", "plain", "NaN"]
    );
}

#[test]
fn of_several_messages_the_last_is_sent_once() {
    let records = recorded(|| {
        info!(message = 5, message = "last");
        info!(message = "last", "text {}", 1);
        info!({ a = 1, message = "first", message = "last" });
    });
    assert_eq!(records.all.len(), 3);
    for record in &records.all {
        let line = record.to_string();
        assert_eq!(line.matches("\"message\":").count(), 1, "{line}");
        assert_eq!(text(record, "message"), "last");
        assert_eq!(record.get("incomplete"), None);
    }
}

#[test]
fn source_and_thread_are_told_on_request() {
    let line = line!() + 4;
    let record = || {
        let _span = info_span!("work").entered();
        #[rustfmt::skip]
        info!("here");
    };
    let records = recorded_with(
        |builder| builder.source_location(true).thread_names(true),
        || {
            record();
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            let thread = std::thread::Builder::new().name("clerk".into());
            let thread = thread
                .spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || info!("elsewhere"));
                })
                .unwrap();
            thread.join().unwrap();
        },
    );
    let here = records.event("here");
    assert!(text(here, "code.file.path").ends_with("records/events.rs"));
    assert_eq!(here.get("code.line.number"), Some(&json!(line)));
    assert_eq!(
        Some(text(here, "thread.name")),
        std::thread::current().name()
    );
    let elsewhere = records.event("elsewhere");
    assert_eq!(text(elsewhere, "thread.name"), "clerk");
    assert_ne!(here.get("thread.id"), elsewhere.get("thread.id"));
    let span = records.span("work");
    assert_eq!(span.get("code.line.number"), Some(&json!(line - 2)));
    // A span may be closed on another thread than it ran on, so it names none.
    assert_eq!(span.get("thread.name"), None);
}
