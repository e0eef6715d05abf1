//! `tracing-axiom`: OpenTelemetry's traces of two years ago. An event outside of spans is nothing to it, as its
//! documentation says. It needs a runtime with several threads around it, and its pipeline is ended by OpenTelemetry's
//! own global function.

use std::time::Duration;

use opentelemetry_sdk_022::trace::Config;
#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tokio::runtime::Runtime;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let runtime = Runtime::new().expect("a runtime");
    let entered = runtime.enter();
    let layer = tracing_axiom::builder_with_env("bench")
        .and_then(|builder| builder.with_token("xaat-bench"))
        .and_then(|builder| builder.with_dataset("bench"))
        .and_then(|builder| builder.with_url(url))
        .expect("its settings")
        // A span keeps 128 events unless told otherwise, and the bursts of W2 have more.
        .with_trace_config(Config::default().with_max_events_per_span(1_000))
        .build()
        .expect("the layer");
    drop(entered);
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .init();
    // It has no flush that an application can reach; its batches wait for no longer than 5 seconds, and far less here.
    let flush = || std::thread::sleep(Duration::from_millis(500));
    let end = move || {
        opentelemetry_022::global::shutdown_tracer_provider();
        runtime.shutdown_timeout(Duration::from_secs(5));
    };
    (flush, end)
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
