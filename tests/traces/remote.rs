//! Traces that come from another process and go on to the next.

use axiom_layer::{SpanExt, TraceContext};
use tracing::{Span, debug_span, info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{Layer, reload};

use crate::*;

const TRACE: &str = "5a0f8e3c21d94b7786a1c0de5eed1234";
const CALLER: &str = "00c0ffee0ddba115";
const STATE: &str = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";

fn caller() -> TraceContext {
    let traceparent = format!("00-{TRACE}-{CALLER}-03");
    TraceContext::from_headers([traceparent], [STATE]).unwrap()
}

#[test]
fn a_remote_parent_set_early_is_everythings_trace() {
    let records = record(|| {
        let request = info_span!("request");
        request.set_parent(&caller());
        request.in_scope(|| {
            info_span!("query").in_scope(|| info!("inside"));
        });
    });
    let request = records.span("request");
    assert_eq!(text(request, "parent_span_id"), CALLER);
    assert_eq!(text(request, "trace_id"), TRACE);
    records.assert_child("query", "request");
    records.assert_inside("inside", "query");
}

#[test]
fn a_remote_parent_set_late_applies_to_what_is_recorded_afterwards() {
    let records = record(|| {
        let request = info_span!("request");
        let _entered = request.enter();
        info!("before");
        let early = info_span!("early child");
        Span::current().set_parent(&caller());
        info!("after");
        info_span!("late child").in_scope(|| info!("in late child"));
        drop(early);
    });
    let request = records.span("request");
    assert_eq!(text(request, "parent_span_id"), CALLER);
    assert_eq!(text(request, "trace_id"), TRACE);
    records.assert_inside("after", "request");
    records.assert_child("late child", "request");
    records.assert_inside("in late child", "late child");
    // What was there before keeps the trace that it had, consistently.
    let (before, early) = (records.event("before"), records.span("early child"));
    assert_ne!(text(before, "trace_id"), TRACE);
    assert_eq!(before.get("trace_id"), early.get("trace_id"));
    assert_eq!(before.get("span_id"), request.get("span_id"));
}

#[test]
fn a_remote_parent_replaces_a_local_one() {
    let records = record(|| {
        let _outer = info_span!("outer").entered();
        let inner = info_span!("inner");
        inner.set_parent(&caller());
        inner.in_scope(|| info!("inside"));
    });
    assert_eq!(text(records.span("inner"), "trace_id"), TRACE);
    assert_eq!(text(records.span("inner"), "parent_span_id"), CALLER);
    records.assert_inside("inside", "inner");
    assert_ne!(text(records.span("outer"), "trace_id"), TRACE);
}

#[test]
fn a_span_can_not_become_its_own_parent() {
    let records = record(|| {
        let span = info_span!("span");
        span.set_parent(&span.context().unwrap());
    });
    records.assert_root("span");
}

#[test]
fn the_context_sent_on_names_the_span_with_the_callers_flags_and_state() {
    let mut sent = Vec::new();
    let records = record(|| {
        let request = info_span!("request");
        request.set_parent(&caller());
        let query = info_span!(parent: &request, "query");
        sent.push(request.context().unwrap());
        sent.push(query.in_scope(|| TraceContext::current().unwrap()));
    });
    for (name, context) in ["request", "query"].into_iter().zip(&sent) {
        let id = text(records.span(name), "span_id");
        assert_eq!(context.traceparent(), format!("00-{TRACE}-{id}-03"));
        assert_eq!(context.tracestate(), STATE);
    }
}

#[test]
fn the_context_of_a_new_trace_is_sampled_and_random() {
    let mut sent = None;
    let records = record(|| {
        let root = info_span!("root").entered();
        sent = TraceContext::current();
        assert_eq!(sent, root.context());
    });
    let (sent, root) = (sent.unwrap(), records.span("root"));
    assert_eq!(sent.trace_id(), text(root, "trace_id"));
    assert_eq!(sent.span_id(), text(root, "span_id"));
    assert!(sent.is_sampled() && sent.is_random());
    assert_eq!(sent.tracestate(), "");
}

#[test]
fn a_caller_that_did_not_sample_is_carried_on_and_recorded_all_the_same() {
    let records = record(|| {
        let request = info_span!("request");
        let caller = TraceContext::parse(&format!("00-{TRACE}-{CALLER}-00")).unwrap();
        request.set_parent(&caller);
        let sent = info_span!(parent: &request, "query").context().unwrap();
        assert!(!sent.is_sampled());
    });
    assert_eq!(text(records.span("query"), "trace_id"), TRACE);
}

#[test]
fn two_processes_make_one_trace() {
    let (mut sent, mut answer) = (None, None);
    let gateway = record(|| {
        let call = info_span!("call", otel.kind = "client").entered();
        sent = call.context();
    });
    let orders = record(|| {
        let serve = info_span!("serve", otel.kind = "server");
        serve.set_parent(sent.as_ref().unwrap());
        answer = serve.context();
    });
    let (call, serve) = (gateway.span("call"), orders.span("serve"));
    assert_eq!(serve.get("trace_id"), call.get("trace_id"));
    assert_eq!(serve.get("parent_span_id"), call.get("span_id"));
}

#[test]
fn spans_that_the_layer_does_not_see_are_left_alone() {
    let records = record_under(
        |builder| builder,
        |layer| {
            Registry::default()
                .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink))
                .with(layer.with_filter(LevelFilter::INFO))
                .into()
        },
        || {
            let none = Span::none();
            none.set_parent(&caller());
            none.add_link(&caller());
            assert_eq!(none.context(), None);

            let root = info_span!("root").entered();
            let hidden = debug_span!("hidden");
            hidden.set_parent(&caller());
            hidden.add_link(&caller());
            // A service called from inside continues at the nearest span that has a record.
            assert_eq!(hidden.context(), root.context());
            assert_eq!(hidden.in_scope(TraceContext::current), root.context());
        },
    );
    records.assert_root("root");
    assert_eq!(records.span("root").get("links"), None);
    // Without any layer of ours, too.
    tracing::subscriber::with_default(Registry::default(), || {
        let span = info_span!("unseen").entered();
        span.set_parent(&caller());
        assert_eq!(span.context(), None);
    });
    assert_eq!(TraceContext::current(), None);
}

#[test]
fn the_extension_finds_the_layer_wherever_it_is() {
    type Compose = fn(AxiomLayer) -> tracing::Dispatch;
    fn fmt<S>() -> impl Layer<S>
    where
        S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    {
        tracing_subscriber::fmt::layer().with_writer(std::io::sink)
    }
    let compositions: [(&str, Compose); 6] = [
        ("above", |layer| {
            Registry::default().with(fmt()).with(layer).into()
        }),
        ("below", |layer| {
            Registry::default().with(layer).with(fmt()).into()
        }),
        ("boxed", |layer| {
            Registry::default().with(layer.boxed()).with(fmt()).into()
        }),
        ("optional", |layer| {
            Registry::default()
                .with(Some(layer))
                .with(LevelFilter::INFO)
                .into()
        }),
        ("reloadable", |layer| {
            let (layer, _handle) = reload::Layer::new(layer);
            Registry::default().with(fmt()).with(layer).into()
        }),
        ("in a list", |layer| {
            let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
                vec![fmt().boxed(), layer.boxed()];
            Registry::default().with(layers).into()
        }),
    ];
    for (name, compose) in compositions {
        let mut sent = None;
        let records = record_under(
            |builder| builder,
            compose,
            || {
                let request = info_span!("request");
                request.set_parent(&caller());
                request.add_link(&caller());
                sent = request.context();
                request.in_scope(|| info!("inside"));
            },
        );
        let request = records.span("request");
        assert_eq!(text(request, "trace_id"), TRACE, "{name}");
        assert_eq!(sent.unwrap().span_id(), text(request, "span_id"), "{name}");
        assert!(request.get("links").is_some(), "{name}");
        records.assert_inside("inside", "request");
    }
}

#[test]
fn two_layers_of_ours_both_continue_the_trace() {
    let (first, second) = (Server::start().unwrap(), Server::start().unwrap());
    let (one, one_guard) = layer_for(&first, |builder| builder);
    let (two, two_guard) = layer_for(&second, |builder| builder);
    let mut sent = None;
    tracing::subscriber::with_default(Registry::default().with(one).with(two), || {
        let request = info_span!("request");
        request.set_parent(&caller());
        sent = request.context();
    });
    let sent = sent.unwrap();
    for records in [end(&first, &one_guard), end(&second, &two_guard)] {
        assert_eq!(text(records.span("request"), "trace_id"), TRACE);
        assert_eq!(text(records.span("request"), "parent_span_id"), CALLER);
        assert_eq!(text(records.span("request"), "span_id"), sent.span_id());
    }
}

#[test]
fn a_span_from_before_the_layer_was_there_is_passed_over() {
    let server = Server::start().unwrap();
    let (layer, guard) = layer_for(&server, |builder| builder);
    let (slot, handle) = reload::Layer::new(None::<AxiomLayer>);
    tracing::subscriber::with_default(Registry::default().with(slot), || {
        let old = info_span!("old", late = tracing::field::Empty).entered();
        handle.reload(Some(layer)).unwrap();
        old.record("late", 1);
        tracing::error!("in old");
        info_span!("new").in_scope(|| assert!(TraceContext::current().is_some()));
    });
    let records = end(&server, &guard);
    records.assert_root("new");
    assert_eq!(records.event("in old").get("span_id"), None);
    assert_eq!(records.0.len(), 2);
}
