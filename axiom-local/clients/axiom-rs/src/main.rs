//! Sends three events by each of axiom-rs's ways to a dataset named for it.

use axiom_rs::Client;
use axiom_rs::datasets::{ContentEncoding, ContentType};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("ENDPOINT")?;
    let token = std::env::var("TOKEN")?;
    let events: Vec<Value> = (1..=3)
        .map(
            |n| json!({"_time": "2026-01-01T00:00:00.000000000Z", "n": n, "nested": {"deep": "x"}}),
        )
        .collect();

    let client = Client::builder()
        .no_env()
        .with_url(&url)
        .with_token(&token)
        .build()?;
    println!("gzip: {:?}", client.ingest("axiom-rs", &events).await?);
    let plain = client
        .ingest_bytes(
            "axiom-rs-plain",
            serde_json::to_vec(&events)?,
            ContentType::Json,
            ContentEncoding::Identity,
        )
        .await?;
    println!("plain: {plain:?}");

    let edge = Client::builder()
        .no_env()
        .with_edge_url(&url)
        .with_token(&token)
        .build()?;
    println!("edge: {:?}", edge.ingest("axiom-rs-edge", &events).await?);
    Ok(())
}
