//! The server as its users meet it: over the wire, and through its handle.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod common;
mod endpoints;
