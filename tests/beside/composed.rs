//! Wherever in a subscriber the layer is: which span an event is in that a filter hides.

use std::sync::Arc;

use axiom_layer::AxiomLayer;
use axiom_local::Server;
use tracing::{Dispatch, debug_span, error, info, info_span};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry, fmt, registry, reload};

use crate::common::{Records, Run, text};
use crate::in_process;

/// Another layer, which keeps alive what is hidden from ours.
fn console<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer()
        .with_writer(std::io::sink)
        .with_filter(LevelFilter::TRACE)
}

type Compose = fn(AxiomLayer) -> Dispatch;

/// Each way in which tracing-subscriber does not say to a layer which subscriber it is in, and one in which it does.
const COMPOSITIONS: [(&str, Compose); 6] = [
    ("plain", |layer| {
        let layer = layer.with_filter(LevelFilter::INFO);
        registry().with(console()).with(layer).into()
    }),
    ("in an Option", |layer| {
        let layer = Some(layer.with_filter(LevelFilter::INFO));
        registry().with(layer).with(console()).into()
    }),
    ("in a Vec", |layer| {
        let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![
            console().boxed(),
            layer.with_filter(LevelFilter::INFO).boxed(),
        ];
        registry().with(layers).into()
    }),
    ("in a Box", |layer| {
        let layer: Box<dyn Layer<Registry> + Send + Sync> =
            Box::new(layer.with_filter(LevelFilter::INFO));
        registry().with(layer).with(console()).into()
    }),
    ("in an Arc<dyn Subscriber>", |layer| {
        let layer = layer.with_filter(LevelFilter::INFO);
        let subscriber: Arc<dyn tracing::Subscriber + Send + Sync> =
            Arc::new(registry().with(layer).with(console()));
        Dispatch::new(subscriber)
    }),
    ("reloaded", |layer| {
        let (slot, handle) = reload::Layer::new(None::<AxiomLayer>);
        let slot = slot.with_filter(LevelFilter::INFO);
        let dispatch = Dispatch::new(registry().with(slot).with(console()));
        tracing::dispatcher::with_default(&dispatch, || handle.reload(Some(layer)).unwrap());
        dispatch
    }),
];

/// A request whose work is done in spans that are hidden from us.
fn work() {
    let root = info_span!("root", order = 7).entered();
    debug_span!("hidden").in_scope(|| {
        debug_span!("hidden deeper").in_scope(|| {
            info!("in hidden");
            error!("failed in hidden");
            info_span!("child").in_scope(|| info!("in child"));
        });
    });
    drop(root);
}

/// Hidden spans that are not entered below their parents, as on a runtime's thread.
fn work_elsewhere() {
    let root = info_span!("root elsewhere");
    let task = debug_span!(parent: &root, "task");
    root.in_scope(|| ());
    task.in_scope(|| info!("in task"));
    let _unrelated = info_span!(parent: None, "unrelated").entered();
    task.in_scope(|| info!("in task, below another"));
}

fn assert_in(records: &Records, event: &str, span: &str, how: &str) {
    let (event, span) = (records.event(event), records.span(span));
    assert_eq!(
        text(event, "span_id"),
        text(span, "span_id"),
        "{how}: {event}"
    );
    assert_eq!(text(event, "trace_id"), text(span, "trace_id"), "{how}");
}

fn check(records: &Records, how: &str) {
    assert_in(records, "in hidden", "root", how);
    assert_in(records, "failed in hidden", "root", how);
    assert_in(records, "in child", "child", how);
    let (root, child) = (records.span("root"), records.span("child"));
    assert_eq!(
        text(child, "parent_span_id"),
        text(root, "span_id"),
        "{how}"
    );
    assert_eq!(root.get("error"), Some(&true.into()), "{how}");
    assert_in(records, "in task", "root elsewhere", how);
    assert_in(records, "in task, below another", "root elsewhere", how);
}

#[test]
fn an_event_in_a_hidden_span_is_in_its_ancestor_below_a_scoped_subscriber() {
    for (how, compose) in COMPOSITIONS {
        let (layer, run) = Run::start();
        tracing::dispatcher::with_default(&compose(layer), || {
            work();
            work_elsewhere();
        });
        check(&run.finish(), how);
    }
}

fn below_a_global_subscriber(test: &str, index: usize) {
    in_process(test, || {
        let (how, compose) = COMPOSITIONS[index];
        let (layer, run) = Run::start();
        tracing::dispatcher::set_global_default(compose(layer)).unwrap();
        work_elsewhere();
        work();
        check(&run.finish(), how);
    });
}

/// One process for each, since a global subscriber is set once.
macro_rules! below_a_global_subscriber {
    ($($name:ident = $index:literal;)*) => {
        $(#[test]
        fn $name() {
            below_a_global_subscriber(concat!("composed::", stringify!($name)), $index);
        })*
    };
}

below_a_global_subscriber! {
    an_event_in_a_hidden_span_is_in_its_ancestor_plain = 0;
    an_event_in_a_hidden_span_is_in_its_ancestor_in_an_option = 1;
    an_event_in_a_hidden_span_is_in_its_ancestor_in_a_vec = 2;
    an_event_in_a_hidden_span_is_in_its_ancestor_in_a_box = 3;
    an_event_in_a_hidden_span_is_in_its_ancestor_in_an_arc = 4;
    an_event_in_a_hidden_span_is_in_its_ancestor_after_a_reload = 5;
}

/// Two layers of ours. From the first, the root is hidden.
#[test]
fn two_layers_tell_one_trace_though_the_root_is_hidden_from_one() {
    for hidden_first in [true, false] {
        for composed in ["plain", "in a Vec"] {
            let how = format!("{composed}, hidden from the first: {hidden_first}");
            let (some, some_run) = Run::with(Server::builder(), |builder| builder);
            let (all, all_run) = Run::with(Server::builder(), |builder| builder);
            let is_shown = |metadata: &tracing::Metadata<'_>| metadata.name() != "root";
            let dispatch: Dispatch = match (composed, hidden_first) {
                ("plain", true) => registry()
                    .with(some.with_filter(filter_fn(is_shown)))
                    .with(all)
                    .into(),
                ("plain", false) => registry()
                    .with(all)
                    .with(some.with_filter(filter_fn(is_shown)))
                    .into(),
                _ => {
                    let hiding = some.with_filter(filter_fn(is_shown)).boxed();
                    let mut layers = vec![hiding, all.boxed()];
                    if !hidden_first {
                        layers.reverse();
                    }
                    registry().with(layers).into()
                }
            };
            let mut sent = None;
            tracing::dispatcher::with_default(&dispatch, || {
                let _root = info_span!("root").entered();
                let child = info_span!("child").entered();
                sent = axiom_layer::SpanExt::context(&*child);
                info_span!("grandchild").in_scope(|| info!("inside"));
            });
            let (some, all) = (some_run.finish(), all_run.finish());
            let trace = text(all.span("root"), "trace_id").to_owned();
            for span in ["child", "grandchild"] {
                let (one, other) = (some.span(span), all.span(span));
                assert_eq!(text(one, "trace_id"), trace, "{how}");
                assert_eq!(text(other, "trace_id"), trace, "{how}");
                assert_eq!(text(one, "span_id"), text(other, "span_id"), "{how}");
            }
            assert_eq!(some.span("child").get("parent_span_id"), None, "{how}");
            let sent = sent.unwrap();
            assert_eq!(sent.trace_id(), trace, "{how}");
            assert_eq!(sent.span_id(), text(all.span("child"), "span_id"), "{how}");
        }
    }
}
