//! What the three services have in common: a layer, a server, an end. Part of `cargo run --example shop`

use std::error::Error;
use std::io;
use std::time::Duration;

use axiom_layer::http::{ClientMiddleware, ServerLayer};
use axum::Router;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tracing::info;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// Serves until the input is closed, then delivers everything.
pub(crate) async fn run(name: &str, axiom: &str, app: Router) -> Result<(), Box<dyn Error>> {
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-local")
        .url(axiom)
        .dataset("shop-logs")
        .traces_dataset("shop-traces")
        .service_name(name)
        .build()?;
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .init();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("http://{address}");
    info!(%address, "listening");
    let input = tokio::task::spawn_blocking(|| io::read_to_string(io::stdin()));
    axum::serve(listener, app.layer(ServerLayer::new()))
        .with_graceful_shutdown(async { drop(input.await) })
        .await?;
    // An error here means that something was lost.
    guard.shutdown(Duration::from_secs(5))?;
    Ok(())
}

/// A client that sends the trace along.
pub(crate) fn client() -> reqwest::Result<ClientWithMiddleware> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(ClientBuilder::new(client)
        .with(ClientMiddleware::new())
        .build())
}
