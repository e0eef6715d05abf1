//! The workloads of the benches and of the test that counts allocations. Shared, so that all of them measure the same.

use tracing::span::EnteredSpan;
use tracing::{info, info_span};

/// One kind of operation, to be repeated with a number that grows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The spans that it runs in.
    depth: u64,
    pub(crate) operation: fn(u64),
}

pub(crate) const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "event",
        depth: 0,
        operation: event,
    },
    Workload {
        name: "event in 3 spans",
        depth: 3,
        operation: event,
    },
    Workload {
        name: "span",
        depth: 0,
        operation: span,
    },
    Workload {
        name: "request",
        depth: 0,
        operation: request,
    },
];

impl Workload {
    /// Opens and enters the spans that the operations run in.
    pub(crate) fn surroundings(self) -> Vec<EnteredSpan> {
        (0..self.depth)
            .map(|depth| info_span!("outer", depth, customer = 4711_u64, region = "eu").entered())
            .collect()
    }
}

/// Four numbers and flags, two texts and a message.
fn event(seq: u64) {
    info!(
        seq,
        path = "/api/v1/customers/4711/orders",
        latency_ms = seq as f64 * 0.137,
        cached = seq.is_multiple_of(3),
        bytes = 4096_u64,
        method = "GET",
        "request served"
    );
}

/// A span of three fields: made, entered, left and closed.
fn span(seq: u64) {
    let _span = info_span!("query", seq, table = "orders", cached = false).entered();
}

/// Two spans, an event in each, and a value that is recorded later.
fn request(seq: u64) {
    let root = info_span!(
        "request",
        seq,
        path = "/api/v1/orders",
        status = tracing::field::Empty
    );
    let _root = root.enter();
    event(seq);
    {
        let _child = info_span!("query", seq, table = "orders").entered();
        event(seq);
    }
    root.record("status", 200);
}
