//! The ledger as a record in the dataset.

use std::time::Duration;

use axiom_local::{Event, Server};
use tracing_subscriber::prelude::*;

fn ledgers(server: &Server) -> Vec<Event> {
    let is_ledger = |event: &Event| event.get("message").is_some_and(|text| text == "ledger");
    server
        .events("logs")
        .into_iter()
        .filter(is_ledger)
        .collect()
}

#[test]
fn the_ledger_is_recorded_at_the_interval_and_counts_itself() {
    let server = Server::start().unwrap();
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-test")
        .dataset("logs")
        .url(server.url())
        .service_name("shop")
        .flush_interval(Duration::from_millis(50))
        .heartbeat(Duration::from_secs(1))
        .build()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        (0..3).for_each(|seq| tracing::info!(seq, "work"));
    });
    let patience = Duration::from_secs(20);
    assert!(server.wait_until(patience, |server| ledgers(server).len() >= 2));
    let stats = guard.shutdown(patience).unwrap();
    let ledgers = ledgers(&server);
    let count = |event: &Event, name: &str| {
        let value = event.get(&format!("attributes.{name}"));
        value.and_then(serde_json::Value::as_u64).unwrap()
    };
    assert_eq!(count(&ledgers[0], "recorded"), 3);
    assert_eq!(count(&ledgers[0], "delivered"), 3);
    assert_eq!(count(&ledgers[1], "recorded"), 4);
    assert_eq!(ledgers[0].get("service.name").unwrap(), "shop");
    assert_eq!(stats.recorded(), 3 + ledgers.len() as u64);
    assert_eq!(stats.recorded(), stats.delivered());
    assert_eq!(server.ingested(), stats.delivered());
    assert_eq!(server.violations(), []);
}
