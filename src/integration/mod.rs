//! The edges where a trace enters or leaves a process: one folder for each protocol, one feature for each library.
//!
//! All of it runs on the application's threads and uses the layer only through `SpanExt` and `tracing`.

pub mod http;
