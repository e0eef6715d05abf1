//! Says why records do not arrive, and what fixes it: `cargo run --example doctor`
//!
//! Reads the same variables as the layer (AXIOM_TOKEN, AXIOM_DATASET, AXIOM_URL, …) and sends one record. Exits with 0 when
//! all is well, else with 1.

use std::process::ExitCode;

fn main() -> ExitCode {
    let diagnosis = axiom_layer::doctor();
    println!("{diagnosis}");
    if diagnosis.is_healthy() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
