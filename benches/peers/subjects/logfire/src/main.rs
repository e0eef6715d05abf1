//! `logfire`, which sets up OpenTelemetry's traces and logs, the registry and a runtime of its own.

use logfire::config::AdvancedOptions;
#[cfg(feature = "measure")]
use peers_harness::{Records, workloads::TRACING};
use tracing::level_filters::LevelFilter;

fn start(url: &str) -> (impl Fn() + use<>, impl FnOnce() + use<>) {
    let logfire = logfire::configure()
        .with_token("bench")
        .send_to_logfire(true)
        .with_console(None)
        .with_metrics(None)
        .with_default_level_filter(LevelFilter::INFO)
        .with_advanced_options(AdvancedOptions::default().with_base_url(url))
        .finish()
        .expect("its settings");
    let flushed = logfire.clone();
    let flush = move || drop(flushed.force_flush());
    (flush, move || drop(logfire.shutdown()))
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
