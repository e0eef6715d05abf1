//! What runs on the application's threads: an event or a closed span becomes one NDJSON line.

mod ansi;
mod callsite;
mod current;
mod exception;
mod home;
pub(crate) mod json;
mod layer;
mod list;
mod members;
#[cfg(all(tracing_unstable, feature = "valuable"))]
mod nested;
mod open;
pub(crate) mod panic;
mod patience;
mod placement;
mod record;
mod scratch;
mod span;
mod table;
mod thread;
mod time;
mod tracer;
pub(crate) mod tracers;
mod visit;

pub(crate) use self::callsite::CallsiteOptions;
pub(crate) use self::home::address;
pub use self::layer::AxiomLayer;
pub(crate) use self::open::OpenSpan;
pub use self::placement::FieldPlacement;
pub(crate) use self::placement::Placement;
pub(crate) use self::record::SpanIds;
pub(crate) use self::time::{LINE_START, put_start, wall_clock};
pub(crate) use self::tracer::{OpenSpans, Options, Tracer};
