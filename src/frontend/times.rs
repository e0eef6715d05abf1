//! When a span began and ended: one time line for each trace.

use crate::record::clock;

/// What turns a reading of the monotonic clock into wall time. A trace keeps one for a minute, so that its spans have one
/// time line though the wall clock steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub(super) offset: u64,
    /// In seconds.
    pub(super) read: u32,
}

/// How long spans go on using the anchor of their root.
const ANCHOR_SECONDS: u32 = 60;

impl Anchor {
    /// The parent's anchor while it is young.
    pub(crate) fn inherit(parent: Option<Self>, now: u64) -> Self {
        let read = (now / 1_000_000_000) as u32;
        parent
            .filter(|anchor| read.wrapping_sub(anchor.read) < ANCHOR_SECONDS)
            .unwrap_or_else(|| Self {
                offset: clock::wall_clock().wrapping_sub(now),
                read,
            })
    }

    pub(crate) fn wall_at(self, monotonic: u64) -> u64 {
        self.offset.wrapping_add(monotonic)
    }
}

/// When a span began, ended, and how long it was entered, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Of the wall clock.
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) busy: u64,
}
