//! One line for a program that wants nothing else.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::time::Duration;

use tracing_core::dispatcher::{self, Dispatch};
use tracing_core::subscriber::NoSubscriber;
use tracing_log::{AsLog, LogTracer};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::prelude::*;

use super::builder::builder;
use crate::life::Guard;
use crate::report::BuildError;

/// What helps where somebody else has set what is global.
const BY_HAND: &str =
    "call `axiom_layer::builder()` and add the layer where the subscriber is made";

/// Makes the program's spans and events go to Axiom and to the console.
///
/// Configured by the environment alone: [`builder()`](crate::builder()) names the variables. `RUST_LOG` filters
/// both, as [`EnvFilter`] reads it; without it, `info` and above is recorded. Records made through the `log` crate are
/// included. The console is standard error, with colours if that is a terminal and `NO_COLOR` is unset or empty.
///
/// Without a token (neither `AXIOM_TOKEN` nor `AXIOM_TOKEN_FILE` is set), and with `OTEL_SDK_DISABLED=true`, the console
/// alone is set up: see [`if_token_present`](crate::Builder::if_token_present).
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
/// Whatever [`Builder::build`](crate::Builder::build) reports; a `RUST_LOG` that can not be read; a global subscriber or a logger
/// of the `log` crate that was set before. Nothing is set up then: the program may set a subscriber and a logger of its own.
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
    if has_global_subscriber() {
        return Err(subscriber_is_set("another one was set before"));
    }
    let (layer, guard) = builder().if_token_present().panics(true).build()?;
    // What the filter lets through at the most; `log` then spares itself the rest.
    let level = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let console = tracing_subscriber::fmt::layer()
        .with_ansi(wants_colours(
            std::io::stderr().is_terminal(),
            std::env::var_os("NO_COLOR").as_deref(),
        ))
        .with_writer(std::io::stderr);
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(console)
        .with(layer);
    // The logger first: if it fails, nothing was set, while a subscriber can not be taken back.
    let logger = LogTracer::builder().with_max_level(level.as_log()).init();
    let set = logger.map_err(logger_is_set).and_then(|()| {
        // `try_init` would set the logger, too. This fails only if another thread has set a subscriber just now.
        dispatcher::set_global_default(Dispatch::new(subscriber)).map_err(subscriber_is_set)
    });
    if let Err(error) = set {
        // Nothing was recorded, and that is no fault of how the guard was bound.
        drop(guard.shutdown(Duration::ZERO));
        return Err(error);
    }
    Ok(guard)
}

fn subscriber_is_set(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BuildError {
    BuildError::plain("the global subscriber is set already")
        .told_by(source)
        .fix(BY_HAND)
}

fn logger_is_set(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BuildError {
    BuildError::plain(
        "the logger of the `log` crate is set already, so that its records can not be taken over",
    )
    .told_by(source)
    .fix(format!(
        "remove the call that sets it (such as `env_logger::init()`), or {BY_HAND}"
    ))
}

/// A subscriber for a scope is of no interest. It is seen on this thread alone, the global one on every thread.
fn has_global_subscriber() -> bool {
    let is_set = || dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>());
    is_set() && std::thread::spawn(is_set).join().unwrap_or(true)
}

/// <https://no-color.org>: colours are for people, unless they do not want any.
fn wants_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_colours_and_only_without_no_color() {
        let [none, empty, one] = [None, Some(OsStr::new("")), Some(OsStr::new("1"))];
        assert!(wants_colours(true, none) && wants_colours(true, empty));
        assert!(!wants_colours(true, one));
        assert!(!wants_colours(false, none) && !wants_colours(false, empty));
    }
}
