//! A program without any async runtime: `AXIOM_TOKEN=… AXIOM_DATASET=… cargo run --example sync_main`

use tracing::{info, info_span};

fn main() -> Result<(), axiom_layer::BuildError> {
    let _guard = axiom_layer::init()?;
    let _span = info_span!("main").entered();
    for step in 1..=3 {
        info!(step, "working");
    }
    // The span closes first, then the guard delivers what was recorded.
    Ok(())
}
