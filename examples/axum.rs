//! A web service with a span for each request: `AXIOM_TOKEN=… AXIOM_DATASET=… cargo run --example axum`
//!
//! Then `curl http://127.0.0.1:3000/orders/7`. Ctrl-C ends it and delivers what is left.

use std::error::Error;

use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Router, routing::get};
use tracing::{Instrument, field, info, info_span, instrument};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = axiom_layer::init()?;
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(from_fn(trace_request));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    info!(address = %listener.local_addr()?, "listening");
    axum::serve(listener, app)
        .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
        .await?;
    Ok(())
}

async fn trace_request(request: Request, next: Next) -> Response {
    let span = info_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{} {}", request.method(), request.uri().path()),
        http.request.method = %request.method(),
        http.response.status_code = field::Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    response
}

#[instrument]
async fn order(Path(id): Path<u64>) -> String {
    info!(id, "order looked up");
    format!("order {id}\n")
}
