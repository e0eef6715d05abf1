//! `sentry` with its `tracing` integration: events as structured logs, spans as transactions, all of them sampled.

use std::time::Duration;

#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use sentry::integrations::tracing::{LogLayer, SpanLayer};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let options = sentry::ClientOptions::new()
        .dsn(&format!("{}/1", url.replacen("://", "://public@", 1)))
        .traces_sample_rate(1.0);
    let guard = sentry::init(options);
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(SpanLayer::new())
        .with(LogLayer::new())
        .init();
    let flush = || {
        let client = sentry::Hub::current().client().expect("a client");
        client.flush(Some(Duration::from_secs(10)));
    };
    (flush, move || drop(guard))
}

#[cfg(feature = "measure")]
fn main() {
    let records = Records {
        alone: 1,
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
