//! The layer among others: filters, reload, options, boxes, twice in one registry, beside the console's.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axiom_layer::AxiomLayer;
use axiom_local::Server;
use serde_json::json;
use tracing::subscriber::with_default;
use tracing::{debug, error, info, info_span, trace_span};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry, fmt, registry, reload};

use crate::common::{Records, Run, attributes, text};

/// Spans and events at two levels and of two targets.
fn work() {
    let _root = info_span!("root", id = 1).entered();
    let _fine = trace_span!("fine").entered();
    let _leaf = info_span!("leaf").entered();
    info!("wanted");
    debug!("too fine");
    info!(target: "noisy", "noise");
}

fn messages(records: &Records) -> Vec<&str> {
    records
        .events()
        .map(|event| text(event, "message"))
        .collect()
}

#[test]
fn a_filter_for_all_hides_what_it_hides_from_everybody() {
    let (layer, run) = Run::start();
    let filter = EnvFilter::new("info,noisy=off");
    with_default(registry().with(filter).with(layer), work);
    let records = run.finish();
    assert_eq!(messages(&records), ["wanted"]);
    let names: Vec<_> = records.spans().map(|span| text(span, "name")).collect();
    assert_eq!(names, ["leaf", "root"]);
    let (root, leaf) = (records.span("root"), records.span("leaf"));
    assert_eq!(text(leaf, "parent_span_id"), text(root, "span_id"));
}

#[test]
fn a_filter_may_decide_by_the_span_around() {
    let (layer, run) = Run::start();
    let filter = EnvFilter::new("off,[root{id=1}]=info");
    with_default(registry().with(filter).with(layer), || {
        info!("outside");
        work();
    });
    let records = run.finish();
    assert_eq!(messages(&records), ["wanted", "noise"]);
    records.span("root");
}

/// `console` sees everything meanwhile, so the hidden spans exist.
fn filtered<F>(filter: F, record: impl FnOnce()) -> Records
where
    F: tracing_subscriber::layer::Filter<Registry> + Send + Sync + 'static,
{
    let (layer, run) = Run::start();
    let console = fmt::layer()
        .with_writer(std::io::sink)
        .with_filter(LevelFilter::TRACE);
    with_default(
        registry().with(layer.with_filter(filter)).with(console),
        record,
    );
    run.finish()
}

#[test]
fn below_a_filter_of_its_own_the_nearest_visible_span_is_the_parent() {
    let records = filtered(LevelFilter::INFO, || {
        work();
        let hidden_root = trace_span!("hidden root").entered();
        info!("below hidden");
        drop(info_span!("orphan"));
        drop(hidden_root);
        let visible = info_span!("visible").entered();
        let hidden = trace_span!("hidden");
        drop(info_span!(parent: &hidden, "explicit"));
        let _hidden = hidden.entered();
        info!("within hidden");
        error!("failure within hidden");
        drop(visible);
    });
    let (root, leaf) = (records.span("root"), records.span("leaf"));
    assert_eq!(text(leaf, "parent_span_id"), text(root, "span_id"));
    assert_eq!(text(leaf, "trace_id"), text(root, "trace_id"));
    assert_eq!(
        text(records.event("wanted"), "span_id"),
        text(leaf, "span_id")
    );
    assert_eq!(records.event("below hidden").get("span_id"), None);
    assert_eq!(records.span("orphan").get("parent_span_id"), None);
    let visible = records.span("visible");
    let within = records.event("within hidden");
    assert_eq!(text(within, "span_id"), text(visible, "span_id"));
    assert_eq!(text(within, "trace_id"), text(visible, "trace_id"));
    let explicit = records.span("explicit");
    assert_eq!(text(explicit, "parent_span_id"), text(visible, "span_id"));
    assert_eq!(visible.get("error"), Some(&json!(true)));
    assert_eq!(records.spans().count(), 5);
}

#[test]
fn an_event_whose_explicit_parent_is_hidden_belongs_to_the_nearest_visible_one() {
    let records = filtered(LevelFilter::INFO, || {
        let _visible = info_span!("visible").entered();
        let hidden = trace_span!("hidden");
        info!(parent: &hidden, "explicit");
    });
    let (event, span) = (records.event("explicit"), records.span("visible"));
    assert_eq!(text(event, "span_id"), text(span, "span_id"));
}

#[test]
fn filters_of_every_kind_do_what_they_do_for_other_layers() {
    let targets = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("noisy", LevelFilter::OFF);
    assert_eq!(messages(&filtered(targets, work)), ["wanted"]);
    let env = EnvFilter::new("info,noisy=off");
    assert_eq!(messages(&filtered(env, work)), ["wanted"]);
    let events = filter_fn(|metadata| metadata.is_event());
    let records = filtered(events, work);
    assert_eq!(messages(&records), ["wanted", "too fine", "noise"]);
    assert_eq!(records.spans().count(), 0);
    assert!(records.events().all(|event| event.get("span_id").is_none()));
    let spans = filter_fn(|metadata| metadata.is_span());
    assert_eq!(filtered(spans, work).spans().count(), 3);
}

#[test]
fn an_option_is_a_layer_when_there_is_one() {
    let (layer, run) = Run::start();
    let none: Option<AxiomLayer> = None;
    with_default(registry().with(Some(layer)).with(none), work);
    let records = run.finish();
    assert_eq!((records.events().count(), records.spans().count()), (3, 3));
}

#[test]
fn a_box_and_a_vec_of_layers_are_layers() {
    let (first, first_run) = Run::start();
    let (second, second_run) = Run::start();
    let boxed: Box<dyn Layer<Registry> + Send + Sync> = first.boxed();
    let many: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![
        boxed,
        Box::new(second),
        fmt::layer().with_writer(std::io::sink).boxed(),
    ];
    with_default(registry().with(many), work);
    for run in [first_run, second_run] {
        let records = run.finish();
        assert_eq!((records.events().count(), records.spans().count()), (3, 3));
    }
}

#[test]
fn two_in_one_registry_each_ship_everything_to_their_own_server_with_the_same_ids() {
    let (first, first_run) = Run::start();
    let (second, second_run) = Run::with(Server::builder(), |builder| builder.dataset("second"));
    let subscriber = registry()
        .with(first)
        .with(second.with_filter(LevelFilter::INFO));
    with_default(subscriber, || {
        work();
        let span = info_span!("late", value = tracing::field::Empty);
        span.record("value", "x");
        span.in_scope(|| error!("failed"));
    });
    let (first, second) = (first_run.finish(), second_run.finish());
    assert_eq!((first.events().count(), first.spans().count()), (4, 4));
    assert_eq!((second.events().count(), second.spans().count()), (3, 3));
    for records in [&first, &second] {
        let late = records.span("late");
        assert_eq!(attributes(late)["value"], "x");
        assert_eq!(text(late, "status.message"), "failed");
        assert_eq!(
            text(records.event("failed"), "span_id"),
            text(late, "span_id")
        );
        let wanted = records.event("wanted");
        assert_eq!(
            text(wanted, "span_id"),
            text(records.span("leaf"), "span_id")
        );
    }
    // What the span sends to other processes names it in both.
    assert_eq!(
        text(first.span("late"), "span_id"),
        text(second.span("late"), "span_id")
    );
    assert_eq!(
        text(second.span("leaf"), "parent_span_id"),
        text(second.span("root"), "span_id")
    );
    assert_eq!(
        text(first.span("leaf"), "parent_span_id"),
        text(first.span("fine"), "span_id")
    );
}

#[test]
fn a_layer_that_is_added_while_spans_are_open_knows_only_later_ones() {
    let (layer, run) = Run::start();
    let (reloadable, handle) = reload::Layer::new(None::<AxiomLayer>);
    with_default(registry().with(reloadable), || {
        let old = info_span!("old", late = tracing::field::Empty);
        let old = old.entered();
        info!("before");
        handle.reload(Some(layer)).unwrap();
        info!("inside old");
        error!("failure inside old");
        old.record("late", 1);
        {
            let _new = info_span!("new").entered();
            info!("inside new");
        }
        drop(info_span!(parent: &old, "explicit"));
        drop(old);
        drop(info_span!("afterwards"));
        handle.reload(None).unwrap();
        info!("removed");
    });
    let records = run.finish();
    assert_eq!(
        messages(&records),
        ["inside old", "failure inside old", "inside new"]
    );
    assert_eq!(records.event("inside old").get("span_id"), None);
    let new = records.span("new");
    assert_eq!(new.get("parent_span_id"), None);
    assert_eq!(
        text(records.event("inside new"), "span_id"),
        text(new, "span_id")
    );
    assert_eq!(records.spans().count(), 3);
}

#[test]
fn a_layer_that_is_exchanged_while_spans_are_open_leaves_no_trace_in_its_successor() {
    let (first, first_run) = Run::start();
    let (second, second_run) = Run::start();
    let (reloadable, handle) = reload::Layer::new(first);
    with_default(registry().with(reloadable), || {
        let _old = info_span!("old").entered();
        handle.reload(second).unwrap();
        let _new = info_span!("new").entered();
        info!("new");
    });
    let (first, second) = (first_run.finish(), second_run.finish());
    // Nobody is left to hear that it closed.
    assert_eq!(first.all.len(), 0);
    assert_eq!(second.all.len(), 2);
    assert_eq!(second.span("new").get("parent_span_id"), None);
}

#[test]
fn a_layer_that_was_away_while_a_span_closed_forgets_it_when_its_place_is_used_again() {
    let (layer, run) = Run::start();
    let (reloadable, handle) = reload::Layer::new(Some(layer));
    // The registry gives an id again after 8,192 spans in one place.
    let spans = 20_000;
    with_default(registry().with(reloadable), || {
        let old = info_span!("old");
        let mut away = None;
        handle.modify(|layer| away = layer.take()).unwrap();
        drop(old);
        handle.modify(|layer| *layer = away.take()).unwrap();
        for number in 0..spans {
            info_span!("new", number).in_scope(|| ());
        }
    });
    assert_eq!(run.guard.stats().open_spans(), 0);
    let records = run.finish();
    let mut numbers: Vec<_> = records
        .spans()
        .map(|span| attributes(span)["number"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..spans).collect::<Vec<_>>());
}

#[derive(Clone, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn beside_the_console_both_tell_the_same() {
    let (layer, run) = Run::start();
    let console = Console::default();
    let writer = console.clone();
    let fmt = fmt::layer().json().with_writer(move || writer.clone());
    with_default(registry().with(fmt).with(layer), work);
    let records = run.finish();
    let printed = String::from_utf8(console.0.lock().unwrap().clone()).unwrap();
    let printed: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(printed.len(), 3);
    for (line, message) in printed.iter().zip(messages(&records)) {
        assert_eq!(line["fields"]["message"], message);
    }
}
