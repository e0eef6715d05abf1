//! The rungs of the ladder.

use std::io;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::floor::CopyFloor;

pub(crate) const SUBJECTS: [&str; 7] = [
    "no subscriber",
    "registry",
    "copy floor",
    "axiom",
    "fmt JSON to a sink",
    "fmt JSON to an appender",
    "opentelemetry",
];

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// Sets a subject up as the global default, runs the measurement with a way to deliver everything, and ends.
pub(crate) fn run(subject: &str, url: &str, measure: impl FnOnce(&(dyn Fn() + Sync))) {
    let nothing = || {};
    match subject {
        "no subscriber" => measure(&nothing),
        "registry" => {
            tracing_subscriber::registry().init();
            measure(&nothing);
        }
        "copy floor" => {
            tracing_subscriber::registry().with(CopyFloor).init();
            measure(&nothing);
        }
        // Formatting alone: nothing is written.
        "fmt JSON to a sink" => {
            let layer = fmt::layer().json().with_writer(io::sink);
            tracing_subscriber::registry().with(layer).init();
            measure(&nothing);
        }
        // Formatting, and a channel to a thread that writes nothing. Lines are lost when it is full.
        "fmt JSON to an appender" => {
            let (writer, _guard) = tracing_appender::non_blocking(io::sink());
            let layer = fmt::layer().json().with_writer(writer);
            tracing_subscriber::registry().with(layer).init();
            measure(&nothing);
        }
        // Traces, with a batch exporter that throws its spans away. To it, an event outside of spans is nothing.
        "opentelemetry" => {
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(Nowhere)
                // A span keeps 128 events unless told otherwise, and a burst has more.
                .with_max_events_per_span(1_000)
                .build();
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
            tracing_subscriber::registry().with(layer).init();
            measure(&nothing);
        }
        "axiom" => {
            let (layer, guard) = axiom_layer::builder()
                .token("xaat-bench")
                .dataset("bench")
                .url(url)
                // A tight loop outruns any network: let it wait for room rather than measure drops.
                .overflow(axiom_layer::Overflow::Block { timeout: LONG })
                .build()
                .unwrap();
            tracing_subscriber::registry().with(layer).init();
            measure(&|| drop(guard.flush(LONG)));
            let stats = guard.shutdown(LONG).unwrap();
            assert_eq!(stats.delivered(), stats.recorded());
        }
        other => panic!("no subject {other}"),
    }
}

/// Takes spans and does nothing with them: neither encoding nor network.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(batch);
        Ok(())
    }
}
