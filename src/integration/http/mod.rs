//! HTTP: spans for requests that are answered or sent, and the trace that goes along with them.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `http` | [`TraceContext::extract`] and [`TraceContext::inject`], for the headers of any client or server |
//! | `tower` | `ServerLayer` and `ClientLayer`: a span for each request that a tower service answers, or sends |
//! | `axum` | the same with axum's route, original path and peer address |
//! | `reqwest-middleware` | `ClientMiddleware`: a span for each request that a reqwest client sends |
//!
//! The spans have the attributes and the names of OpenTelemetry's [stable conventions for HTTP][conventions], the target
//! `axiom_layer::http`, and the level INFO unless set otherwise. A filter such as `RUST_LOG=shop=debug` that names
//! only the application's own targets hides them: use `RUST_LOG=shop=debug,axiom_layer::http=info`.
//!
//! Methods that are not in `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` (separated by commas; by default those of RFC 9110, `PATCH`
//! and `QUERY`) are `_OTHER`, so that a stranger can not invent names. In URLs, user names and passwords are replaced by `REDACTED`,
//! and so are the values of query parameters that hold signatures, tokens or passwords by their name. The same is done to the URLs in
//! the texts of errors and of their causes, which is what `status.message` and `exception.*` of these spans are made of.
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
//! [`TraceContext::extract`]: crate::TraceContext::extract
//! [`TraceContext::inject`]: crate::TraceContext::inject

mod headers;

#[cfg(feature = "tower")]
mod body;
#[cfg(feature = "tower")]
mod call;
#[cfg(feature = "reqwest-middleware")]
mod client;
#[cfg(any(feature = "tower", feature = "reqwest-middleware"))]
mod conventions;
#[cfg(any(feature = "tower", feature = "reqwest-middleware"))]
mod exchange;
#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod grpc;
#[cfg(any(feature = "tower", feature = "reqwest-middleware"))]
mod secrets;
#[cfg(feature = "tower")]
mod server;
#[cfg(feature = "tower")]
mod server_span;
#[cfg(feature = "tower")]
mod service;

#[cfg(feature = "tower")]
pub use self::body::ResponseBody;
#[cfg(feature = "tower")]
pub use self::call::{ClientLayer, ClientService};
#[cfg(feature = "reqwest-middleware")]
pub use self::client::ClientMiddleware;
#[cfg(feature = "tower")]
pub use self::future::ResponseFuture;
#[cfg(feature = "tower")]
pub use self::server::ServerLayer;
#[cfg(feature = "tower")]
pub use self::service::ServerService;
