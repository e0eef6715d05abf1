//! The rows of the table, and what a reader of it has to know of each.

use crate::server::Kind;

#[derive(Debug)]
pub(crate) struct Subject {
    /// Of the row.
    pub(crate) name: &'static str,
    /// The crate that an application names, for its version.
    pub(crate) krate: &'static str,
    /// The package below `subjects`.
    pub(crate) package: &'static str,
    pub(crate) server: Kind,
    /// The workload of the tight loop: an event, or a span where an event alone is nothing.
    pub(crate) tight: usize,
}

const EVENT: usize = 0;
const SPAN: usize = 2;

pub(crate) const SUBJECTS: [Subject; 11] = [
    Subject {
        name: "registry",
        krate: "tracing-subscriber",
        package: "peer-registry",
        server: Kind::Counting,
        tight: EVENT,
    },
    Subject {
        name: "axiom-layer",
        krate: "axiom-layer",
        package: "peer-axiom-layer",
        server: Kind::Counting,
        tight: EVENT,
    },
    // The same against an endpoint that judges every event, as Axiom does.
    Subject {
        name: "axiom-layer, axiom-local",
        krate: "axiom-layer",
        package: "peer-axiom-layer",
        server: Kind::AxiomLocal,
        tight: EVENT,
    },
    Subject {
        name: "tracing-axiom",
        krate: "tracing-axiom",
        package: "peer-tracing-axiom",
        server: Kind::Counting,
        tight: SPAN,
    },
    Subject {
        name: "tracing-layer-axiom",
        krate: "tracing-layer-axiom",
        package: "peer-tracing-layer-axiom",
        server: Kind::Counting,
        tight: EVENT,
    },
    Subject {
        name: "tracing-opentelemetry",
        krate: "tracing-opentelemetry",
        package: "peer-tracing-opentelemetry",
        server: Kind::Counting,
        tight: SPAN,
    },
    Subject {
        name: "opentelemetry-appender-tracing",
        krate: "opentelemetry-appender-tracing",
        package: "peer-opentelemetry-appender-tracing",
        server: Kind::Counting,
        tight: EVENT,
    },
    Subject {
        name: "tracing-loki",
        krate: "tracing-loki",
        package: "peer-tracing-loki",
        server: Kind::Counting,
        tight: EVENT,
    },
    Subject {
        name: "fastrace",
        krate: "fastrace",
        package: "peer-fastrace",
        server: Kind::Counting,
        tight: SPAN,
    },
    Subject {
        name: "sentry",
        krate: "sentry",
        package: "peer-sentry",
        server: Kind::Counting,
        tight: EVENT,
    },
    Subject {
        name: "logfire",
        krate: "logfire",
        package: "peer-logfire",
        server: Kind::Counting,
        tight: EVENT,
    },
];
