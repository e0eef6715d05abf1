//! Where a layer leaves its finished lines: the queues of the process that it is in.

use std::fmt;
use std::sync::Arc;

use super::Queue;
use crate::process::Process;
use crate::report::{Counters, DropReason};

/// What kind of record a line is, which says to which queue it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Span,
}

/// The queues of one process.
#[derive(Debug, Clone)]
pub(crate) struct Lanes {
    events: Arc<Queue>,
    spans: Arc<Queue>,
    counters: Arc<Counters>,
}

impl Lanes {
    pub(crate) fn new(events: &Arc<Queue>, spans: &Arc<Queue>, counters: &Arc<Counters>) -> Self {
        Self {
            events: Arc::clone(events),
            spans: Arc::clone(spans),
            counters: Arc::clone(counters),
        }
    }
}

/// Whoever made the queues, for what is out of the ordinary.
pub(crate) trait Owner: fmt::Debug + Send + Sync {
    /// The queues of the calling process, a child forked from the one that the owner was made in.
    fn lanes_in_child(&self) -> &Lanes;

    /// A record came after the shutdown, and was counted.
    fn recorded_late(&self);
}

#[derive(Debug)]
pub(crate) struct Outlet {
    process: Process,
    lanes: Lanes,
    owner: Arc<dyn Owner>,
}

impl Outlet {
    pub(crate) fn new(process: Process, lanes: Lanes, owner: Arc<dyn Owner>) -> Self {
        Self {
            process,
            lanes,
            owner,
        }
    }

    #[inline]
    fn lanes(&self) -> &Lanes {
        if self.process.is_this() {
            &self.lanes
        } else {
            self.owner.lanes_in_child()
        }
    }

    /// Takes a finished line, newline included. `incomplete`: some of its values are not whole.
    pub(crate) fn push(&self, kind: Kind, line: &[u8], incomplete: bool) {
        let lanes = self.lanes();
        if incomplete {
            lanes.counters.add_incomplete();
        }
        let queue = match kind {
            Kind::Event => &lanes.events,
            Kind::Span => &lanes.spans,
        };
        if !queue.push(line) {
            self.owner.recorded_late();
        }
    }

    /// Counts a record of which there is no line.
    pub(crate) fn drop_unmade(&self, reason: DropReason) {
        self.lanes().counters.add_dropped(reason, 1);
    }
}
