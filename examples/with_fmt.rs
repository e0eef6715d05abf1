//! Beside a console layer, each with its own filter: `AXIOM_TOKEN=… AXIOM_DATASET=… cargo run --example with_fmt`

use std::error::Error;

use tracing::{debug, info, trace};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let (axiom, guard) = axiom_layer::builder()
        .service_name("with-fmt")
        .tag("env", "dev")
        .on_diagnostic(|diagnostic| eprintln!("delivery: {diagnostic}"))
        .build()?;
    tracing_subscriber::registry()
        // The console shows what RUST_LOG says, Axiom gets DEBUG and above.
        .with(tracing_subscriber::fmt::layer().with_filter(EnvFilter::from_default_env()))
        .with(axiom.with_filter(LevelFilter::DEBUG))
        .init();
    trace!("neither Axiom nor, by default, the console");
    debug!(items = 3, "Axiom");
    info!(ratio = 0.75, "Axiom");
    println!("{}", guard.shutdown(std::time::Duration::from_secs(5))?);
    Ok(())
}
