//! `fastrace` through its own interface, with its OpenTelemetry reporter and the OTLP exporter over HTTP, as protobuf. Its
//! properties are texts. An event is a part of its span, and nothing outside of one.

#[cfg(feature = "measure")]
mod workloads;

use std::borrow::Cow;

use fastrace::collector::Config;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
#[cfg(feature = "measure")]
use peers_harness::Records;

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/traces"))
        .build()
        .expect("the exporter");
    let reporter = OpenTelemetryReporter::new(
        exporter,
        Cow::Owned(Resource::builder().with_service_name("bench").build()),
        InstrumentationScope::builder("bench").build(),
    );
    fastrace::set_reporter(reporter, Config::default());
    (fastrace::flush, fastrace::flush)
}

#[cfg(feature = "measure")]
fn main() {
    let records = Records {
        alone: 0,
        inside: 1,
        span: 1,
    };
    peers_harness::run(records, workloads::FASTRACE, start);
}

#[cfg(not(feature = "measure"))]
fn main() {
    let (_, end) = start("http://127.0.0.1:4318");
    drop(fastrace::Span::root(
        "hello, world",
        fastrace::prelude::SpanContext::random(),
    ));
    end();
}
