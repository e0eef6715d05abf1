//! What a span's record says beside who it is: fields, name, kind, status, times.

use std::thread;
use std::time::Duration;

use serde_json::json;
use tracing::field::{Empty, debug, display};
use tracing::{info, info_span};

use crate::*;

/// The names that `tracing-opentelemetry` gives them, shown as an application shows them.
#[derive(Debug)]
#[expect(dead_code, reason = "only their names are used, by `Debug`")]
enum SpanKind {
    Server,
    Client,
    Producer,
    Consumer,
    Internal,
}

#[test]
fn what_is_recorded_late_is_on_the_record() {
    let records = record(|| {
        let span = info_span!("span", early = 1, late = Empty, never = Empty);
        span.record("late", "now");
        span.in_scope(|| {
            tracing::Span::current().record("early", 2);
        });
    });
    assert_eq!(
        Value::from(attributes(records.span("span"))),
        json!({ "early": 2, "late": "now" })
    );
}

#[test]
fn of_a_repeated_field_the_last_value_is_the_only_one() {
    let records = record(|| {
        let span = info_span!("span", a = 1, b = "x", a = 2, c = true, a = 3);
        span.record(
            "b",
            "a much longer value, with \"quotes\", commas and {braces}",
        );
        span.record("b", "y");
        span.record("c", false);
        span.in_scope(|| info!(n = 1, m = 0, n = 2, "repeated"));
    });
    // A key that was written twice would be a violation.
    assert_eq!(
        Value::from(attributes(records.span("span"))),
        json!({ "a": 3, "b": "y", "c": false })
    );
    assert_eq!(
        Value::from(attributes(records.event("repeated"))),
        json!({ "m": 0, "n": 2 })
    );
}

#[test]
fn values_keep_their_types() {
    let records = record(|| {
        drop(info_span!(
            "span",
            int = i64::MIN,
            unsigned = u64::MAX,
            small = 7_u128,
            wide = i128::MIN,
            wider = u128::MAX,
            float = 0.1,
            nan = f64::NAN,
            yes = true,
            text = "a\n\"b\"",
            bytes = &[0_u8, 255, 16][..],
            shown = %"shown",
            debugged = ?Some("x"),
            none = None::<u64>,
            some = Some(5),
            unit = Empty,
        ));
    });
    assert_eq!(
        Value::from(attributes(records.span("span"))),
        json!({
            "int": i64::MIN,
            // Axiom's integers have 64 bits and a sign: beyond, it is the nearest float.
            "unsigned": u64::MAX as f64,
            "small": 7,
            "wide": i128::MIN as f64,
            "wider": u128::MAX as f64,
            "float": 0.1,
            "nan": null,
            "yes": true,
            "text": "a\n\"b\"",
            "bytes": "00ff10",
            "shown": "shown",
            "debugged": "Some(\"x\")",
            "some": 5,
        })
    );
}

#[test]
fn otel_fields_set_the_name_and_leave_no_attribute() {
    let records = record(|| {
        drop(info_span!("a", otel.name = "GET /orders"));
        drop(info_span!("b", otel.name = %format_args!("GET /{}", "stock")));
        info_span!("c", otel.name = Empty).record("otel.name", "late");
        drop(info_span!("kept", otel.name = ""));
        drop(info_span!("d", otel.name = 7));
    });
    for name in ["GET /orders", "GET /stock", "late", "kept", "7"] {
        assert!(attributes(records.span(name)).is_empty(), "{name}");
    }
}

#[test]
fn otel_kind_is_read_in_every_spelling() {
    let records = record(|| {
        drop(info_span!("default"));
        drop(info_span!("unknown", otel.kind = "sideways"));
        for kind in ["server", "Client", "PRODUCER", "conSumer", "Internal"] {
            drop(info_span!(
                "text",
                otel.kind = kind,
                otel.name = format!("text {kind}")
            ));
        }
        drop(info_span!("shown", otel.kind = %"server"));
        drop(info_span!("debugged", otel.kind = ?SpanKind::Consumer));
        info_span!("late", otel.kind = Empty).record("otel.kind", debug(SpanKind::Client));
    });
    for (name, kind) in [
        ("default", "internal"),
        ("unknown", "internal"),
        ("text server", "server"),
        ("text Client", "client"),
        ("text PRODUCER", "producer"),
        ("text conSumer", "consumer"),
        ("text Internal", "internal"),
        ("shown", "server"),
        ("debugged", "consumer"),
        ("late", "client"),
    ] {
        assert_eq!(text(records.span(name), "kind"), kind, "{name}");
        assert!(attributes(records.span(name)).is_empty());
    }
}

#[test]
fn otel_status_is_read_in_every_spelling() {
    let records = record(|| {
        drop(info_span!("unset"));
        drop(info_span!("ok", otel.status_code = "OK"));
        drop(info_span!("ok in lower case", otel.status_code = %"ok"));
        drop(info_span!("error", otel.status_code = "Error"));
        drop(info_span!("unknown", otel.status_code = "fine"));
        drop(info_span!(
            "described",
            otel.status_description = "no stock"
        ));
        drop(info_span!(
            "described as it was once named",
            otel.status_message = "no stock"
        ));
        drop(info_span!("both", otel.status_code = "ERROR", otel.status_description = %"no stock"));
        // OpenTelemetry: a description belongs to an error only.
        drop(info_span!(
            "ok described",
            otel.status_code = "OK",
            otel.status_description = "done"
        ));
        let late = info_span!(
            "late",
            otel.status_code = Empty,
            otel.status_description = Empty
        );
        late.record("otel.status_code", "ERROR");
        late.record("otel.status_description", display("timed out"));
        info_span!("mended", otel.status_code = "ERROR").record("otel.status_code", "OK");
    });
    for (name, code, message) in [
        ("unset", "", ""),
        ("ok", "OK", ""),
        ("ok in lower case", "OK", ""),
        ("error", "ERROR", ""),
        ("unknown", "", ""),
        ("described", "ERROR", "no stock"),
        ("described as it was once named", "ERROR", "no stock"),
        ("both", "ERROR", "no stock"),
        ("ok described", "OK", ""),
        ("late", "ERROR", "timed out"),
    ] {
        let span = records.span(name);
        assert_eq!(text(span, "status.code"), code, "{name}");
        assert_eq!(text(span, "status.message"), message, "{name}");
        assert_eq!(span.get("error"), Some(&(code == "ERROR").into()), "{name}");
        assert!(attributes(span).is_empty(), "{name}");
    }
    assert_eq!(text(records.span("mended"), "status.code"), "OK");
}

#[test]
fn busy_is_the_time_inside_and_idle_the_rest() {
    let step = Duration::from_millis(20);
    let records = record(|| {
        let span = info_span!("span");
        // Real time is what is measured here.
        thread::sleep(step);
        span.in_scope(|| {
            thread::sleep(step);
            // Entered twice over, the time counts once.
            span.in_scope(|| thread::sleep(step));
        });
        thread::sleep(step);
        span.in_scope(|| ());
    });
    let span = records.span("span");
    let (busy, idle) = (number(span, "busy_ns"), number(span, "idle_ns"));
    let step = u64::try_from(step.as_nanos()).unwrap();
    assert!(busy >= 2 * step && idle >= 2 * step, "{busy} {idle}");
    assert_eq!(busy + idle, number(span, "duration"));
}

#[test]
fn a_debug_that_uses_its_own_span_is_recorded() {
    struct Nosy(tracing::Span);
    impl std::fmt::Debug for Nosy {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.record("seen", true);
            let inner = info_span!(parent: &self.0, "made while formatting");
            inner.in_scope(|| f.write_str("nosy"))
        }
    }
    let records = record(|| {
        let span = info_span!("span", late = Empty, seen = Empty);
        span.record("late", debug(Nosy(span.clone())));
        span.in_scope(|| info!(nosy = ?Nosy(span.clone()), "event"));
    });
    let span = records.span("span");
    assert_eq!(span.get("attributes.late"), Some(&"nosy".into()));
    assert_eq!(span.get("attributes.seen"), Some(&true.into()));
    assert_eq!(
        records.event("event").get("attributes.nosy"),
        Some(&"nosy".into())
    );
    // While an event is dispatched to a scoped subscriber, `tracing` itself makes no spans.
    assert_eq!(records.spans().count(), 2);
}

#[test]
fn what_is_recorded_too_deep_inside_formatting_is_missed_and_counted() {
    /// Records itself on one span after the other.
    struct Deeper<'a>(&'a [tracing::Span]);
    impl std::fmt::Debug for Deeper<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            if let [next, rest @ ..] = self.0 {
                next.record("below", debug(Deeper(rest)));
            }
            write!(f, "{}", self.0.len())
        }
    }
    let records = record(|| {
        let spans: Vec<_> = (1..=9)
            .map(|depth| info_span!("span", depth, below = Empty))
            .collect();
        spans[0].record("below", debug(Deeper(&spans[1..])));
    });
    for span in records.spans() {
        let depth = number(span, "attributes.depth");
        let below = span.get("attributes.below").is_some();
        let incomplete = span.get("incomplete").is_some();
        assert_eq!((below, incomplete), (depth <= 8, depth > 8), "{depth}");
    }
}

#[test]
fn a_record_in_which_everything_is_at_its_limit_is_within_axioms() {
    /// An error whose text and causes are endless.
    #[derive(Debug)]
    struct Endless(Option<Box<Endless>>);
    impl std::fmt::Display for Endless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            (0..10_000).try_for_each(|_| f.write_str("endless"))
        }
    }
    impl std::error::Error for Endless {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.0.as_deref().map(|cause| cause as _)
        }
    }
    let huge = "x".repeat(300_000);
    let endless = Endless(Some(Box::new(Endless(None))));
    let error = &endless as &(dyn std::error::Error + 'static);
    let records = record_with(
        |builder| {
            // All tags together may have 64 KiB, and go into the records when they are this large.
            (0..15)
                .fold(builder, |builder, tag| {
                    builder.tag(format!("tag-{tag}"), "x".repeat(4_096))
                })
                .thread_names(true)
                .source_location(true)
                .events_on_spans(true)
        },
        || {
            let span = info_span!("span", error, a = huge, b = huge, c = huge, d = huge);
            span.in_scope(|| {
                (0..10).for_each(|_| info!(large = &huge[..20_000], "large"));
                tracing::error!(error, a = huge, b = huge, c = huge, d = huge, "{huge}");
            });
        },
    );
    assert_eq!(records.0.len(), 12);
    for record in &records.0 {
        assert!(record.size() <= 1_000_000, "{} bytes", record.size());
    }
}
