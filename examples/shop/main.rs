//! Three services that call each other, and their traces: `cargo run --example shop`
//!
//! Starts a local endpoint and three processes, `gateway`, `orders` and `stock`; sends the gateway a few requests, of which
//! one fails and one is slow; ends the processes, which deliver what they recorded; and prints the traces.

mod gateway;
mod orders;
mod process;
mod service;
mod stock;

use std::error::Error;
use std::io::IsTerminal;

use axiom_local::render::{Style, everything};

use crate::process::Process;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => shop().await,
        ["stock", axiom, _] => service::run("stock", axiom, stock::app()).await,
        ["orders", axiom, stock] => service::run("orders", axiom, orders::app(stock)?).await,
        ["gateway", axiom, orders] => service::run("gateway", axiom, gateway::app(orders)?).await,
        _ => Err("to be started without arguments".into()),
    }
}

async fn shop() -> Result<(), Box<dyn Error>> {
    let axiom = axiom_local::Server::start()?;
    let stock = Process::start("stock", axiom.url(), "")?;
    let orders = Process::start("orders", axiom.url(), &stock.url)?;
    let gateway = Process::start("gateway", axiom.url(), &orders.url)?;

    let browser = reqwest::Client::builder().no_proxy().build()?;
    for item in ["tea", "samovar", "teapot"] {
        order(browser.post(format!("{}/orders/{item}", gateway.url))).await?;
    }
    // A page that is instrumented itself says which trace its request belongs to.
    let request = browser.post(format!("{}/orders/honey", gateway.url));
    let traceparent = "00-5a0f8e3c21d94b7786a1c0de5eed1234-00c0ffee0ddba115-01";
    order(request.header("traceparent", traceparent)).await?;

    // From the outside in, so that no request finds its service gone.
    for process in [gateway, orders, stock] {
        process.stop()?;
    }
    let color = std::io::stdout().is_terminal();
    print!("{}", everything(&axiom.all_events(), Style { color }));
    for dataset in axiom.datasets() {
        println!("{} records in {dataset}", axiom.ingested_in(&dataset));
    }
    match axiom.violations_seen() {
        0 => println!("0 violations of Axiom's contract"),
        _ => return Err(format!("{:?}", axiom.violations()).into()),
    }
    Ok(())
}

async fn order(request: reqwest::RequestBuilder) -> Result<(), reqwest::Error> {
    let response = request.send().await?;
    println!("{} {}", response.url().path(), response.status());
    Ok(())
}
