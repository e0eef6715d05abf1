//! A `tracing` layer that delivers spans and events to Axiom.
#![expect(dead_code, reason = "the frontend and the worker are not wired yet")]

mod frontend;
mod queue;
mod stats;

pub use crate::queue::Overflow;
pub use crate::stats::{DropReason, Stats};
