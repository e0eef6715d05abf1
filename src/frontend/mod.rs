//! What runs on the application's threads: an event or a closed span becomes one NDJSON line.

mod callsite;
mod current;
mod entry;
mod exception;
mod home;
mod layer;
mod list;
mod members;
#[cfg(all(tracing_unstable, feature = "valuable"))]
mod nested;
mod open;
pub(crate) mod panic;
mod patience;
mod record;
mod scratch;
mod status;
mod survive;
mod table;
mod thread;
mod times;
mod tracer;
mod visit;

pub(crate) use self::callsite::CallsiteOptions;
pub(crate) use self::home::address;
pub use self::layer::AxiomLayer;
pub(crate) use self::open::OpenSpan;
pub(crate) use self::tracer::{OpenSpans, Options, Tracer, all as tracers};
