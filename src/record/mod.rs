//! The bytes of a record: JSON, the schema's names, where fields go, and clocks.
//!
//! Mostly for the application's threads, which encode records here; the worker's own records are made of the same. It knows
//! neither spans nor callsites nor queues.

mod ansi;
pub(crate) mod clock;
pub(crate) mod json;
mod placement;
pub(crate) mod schema;

pub use self::placement::FieldPlacement;
pub(crate) use self::placement::Placement;
