//! The four workloads, in the shapes of `benches/hot_path`, as `tracing` has them. A subject with an interface of its own
//! brings its own, which do the equivalent.

use tracing::field::Empty;
use tracing::{info, info_span};

/// How many spans are around the events of W2.
pub const OUTER: u64 = 3;

/// What a subject does for each workload.
#[derive(Debug, Clone, Copy)]
pub struct Workloads {
    /// W1 and W2: an event. W3: a span. W4: a request. Each takes a number that makes it differ from the one before.
    pub operations: [fn(u64); 4],
    /// Runs something inside of [`OUTER`] spans, for W2. They are opened anew for each burst: OpenTelemetry keeps the
    /// events of a span until it ends.
    pub in_spans: fn(&mut dyn FnMut()),
}

/// Through `tracing`'s macros.
pub const TRACING: Workloads = Workloads {
    operations: [event, event, span, request],
    in_spans,
};

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

fn span(seq: u64) {
    let _span = info_span!("query", seq, table = "orders", cached = false).entered();
}

fn request(seq: u64) {
    let root = info_span!("request", seq, path = "/api/v1/orders", status = Empty);
    let _root = root.enter();
    event(seq);
    {
        let _child = info_span!("query", seq, table = "orders").entered();
        event(seq);
    }
    root.record("status", 200);
}

fn in_spans(run: &mut dyn FnMut()) {
    let _outer: Vec<_> = (0..OUTER)
        .map(|depth| info_span!("outer", depth, customer = 4711_u64, region = "eu").entered())
        .collect();
    run();
}
