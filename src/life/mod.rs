//! From the start to the end: the running pipeline, the guard, flush and shutdown, exits, signals and forks.
//!
//! Runs on the thread that builds the layer, on those that hold the guard, and in the hooks of the process's end. Whoever
//! waits here has asked for it, and waits no longer than its deadline. It names every room below it; only the doctor and the
//! set-up name it.

mod assemble;
mod exit;
mod guard;
mod late;
mod pipeline;
mod running;
mod start;
mod wait;

pub(crate) use self::assemble::worker_settings;
pub use self::guard::Guard;
pub(crate) use self::start::{inert, start};
