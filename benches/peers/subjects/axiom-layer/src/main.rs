//! This layer, with its defaults but one: a tight loop outruns any network, and the producer then waits for room.

use std::time::Duration;

use axiom_layer::Overflow;
#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-bench")
        .dataset("bench")
        .url(url)
        .overflow(Overflow::Block { timeout: LONG })
        .build()
        .expect("the layer");
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .init();
    let guard = std::rc::Rc::new(guard);
    let flushed = std::rc::Rc::clone(&guard);
    let flush = move || {
        flushed.flush(LONG).expect("everything is delivered");
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
