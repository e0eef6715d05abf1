//! A bare registry: what `tracing` itself costs. Nothing is sent.

#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn start(_url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .init();
    (|| {}, || {})
}

#[cfg(feature = "measure")]
fn main() {
    let records = Records {
        alone: 0,
        inside: 0,
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
