//! Beside the console layer, which formats values while it holds a span's extensions.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;
use tracing::field::{Empty, debug};
use tracing::{Instrument, Span, debug, info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{fmt as console, registry};

use crate::common::{Run, attributes, text};
use crate::in_process;

/// Its `Debug` does this.
struct Doing<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Debug for Doing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

fn panics(_: &mut fmt::Formatter<'_>) -> fmt::Result {
    panic!("on purpose")
}

fn records(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    debug!("while it is formatted");
    f.write_str("formatted")
}

/// The console's panic leaves the span's extensions poisoned, and we are called in destructors after it.
#[test]
fn a_value_that_panics_in_the_console_aborts_nothing() {
    in_process(
        "console::a_value_that_panics_in_the_console_aborts_nothing",
        || {
            let (layer, run) = Run::start();
            registry()
                .with(console::layer().with_writer(std::io::sink))
                .with(layer)
                .init();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let task = async {
                Span::current().record("value", debug(Doing(panics)));
            };
            let span = info_span!("task", value = Empty);
            let outcome = runtime.block_on(async { tokio::spawn(task.instrument(span)).await });
            assert!(outcome.unwrap_err().is_panic());
            let records = run.finish();
            assert_eq!(records.span("task").get("error"), Some(&json!(true)));
        },
    );
}

#[test]
fn what_is_recorded_in_a_span_that_the_console_poisoned_arrives() {
    in_process(
        "console::what_is_recorded_in_a_span_that_the_console_poisoned_arrives",
        || {
            let (layer, run) = Run::start();
            // Ours first, and a console that shows no events: its own next look at the span panics, too.
            registry()
                .with(layer)
                .with(console::layer().with_writer(std::io::sink).with_filter(
                    tracing_subscriber::filter::filter_fn(|metadata| metadata.is_span()),
                ))
                .init();
            let span = info_span!("span", value = Empty, late = Empty);
            let record = || span.record("value", debug(Doing(panics)));
            assert!(catch_unwind(AssertUnwindSafe(record)).is_err());
            span.in_scope(|| info!("inside"));
            assert!(axiom_layer::SpanExt::context(&span).is_some());
            axiom_layer::SpanExt::set_attribute(&span, "late", 1);
            axiom_layer::SpanExt::end(&span);
            std::mem::forget(span);
            let records = run.finish();
            let span = records.span("span");
            assert_eq!(
                text(records.event("inside"), "span_id"),
                text(span, "span_id")
            );
            assert_eq!(attributes(span)["late"], 1);
        },
    );
}

/// The console holds the span's extensions on this very thread while the value records.
#[test]
fn a_value_that_records_while_the_console_formats_it_hangs_nothing() {
    in_process(
        "console::a_value_that_records_while_the_console_formats_it_hangs_nothing",
        || {
            let (layer, run) = Run::start();
            registry()
                .with(
                    console::layer()
                        .with_writer(std::io::sink)
                        .with_filter(LevelFilter::INFO),
                )
                .with(layer)
                .init();
            let span = info_span!("span", value = Empty).entered();
            span.record("value", debug(Doing(records)));
            drop(span);
            let records = run.finish();
            let span = records.span("span");
            assert_eq!(attributes(span)["value"], "formatted");
            // Once for each layer that formats it.
            let inside: Vec<_> = records.events().collect();
            assert_eq!(inside.len(), 2);
            assert!(
                inside
                    .iter()
                    .all(|event| event.get("span_id") == span.get("span_id"))
            );
        },
    );
}
