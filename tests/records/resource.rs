//! Tags, resource and datasets: what surrounds the records.

use axiom_local::Server;
use serde_json::{Value, json};
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

use crate::common::{Records, Run, recorded_with};

/// With values for what differs from process to process.
pub(crate) fn of_a_known_process(builder: axiom_layer::Builder) -> axiom_layer::Builder {
    builder
        .resource("host.name", "h")
        .resource("process.pid", 7)
        .resource("service.instance.id", "i")
}

fn work() {
    let _span = info_span!("work").entered();
    info!("working");
}

fn tagged(builder: axiom_layer::Builder) -> axiom_layer::Builder {
    builder
        .service_version("1.2")
        .environment_name("prod")
        .resource("host.name", "Käthe")
        .tag("team", "pâtisserie \"süß\" 🦀\u{7f}")
        .tag("shift", 3)
        .tag("load", 0.5)
        .tag("open", true)
        .tag("big", u64::MAX)
}

fn labels() -> [(&'static str, Value); 9] {
    [
        ("service.name", json!("test")),
        ("service.version", json!("1.2")),
        ("resource.deployment.environment.name", json!("prod")),
        ("resource.host.name", json!("Käthe")),
        ("team", json!("pâtisserie \"süß\" 🦀\u{7f}")),
        ("shift", json!(3)),
        ("load", json!(0.5)),
        ("open", json!(true)),
        ("big", json!(u64::MAX as f64)),
    ]
}

fn assert_labelled(records: &Records) {
    assert_eq!(records.all.len(), 2);
    for record in &records.all {
        for (name, value) in labels() {
            assert_eq!(record.fields().get(name), Some(&value), "{name}");
        }
    }
}

/// Runs `work` and says how many labels and how large a header the requests had.
fn shipped(options: impl FnOnce(axiom_layer::Builder) -> axiom_layer::Builder) -> (Records, usize) {
    let (layer, run) = Run::with(Server::builder(), options);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    run.guard.flush(crate::common::LONG).unwrap();
    let labels = run.server.requests().iter().map(|r| r.labels.len()).max();
    (run.finish(), labels.unwrap())
}

#[test]
fn tags_travel_once_a_request_and_arrive_in_every_record_at_the_top_level() {
    let (records, sent) = shipped(tagged);
    assert_labelled(&records);
    // And the two that are known without being set, and were not.
    assert_eq!(sent, labels().len() + 2);
}

#[test]
fn tags_in_records_are_the_same_fields() {
    let (records, labels) = shipped(|builder| tagged(builder).tags_in_records(true));
    assert_labelled(&records);
    assert_eq!(labels, 0);
}

#[test]
fn tags_that_are_too_large_for_a_header_travel_in_the_records() {
    let large = "ü".repeat(2_000);
    let (records, labels) = shipped(|builder| tagged(builder).tag("large", large.as_str()));
    assert_labelled(&records);
    assert_eq!(labels, 0);
    for record in &records.all {
        assert_eq!(record.fields().get("large"), Some(&json!(large)));
    }
}

#[test]
fn every_record_says_which_process_of_which_host_made_it() {
    let (records, _) = shipped(|builder| builder);
    assert_eq!(records.all.len(), 2);
    let pid = json!(std::process::id());
    for record in &records.all {
        assert_eq!(record.fields().get("resource.process.pid"), Some(&pid));
        for field in ["service.instance.id", "resource.host.name"] {
            // The host's name is not known everywhere.
            if field != "resource.host.name" || cfg!(target_os = "linux") {
                assert!(!crate::common::text(record, field).is_empty(), "{field}");
            }
        }
    }
}

#[test]
fn spans_go_to_a_dataset_of_their_own_if_there_is_one() {
    let records = recorded_with(|builder| builder.traces_dataset("traces"), work);
    assert_eq!(records.event("working").dataset(), "main");
    assert_eq!(records.span("work").dataset(), "traces");
}
