//! What the layer says of itself: the ledger, diagnostics, errors.
//!
//! Any thread counts and reads here; nothing waits. It knows nothing of what it tells about, so every other room may name it.

mod count;
mod diagnostic;
mod error;
mod ledger;

pub(crate) use self::count::{records, records_wait, records_were};
pub use self::diagnostic::{Cause, Diagnostic};
pub(crate) use self::diagnostic::{Diag, Hook, Sink};
pub(crate) use self::error::Origin;
pub use self::error::{BuildError, FlushError};
pub(crate) use self::ledger::Counters;
pub use self::ledger::{DropReason, Stats};
