//! Where an error happened, and what of it is on the record.

use std::error::Error;
use std::fmt;

use serde_json::json;
use tracing::field::Empty;
use tracing::{error, info, info_span, instrument, warn};

use crate::*;

#[derive(Debug)]
pub(crate) struct OutOfStock {
    source: Timeout,
}

#[derive(Debug)]
struct Timeout(std::io::Error);

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("teapot is sold out")
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stock service timed out")
    }
}

impl Error for OutOfStock {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl Error for Timeout {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

pub(crate) fn out_of_stock() -> OutOfStock {
    OutOfStock {
        source: Timeout(std::io::Error::other("connection reset")),
    }
}

#[instrument(err)]
fn failing() -> Result<u32, OutOfStock> {
    Err(out_of_stock())
}

#[instrument(err, ret)]
fn succeeding(order: u64) -> Result<u32, OutOfStock> {
    Ok(42)
}

#[instrument(err(level = "warn"))]
fn grumbling() -> Result<u32, OutOfStock> {
    Err(out_of_stock())
}

#[test]
fn instrument_err_marks_its_span_with_the_errors_text() {
    let records = record(|| {
        info_span!("caller").in_scope(|| {
            failing().unwrap_err();
            succeeding(7).unwrap();
            grumbling().unwrap_err();
        });
    });
    let failing = records.span("failing");
    assert_eq!(failing.get("error"), Some(&true.into()));
    assert_eq!(text(failing, "status.code"), "ERROR");
    assert_eq!(text(failing, "status.message"), "teapot is sold out");
    let event = records
        .events()
        .find(|event| event.get("span_id") == failing.get("span_id"));
    assert_eq!(
        event.unwrap().get("attributes.error"),
        Some(&"teapot is sold out".into())
    );
    assert_eq!(text(event.unwrap(), "level"), "error");

    // Only where it happened: whether the caller failed, too, is the caller's to say.
    assert_eq!(records.span("caller").get("error"), Some(&false.into()));
    let succeeding = records.span("succeeding");
    assert_eq!(succeeding.get("error"), Some(&false.into()));
    assert_eq!(succeeding.get("attributes.order"), Some(&7.into()));
    let returned = records
        .events()
        .find(|event| event.get("attributes.return").is_some());
    assert_eq!(
        returned.unwrap().get("attributes.return"),
        Some(&"42".into())
    );
    // An error that the application calls a warning is one.
    assert_eq!(records.span("grumbling").get("error"), Some(&false.into()));
}

#[test]
fn an_error_event_marks_the_span_around_it_with_the_first_message() {
    let records = record(|| {
        let _root = info_span!("root").entered();
        let _child = info_span!("child").entered();
        warn!("not yet");
        error!("first");
        error!("second");
    });
    let child = records.span("child");
    assert_eq!(child.get("error"), Some(&true.into()));
    assert_eq!(text(child, "status.message"), "first");
    assert_eq!(records.span("root").get("error"), Some(&false.into()));
}

#[test]
fn a_long_error_message_is_shortened_in_the_status() {
    let long = "x".repeat(10_000);
    let records = record(|| {
        info_span!("span").in_scope(|| error!("{long}"));
    });
    let message = text(records.span("span"), "status.message");
    assert!(
        message.starts_with("xxx") && message.len() < 5_000,
        "{}",
        message.len()
    );
    serde_json::to_string(message).unwrap();
}

#[test]
fn a_status_that_the_application_set_stays() {
    let records = record(|| {
        info_span!("ok", otel.status_code = "OK").in_scope(|| error!("does not matter"));
        info_span!("described", otel.status_description = "told").in_scope(|| error!("more"));
    });
    assert_eq!(text(records.span("ok"), "status.code"), "OK");
    assert_eq!(records.span("ok").get("error"), Some(&false.into()));
    assert_eq!(text(records.span("described"), "status.message"), "told");
}

#[test]
fn an_error_value_tells_its_whole_chain() {
    let failed = out_of_stock();
    let records = record(|| {
        let span = info_span!("span", cause = Empty);
        let _entered = span.enter();
        error!(error = &failed as &(dyn Error + 'static), "order failed");
        span.record("cause", &failed as &(dyn Error + 'static));
        info!(
            error = &failed.source.0 as &(dyn Error + 'static),
            "without causes"
        );
    });
    let chain = "teapot is sold out: stock service timed out: connection reset";
    let exception = json!({
        "exception.type": "OutOfStock",
        "exception.message": "teapot is sold out",
        "exception.stacktrace": "caused by: stock service timed out\ncaused by: connection reset",
    });
    for (record, field) in [
        (records.event("order failed"), "error"),
        (records.span("span"), "cause"),
    ] {
        let mut expected = exception.clone();
        expected[field] = chain.into();
        assert_eq!(Value::from(attributes(record)), expected);
    }
    assert_eq!(text(records.span("span"), "status.message"), "order failed");
    let without = records.event("without causes");
    assert_eq!(without.get("attributes.exception.stacktrace"), None);
    assert_eq!(
        without.get("attributes.exception.type"),
        Some(&"Custom".into())
    );
}

#[test]
fn an_error_among_a_spans_fields_marks_it() {
    let failed = out_of_stock();
    let records = record(|| {
        drop(info_span!(
            "span",
            error = &failed as &(dyn Error + 'static)
        ));
    });
    let span = records.span("span");
    assert_eq!(span.get("error"), Some(&true.into()));
    assert_eq!(text(span, "status.message"), "teapot is sold out");
}

#[test]
fn what_the_application_says_of_an_exception_is_not_said_twice() {
    let failed = out_of_stock();
    let records = record_with(
        |builder| builder.span_fields_on_events(true).events_on_spans(true),
        || {
            let error = &failed as &(dyn Error + 'static);
            let span =
                info_span!("span", exception.message = "told", exception.type = "Told", error);
            let _entered = span.enter();
            info!(error, "inherits");
            info!(error, exception.message = "told here", "tells");
        },
    );
    let span = attributes(records.span("span"));
    assert_eq!(span["exception.message"], "told");
    // The event's own exception is nearer than the span's.
    let inherits = attributes(records.event("inherits"));
    assert_eq!(inherits["exception.message"], "teapot is sold out");
    assert_eq!(inherits["exception.type"], "OutOfStock");
    assert_eq!(
        attributes(records.event("tells"))["exception.message"],
        "told here"
    );
}

#[test]
fn an_error_that_breaks_while_it_is_looked_at_spoils_only_itself() {
    #[derive(Debug)]
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("while formatting")
        }
    }
    impl Error for Broken {}
    let records = record(|| {
        info_span!("span").in_scope(|| {
            error!(
                before = 1,
                error = &Broken as &(dyn Error + 'static),
                after = 2,
                "broken"
            );
        });
    });
    let event = records.event("broken");
    assert_eq!(event.get("attributes.before"), Some(&1.into()));
    assert_eq!(event.get("attributes.after"), Some(&2.into()));
    assert_eq!(
        event.get("attributes.error"),
        Some(&"<panicked while formatting>".into())
    );
    assert!(number(event, "incomplete") > 0);
}
