//! Before the first record: the builder, `init()` and the door to the doctor.
//!
//! Runs on the thread that sets the layer up, once. It names everything; nothing names it.

mod builder;
#[cfg(feature = "init")]
mod init;

pub use self::builder::{Builder, builder, doctor};
#[cfg(feature = "init")]
pub use self::init::init;
