//! When a span ended: when it was left last, whatever still holds it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axiom_layer::SpanExt;
use tracing::{Instrument, Span, error, info, info_span};

use crate::*;

/// Long enough for any clock to go on meanwhile.
const LATER: Duration = Duration::from_millis(2);

/// A span that tells a moment, in the trace of the span below which it is made: a trace has one time line, so that its times can be
/// compared exactly.
macro_rules! mark {
    ($name:literal, $parent:expr) => {
        drop(info_span!(parent: $parent, $name))
    };
}

/// Whether a span had ended when the other one was made.
#[track_caller]
fn had_ended(records: &Records, span: &str, mark: &str) -> bool {
    let (span, mark) = (records.span(span), records.span(mark));
    assert_eq!(span.get("trace_id"), mark.get("trace_id"));
    times(span).1 <= times(mark).0
}

#[track_caller]
fn assert_ended_by(records: &Records, span: &str, mark: &str) {
    assert!(had_ended(records, span, mark), "{span} is too long");
    let span = records.span(span);
    assert_eq!(
        number(span, "busy_ns") + number(span, "idle_ns"),
        number(span, "duration")
    );
}

#[test]
fn a_detached_task_stretches_no_span_around_it() {
    let records = record(|| {
        let detached = info_span!("outer")
            .in_scope(|| info_span!("inner").in_scope(|| info_span!("detached")));
        mark!("left", &detached);
        // Real time is what is measured here.
        thread::sleep(LATER);
        detached.in_scope(|| info!("still at it"));
    });
    assert_ended_by(&records, "outer", "left");
    assert_ended_by(&records, "inner", "left");
    assert!(!had_ended(&records, "detached", "left"));
    records.assert_child("detached", "inner");
}

#[test]
fn a_handle_or_a_clone_that_is_kept_stretches_nothing() {
    let records = record(|| {
        let span = info_span!("span");
        let kept = span.clone();
        let future = span.in_scope(|| async { info!("later") }.in_current_span());
        span.in_scope(|| info!("work"));
        drop(span);
        thread::sleep(LATER);
        mark!("later", &kept);
        drop((kept, future));
    });
    // The instrumented future is entered once more, to be dropped in.
    assert!(!had_ended(&records, "span", "later"));

    let records = record(|| {
        let span = info_span!("span");
        let kept = span.clone();
        span.in_scope(|| info!("work"));
        mark!("left", &span);
        thread::sleep(LATER);
        drop(kept);
    });
    assert_ended_by(&records, "span", "left");
}

#[test]
fn a_span_that_was_never_entered_ends_when_it_is_closed() {
    let records = record(|| {
        let span = info_span!("span");
        thread::sleep(LATER);
        mark!("later", &span);
        drop(span);
    });
    assert!(!had_ended(&records, "span", "later"));
    assert_eq!(number(records.span("span"), "busy_ns"), 0);
}

#[test]
fn a_span_that_is_entered_again_ends_when_it_is_left_again() {
    let records = record(|| {
        let span = info_span!("span");
        span.in_scope(|| info!("first"));
        thread::sleep(LATER);
        mark!("later", &span);
        span.in_scope(|| info!("second"));
        mark!("left", &span);
        thread::sleep(LATER);
        drop(span);
    });
    assert!(!had_ended(&records, "span", "later"));
    assert_ended_by(&records, "span", "left");
    let span = records.span("span");
    assert!(number(span, "idle_ns") >= LATER.as_nanos() as u64);
}

#[test]
fn the_last_thread_to_leave_ends_the_span() {
    let records = record(|| {
        let span = info_span!("span");
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let (inside, is_inside) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let other = thread::spawn({
            let span = span.clone();
            move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    let entered = span.enter();
                    inside.send(()).unwrap();
                    may_leave.recv().unwrap();
                    thread::sleep(LATER);
                    mark!("later", &span);
                    drop(entered);
                    mark!("left", &span);
                })
            }
        });
        is_inside.recv().unwrap();
        span.in_scope(|| info!("here, too"));
        leave.send(()).unwrap();
        other.join().unwrap();
        thread::sleep(LATER);
        drop(span);
    });
    assert!(!had_ended(&records, "span", "later"));
    assert_ended_by(&records, "span", "left");
}

#[test]
fn futures_that_are_joined_or_cancelled_end_their_spans() {
    let records = record(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let spans = [
            info_span!("quick"),
            info_span!("slow"),
            info_span!("cancelled"),
        ];
        // Something holds each for longer than its future lasts.
        let kept = spans.clone();
        let [quick, slow, cancelled] = spans;
        runtime.block_on(async {
            let quick = async {}.instrument(quick);
            let slow = tokio::time::sleep(LATER).instrument(slow);
            tokio::join!(quick, slow);
            mark!("quick left", &kept[0]);
            mark!("slow left", &kept[1]);
            let never = std::future::pending::<()>().instrument(cancelled);
            drop(tokio::time::timeout(Duration::from_millis(1), never).await);
            mark!("cancelled left", &kept[2]);
            tokio::time::sleep(LATER).await;
        });
        drop(kept);
    });
    assert_ended_by(&records, "quick", "quick left");
    assert_ended_by(&records, "slow", "slow left");
    assert_ended_by(&records, "cancelled", "cancelled left");
}

#[test]
fn two_layers_in_one_registry_tell_the_same_end() {
    let (first, second) = (Server::start().unwrap(), Server::start().unwrap());
    let (one, one_guard) = layer_for(&first, |builder| builder);
    let (two, two_guard) = layer_for(&second, |builder| builder);
    tracing::subscriber::with_default(Registry::default().with(one).with(two), || {
        let span = info_span!("span");
        span.in_scope(|| info!("work"));
        mark!("left", &span);
        thread::sleep(LATER);
        drop(span);
    });
    for records in [end(&first, &one_guard), end(&second, &two_guard)] {
        assert_ended_by(&records, "span", "left");
    }
}

#[test]
fn end_sends_the_record_at_once_and_the_span_goes_on_to_be_a_parent() {
    let server = Server::start().unwrap();
    let (layer, guard) = layer_for(&server, |builder| builder);
    tracing::subscriber::with_default(Registry::default().with(layer), || {
        let request = info_span!("request", status = tracing::field::Empty);
        let entered = request.enter();
        request.record("status", 200);
        assert_eq!(guard.stats().open_spans(), 1);
        request.end();
        assert_eq!(guard.stats().open_spans(), 0);
        assert_eq!(guard.flush(TIMEOUT).unwrap().delivered(), 1);
        assert_eq!(
            server.all_events().len(),
            1,
            "it is there while the span is held"
        );
        mark!("told", &request);
        thread::sleep(LATER);
        request.record("status", 500);
        error!("afterwards");
        info_span!("below").in_scope(|| info!("in below"));
        request.end();
        assert_eq!(Span::current().context(), request.context());
        drop(entered);
    });
    let records = end(&server, &guard);
    let request = records.span("request");
    assert_ended_by(&records, "request", "told");
    assert_eq!(request.get("attributes.status"), Some(&200.into()));
    assert_eq!(request.get("error"), Some(&false.into()));
    records.assert_inside("afterwards", "request");
    records.assert_child("below", "request");
    assert_eq!(records.0.len(), 5);
}

#[test]
fn spans_that_are_open_are_counted() {
    let server = Server::start().unwrap();
    let (layer, guard) = layer_for(&server, |builder| builder);
    tracing::subscriber::with_default(Registry::default().with(layer), || {
        let spans: Vec<_> = (0..3_000).map(|n| info_span!("span", n)).collect();
        assert_eq!(guard.stats().open_spans(), 3_000);
        spans[0].end();
        assert_eq!(guard.stats().open_spans(), 2_999);
        drop(spans);
        assert_eq!(guard.stats().open_spans(), 0);
    });
    assert_eq!(end(&server, &guard).0.len(), 3_000);
}
