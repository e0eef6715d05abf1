//! The same instrumented program under `tracing-opentelemetry` and under this layer: the same spans.
//!
//! Compared are the name, kind, parent, status, attributes and links of each span. Where the two differ on
//! purpose, [`DIFFERENCES`] has both sides and the reason. A difference that is not listed fails the
//! test, and so does one that is listed and not there.

#[path = "../common/no_tokio.rs"]
mod no_tokio;
mod program;
mod together;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axiom_layer::{SpanExt, TraceContext};
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Array, Context};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde_json::{Value, json};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Registry;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use self::program::{Bridge, program};

const TRACE: &str = "5a0f8e3c21d94b7786a1c0de5eed1234";
const CALLER: &str = "00c0ffee0ddba115";

const INTEGERS: &str = "an unsigned integer is a number like any other; there it becomes text";
const EXCEPTION: &str = "the field has the whole chain of causes; the exception has a type, and its causes as \
                         the one text that the conventions ask for";
const ON_EVENT: &str = "what an event says of an exception is on the event's own record";
const DESCRIPTION: &str = "the event's message is the reason, as plain text";
const LATE: &str =
    "known late, it counts all the same; there it is fixed when the span is first entered";

/// Span, aspect, their value, ours (JSON; `null` for none), and why.
const DIFFERENCES: &[(&str, &str, &str, &str, &str)] = &[
    ("values", "unsigned", r#""7""#, "7", INTEGERS),
    ("values", "small", r#""7""#, "7", INTEGERS),
    (
        "values",
        "wide",
        r#""340282366920938463463374607431768211455""#,
        "3.402823669209385e38",
        "an integer is a number always, beyond 64 bits the nearest float; there it becomes text",
    ),
    ("priced", "order", r#""7""#, "7", INTEGERS),
    (
        "values",
        "bytes",
        r#""[00 ff 10]""#,
        r#""00ff10""#,
        "one searches for hex without ornaments",
    ),
    (
        "failing field",
        "error",
        r#""sold out""#,
        r#""sold out: timed out""#,
        EXCEPTION,
    ),
    (
        "failing field",
        "error.chain",
        r#"["timed out"]"#,
        "null",
        EXCEPTION,
    ),
    (
        "failing field",
        "exception.type",
        "null",
        r#""SoldOut""#,
        EXCEPTION,
    ),
    (
        "failing field",
        "exception.stacktrace",
        r#"["timed out"]"#,
        r#""caused by: timed out""#,
        EXCEPTION,
    ),
    (
        "failing field",
        "status",
        "null",
        r#""ERROR sold out""#,
        "a span that has an error among its fields has failed",
    ),
    (
        "failing event",
        "exception.message",
        r#""sold out""#,
        "null",
        ON_EVENT,
    ),
    (
        "failing event",
        "exception.stacktrace",
        r#"["timed out"]"#,
        "null",
        ON_EVENT,
    ),
    (
        "failing event",
        "status",
        r#""ERROR ""#,
        r#""ERROR order failed""#,
        DESCRIPTION,
    ),
    (
        "error event",
        "status",
        r#""ERROR ""#,
        r#""ERROR no answer""#,
        DESCRIPTION,
    ),
    (
        "warned",
        "status",
        r#""ERROR \"slow\"""#,
        "null",
        "an event below ERROR does not fail its span, whatever its fields are called",
    ),
    (
        "ok described",
        "status",
        r#""ERROR done""#,
        r#""OK""#,
        "a description belongs to errors only, so it does not fail a span that is OK",
    ),
    (
        "taken back",
        "status",
        r#""OK""#,
        r#""ERROR ""#,
        "the last value recorded wins, for this field as for all others",
    ),
    (
        "panicked",
        "status",
        "null",
        r#""ERROR panicked""#,
        "a span that is left by a panic has failed",
    ),
    ("named late", "there", "null", "true", LATE),
    ("named early", "there", "true", "null", LATE),
    (
        "kind told inside",
        "kind",
        r#""internal""#,
        r#""client""#,
        LATE,
    ),
    ("parent set inside", "parent", "null", r#""remote""#, LATE),
    (
        "unsampled caller",
        "there",
        "null",
        "true",
        "this layer does not sample: whoever wants less filters",
    ),
];

/// What a side says of its spans: by span, by aspect.
type Spans = BTreeMap<String, BTreeMap<String, Value>>;

fn aspects(
    kind: &str,
    parent: Value,
    status: Value,
    links: Vec<String>,
    attributes: impl IntoIterator<Item = (String, Value)>,
) -> BTreeMap<String, Value> {
    let mut aspects: BTreeMap<String, Value> = attributes.into_iter().collect();
    for (name, value) in [
        ("there", json!(true)),
        ("kind", json!(kind)),
        ("parent", parent),
        ("status", status),
        ("links", json!(links)),
    ] {
        assert_eq!(
            aspects.insert(name.to_owned(), value),
            None,
            "the program avoids {name}"
        );
    }
    aspects.retain(|_, value| !value.is_null());
    aspects
}

/// Keeps what is exported.
#[derive(Debug, Clone, Default)]
struct Exporter(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

struct Theirs;

fn remote(sampled: bool) -> SpanContext {
    let flags = if sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let (trace, span) = (
        TraceId::from_hex(TRACE).unwrap(),
        SpanId::from_hex(CALLER).unwrap(),
    );
    SpanContext::new(trace, span, flags, true, TraceState::default())
}

impl Bridge for Theirs {
    fn set_parent(&self, span: &Span, sampled: bool) {
        let context = Context::new().with_remote_span_context(remote(sampled));
        // Too late is an error there, and one of the differences.
        OpenTelemetrySpanExt::set_parent(span, context).ok();
    }

    fn add_link(&self, span: &Span) {
        OpenTelemetrySpanExt::add_link(span, remote(true));
    }
}

fn registry() -> impl Subscriber + for<'a> LookupSpan<'a> {
    Registry::default().with(no_tokio::filter())
}

fn theirs() -> Spans {
    let exporter = Exporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    // What this layer has as fields of its own: `code.*` and `thread.*` on request, `scope.name`, `busy_ns`.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("compare"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    tracing::subscriber::with_default(registry().with(layer), || program(&Theirs));
    let spans = exporter.0.lock().unwrap().clone();
    let name = |trace: TraceId, id: SpanId| {
        if id == SpanId::from_hex(CALLER).unwrap() {
            assert_eq!(trace, TraceId::from_hex(TRACE).unwrap());
            return "remote".to_owned();
        }
        let mut all = spans.iter();
        let span = all.find(|span| span.span_context.span_id() == id).unwrap();
        assert_eq!(span.span_context.trace_id(), trace);
        span.name.to_string()
    };
    let look = |span: &SpanData| {
        let is_root = span.parent_span_id == SpanId::INVALID;
        let trace = span.span_context.trace_id();
        let parent = (!is_root).then(|| name(trace, span.parent_span_id));
        let status = match &span.status {
            Status::Unset => Value::Null,
            Status::Ok => json!("OK"),
            Status::Error { description } => json!(format!("ERROR {description}")),
        };
        let links = span
            .links
            .iter()
            .map(|link| name(link.span_context.trace_id(), link.span_context.span_id()));
        // Of a repeated key the last value is what counts.
        let attributes = span
            .attributes
            .iter()
            .map(|attribute| (attribute.key.to_string(), value(&attribute.value)));
        let kind = format!("{:?}", span.span_kind).to_lowercase();
        aspects(&kind, json!(parent), status, links.collect(), attributes)
    };
    spans
        .iter()
        .map(|span| (span.name.to_string(), look(span)))
        .collect()
}

fn value(value: &opentelemetry::Value) -> Value {
    match value {
        opentelemetry::Value::Bool(value) => json!(value),
        opentelemetry::Value::I64(value) => json!(value),
        opentelemetry::Value::F64(value) => json!(value),
        opentelemetry::Value::String(value) => json!(value.as_str()),
        opentelemetry::Value::Array(Array::String(values)) => {
            values.iter().map(|value| json!(value.as_str())).collect()
        }
        other => panic!("the program has no {other:?}"),
    }
}

struct Ours;

impl Bridge for Ours {
    fn set_parent(&self, span: &Span, sampled: bool) {
        let caller = TraceContext::parse(&format!("00-{TRACE}-{CALLER}-0{}", u8::from(sampled)));
        SpanExt::set_parent(span, &caller.unwrap());
    }

    fn add_link(&self, span: &Span) {
        SpanExt::add_link(span, &TraceContext::new(TRACE, CALLER).unwrap());
    }
}

fn ours() -> Spans {
    let server = axiom_local::Server::start().unwrap();
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-test")
        .dataset("compare")
        .service_name("compare")
        .url(server.url())
        .build()
        .unwrap();
    tracing::subscriber::with_default(registry().with(layer), || program(&Ours));
    guard.shutdown(Duration::from_secs(30)).unwrap();
    assert_eq!(server.violations(), []);
    let mut spans = server.events("compare");
    spans.retain(|record| record.get("duration").is_some());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = |trace: Option<&Value>, id: Option<&Value>| {
        if id == Some(&json!(CALLER)) {
            assert_eq!(trace, Some(&json!(TRACE)));
            return "remote".to_owned();
        }
        let span = spans.iter().find(|span| span.get("span_id") == id).unwrap();
        assert_eq!(span.get("trace_id"), trace);
        text(span.get("name")).unwrap()
    };
    let look = |span: &axiom_local::Event| {
        let parent = span.get("parent_span_id");
        let parent = parent.map(|_| name(span.get("trace_id"), parent));
        let status = match text(span.get("status.code")).as_deref() {
            None => Value::Null,
            Some("ERROR") => {
                json!(format!(
                    "ERROR {}",
                    text(span.get("status.message")).unwrap_or_default()
                ))
            }
            Some(code) => json!(code),
        };
        let links = span
            .get("links")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let links = links.map(|link| name(link.get("trace_id"), link.get("span_id")));
        let attributes = span
            .fields()
            .get("attributes")
            .and_then(Value::as_object)
            .cloned();
        let kind = text(span.get("kind")).unwrap();
        aspects(
            &kind,
            json!(parent),
            status,
            links.collect(),
            attributes.unwrap_or_default(),
        )
    };
    spans
        .iter()
        .map(|span| (text(span.get("name")).unwrap(), look(span)))
        .collect()
}

#[test]
fn the_same_program_makes_the_same_spans() {
    let (theirs, ours) = (theirs(), ours());
    assert!(theirs.len() > 30, "{}", theirs.len());
    let mut found = Vec::new();
    let names: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    for span in names {
        let (Some(theirs), Some(ours)) = (theirs.get(span), ours.get(span)) else {
            let there = |side: &Spans| json!(side.get(span).map(|_| true));
            found.push((
                span.clone(),
                "there".to_owned(),
                there(&theirs),
                there(&ours),
            ));
            continue;
        };
        let aspects: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
        for aspect in aspects {
            let value =
                |side: &BTreeMap<String, Value>| side.get(aspect).cloned().unwrap_or_default();
            if value(theirs) != value(ours) {
                found.push((span.clone(), aspect.clone(), value(theirs), value(ours)));
            }
        }
    }
    let parse = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let mut listed: Vec<_> = DIFFERENCES
        .iter()
        .map(|(span, aspect, theirs, ours, _)| {
            (
                (*span).to_owned(),
                (*aspect).to_owned(),
                parse(theirs),
                parse(ours),
            )
        })
        .collect();
    listed.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    let unlisted: Vec<_> = found
        .iter()
        .filter(|found| !listed.contains(found))
        .collect();
    let gone: Vec<_> = listed
        .iter()
        .filter(|listed| !found.contains(listed))
        .collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "not listed: {unlisted:#?}\nnot there: {gone:#?}"
    );
}
