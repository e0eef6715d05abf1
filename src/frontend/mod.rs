//! What runs on the application's threads: an event or a closed span becomes one NDJSON line.

mod callsite;
mod fields;
pub(crate) mod json;
mod layer;
mod record;
mod scratch;
mod span;
mod thread;
mod time;

pub use self::layer::AxiomLayer;
pub(crate) use self::layer::Options;
pub(crate) use self::record::LINE_START;
