//! `tracing-opentelemetry` with the OTLP exporter over HTTP, as protobuf: traces. An event is a part of its span, and
//! nothing outside of one.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/traces"))
        .build()
        .expect("the exporter");
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        // A span keeps 128 events unless told otherwise, and the bursts of W2 have more.
        .with_max_events_per_span(1_000)
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .init();
    let flushed = provider.clone();
    let flush = move || drop(flushed.force_flush());
    (flush, move || drop(provider.shutdown()))
}

#[cfg(feature = "measure")]
fn main() {
    let records = Records {
        alone: 0,
        inside: 1,
        span: 1,
    };
    peers_harness::run(records, TRACING, start);
}

#[cfg(not(feature = "measure"))]
fn main() {
    let (_, end) = start("http://127.0.0.1:4318");
    tracing::info!("hello, world");
    end();
}
