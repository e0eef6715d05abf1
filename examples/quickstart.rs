//! A small shop, instrumented: `cargo run --example quickstart`
//!
//! Ships to a local endpoint that it starts itself, and prints what arrived there. With AXIOM_TOKEN and
//! AXIOM_DATASET set, it ships to Axiom instead.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use axiom_local::render::{Style, everything};
use tracing::{Level, debug, error, info, instrument, warn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = axiom_layer::builder().service_name("quickstart");
    let local = match std::env::var_os("AXIOM_TOKEN") {
        Some(_) => None,
        None => Some(axiom_local::Server::start()?),
    };
    if let Some(server) = &local {
        builder = builder
            .token("xaat-local")
            .dataset("quickstart")
            .url(server.url());
    }
    let (axiom, guard) = builder.build()?;
    tracing_subscriber::registry()
        .with(LevelFilter::DEBUG)
        .with(axiom)
        .init();

    for order in 1..=3 {
        // What goes wrong is in the trace.
        handle(order).ok();
    }
    info!(orders = 3, "shop closed");

    let stats = guard.shutdown(Duration::from_secs(5))?;
    match &local {
        Some(server) => {
            let color = std::io::stdout().is_terminal();
            print!("{}", everything(&server.all_events(), Style { color }));
            println!(
                "{} violations of Axiom's contract",
                server.violations_seen()
            );
        }
        None => println!("shipped to Axiom: look for service.name == \"quickstart\""),
    }
    println!("{stats}");
    Ok(())
}

#[instrument(err, fields(customer = 4711, otel.kind = "server"))]
fn handle(order: u64) -> Result<(), SoldOut> {
    info!("order received");
    let stock = reserve(order)?;
    charge(order, 19.9 * order as f64);
    debug!(stock, "order done");
    Ok(())
}

#[instrument(level = Level::DEBUG, err)]
fn reserve(order: u64) -> Result<u64, SoldOut> {
    std::thread::sleep(Duration::from_millis(3));
    if order == 3 {
        return Err(SoldOut { item: "teapot" });
    }
    Ok(10 - order)
}

#[instrument]
fn charge(order: u64, amount: f64) {
    std::thread::sleep(Duration::from_millis(5));
    if order == 2 {
        warn!(attempt = 1, "card service is slow");
    }
    if amount > 1_000.0 {
        error!(amount, "amount above the limit");
    }
}

#[derive(Debug)]
struct SoldOut {
    item: &'static str,
}

impl fmt::Display for SoldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is sold out", self.item)
    }
}

impl Error for SoldOut {}
