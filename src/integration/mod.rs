//! Traces between services: what an application asks of a span, and the edges where a trace enters or leaves a process.
//!
//! All of it runs on the application's threads. `http` uses the layer only through `SpanExt` and `tracing`; other protocols
//! would be folders beside it, with one feature for each library.

#[cfg(feature = "http")]
pub mod http;
mod span_ext;

pub use self::span_ext::SpanExt;
