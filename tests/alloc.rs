//! What recording allocates on the calling thread, once it is warm.

#[path = "common/mod.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod common;
#[path = "../benches/workloads/mod.rs"]
mod workloads;

use std::time::Duration;

use allocation_counter::measure;
use axiom_layer::Builder;
use axiom_local::Server;
use tracing::field::Empty;
use tracing::subscriber::with_default;
use tracing::{error, info, info_span};
use tracing_subscriber::{prelude::*, registry};

use common::{LONG, Run};
use workloads::WORKLOADS;

/// Enough for several chunks of the queue, and not so many that the worker takes any before it is asked to.
const MANY: u64 = 2_000;

/// Nothing leaves before a flush, so that a first round makes more chunks than the next one needs.
fn quiet(builder: Builder) -> Builder {
    builder.flush_interval(Duration::from_secs(60 * 60))
}

/// Allocations of `MANY` times `record` on this thread, after twice as many.
fn each(run: &Run, record: impl Fn(u64)) -> u64 {
    (0..2 * MANY).for_each(&record);
    run.guard.flush(LONG).unwrap();
    let counted = measure(|| (0..MANY).for_each(&record));
    run.guard.flush(LONG).unwrap();
    counted.count_total
}

fn below_our_layer(record: impl Fn(u64)) -> u64 {
    let (layer, run) = Run::with(Server::builder(), |builder| {
        quiet(builder).thread_names(true).source_location(true)
    });
    let allocations = with_default(registry().with(layer), || each(&run, record));
    let records = run.finish();
    assert_eq!(records.stats.dropped(), 0);
    allocations
}

/// What the registry itself allocates.
fn below_nothing(record: impl Fn(u64)) -> u64 {
    with_default(registry(), || {
        (0..2 * MANY).for_each(&record);
        measure(|| (0..MANY).for_each(&record)).count_total
    })
}

fn event(seq: u64) {
    info!(
        seq,
        path = "/api/v1/orders/4711/items",
        latency_ms = 1.25,
        cached = false,
        shown = ?Some(seq),
        "load"
    );
}

fn span(seq: u64) {
    let span = info_span!("step", seq, path = "/api/v1/orders", late = Empty);
    let _inside = span.enter();
}

#[test]
fn an_event_allocates_nothing() {
    assert_eq!(below_our_layer(event), 0);
}

#[test]
fn an_event_inside_of_spans_allocates_nothing() {
    let (layer, run) = Run::with(Server::builder(), quiet);
    let allocations = with_default(registry().with(layer), || {
        let _outer = info_span!("outer", a = 1).entered();
        let _inner = info_span!("inner", b = 2).entered();
        each(&run, event)
    });
    run.finish();
    assert_eq!(allocations, 0);
}

#[test]
fn an_error_event_allocates_nothing_once_its_span_has_failed() {
    let (layer, run) = Run::with(Server::builder(), quiet);
    let allocations = with_default(registry().with(layer), || {
        let _span = info_span!("failing").entered();
        each(&run, |seq| error!(seq, "failed"))
    });
    run.finish();
    assert_eq!(allocations, 0);
}

/// Beyond what the registry allocates itself. Now and then that makes room for more spans, hence no equality.
fn for_each_span(record: impl Fn(u64) + Copy) -> u64 {
    const SOME: u64 = 10;
    let beyond = below_our_layer(record) + SOME - below_nothing(record);
    assert!(
        beyond % MANY < 2 * SOME,
        "{beyond} allocations for {MANY} spans"
    );
    beyond / MANY
}

#[test]
fn a_span_allocates_nothing_beyond_what_the_registry_does() {
    assert_eq!(for_each_span(span), 0);
}

#[test]
fn a_value_recorded_later_allocates_nothing() {
    let record = |seq| {
        let span = info_span!("step", seq, late = Empty);
        span.record("late", seq);
        span.record("late", seq + 1);
    };
    assert_eq!(for_each_span(record), 0);
}

#[test]
fn the_events_of_the_benches_allocate_nothing() {
    let [event, event_in_spans, ..] = WORKLOADS;
    for workload in [event, event_in_spans] {
        let (layer, run) = Run::with(Server::builder(), quiet);
        let allocations = with_default(registry().with(layer), || {
            let _surroundings = workload.surroundings();
            each(&run, workload.operation)
        });
        run.finish();
        assert_eq!(allocations, 0, "{}", workload.name);
    }
}

#[test]
fn the_spans_of_the_benches_allocate_nothing_beyond_what_the_registry_does() {
    let [.., span, request] = WORKLOADS;
    for workload in [span, request] {
        assert_eq!(for_each_span(workload.operation), 0, "{}", workload.name);
    }
}
