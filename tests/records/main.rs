//! The records as they arrive at a server: their shape, their fields, and what no input may break.

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod bad_values;
mod composition;
mod cost;
mod events;
mod fields;
mod made;
mod properties;
mod resource;
mod spans;
