//! `tracing-loki`: events, with the fields of the spans around them. The application spawns its background task, and
//! waits for it at the end.

use std::time::Duration;

#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tokio::runtime::Runtime;
use tracing_loki::url::Url;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let url = Url::parse(url).expect("a URL");
    let (layer, controller, task) = tracing_loki::builder()
        .label("host", "bench")
        .and_then(|builder| builder.build_controller_url(url))
        .expect("the layer");
    let runtime = Runtime::new().expect("a runtime");
    let task = runtime.spawn(task);
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .init();
    // It has no flush, but sends at once whatever is there.
    let flush = || std::thread::sleep(Duration::from_millis(500));
    let end = move || {
        runtime.block_on(async {
            controller.shutdown().await;
            task.await.expect("the task ends well");
        });
    };
    (flush, end)
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
