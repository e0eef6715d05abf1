//! The record that is sent to see whether records arrive. It has no field that others have not.

use std::io;
use std::sync::Arc;

use crate::queue::{CHUNK_BYTES, Overflow, Queue, Signal};
use crate::record::clock::{put_start, wall_clock};
use crate::report::Counters;
use crate::trace::{self, SpanId, TraceId};
use crate::worker::{Batcher, Body, Encoder, Limits};

pub(super) const NAME: &str = "axiom-layer doctor probe";
const TARGET: &str = "axiom_layer::doctor";

/// The ids that all records of one diagnosis have: the event belongs to the span, if there is one.
#[derive(Debug)]
pub(super) struct Ids {
    trace: TraceId,
    span: SpanId,
}

impl Ids {
    pub(super) fn new() -> Self {
        let (trace, span) = trace::random_ids();
        Self { trace, span }
    }

    /// Hex digits.
    pub(super) fn trace(&self) -> String {
        String::from_utf8_lossy(&self.trace).into_owned()
    }
}

/// One line in the shape of every event or span of the layer. `labels`: the members that each record carries
/// because they do not travel in the header.
pub(super) fn line(ids: &Ids, labels: &[u8], is_span: bool) -> Vec<u8> {
    let (trace, span) = (ids.trace(), String::from_utf8_lossy(&ids.span));
    let mut line = Vec::new();
    put_start(&mut line, wall_clock());
    let members = if is_span {
        format!(
            r#","duration":0,"name":"{NAME}","kind":"internal","trace_id":"{trace}","span_id":"{span}","error":false,"scope.name":"{TARGET}","busy_ns":0,"idle_ns":0"#
        )
    } else {
        format!(
            r#","level":"info","target":"{TARGET}","message":"{NAME}","trace_id":"{trace}","span_id":"{span}""#
        )
    };
    line.extend_from_slice(members.as_bytes());
    line.extend_from_slice(labels);
    line.extend_from_slice(b"}\n");
    line
}

/// The line as the body of a request, by way of the queue and the encoder that all records pass.
pub(super) fn body(line: &[u8], encoder: &mut Encoder) -> io::Result<Body> {
    // Tags in the records may make a line longer than a chunk.
    let bytes = line.len() + 4 * CHUNK_BYTES;
    let counters = Arc::new(Counters::default());
    let queue = Queue::new(
        bytes,
        Overflow::DropNewest,
        bytes,
        Arc::new(Signal::default()),
        counters,
    );
    queue.push(line);
    queue.collect_open();
    let limits = Limits {
        max_events: 1,
        max_bytes: bytes,
    };
    let batch = Batcher::default().next(&queue, limits).unwrap_or_default();
    let body = encoder.encode(&batch);
    // This ledger is nobody's.
    batch.delivered_except(0);
    body
}
