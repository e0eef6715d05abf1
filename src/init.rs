//! One line for a program that wants nothing else.

use std::time::Duration;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::prelude::*;

use crate::error::BuildError;
use crate::guard::Guard;

/// Makes the program's spans and events go to Axiom and to the console.
///
/// Configured by the environment alone: [`builder()`](crate::builder()) names the variables. `RUST_LOG` filters
/// both, as [`EnvFilter`] reads it; without it, `info` and above is recorded. The console is standard
/// error. Records made through the `log` crate are included only if the application bridges them.
///
/// Keep the guard for as long as the program records:
///
/// ```no_run
/// let _guard = axiom_layer::init()?;
/// tracing::info!(answer = 42, "hello Axiom");
/// # Ok::<(), axiom_layer::BuildError>(())
/// ```
///
/// # Errors
/// Whatever [`Builder::build`](crate::Builder::build) reports; a `RUST_LOG` that can not be read; or a global subscriber that
/// was set before.
pub fn init() -> Result<Guard, BuildError> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .map_err(|error| {
            let given = std::env::var_os(EnvFilter::DEFAULT_ENV).unwrap_or_default();
            BuildError::system("RUST_LOG can not be read:", error)
                .other(&given.to_string_lossy())
                .fix("use directives such as `info,my_crate=debug`")
        })?;
    let (layer, guard) = crate::builder().build()?;
    let set = tracing_subscriber::registry()
        .with(filter)
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .with(layer)
        .try_init();
    match set {
        Ok(()) => Ok(guard),
        Err(error) => {
            // Nothing was recorded, and that is no fault of how the guard was bound.
            drop(guard.shutdown(Duration::ZERO));
            Err(
                BuildError::system("the global subscriber is set already", error).fix(
                    "call `axiom_layer::builder()` and add the layer where the subscriber is made",
                ),
            )
        }
    }
}
