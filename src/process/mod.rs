//! Which process this is, and whose thread: forks, and the fence around threads of our own.
//!
//! Any thread asks here, for the price of one load. It names no other room.

pub(crate) mod fence;
mod fork;
pub(crate) mod witness;

pub(crate) use self::fork::Process;
