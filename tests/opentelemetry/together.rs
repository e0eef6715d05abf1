//! Both layers in one subscriber: they see the same moments, so that their times can be compared, and they can tell one trace.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axiom_layer::TraceContext;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider, SpanData};
use serde_json::Value;
use tracing::{Instrument, info, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use crate::{Exporter, no_tokio};

/// Apart by more than a busy machine puts between two layers that hear of the same moment.
const STEP: Duration = Duration::from_millis(40);
const TOLERANCE: i128 = 15_000_000;

/// What the documentation of `SpanExt` shows: a root of theirs takes the trace that we gave the span.
#[derive(Debug, Default)]
struct OurTraceIds(RandomIdGenerator);

impl IdGenerator for OurTraceIds {
    fn new_trace_id(&self) -> TraceId {
        TraceContext::current()
            .and_then(|context| TraceId::from_hex(context.trace_id()).ok())
            .unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Every way in which what holds a span outlives the work in it.
fn program() {
    // Real time is what is compared.
    let wait = || thread::sleep(STEP);
    let detached = info_span!("outer").in_scope(|| {
        info_span!("inner").in_scope(|| {
            wait();
            info_span!("detached")
        })
    });
    wait();
    detached.in_scope(|| info!("still at it"));
    wait();
    drop(detached);

    let again = info_span!("entered again");
    again.in_scope(wait);
    wait();
    again.in_scope(wait);
    let kept = again.clone();
    drop(again);
    wait();
    drop(kept);

    let never = info_span!("never entered");
    wait();
    drop(never);

    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let shared = info_span!("on two threads");
    let elsewhere = shared.clone();
    let thread = thread::spawn(move || {
        tracing::dispatcher::with_default(&dispatch, || {
            elsewhere.in_scope(|| thread::sleep(2 * STEP))
        });
    });
    shared.in_scope(wait);
    thread.join().unwrap();
    wait();
    drop(shared);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let quick = async {}.instrument(info_span!("joined, quick"));
        let slow = tokio::time::sleep(STEP).instrument(info_span!("joined, slow"));
        tokio::join!(quick, slow);
        let never = std::future::pending::<()>().instrument(info_span!("cancelled"));
        drop(tokio::time::timeout(STEP, never).await);
        tokio::time::sleep(STEP).await;
    });
}

/// Start and end in nanoseconds since 1970, and the trace.
type Told = BTreeMap<String, (i128, i128, String)>;

fn nanos(time: SystemTime) -> i128 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

/// What both tell of the same run.
fn told() -> (Told, Told) {
    let exporter = Exporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .with_id_generator(OurTraceIds::default())
        .build();
    let server = axiom_local::Server::start().unwrap();
    let (axiom, guard) = axiom_layer::builder()
        .token("xaat-test")
        .dataset("compare")
        .service_name("compare")
        .url(server.url())
        .build()
        .unwrap();
    // Ours first: it knows the span before theirs begins one.
    let opentelemetry = tracing_opentelemetry::layer().with_tracer(provider.tracer("compare"));
    let both = registry()
        .with(no_tokio::filter())
        .with(axiom)
        .with(opentelemetry);
    tracing::subscriber::with_default(both, program);
    guard.shutdown(Duration::from_secs(30)).unwrap();
    let theirs = exporter.0.lock().unwrap();
    let theirs = theirs.iter().map(|span: &SpanData| {
        let trace = span.span_context.trace_id().to_string();
        let times = (nanos(span.start_time), nanos(span.end_time), trace);
        (span.name.to_string(), times)
    });
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap().to_owned();
    let mut ours = server.events("compare");
    ours.retain(|record| record.get("duration").is_some());
    let ours = ours.iter().map(|span| {
        let start = i128::from(span.unix_nanos().unwrap());
        let duration = span.get("duration").and_then(Value::as_i64).unwrap();
        let times = (
            start,
            start + i128::from(duration),
            text(span.get("trace_id")),
        );
        (text(span.get("name")), times)
    });
    (theirs.collect(), ours.collect())
}

/// By the time of their end.
fn order(told: &Told) -> Vec<&str> {
    let mut names: Vec<_> = told.keys().map(String::as_str).collect();
    names.sort_by_key(|name| told[*name].1);
    names
}

#[test]
fn spans_last_as_long_and_end_in_the_same_order_and_are_in_one_trace() {
    let (theirs, ours) = told();
    assert_eq!(ours.len(), 9, "{ours:?}");
    assert_eq!(order(&ours), order(&theirs));
    for (name, (start, end, trace)) in &ours {
        let (their_start, their_end, their_trace) = &theirs[name];
        let apart = [start - their_start, end - their_end];
        assert!(
            apart.iter().all(|apart| apart.abs() < TOLERANCE),
            "{name}: start and end are apart by {apart:?} ns"
        );
        // Their span begins when it is entered first; one that never is has no context of ours around it.
        if name != "never entered" {
            assert_eq!(trace, their_trace, "{name}");
        }
    }
}
