//! Inside a tokio runtime: `AXIOM_TOKEN=… AXIOM_DATASET=… cargo run --example tokio_main`
//!
//! Delivery needs nothing of the runtime, so the guard may be dropped anywhere, here at the end of `main`.

use std::error::Error;

use tracing::{Instrument, info, info_span};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let guard = axiom_layer::init()?;
    let tasks: Vec<_> = (1..=3)
        .map(|id| tokio::spawn(work(id).instrument(info_span!("task", id))))
        .collect();
    for task in tasks {
        task.await?;
    }
    // In the middle of a program: wait for delivery without blocking the runtime.
    let stats = guard.flush_async().await?;
    println!("{stats}");
    Ok(())
}

async fn work(id: u64) {
    info!(id, "working");
    tokio::task::yield_now().await;
    info!(id, "done");
}
