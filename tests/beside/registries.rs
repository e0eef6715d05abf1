//! Several registries on one thread. Each counts its spans from the same number, so that an id says nothing alone.

use axiom_layer::{SpanExt, TraceContext};
use axiom_local::Server;
use tracing::dispatcher::with_default;
use tracing::{Dispatch, Span, debug_span, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{fmt, registry};

use crate::common::{Run, text};

/// A registry with a layer that is not told which it is in, and does not know before a span is entered.
fn untold() -> (Dispatch, Run) {
    let (layer, run) = Run::with(Server::builder(), |builder| builder);
    (registry().with(Some(layer)).into(), run)
}

/// Both at one callsite.
fn span() -> Span {
    info_span!("span")
}

#[test]
fn a_span_of_a_registry_without_the_layer_has_no_context_of_another() {
    let (ours, run) = untold();
    let own = with_default(&ours, || info_span!("own"));
    let other = with_default(&registry().into(), || info_span!("other"));
    assert_eq!(own.id(), other.id());
    assert!(own.context().is_some());
    assert_eq!(other.context(), None);
    drop((own, other));
    run.finish();
}

#[test]
fn the_current_context_is_the_current_subscribers() {
    let (ours, run) = untold();
    with_default(&ours, || {
        let _own = info_span!("own").entered();
        let own = TraceContext::current();
        assert!(own.is_some());
        let other = registry().into();
        assert_eq!(with_default(&other, TraceContext::current), None);
        assert_eq!(TraceContext::current(), own);
    });
    run.finish();
}

#[test]
fn a_layer_does_not_take_a_registry_for_its_own_that_has_another_span_of_that_id() {
    let (ours, run) = untold();
    let other: Dispatch = registry().into();
    let own = with_default(&ours, || info_span!("own"));
    let others = with_default(&other, || info_span!("other"));
    assert_eq!(own.id(), others.id());
    with_default(&other, || own.in_scope(|| ()));
    assert!(own.context().is_some());
    drop((own, others));
    run.finish();
}

#[test]
fn a_span_is_not_given_the_ids_of_one_that_was_entered_in_another_registry() {
    let ((one, one_run), (two, two_run)) = (untold(), untold());
    let first = with_default(&one, span);
    with_default(&one, || first.in_scope(|| ()));
    let before = first.context();
    let second = with_default(&two, span);
    assert_eq!(first.id(), second.id());
    assert_eq!(first.context(), before);
    drop((first, second));
    let (one, two) = (one_run.finish(), two_run.finish());
    for id in ["trace_id", "span_id"] {
        assert_ne!(text(one.span("span"), id), text(two.span("span"), id));
    }
}

#[test]
fn a_span_below_a_hidden_one_is_not_put_into_a_strangers_trace() {
    let (one, one_run) = untold();
    let (layer, two_run) = Run::with(Server::builder(), |builder| builder);
    let all = fmt::layer()
        .with_writer(std::io::sink)
        .with_filter(LevelFilter::TRACE);
    let layer = Some(layer.with_filter(LevelFilter::INFO));
    let two: Dispatch = registry().with(layer).with(all).into();
    let stranger = with_default(&one, || info_span!("stranger"));
    let spans = with_default(&two, || {
        let hidden = debug_span!("hidden");
        let child = info_span!(parent: &hidden, "child");
        (hidden, child)
    });
    assert_eq!(stranger.id(), spans.0.id());
    drop((stranger, spans));
    let (one, two) = (one_run.finish(), two_run.finish());
    assert_ne!(
        text(one.span("stranger"), "trace_id"),
        text(two.span("child"), "trace_id")
    );
}
