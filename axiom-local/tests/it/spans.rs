//! The contract's rules about spans: what a span must look like.

use axiom_local::{Rule, Server, render};
use serde_json::{Value, json};

use crate::common::{TIME, broken, post};

fn span() -> Value {
    json!({
        "_time": TIME,
        "trace_id": "0123456789abcdef0123456789abcdef",
        "span_id": "0123456789abcdef",
        "parent_span_id": "00000000000000a1",
        "name": "GET /",
        "kind": "server",
        "duration": 1_500_000,
        "error": true,
        "status": {"code": "ERROR", "message": "boom"},
        "service.name": "shop",
        "attributes": {"http.route": "/"},
        "events": [{"name": "e", "timestamp": 1, "attributes": {}}],
    })
}

/// The rules that a row breaks.
fn judged(row: &Value, labels: Option<&str>) -> Vec<Rule> {
    let server = Server::start().unwrap();
    let mut request = post("/v1/ingest/traces", format!("[{row}]"));
    if let Some(labels) = labels {
        request = request.header("X-Axiom-Event-Labels", labels);
    }
    assert_eq!(request.send(server.addr()).status, 200);
    assert_eq!(server.ingested(), 1);
    broken(&server)
}

fn with(name: &str, value: Value) -> Value {
    let mut row = span();
    row[name] = value;
    row
}

fn without(name: &str) -> Value {
    let mut row = span();
    row.as_object_mut().unwrap().remove(name);
    row
}

#[test]
fn a_good_span_breaks_no_rule() {
    assert_eq!(judged(&span(), None), []);
    for optional in ["parent_span_id", "error", "status", "attributes", "events"] {
        assert_eq!(judged(&without(optional), None), [], "{optional}");
    }
    for kind in ["internal", "server", "client", "producer", "consumer"] {
        assert_eq!(judged(&with("kind", kind.into()), None), []);
    }
    assert_eq!(judged(&with("status", json!({"code": "OK"})), None), []);
    assert_eq!(judged(&with("duration", 0.into()), None), []);
}

#[test]
fn each_field_of_a_span_is_judged() {
    for (rule, name, values) in [
        (
            Rule::TraceId,
            "trace_id",
            vec![
                json!("0123456789ABCDEF0123456789ABCDEF"),
                json!("0".repeat(32)),
                json!("12"),
                json!(7),
            ],
        ),
        (
            Rule::SpanId,
            "span_id",
            vec![
                json!("0123456789ABCDEF"),
                json!("0".repeat(16)),
                json!("x"),
                json!(7),
            ],
        ),
        (
            Rule::ParentSpanId,
            "parent_span_id",
            vec![json!(""), json!("0".repeat(16)), json!(7)],
        ),
        (Rule::SpanName, "name", vec![json!(""), json!(7)]),
        (
            Rule::SpanKind,
            "kind",
            vec![json!("SERVER"), json!(2), json!("")],
        ),
        (
            Rule::SpanDuration,
            "duration",
            vec![json!(1.5), json!("1ms"), json!(-1), json!(u64::MAX)],
        ),
        (Rule::SpanError, "error", vec![json!("boom"), json!(1)]),
        (
            Rule::SpanStatusCode,
            "status",
            vec![
                json!({"code": "ok"}),
                json!({"code": 2}),
                json!({"code": ""}),
            ],
        ),
        (
            Rule::SpanServiceName,
            "service.name",
            vec![json!(""), json!(7)],
        ),
    ] {
        for value in values {
            let rules = judged(&with(name, value.clone()), None);
            let rules: Vec<_> = rules
                .into_iter()
                .filter(|r| *r != Rule::IntegerTooLarge)
                .collect();
            assert_eq!(rules, [rule], "{name} {value}");
        }
    }
}

#[test]
fn each_required_field_of_a_span_is_missed() {
    for (rule, name) in [
        (Rule::TraceId, "trace_id"),
        (Rule::SpanId, "span_id"),
        (Rule::SpanName, "name"),
        (Rule::SpanKind, "kind"),
        (Rule::SpanDuration, "duration"),
        (Rule::SpanServiceName, "service.name"),
    ] {
        assert_eq!(judged(&without(name), None), [rule], "{name}");
        assert_eq!(
            judged(&with(name, Value::Null), None),
            [rule],
            "null {name}"
        );
    }
}

#[test]
fn the_service_name_may_be_a_label() {
    for labels in [
        r#"{"service.name":"shop"}"#,
        r#"{"service":{"name":"shop"}}"#,
    ] {
        assert_eq!(judged(&without("service.name"), Some(labels)), []);
    }
    let nameless = judged(&without("service.name"), Some(r#"{"env":"prod"}"#));
    assert_eq!(nameless, [Rule::SpanServiceName]);
}

#[test]
fn a_row_with_a_place_in_a_trace_but_no_id_looks_like_a_broken_span() {
    let row = json!({
        "_time": TIME, "kind": "internal",
        "trace_id": "0123456789abcdef0123456789abcdef", "parent_span_id": "0123456789abcdef",
    });
    let rules = judged(&row, None);
    assert!(rules.contains(&Rule::SpanId), "{rules:?}");
}

#[test]
fn an_event_in_a_span_needs_good_ids_only() {
    let row = |span_id: &str| {
        json!({
            "_time": TIME, "level": "info", "message": "x", "name": 7, "error": "text",
            "trace_id": "0123456789abcdef0123456789abcdef", "span_id": span_id,
        })
    };
    assert_eq!(judged(&row("0123456789abcdef"), None), []);
    assert_eq!(judged(&row("0123456789ABCDEF"), None), [Rule::SpanId]);
}

#[test]
fn a_trace_is_drawn_as_a_tree_by_start() {
    let server = Server::start().unwrap();
    let rows = json!([
        {"_time": "2026-01-01T00:00:00.020Z", "level": "warn", "message": "slow\u{1b}[2J", "target": "shop::db",
         "trace_id": "0123456789abcdef0123456789abcdef", "span_id": "00000000000000b2", "rows": 7},
        {"_time": "2026-01-01T00:00:00.030Z", "trace_id": "0123456789abcdef0123456789abcdef", "span_id": "00000000000000c3",
         "parent_span_id": "00000000000000a1", "name": "reply\u{7}", "kind": "internal", "duration": 900, "service.name": "shop"},
        {"_time": "2026-01-01T00:00:00.010Z", "trace_id": "0123456789abcdef0123456789abcdef", "span_id": "00000000000000b2",
         "parent_span_id": "00000000000000a1", "name": "query", "kind": "client", "duration": 12_300_000, "error": true,
         "status": {"code": "ERROR", "message": "timeout"}, "service.name": "db"},
        {"_time": "2026-01-01T00:00:00.001Z", "trace_id": "0123456789abcdef0123456789abcdef", "span_id": "00000000000000a1",
         "name": "GET /", "kind": "server", "duration": 91_200_000, "service.name": "shop", "attributes": {"user.id": 7}},
        {"_time": "2026-01-01T00:00:00.050Z", "trace_id": "0123456789abcdef0123456789abcdef", "span_id": "00000000000000d4",
         "parent_span_id": "00000000000000e5", "name": "lost", "kind": "internal", "duration": 1_000_000_000, "service.name": "shop"},
    ]);
    post("/v1/ingest/traces", rows.to_string()).send(server.addr());
    assert_eq!(server.violations(), []);
    let style = render::Style { color: false };
    assert_eq!(
        render::everything(&server.all_events(), style),
        "00:00:00.001 trace 0123456789abcdef0123456789abcdef (4 spans)\n\
         GET / 91.2ms server [shop] user.id=7\n\
         ├─ query 12.3ms client [db] ✗ timeout\n\
         │  └─ 00:00:00.020  WARN shop::db: slow\\u{1b}[2J rows=7\n\
         └─ reply\\u{7} 900ns\n\
         lost 1.00s [shop] (its parent 00000000000000e5 is not here)\n"
    );
    let colored = render::everything(&server.all_events(), render::Style { color: true });
    assert!(colored.contains("\u{1b}[33m WARN\u{1b}[0m"), "{colored:?}");
    assert!(
        !colored.contains("\u{1b}[2J") && !colored.contains('\u{7}'),
        "what was sent must not steer the terminal"
    );
}

#[test]
fn spans_that_are_each_others_parents_are_printed_once() {
    let server = Server::start().unwrap();
    let row = |id: &str, parent: &str| {
        json!({"_time": TIME, "trace_id": "0123456789abcdef0123456789abcdef", "span_id": id, "parent_span_id": parent,
               "name": id, "kind": "internal", "duration": 1, "service.name": "s"})
    };
    let (a, b) = ("00000000000000a1", "00000000000000b2");
    post(
        "/v1/ingest/traces",
        json!([row(a, b), row(b, a), row(b, b)]).to_string(),
    )
    .send(server.addr());
    let text = render::trace(&server.all_events(), render::Style { color: false });
    assert_eq!(text.lines().count(), 4, "{text}");
}
