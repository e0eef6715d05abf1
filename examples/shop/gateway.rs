//! What the world sees: passes orders on. Part of `cargo run --example shop`

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use reqwest_middleware::ClientWithMiddleware;
use tracing::info;

use crate::service::client;

type Shop = (ClientWithMiddleware, String);

pub(crate) fn app(orders: &str) -> reqwest::Result<Router> {
    let shop: Shop = (client()?, orders.to_owned());
    let app = Router::new().route("/orders/{item}", post(order));
    Ok(app.with_state(shop))
}

async fn order(State((client, orders)): State<Shop>, Path(item): Path<String>) -> StatusCode {
    info!(item, "order received");
    let request = client.post(format!("{orders}/orders/{item}"));
    match request.send().await {
        Ok(response) if response.status().is_success() => StatusCode::CREATED,
        // Why is in the spans: of the client here, and of the service that was called.
        _ => StatusCode::BAD_GATEWAY,
    }
}
