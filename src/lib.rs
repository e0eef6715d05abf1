//! A `tracing` layer that delivers spans and events to Axiom.
#![expect(dead_code, reason = "the frontend and the worker are not wired yet")]

mod builder;
mod config;
mod diag;
mod error;
mod fence;
mod frontend;
mod queue;
mod stats;
mod trace;

pub use crate::builder::{Builder, builder};
pub use crate::config::{Compression, Endpoint, Format, TagValue};
pub use crate::diag::Diagnostic;
pub use crate::error::BuildError;
pub use crate::frontend::AxiomLayer;
pub use crate::queue::Overflow;
pub use crate::stats::{DropReason, Stats};
pub use crate::trace::TraceContext;
