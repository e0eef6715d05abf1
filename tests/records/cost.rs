//! What many fields and deep spans cost: in proportion, and no more.

use std::time::{Duration, Instant};

use axiom_layer::SpanExt;
use axiom_local::Server;
use tracing::field::Empty;
use tracing::subscriber::with_default;
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use crate::common::Run;

/// The shortest of several runs: whatever disturbs one makes it longer.
fn shortest(mut work: impl FnMut()) -> f64 {
    let timed = || {
        let start = Instant::now();
        (0..20).for_each(|_| work());
        start.elapsed().as_secs_f64()
    };
    let runs = std::iter::repeat_with(timed).take(20);
    runs.fold(f64::INFINITY, f64::min)
}

/// Below a layer whose events have the fields of the spans around them.
fn inheriting<T>(work: impl FnOnce() -> T) -> T {
    let (layer, run) = Run::with(Server::builder(), |builder| {
        builder
            .span_fields_on_events(true)
            .queue_max_bytes(256 << 20)
            .flush_interval(Duration::from_secs(60))
    });
    let result = with_default(registry().with(layer), work);
    run.finish();
    result
}

/// An event in so many nested spans, each of so many attributes of 200 bytes.
fn event_in(spans: usize, attributes: usize) -> f64 {
    inheriting(|| {
        let text = "x".repeat(200);
        let entered: Vec<_> = (0..spans)
            .map(|span| {
                let entered = info_span!("span").entered();
                for attribute in 0..attributes {
                    entered.set_attribute(&format!("a{attribute}_{span}"), text.as_str());
                }
                entered
            })
            .collect();
        let cost = shortest(|| info!("event"));
        // The innermost first.
        entered.into_iter().rev().for_each(drop);
        cost
    })
}

#[test]
fn what_an_event_inherits_costs_in_proportion() {
    let (few, many) = (event_in(1, 12), event_in(20, 12));
    println!("12 fields {few:?}, 240 fields {many:?}");
    // 20 in proportion, and 100 were each searched for among the others.
    assert!(many < 40.0 * few, "{few} {many}");
}

#[test]
fn the_depth_that_an_event_inherits_from_is_bounded() {
    let (shallow, deep) = (event_in(150, 0), event_in(3_900, 0));
    println!("150 spans {shallow:?}, 3,900 spans {deep:?}");
    // 26 if all of them were looked at.
    assert!(deep < 8.0 * shallow, "{shallow} {deep}");
}

#[test]
fn a_late_field_costs_little_more_on_a_span_of_many() {
    let late = |attributes: usize| {
        inheriting(|| {
            let span = info_span!("span", late = Empty);
            for attribute in 0..attributes {
                span.set_attribute(&format!("a{attribute}"), "x".repeat(40));
            }
            shortest(|| {
                span.record("late", 1);
            })
        })
    };
    let (few, many) = (late(1), late(200));
    println!("1 attribute {few:?}, 200 attributes {many:?}");
    // Looking for it among 8 KB of values would make it dozens.
    assert!(many < 8.0 * few, "{few} {many}");
}
