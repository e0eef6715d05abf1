//! Records of the `log` crate, bridged by `tracing-log`: in a process of their own, for the logger is global.

use std::time::Duration;

use axiom_local::{Event, Server};
use serde_json::{Value, json};
use tracing::{info_span, subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::prelude::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn text<'a>(row: &'a Event, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_log_record_is_an_event_from_where_it_was_really_made() {
    let server = Server::start().unwrap();
    let (layer, guard) = axiom_layer::builder()
        .token("xaat-test")
        .url(server.url())
        .dataset("logs")
        .traces_dataset("traces")
        .service_name("test")
        .source_location(true)
        .events_on_spans(true)
        .build()
        .unwrap();
    // With `--cfg tokio_unstable` tokio records the server's work, too.
    let filter = EnvFilter::new("trace,old::chatty=warn,tokio=off,runtime=off");
    let registry = tracing_subscriber::registry().with(filter).with(layer);
    tracing_log::LogTracer::init().unwrap();
    subscriber::set_global_default(registry).unwrap();

    let line = line!() + 1;
    log::trace!("a trace");
    log::debug!(target: "old::kitchen", "kettle {} is {:?}", 7, "on");
    log::info!(target: "old::chatty", "filtered by its own target");
    {
        let _span = info_span!("tea").entered();
        log::warn!("getting \"cold\"");
        log::error!(target: "old::kitchen", "kettle exploded");
    }
    // As a library without a module path, file or line makes them.
    let bare = log::Record::builder()
        .args(format_args!("bare"))
        .level(log::Level::Info)
        .target("foreign")
        .build();
    log::logger().log(&bare);
    tracing::info!("of tracing");

    guard.shutdown(PATIENCE).unwrap();
    assert_eq!(server.violations(), []);
    let (events, spans) = (server.events("logs"), server.events("traces"));
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            [
                text(event, "level"),
                text(event, "target"),
                text(event, "message"),
            ]
        })
        .collect();
    let here = module_path!();
    assert_eq!(
        seen,
        [
            ["trace", here, "a trace"],
            ["debug", "old::kitchen", "kettle 7 is \"on\""],
            ["warn", here, "getting \"cold\""],
            ["error", "old::kitchen", "kettle exploded"],
            ["info", "foreign", "bare"],
            ["info", here, "of tracing"],
        ]
    );
    // Nothing is left of how they came here.
    for event in &events {
        assert_eq!(event.get("attributes"), None, "{event}");
        assert_eq!(event.get("event.name"), None, "{event}");
    }
    assert_eq!(text(&events[0], "code.file.path"), file!());
    assert_eq!(events[0].get("code.line.number").unwrap(), line);
    assert_eq!(events[1].get("code.line.number").unwrap(), line + 1);
    assert_eq!(events[4].get("code.file.path"), None);
    assert_eq!(events[4].get("code.line.number"), None);

    // Inside a span they belong to it, and an error marks it.
    let [span] = &spans[..] else {
        panic!("{spans:?}")
    };
    for event in &events[2..4] {
        assert_eq!(text(event, "span_id"), text(span, "span_id"));
        assert_eq!(text(event, "trace_id"), text(span, "trace_id"));
    }
    assert_eq!(span.get("error").unwrap(), true);
    assert_eq!(text(span, "status.message"), "kettle exploded");
    let inside = span.get("events").unwrap();
    assert_eq!(inside[0]["name"], "getting \"cold\"");
    assert_eq!(
        inside[1]["attributes"],
        json!({
            "level": "error",
            "target": "old::kitchen",
            "code.file.path": file!(),
            "code.line.number": line + 6,
        })
    );
}
