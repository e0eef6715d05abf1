//! What runs on the application's threads: an event or a closed span becomes one NDJSON line.

mod ansi;
mod callsite;
pub(crate) mod json;
mod layer;
mod list;
mod members;
#[cfg(all(tracing_unstable, feature = "valuable"))]
mod nested;
mod placement;
mod record;
mod scratch;
mod span;
mod thread;
mod time;
mod visit;

pub(crate) use self::callsite::CallsiteOptions;
pub use self::layer::AxiomLayer;
pub(crate) use self::layer::Options;
pub use self::placement::FieldPlacement;
pub(crate) use self::placement::Placement;
pub(crate) use self::record::SpanIds;
pub(crate) use self::span::SpanStates;
pub(crate) use self::time::{LINE_START, put_start, wall_clock};
