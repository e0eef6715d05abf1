//! A `tracing` layer that delivers spans and events to Axiom.
#![expect(dead_code, reason = "the frontend and the worker are not wired yet")]

mod error;
mod fence;
mod frontend;
mod queue;
mod stats;
mod trace;

pub use crate::error::BuildError;
pub use crate::frontend::AxiomLayer;
pub use crate::queue::Overflow;
pub use crate::stats::{DropReason, Stats};
pub use crate::trace::TraceContext;
