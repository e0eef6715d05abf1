//! Delivery under fault: what a sceptic would try first, each scenario with its numbers.
//!
//! Every test ends in [`audit::account`]: the ledger is exact, the endpoint holds what the ledger says, and it saw no
//! breach of its contract. Faults are scripted or seeded; nothing sleeps to wait for something else.

mod answers;
mod audit;
mod clock;
mod common;
mod endpoints;
mod guard;
mod layers;
mod limits;
mod memory;
mod overflow;
mod process;
mod quiet;
mod refused;
mod retry;
mod slow;
mod threads;
