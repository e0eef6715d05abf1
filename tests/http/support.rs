//! A local endpoint, and layers that ship to it.

use std::time::Duration;

use axiom_layer::Guard;
use axiom_local::{Event, Server};
use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// Longer than any of it takes, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A caller's headers and what is in them.
pub(crate) const TRACEPARENT: &str = "00-5a0f8e3c21d94b7786a1c0de5eed1234-00c0ffee0ddba115-01";
pub(crate) const TRACE_ID: &str = "5a0f8e3c21d94b7786a1c0de5eed1234";
pub(crate) const CALLER_ID: &str = "00c0ffee0ddba115";

/// A service's subscriber, which ships to `server`, and its guard.
pub(crate) fn service(server: &Server, name: &str) -> (Dispatch, Guard) {
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-test")
        .url(server.url())
        .dataset("logs")
        .traces_dataset("traces")
        .service_name(name)
        .diagnostics(false)
        .build()
        .unwrap();
    let registry = tracing_subscriber::registry().with(LevelFilter::INFO);
    (registry.with(layer).into(), guard)
}

/// Records what this thread does, until it is finished.
pub(crate) struct Recorder {
    // First, so that it delivers before the server ends.
    guard: Guard,
    server: Server,
    _default: DefaultGuard,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let server = Server::start().unwrap();
        let (dispatch, guard) = service(&server, "test");
        Self {
            guard,
            server,
            _default: tracing::dispatcher::set_default(&dispatch),
        }
    }

    /// The spans and the events, in the order in which they ended or happened.
    pub(crate) fn finish(self) -> (Vec<Event>, Vec<Event>) {
        self.guard.flush(PATIENCE).unwrap();
        assert_eq!(self.server.violations(), []);
        (self.server.events("traces"), self.server.events("logs"))
    }

    /// The spans whose records were sent up to now.
    pub(crate) fn spans(&self) -> Vec<Event> {
        self.guard.flush(PATIENCE).unwrap();
        self.server.events("traces")
    }

    /// Waits until so many spans have ended, of which some belong to other tasks of this thread.
    pub(crate) async fn wait_for_spans(&self, count: usize) {
        let ended = async {
            while self.spans().len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
    }

    pub(crate) fn finish_with_one_span(self) -> Event {
        let (mut spans, _) = self.finish();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }
}

/// A field as text; empty if it is absent.
pub(crate) fn text<'a>(row: &'a Event, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A field of the integration.
pub(crate) fn attribute<'a>(row: &'a Event, name: &str) -> Option<&'a Value> {
    row.get(&format!("attributes.{name}"))
}

/// How long a span lasted, in nanoseconds.
pub(crate) fn duration(span: &Event) -> u64 {
    span.get("duration").and_then(Value::as_u64).unwrap()
}

/// `name kind error error.type status.code`, what a waterfall shows of a span.
pub(crate) fn summary(span: &Event) -> String {
    let error_type = attribute(span, "error.type").and_then(Value::as_str);
    format!(
        "{} {} {} {} {}",
        text(span, "name"),
        text(span, "kind"),
        span.get("error").unwrap(),
        error_type.unwrap_or("-"),
        Some(text(span, "status.code"))
            .filter(|code| !code.is_empty())
            .unwrap_or("-"),
    )
}

/// A client that asks no proxy.
pub(crate) fn reqwest_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
