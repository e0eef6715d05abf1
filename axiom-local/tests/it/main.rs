//! The server as its users see it: over the wire, and through its handle.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod access;
#[cfg(feature = "cli")]
mod binary;
mod common;
mod endpoints;
mod faults;
mod http2;
mod http2_faults;
mod limits;
mod memory;
mod server;
mod spans;
