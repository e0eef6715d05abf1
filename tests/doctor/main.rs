//! The doctor: each cause gives its diagnosis and its fix, within the deadline, and never shows the token.

mod answers;
mod common;
mod connections;
mod program;
#[path = "../common/relay.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod relay;
mod the_layer;
#[path = "../common/tls.rs"]
mod tls;
mod where_it_runs;
