//! Spans as an operator sees them: what a program did is what arrives, told by ids, times and status.
//!
//! Each test runs a program under the layer, against a local endpoint, and looks at what arrived there.

mod attributes;
mod content;
mod ends;
mod errors;
mod guide;
mod identity;
mod links;
#[cfg(all(tracing_unstable, feature = "valuable"))]
mod nested;
#[path = "../common/no_tokio.rs"]
mod no_tokio;
mod panics;
mod placement;
mod remote;
mod tree;

use std::time::Duration;

use axiom_layer::{AxiomLayer, Builder, Guard};
use axiom_local::{Event, Server};
use serde_json::{Map, Value};
use tracing_subscriber::Registry;
use tracing_subscriber::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a program under a registry with only our layer, in its default configuration.
fn record(program: impl FnOnce()) -> Records {
    record_with(|builder| builder, program)
}

fn record_with(options: impl FnOnce(Builder) -> Builder, program: impl FnOnce()) -> Records {
    record_under(
        options,
        |layer| Registry::default().with(layer).into(),
        program,
    )
}

/// Runs a program under the subscriber that `compose` makes of our layer.
fn record_under(
    options: impl FnOnce(Builder) -> Builder,
    compose: impl FnOnce(AxiomLayer) -> tracing::Dispatch,
    program: impl FnOnce(),
) -> Records {
    let server = Server::start().unwrap();
    let (layer, guard) = layer_for(&server, options);
    tracing::dispatcher::with_default(&compose(layer), program);
    end(&server, &guard)
}

fn layer_for(server: &Server, options: impl FnOnce(Builder) -> Builder) -> (AxiomLayer, Guard) {
    let builder = axiom_layer::builder()
        .token("xaat-test")
        .dataset("shop")
        .service_name("checkout")
        .url(server.url());
    options(builder).build().unwrap()
}

/// What every test ends with: nothing was lost, nothing arrived twice, and nothing broke a rule of Axiom's.
fn end(server: &Server, guard: &Guard) -> Records {
    let stats = guard.shutdown(TIMEOUT).unwrap();
    let records = Records(server.all_events());
    let arrived = records.0.len() as u64;
    assert_eq!(
        (
            stats.recorded(),
            stats.delivered(),
            stats.dropped(),
            stats.pending()
        ),
        (arrived, arrived, 0, 0),
        "the ledger"
    );
    assert_eq!(server.violations(), []);
    records
}

/// All that arrived, in order.
struct Records(Vec<Event>);

impl Records {
    fn spans(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().filter(|record| is_span(record))
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().filter(|record| !is_span(record))
    }

    /// The only span of that name.
    #[track_caller]
    fn span(&self, name: &str) -> &Event {
        only(self.spans().filter(|span| text(span, "name") == name), name)
    }

    /// The only event with that message.
    #[track_caller]
    fn event(&self, message: &str) -> &Event {
        only(
            self.events()
                .filter(|event| text(event, "message") == message),
            message,
        )
    }

    /// The span is the event's, and both are in one trace.
    #[track_caller]
    fn assert_inside(&self, message: &str, span: &str) {
        let (event, span) = (self.event(message), self.span(span));
        assert_eq!(event.get("span_id"), span.get("span_id"));
        assert_eq!(event.get("trace_id"), span.get("trace_id"));
    }

    #[track_caller]
    fn assert_child(&self, child: &str, parent: &str) {
        let (child, parent) = (self.span(child), self.span(parent));
        assert_eq!(child.get("parent_span_id"), parent.get("span_id"));
        assert_eq!(child.get("trace_id"), parent.get("trace_id"));
    }

    #[track_caller]
    fn assert_root(&self, span: &str) {
        assert_eq!(self.span(span).get("parent_span_id"), None);
    }
}

fn is_span(record: &Event) -> bool {
    record.get("duration").is_some()
}

#[track_caller]
fn only<'a>(mut found: impl Iterator<Item = &'a Event>, what: &str) -> &'a Event {
    let first = found.next().unwrap_or_else(|| panic!("no {what:?}"));
    assert!(found.next().is_none(), "more than one {what:?}");
    first
}

/// A text field, empty if there is none.
fn text<'a>(record: &'a Event, path: &str) -> &'a str {
    record.get(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(record: &Event, path: &str) -> u64 {
    record.get(path).and_then(Value::as_u64).unwrap()
}

/// The object `attributes`, empty if there is none.
fn attributes(record: &Event) -> Map<String, Value> {
    match record.fields().get("attributes") {
        Some(Value::Object(attributes)) => attributes.clone(),
        _ => Map::new(),
    }
}

/// When a span began and ended, in nanoseconds.
fn times(span: &Event) -> (u64, u64) {
    let start = u64::try_from(span.unix_nanos().unwrap()).unwrap();
    (start, start + number(span, "duration"))
}
