//! Spans: ids and parents, times, status, the fields of OpenTelemetry.

use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tracing::dispatcher::{get_default, set_default};
use tracing::field::Empty;
use tracing::{Span, error, info, info_span, instrument, warn};

use crate::common::{attributes, number, recorded, recorded_with, text};
use crate::resource::of_a_known_process;

#[test]
fn a_span_is_exactly_this_line() {
    let records = recorded_with(of_a_known_process, || {
        let _root = info_span!("root").entered();
        drop(info_span!(target: "shop", "order", id = 7, note = Empty));
    });
    let (root, order) = (records.span("root"), records.span("order"));
    let (time, trace, id) = (
        text(order, "_time"),
        text(order, "trace_id"),
        text(order, "span_id"),
    );
    let parent = text(root, "span_id");
    let (duration, busy, idle) = (
        number(order, "duration"),
        number(order, "busy_ns"),
        number(order, "idle_ns"),
    );
    assert_eq!(
        order.to_string(),
        format!(
            r#"{{"_time":"{time}","name":"order","kind":"internal","scope.name":"shop","trace_id":"{trace}","span_id":"{id}","parent_span_id":"{parent}","error":false,"duration":{duration},"busy_ns":{busy},"idle_ns":{idle},"attributes":{{"id":7}},"resource.host.name":"h","resource.process.pid":7,"service.instance.id":"i","service.name":"test"}}"#
        )
    );
    assert_eq!((time.len(), trace.len(), id.len()), (30, 32, 16));
    assert_eq!(root.get("parent_span_id"), None);
    assert_eq!(root.get("attributes"), None);
}

#[test]
fn a_span_has_its_explicit_parent_else_the_innermost_else_none() {
    let records = recorded(|| {
        let root = info_span!("root").entered();
        let child = info_span!("child").entered();
        drop(info_span!("grandchild"));
        drop(info_span!(parent: &root, "explicit"));
        drop(info_span!(parent: None, "second root"));
        drop(child);
        drop(root);
        drop(info_span!("third root"));
    });
    for (name, parent) in [
        ("child", "root"),
        ("grandchild", "child"),
        ("explicit", "root"),
    ] {
        let (span, parent) = (records.span(name), records.span(parent));
        assert_eq!(text(span, "parent_span_id"), text(parent, "span_id"));
        assert_eq!(text(span, "trace_id"), text(parent, "trace_id"));
    }
    let roots: HashSet<_> = ["root", "second root", "third root"]
        .map(|name| {
            assert_eq!(records.span(name).get("parent_span_id"), None, "{name}");
            text(records.span(name), "trace_id")
        })
        .into();
    assert_eq!(roots.len(), 3, "a root begins a trace");
    let ids: HashSet<_> = records.spans().map(|span| text(span, "span_id")).collect();
    assert_eq!(ids.len(), 6);
}

/// The sleeps are the work that is measured.
#[test]
fn time_inside_and_outside_add_up_to_the_duration() {
    const WORK: Duration = Duration::from_millis(4);
    let mut limits = (0, 0);
    let records = recorded(|| {
        let before = Instant::now();
        let span = info_span!("work");
        let after = Instant::now();
        span.in_scope(|| thread::sleep(WORK));
        thread::sleep(2 * WORK);
        span.in_scope(|| thread::sleep(WORK));
        limits.0 = after.elapsed().as_nanos();
        drop(span);
        limits.1 = before.elapsed().as_nanos();
    });
    let span = records.span("work");
    let (duration, busy, idle) = (
        number(span, "duration"),
        number(span, "busy_ns"),
        number(span, "idle_ns"),
    );
    assert!(
        (limits.0..=limits.1).contains(&u128::from(duration)),
        "{limits:?} {duration}"
    );
    let work = u64::try_from(WORK.as_nanos()).unwrap();
    assert_eq!(busy + idle, duration);
    assert!(busy >= 2 * work && idle >= 2 * work, "{busy} {idle}");
}

#[test]
fn a_span_is_busy_from_the_first_thread_that_enters_to_the_last_that_leaves() {
    const WORK: Duration = Duration::from_millis(4);
    let records = recorded(|| {
        let span = info_span!("shared");
        let (both, again) = (Barrier::new(2), Barrier::new(2));
        let (one, other) = (get_default(Clone::clone), get_default(Clone::clone));
        thread::scope(|scope| {
            scope.spawn(|| {
                let _below = set_default(&one);
                let inside = span.enter();
                thread::sleep(WORK);
                both.wait();
                again.wait();
                drop(inside);
            });
            scope.spawn(|| {
                let _below = set_default(&other);
                both.wait();
                let _inside = span.enter();
                thread::sleep(WORK);
                again.wait();
                thread::sleep(WORK);
            });
        });
    });
    let span = records.span("shared");
    let busy = number(span, "busy_ns");
    assert!(
        (12_000_000..=number(span, "duration")).contains(&busy),
        "{busy}"
    );
}

#[test]
fn children_and_events_lie_within_their_parents() {
    let records = recorded(|| {
        let _root = info_span!("root").entered();
        for _ in 0..50 {
            let _child = info_span!("child").entered();
            info!("event");
        }
    });
    let range = |span| {
        let start: i64 = axiom_local::Event::unix_nanos(span).unwrap();
        (
            start,
            start + i64::try_from(number(span, "duration")).unwrap(),
        )
    };
    let (start, end) = range(records.span("root"));
    for child in records.spans().filter(|span| text(span, "name") == "child") {
        let (from, to) = range(child);
        assert!(start <= from && to <= end, "{start} {from} {to} {end}");
    }
    for event in records.events() {
        let at = event.unix_nanos().unwrap();
        assert!(start <= at, "{start} {at}");
    }
}

#[test]
fn an_error_event_fails_the_innermost_span_and_its_first_message_is_told() {
    let records = recorded(|| {
        let _outer = info_span!("outer").entered();
        {
            let _inner = info_span!("inner").entered();
            warn!("beware");
            error!("first");
            error!("second");
        }
        let elsewhere = info_span!("elsewhere");
        error!(parent: &elsewhere, "explicit");
        let silent = info_span!("silent");
        error!(parent: &silent, error = "of its own", "");
        error!(parent: None, "nowhere");
    });
    for (name, message) in [
        ("inner", "first"),
        ("elsewhere", "explicit"),
        ("silent", "of its own"),
    ] {
        let span = records.span(name);
        assert_eq!(span.get("error"), Some(&json!(true)), "{name}");
        assert_eq!(text(span, "status.code"), "ERROR");
        assert_eq!(text(span, "status.message"), message);
    }
    let outer = records.span("outer");
    assert_eq!(outer.get("error"), Some(&json!(false)));
    assert_eq!(outer.get("status.code"), None);
    assert_eq!(outer.get("status.message"), None);
}

#[test]
fn a_long_message_of_an_error_is_shortened_in_the_status() {
    for message in [
        "x\"é\u{1}🦀".repeat(1_000),
        "y".repeat(300_000),
        "z".repeat(4_094),
    ] {
        let records = recorded(|| {
            let _span = info_span!("failing").entered();
            error!("{message}");
        });
        let span = records.span("failing");
        let told = text(span, "status.message");
        let kept = told.trim_end_matches('…');
        assert!(message.starts_with(kept));
        assert!((2_000..=4_096).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.len() < message.len(), told.ends_with('…'));
    }
}

#[derive(Debug)]
struct SoldOut;

impl std::fmt::Display for SoldOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sold out")
    }
}

impl std::error::Error for SoldOut {}

#[instrument(err)]
fn sell(item: &str) -> Result<(), SoldOut> {
    info!("selling");
    Err(SoldOut)
}

#[test]
fn an_instrumented_function_that_fails_is_a_failed_span() {
    let records = recorded(|| assert!(sell("teapot").is_err()));
    let span = records.span("sell");
    assert_eq!(span.get("error"), Some(&json!(true)));
    assert_eq!(text(span, "status.message"), "sold out");
    assert_eq!(attributes(span)["item"], "teapot");
    let event = records.events().last().unwrap();
    assert_eq!(text(event, "level"), "error");
    assert_eq!(attributes(event)["error"], "sold out");
    assert_eq!(text(event, "span_id"), text(span, "span_id"));
}

#[test]
fn the_fields_of_opentelemetry_say_name_kind_and_status() {
    let records = recorded(|| {
        drop(info_span!(
            "a",
            otel.name = "GET /",
            otel.kind = "SERVER",
            otel.status_code = "OK"
        ));
        let span = info_span!(
            "b",
            otel.name = Empty,
            otel.kind = ?Kind::Client,
            otel.status_code = Empty,
            otel.status_description = Empty
        );
        span.record("otel.name", "late");
        span.record("otel.status_code", "error");
        span.record("otel.status_description", "timed out");
        drop(span);
        drop(info_span!(
            "c",
            otel.kind = "sideways",
            otel.status_code = "odd"
        ));
        let confirmed = info_span!("d", otel.status_code = "ok").entered();
        error!("handled");
        drop(confirmed);
        let described = info_span!("e", otel.status_description = "mine").entered();
        error!("theirs");
        drop(described);
    });
    let shape = |name| {
        let span = records.span(name);
        (
            text(span, "kind"),
            span.get("error").unwrap().as_bool().unwrap(),
            text(span, "status.code"),
            text(span, "status.message"),
        )
    };
    assert_eq!(shape("GET /"), ("server", false, "OK", ""));
    assert_eq!(shape("late"), ("client", true, "ERROR", "timed out"));
    assert_eq!(shape("c"), ("internal", false, "", ""));
    assert_eq!(
        shape("d"),
        ("internal", false, "OK", ""),
        "the application decides"
    );
    assert_eq!(shape("e"), ("internal", true, "ERROR", "mine"));
    for span in records.spans() {
        assert_eq!(
            span.get("attributes"),
            None,
            "they are no attributes: {span}"
        );
    }
}

#[derive(Debug)]
enum Kind {
    Client,
}

#[test]
fn what_is_recorded_later_is_added_and_the_last_value_of_a_field_wins() {
    let records = recorded(|| {
        let span = info_span!("order", id = 1, state = "new", total = Empty, never = Empty);
        span.record("state", "paid \"in\" \\ cash,");
        span.record("total", 19.5);
        span.record("id", "one");
        span.record("state", "sent");
        span.record("unknown", 1);
        let text = span.in_scope(|| Span::current().metadata().unwrap().name());
        assert_eq!(text, "order");
    });
    let span = records.span("order");
    let line = span.to_string();
    assert!(
        line.contains(r#""attributes":{"total":19.5,"id":"one","state":"sent"}"#),
        "{line}"
    );
}

#[test]
fn a_span_closed_on_another_thread_or_never_entered_is_a_span() {
    let records = recorded(|| {
        let span = info_span!("travels");
        drop(info_span!("untouched"));
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || span.in_scope(|| info!("there")));
        })
        .join()
        .unwrap();
    });
    assert_eq!(number(records.span("untouched"), "busy_ns"), 0);
    let travelled = records.span("travels");
    assert!(number(travelled, "busy_ns") > 0);
    assert_eq!(
        text(records.event("there"), "span_id"),
        text(travelled, "span_id")
    );
}
