//! Places an order once its item is reserved. Part of `cargo run --example shop`

use std::error::Error;
use std::fmt;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use reqwest_middleware::ClientWithMiddleware;
use tracing::{error, info, instrument};

use crate::service::client;

type Stock = (ClientWithMiddleware, String);

pub(crate) fn app(stock: &str) -> reqwest::Result<Router> {
    let stock: Stock = (client()?, stock.to_owned());
    let app = Router::new().route("/orders/{item}", post(order));
    Ok(app.with_state(stock))
}

async fn order(State(stock): State<Stock>, Path(item): Path<String>) -> StatusCode {
    place(&stock, &item).await
}

#[instrument(skip(stock))]
async fn place(stock: &Stock, item: &str) -> StatusCode {
    match reserve(stock, item).await {
        Ok(left) => {
            info!(left, "order placed");
            StatusCode::CREATED
        }
        Err(error) => {
            // As an error and not as its text: the causes are recorded with it.
            error!(error = &error as &dyn Error, "order failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

async fn reserve((client, stock): &Stock, item: &str) -> Result<String, NotReserved> {
    let not_reserved = |cause| NotReserved(item.to_owned(), cause);
    let request = client.post(format!("{stock}/items/{item}/reserve"));
    let response = request.send().await.map_err(|e| not_reserved(e.into()))?;
    match response.status() {
        StatusCode::CONFLICT => Err(not_reserved("sold out".into())),
        _ => response.text().await.map_err(|e| not_reserved(e.into())),
    }
}

#[derive(Debug)]
struct NotReserved(String, Box<dyn Error + Send + Sync>);

impl fmt::Display for NotReserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} can not be reserved", self.0)
    }
}

impl Error for NotReserved {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.1)
    }
}
