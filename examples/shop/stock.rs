//! Knows what there is, and where. Part of `cargo run --example shop`

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use tracing::{info, instrument, warn};

pub(crate) fn app() -> Router {
    Router::new().route("/items/{item}/reserve", post(reserve))
}

/// A conflict is the answer of a stock that works: its span is no error, the span of the client that asked is.
async fn reserve(Path(item): Path<String>) -> Result<String, StatusCode> {
    match find(&item).await {
        0 => {
            warn!(item, "sold out");
            Err(StatusCode::CONFLICT)
        }
        left => Ok((left - 1).to_string()),
    }
}

#[instrument(ret)]
async fn find(item: &str) -> u32 {
    match item {
        "teapot" => 0,
        "samovar" => {
            info!("not on the shelf, looking in the cellar");
            tokio::time::sleep(Duration::from_millis(300)).await;
            1
        }
        _ => 12,
    }
}
