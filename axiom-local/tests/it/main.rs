//! The server as its users meet it: over the wire, and through its handle.

mod common;
mod endpoints;
