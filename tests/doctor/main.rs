//! The doctor: each cause gives its diagnosis and its fix, within the deadline, and never shows the token.

mod answers;
mod common;
mod connections;
mod program;
mod the_layer;
mod where_it_runs;
