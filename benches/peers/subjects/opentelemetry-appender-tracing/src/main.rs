//! `opentelemetry-appender-tracing` with the OTLP exporter over HTTP, as protobuf: logs. Spans are nothing to it.

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig};
use opentelemetry_sdk::logs::SdkLoggerProvider;
#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let exporter = LogExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/logs"))
        .build()
        .expect("the exporter");
    let provider = SdkLoggerProvider::builder()
        .with_batch_exporter(exporter)
        .build();
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(OpenTelemetryTracingBridge::new(&provider))
        .init();
    let flushed = provider.clone();
    let flush = move || drop(flushed.force_flush());
    (flush, move || drop(provider.shutdown()))
}

#[cfg(feature = "measure")]
fn main() {
    let records = Records {
        alone: 1,
        inside: 1,
        span: 0,
    };
    peers_harness::run(records, TRACING, start);
}

#[cfg(not(feature = "measure"))]
fn main() {
    let (_, end) = start("http://127.0.0.1:4318");
    tracing::info!("hello, world");
    end();
}
