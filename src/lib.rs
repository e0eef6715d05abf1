//! A `tracing` layer that delivers spans and events to Axiom.

// Of library code only: examples, tests and benches may.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

mod builder;
mod config;
mod diag;
mod error;
mod exit;
mod fence;
mod fork;
mod frontend;
mod guard;
#[cfg(feature = "init")]
mod init;
mod pipeline;
mod queue;
mod schema;
mod span_ext;
mod stats;
mod trace;
mod worker;

pub use crate::builder::{Builder, builder};
pub use crate::config::{Compression, Endpoint, Format, TagValue};
pub use crate::diag::{Cause, Diagnostic};
pub use crate::error::{BuildError, FlushError};
pub use crate::frontend::{AxiomLayer, FieldPlacement};
pub use crate::guard::Guard;
#[cfg(feature = "init")]
pub use crate::init::init;
pub use crate::queue::Overflow;
pub use crate::span_ext::SpanExt;
pub use crate::stats::{DropReason, Stats};
pub use crate::trace::TraceContext;
