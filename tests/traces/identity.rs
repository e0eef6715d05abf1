//! Which span is whose child, and which event belongs to which span.

use std::collections::HashSet;
use std::thread;

use tracing::{Span, debug, debug_span, info, info_span, trace_span};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;

use crate::*;

#[test]
fn a_child_has_its_parents_trace_and_a_root_has_its_own() {
    let records = record(|| {
        info_span!("first").in_scope(|| {
            info_span!("child").in_scope(|| {
                info_span!("grandchild").in_scope(|| info!("deep"));
            });
            info!("shallow");
        });
        let _second = info_span!("second").entered();
        info!(parent: None, "alone");
    });
    records.assert_root("first");
    records.assert_child("child", "first");
    records.assert_child("grandchild", "child");
    records.assert_inside("deep", "grandchild");
    records.assert_inside("shallow", "first");
    records.assert_root("second");
    let (first, second) = (records.span("first"), records.span("second"));
    assert_ne!(first.get("trace_id"), second.get("trace_id"));
    let alone = records.event("alone");
    assert_eq!((alone.get("trace_id"), alone.get("span_id")), (None, None));
    assert_eq!(records.0.len(), 7);
}

#[test]
fn ids_are_lower_case_hex_and_unique() {
    let records = record(|| {
        for _ in 0..100 {
            info_span!("root").in_scope(|| drop(info_span!("child")));
        }
    });
    let ids = |field| {
        records
            .spans()
            .map(|span| text(span, field))
            .collect::<HashSet<_>>()
    };
    let (spans, traces) = (ids("span_id"), ids("trace_id"));
    assert_eq!((spans.len(), traces.len()), (200, 100));
    let is_hex = |id: &&str| id.bytes().all(|b| b"0123456789abcdef".contains(&b));
    assert!(spans.iter().all(|id| id.len() == 16 && is_hex(id)));
    assert!(traces.iter().all(|id| id.len() == 32 && is_hex(id)));
}

#[test]
fn an_explicit_parent_wins_over_the_current_span() {
    let records = record(|| {
        let other = info_span!("other");
        let _current = info_span!("current").entered();
        info_span!(parent: &other, "adopted").in_scope(|| info!("in adopted"));
        drop(info_span!(parent: None, "independent"));
        info!(parent: &other, "in other");
    });
    records.assert_child("adopted", "other");
    records.assert_inside("in adopted", "adopted");
    records.assert_inside("in other", "other");
    records.assert_root("independent");
    records.assert_root("current");
}

#[test]
fn a_span_that_outlives_its_parent_keeps_it() {
    let records = record(|| {
        let late = info_span!("parent").in_scope(|| info_span!("late"));
        // A span stays open while a child is, but its record must not wait for what happens in the child.
        late.in_scope(|| info!("afterwards"));
    });
    records.assert_child("late", "parent");
    records.assert_inside("afterwards", "late");
}

#[test]
fn a_span_entered_on_several_threads_is_one_span() {
    let records = record(|| {
        let span = info_span!("shared");
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        thread::scope(|scope| {
            for worker in 0..4 {
                let (span, dispatch) = (&span, &dispatch);
                scope.spawn(move || {
                    tracing::dispatcher::with_default(dispatch, || {
                        let _entered = span.enter();
                        info_span!("part", worker).in_scope(|| info!(worker, "working"));
                    });
                });
            }
        });
    });
    let shared = records.span("shared");
    let parts: Vec<_> = records
        .spans()
        .filter(|span| text(span, "name") == "part")
        .collect();
    assert_eq!(parts.len(), 4);
    for part in parts {
        assert_eq!(part.get("parent_span_id"), shared.get("span_id"));
        let inside = records
            .events()
            .find(|event| event.get("span_id") == part.get("span_id"));
        assert_eq!(
            inside.unwrap().get("attributes.worker"),
            part.get("attributes.worker")
        );
    }
    assert!(number(shared, "busy_ns") <= number(shared, "duration"));
}

#[test]
fn the_none_span_and_disabled_spans_leave_no_trace() {
    let records = record_under(
        |builder| builder,
        |layer| {
            Registry::default()
                .with(LevelFilter::INFO)
                .with(layer)
                .into()
        },
        || {
            let _outer = info_span!("outer").entered();
            Span::none().in_scope(|| info!("in none"));
            debug_span!("disabled").in_scope(|| info!("in disabled"));
            drop(info_span!(parent: Span::none().id(), "below none"));
        },
    );
    records.assert_inside("in none", "outer");
    records.assert_inside("in disabled", "outer");
    assert_eq!(records.spans().count(), 2);
}

/// Hides spans and events below INFO from our layer only: another layer keeps them alive.
fn hide_debug(layer: AxiomLayer) -> tracing::Dispatch {
    let other = filter_fn(|_| true);
    Registry::default()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::sink)
                .with_filter(other),
        )
        .with(layer.with_filter(LevelFilter::INFO))
        .into()
}

#[test]
fn the_nearest_visible_ancestor_is_the_parent_of_what_is_in_a_hidden_span() {
    let records = record_under(
        |builder| builder,
        hide_debug,
        || {
            let _root = info_span!("root").entered();
            let hidden = debug_span!("hidden");
            hidden.in_scope(|| {
                trace_span!("hidden deeper").in_scope(|| {
                    info_span!("child").in_scope(|| info!("in child"));
                    info!("in hidden");
                    debug!("hidden itself");
                });
            });
            let other = info_span!(parent: None, "other").entered();
            info!(parent: &hidden, "told to be in hidden");
            drop(info_span!(parent: &hidden, "child told to be in hidden"));
            drop(other);
        },
    );
    records.assert_child("child", "root");
    records.assert_inside("in child", "child");
    records.assert_inside("in hidden", "root");
    records.assert_inside("told to be in hidden", "root");
    records.assert_child("child told to be in hidden", "root");
    assert_eq!(records.0.len(), 7);
}

#[test]
fn an_event_in_a_hidden_span_belongs_to_its_ancestor_even_when_that_is_entered_elsewhere() {
    let records = record_under(
        |builder| builder.span_fields_on_events(true).events_on_spans(true),
        hide_debug,
        || {
            let root = info_span!("root", order = 7);
            let task = debug_span!(parent: &root, "task");
            // As on a runtime's thread, where only the task's own span is entered.
            task.in_scope(|| info!("in task"));
            // And where an unrelated span happens to be entered below it.
            let _unrelated = info_span!(parent: None, "unrelated").entered();
            task.in_scope(|| tracing::error!("failed in task"));
            debug_span!(parent: None, "rootless").in_scope(|| info!("in rootless"));
        },
    );
    records.assert_inside("in task", "root");
    records.assert_inside("failed in task", "root");
    assert_eq!(
        records.event("in task").get("attributes.order"),
        Some(&7.into())
    );
    let root = records.span("root");
    assert_eq!(root.get("error"), Some(&true.into()));
    assert_eq!(root.get("events").unwrap().as_array().unwrap().len(), 2);
    assert_eq!(records.span("unrelated").get("error"), Some(&false.into()));
    assert_eq!(records.event("in rootless").get("span_id"), None);
}

#[test]
fn a_child_lies_within_its_roots_time() {
    let records = record(|| {
        for _ in 0..50 {
            info_span!("root").in_scope(|| {
                info_span!("child").in_scope(|| {
                    info_span!("grandchild").in_scope(|| std::hint::black_box(vec![0_u8; 1_000]));
                });
            });
        }
    });
    let mut checked = 0;
    for span in records.spans() {
        let Some(parent) = span.get("parent_span_id") else {
            continue;
        };
        let parent = records
            .spans()
            .find(|span| span.get("span_id") == Some(parent))
            .unwrap();
        let (outer, inner) = (times(parent), times(span));
        assert!(
            outer.0 <= inner.0 && inner.1 <= outer.1,
            "{outer:?} {inner:?}"
        );
        assert_eq!(
            number(span, "busy_ns") + number(span, "idle_ns"),
            number(span, "duration")
        );
        checked += 1;
    }
    assert_eq!(checked, 100);
}

#[test]
fn two_layers_of_ours_tell_the_same_ids() {
    let (first, second) = (Server::start().unwrap(), Server::start().unwrap());
    let (one, one_guard) = layer_for(&first, |builder| builder);
    let (two, two_guard) = layer_for(&second, |builder| builder);
    tracing::subscriber::with_default(Registry::default().with(one).with(two), || {
        info_span!("root").in_scope(|| info_span!("child").in_scope(|| info!("inside")));
    });
    let (one, two) = (end(&first, &one_guard), end(&second, &two_guard));
    for records in [&one, &two] {
        records.assert_root("root");
        records.assert_child("child", "root");
        records.assert_inside("inside", "child");
    }
    // So that the context which is sent to another service is right in both.
    assert_eq!(
        one.span("child").get("span_id"),
        two.span("child").get("span_id")
    );
    assert_eq!(
        one.span("root").get("trace_id"),
        two.span("root").get("trace_id")
    );
}
