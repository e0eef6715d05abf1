//! What tokio records of itself, as it does with `--cfg tokio_unstable` and its feature `tracing`.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// All but that: it is none of a test's that has a server or a runtime of its own below its subscriber.
pub(crate) fn filter() -> Targets {
    let off = LevelFilter::OFF;
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets([("tokio::", off), ("runtime::", off)])
}
