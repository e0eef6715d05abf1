//! A web service with a span for each request: `AXIOM_TOKEN=… AXIOM_DATASET=… cargo run --example axum`
//!
//! Then `curl -H 'x-tenant: teahouse' http://127.0.0.1:3000/orders/7`. Ctrl-C ends it and delivers what is left.

use std::error::Error;

use axiom_layer::SpanExt;
use axiom_layer::http::ServerLayer;
use axum::extract::Path;
use axum::{Router, routing::get};
use tracing::{info, instrument};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = axiom_layer::init()?;
    let spans = ServerLayer::new()
        // A field of one's own on every request.
        .attributes(|request, span| {
            let tenant = request.headers.get("x-tenant");
            if let Some(tenant) = tenant.and_then(|tenant| tenant.to_str().ok()) {
                span.set_attribute("tenant", tenant);
            }
        })
        // Called every few seconds, and of interest to nobody.
        .skip(|request| request.uri.path() == "/health");
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/health", get(async || "well"))
        .layer(spans);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    info!(address = %listener.local_addr()?, "listening");
    axum::serve(listener, app)
        .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
        .await?;
    Ok(())
}

#[instrument]
async fn order(Path(id): Path<u64>) -> String {
    info!(id, "order looked up");
    format!("order {id}\n")
}
