//! The crossing alone, made of loom's primitives: the models are in `src/queue/models.rs`, and this says how to
//! build them. Without `--cfg loom` it is empty.

#![cfg_attr(
    loom,
    expect(
        dead_code,
        reason = "the worker and the guard, which use the rest, are not here"
    )
)]

#[cfg(loom)]
#[path = "../src/process"]
mod process {
    pub(crate) mod fence;
}
#[cfg(loom)]
#[path = "../src/queue/mod.rs"]
mod queue;
#[cfg(loom)]
#[path = "../src/report"]
mod report {
    mod ledger;

    pub(crate) use self::ledger::Counters;
    pub use self::ledger::{DropReason, Stats};
}
#[cfg(loom)]
#[path = "../src/sync/mod.rs"]
mod sync;

#[cfg(loom)]
pub use {
    queue::Overflow,
    report::{DropReason, Stats},
};
