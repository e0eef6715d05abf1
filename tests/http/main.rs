//! Spans for HTTP requests, and traces across services.

mod axum;
mod body;
mod client;
mod end_to_end;
mod grpc;
mod server;
mod support;
mod tonic;
