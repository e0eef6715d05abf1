//! What the test binaries share: a layer that ships to a server of its own, and what must hold after every test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axiom_layer::{AxiomLayer, Builder, Diagnostic, Guard, Stats};
use axiom_local::{Event, Server};
use serde_json::{Map, Value};
use tracing_subscriber::prelude::*;

/// Longer than anything here takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const TOKEN: &str = "xaat-00c0ffee-5ec2-e755-ec2e-755ec2e755ec";

/// A layer's guard and the server that it ships to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) server: Server,
    pub(crate) guard: Guard,
    said: Said,
}

/// What the layer said of its own trouble.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Vec<Diagnostic>>>);

impl Said {
    pub(crate) fn hook(&self) -> impl Fn(&Diagnostic) + Send + Sync + 'static {
        let said = Arc::clone(&self.0);
        move |diagnostic| said.lock().unwrap().push(diagnostic.clone())
    }

    pub(crate) fn all(&self) -> Vec<Diagnostic> {
        self.0.lock().unwrap().clone()
    }
}

impl Run {
    /// A server and a layer with every default.
    pub(crate) fn start() -> (AxiomLayer, Self) {
        Self::with(Server::builder(), |builder| builder)
    }

    pub(crate) fn with(
        server: axiom_local::Builder,
        options: impl FnOnce(Builder) -> Builder,
    ) -> (AxiomLayer, Self) {
        let server = server.start().unwrap();
        let said = Said::default();
        let builder = axiom_layer::builder()
            .token(TOKEN)
            .dataset("main")
            .url(server.url())
            .service_name("test")
            .flush_interval(Duration::from_millis(20))
            .on_diagnostic(said.hook());
        let (layer, guard) = options(builder).build().unwrap();
        let run = Self {
            server,
            guard,
            said,
        };
        (layer, run)
    }

    /// Shuts down, checks what must always hold, and hands over what arrived.
    pub(crate) fn finish(self) -> Records {
        let stats = match self.guard.shutdown(LONG) {
            Ok(stats) => stats,
            Err(error) => error.stats().clone(),
        };
        let records = Records {
            all: self.server.all_events(),
            said: self.said.all(),
            stats,
        };
        records.check(&self.server);
        let shown = format!("{:?} {:?} {:?}", self.guard, records.said, records.stats);
        assert!(!shown.contains(TOKEN), "the token shows: {shown}");
        records
    }
}

/// Records on this thread, below a layer with every default.
pub(crate) fn recorded(record: impl FnOnce()) -> Records {
    recorded_with(|builder| builder, record)
}

pub(crate) fn recorded_with(
    options: impl FnOnce(Builder) -> Builder,
    record: impl FnOnce(),
) -> Records {
    let (layer, run) = Run::with(Server::builder(), options);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), record);
    run.finish()
}

/// What arrived, and the ledger after the shutdown.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) all: Vec<Event>,
    pub(crate) said: Vec<Diagnostic>,
    pub(crate) stats: Stats,
}

impl Records {
    /// `pending` is a difference, so it is the sums that are compared, and the server's count with ours.
    fn check(&self, server: &Server) {
        let stats = &self.stats;
        assert_eq!(
            stats.recorded(),
            stats.delivered() + stats.dropped(),
            "{stats}"
        );
        assert_eq!(stats.delivered(), server.ingested(), "{stats}");
        assert_eq!(server.violations(), [], "{stats}");
        assert_eq!(stats.worker_panics(), 0);
        let marked = |event: &&Event| event.get("incomplete").is_some();
        let marked = self.all.iter().filter(marked).count();
        assert_eq!(stats.incomplete(), marked as u64, "records marked");
    }

    pub(crate) fn is_span(record: &Event) -> bool {
        record.get("duration").is_some()
    }

    pub(crate) fn spans(&self) -> impl Iterator<Item = &Event> {
        self.all.iter().filter(|record| Self::is_span(record))
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.all.iter().filter(|record| !Self::is_span(record))
    }

    /// The only event with this message.
    pub(crate) fn event(&self, message: &str) -> &Event {
        only(self.events(), "message", message)
    }

    /// The only span of this name.
    pub(crate) fn span(&self, name: &str) -> &Event {
        only(self.spans(), "name", name)
    }
}

fn only<'a>(records: impl Iterator<Item = &'a Event>, field: &str, value: &str) -> &'a Event {
    let mut found = records.filter(|record| text(record, field) == value);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {field} {value:?}"));
    assert!(found.next().is_none(), "{field} {value:?} arrived twice");
    first
}

/// A text field; empty if it is absent.
pub(crate) fn text<'a>(record: &'a Event, field: &str) -> &'a str {
    record.get(field).and_then(Value::as_str).unwrap_or("")
}

pub(crate) fn number(record: &Event, field: &str) -> u64 {
    record
        .get(field)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("{field} of {record}"))
}

/// The user's fields; none if the record has no `attributes`.
pub(crate) fn attributes(record: &Event) -> Map<String, Value> {
    match record.fields().get("attributes") {
        Some(Value::Object(attributes)) => attributes.clone(),
        None => Map::new(),
        Some(other) => panic!("attributes are {other}"),
    }
}
