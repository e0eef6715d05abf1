//! Delivery under fault: what a sceptic would try first, each scenario with its numbers.
//!
//! Every test ends in [`audit::account`]: the ledger is exact, the endpoint holds what the ledger says, and it saw no
//! breach of its contract. Faults are scripted or seeded; nothing sleeps to wait for something else.

mod answers;
#[path = "../common/audit.rs"]
mod audit;
mod clock;
#[path = "../common/program.rs"]
mod common;
mod endpoints;
mod gateway;
mod guard;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod http2;
mod layers;
mod limits;
mod memory;
mod overflow;
mod process;
mod quiet;
mod refused;
#[path = "../common/relay.rs"]
mod relay;
mod retry;
mod rotated;
mod slow;
mod storms;
mod threads;
#[path = "../common/work.rs"]
mod work;
