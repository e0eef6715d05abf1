//! `tracing-layer-axiom`: events, ten a request, from a queue without a bound. It reads its URL from `AXIOM_URL` only, and
//! spawns its worker on the runtime around it. It has neither a flush nor an end.

use std::time::Duration;

#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tokio::runtime::Runtime;
use tracing_layer_axiom::ConfigBuilder;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// How long a program that ends gives it. Whatever is in its queue then is lost.
const GRACE: Duration = Duration::from_secs(1);

fn start(_url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let runtime = Runtime::new().expect("a runtime");
    let entered = runtime.enter();
    let layer = ConfigBuilder::builder()
        .token("xaat-bench".to_owned())
        .org_id("bench".to_owned())
        .dataset("bench".to_owned())
        .application("bench".to_owned())
        .environment("bench".to_owned())
        .build()
        .into_layer();
    drop(entered);
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .init();
    let end = move || {
        std::thread::sleep(GRACE);
        runtime.shutdown_background();
    };
    (|| std::thread::sleep(GRACE), end)
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
