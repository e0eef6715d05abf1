//! Values whose `Debug`, `Display` or `source` misbehave: they are marked, stopped at the cap, or survived.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tracing::field::{Empty, debug};
use tracing::{info, info_span};

use crate::bad_input::{VALUE_BYTES, assert_shortened, between};
use crate::common::{attributes, number};
use crate::made::doing;

/// Panics on purpose print to the captured standard error.
#[test]
fn a_value_that_panics_is_marked_and_the_rest_of_the_record_is_whole() {
    let bad = doing(|f: &mut fmt::Formatter<'_>| {
        f.write_str("half \"of")?;
        panic!("on purpose");
    });
    let records = between(|| {
        info!(first = 1, ?bad, last = 2, "debug");
        info!(first = 1, %bad, last = 2, "display");
        info!("{bad}");
        let span = info_span!("span", first = 1, ?bad, last = 2, late = Empty);
        span.record("late", debug(&bad));
        span.record("last", 3);
    });
    let marker = "<panicked while formatting>";
    for message in ["debug", "display"] {
        let event = records.event(message);
        assert_eq!(
            Value::from(attributes(event)),
            json!({ "first": 1, "bad": marker, "last": 2 })
        );
        assert_eq!(number(event, "incomplete"), 1);
    }
    assert_eq!(number(records.event(marker), "incomplete"), 1);
    let span = records.span("span");
    assert_eq!(
        Value::from(attributes(span)),
        json!({ "first": 1, "bad": marker, "late": marker, "last": 3 })
    );
    assert_eq!(number(span, "incomplete"), 2);
}

#[test]
fn a_value_that_panics_while_the_thread_unwinds_does_not_abort() {
    struct Logs;
    impl Drop for Logs {
        fn drop(&mut self) {
            info!(bad = ?doing(|_| panic!("inner")), "unwinding");
        }
    }
    let records = between(|| {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let _logs = Logs;
            panic!("outer");
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"outer"));
    });
    assert_eq!(number(records.event("unwinding"), "incomplete"), 1);
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_is_survived() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let bad = doing(|_| std::panic::resume_unwind(Box::new(Payload)));
    let records = between(|| info!(?bad, "payload"));
    assert_eq!(number(records.event("payload"), "incomplete"), 1);
}

#[test]
fn an_error_whose_source_panics_with_such_a_payload_is_survived() {
    #[derive(Debug)]
    struct Sourceless;
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    impl fmt::Display for Sourceless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("sourceless")
        }
    }
    impl Error for Sourceless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            std::panic::resume_unwind(Box::new(Payload))
        }
    }
    let records = between(|| info!(error = &Sourceless as &dyn Error, last = 1, "error"));
    let event = attributes(records.event("error"));
    assert_eq!(event["exception.message"], "sourceless");
    assert_eq!(event["last"], 1);
}

#[test]
fn a_value_that_fails_to_format_is_marked() {
    let bad = doing(|f: &mut fmt::Formatter<'_>| {
        f.write_str("some")?;
        Err(fmt::Error)
    });
    let records = between(|| info!(?bad, ok = 1, "fails"));
    assert_eq!(
        Value::from(attributes(records.event("fails"))),
        json!({ "bad": "<failed to format>", "ok": 1 })
    );
}

#[test]
fn a_value_that_writes_100_megabytes_is_stopped_at_the_cap() {
    let written = AtomicU64::new(0);
    let endless = doing(|f: &mut fmt::Formatter<'_>| {
        for _ in 0..100_000 {
            written.fetch_add(1_000, Ordering::Relaxed);
            f.write_str(&"y".repeat(1_000))?;
        }
        Ok(())
    });
    let records = between(|| info!(?endless, "stopped"));
    assert!(written.load(Ordering::Relaxed) <= VALUE_BYTES as u64 + 1_000);
    let shown = attributes(records.event("stopped"));
    assert_shortened(&shown["endless"], &"y".repeat(VALUE_BYTES));
}

#[test]
fn a_value_that_goes_on_after_it_was_told_to_stop_shows_its_beginning_only() {
    let stubborn = doing(|f: &mut fmt::Formatter<'_>| {
        for _ in 0..1_000_000 {
            // It ignores that there is no room.
            f.write_str("🦀🦀").ok();
            f.write_char('z').ok();
        }
        Ok(())
    });
    let records = between(|| info!(?stubborn, "stubborn"));
    assert_shortened(
        &attributes(records.event("stubborn"))["stubborn"],
        &"🦀🦀z".repeat(VALUE_BYTES / 9 + 1),
    );
    assert_eq!(number(records.event("stubborn"), "incomplete"), 1);
}

#[test]
fn a_value_may_drop_the_last_handle_of_a_span() {
    let records = between(|| {
        let last = RefCell::new(Some(info_span!("dropped within")));
        let drops = doing(|f: &mut fmt::Formatter<'_>| {
            drop(last.take());
            f.write_str("gone")
        });
        let _around = info_span!("around", ?drops).entered();
        info!("still here");
    });
    records.span("dropped within");
    assert_eq!(attributes(records.span("around"))["drops"], "gone");
}

/// A chain of causes that never ends.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("round")
    }
}

impl Error for Circle {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Circle)
    }
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        panic!("on purpose")
    }
}

#[test]
fn an_error_whose_causes_form_a_circle_or_panic_is_told_as_far_as_it_goes() {
    let records = between(|| {
        info!(error = &Circle as &(dyn Error + 'static), "circle");
        info!(error = &Broken as &(dyn Error + 'static), ok = 1, "panics");
    });
    let circle = attributes(records.event("circle"));
    let told = circle["error"].as_str().unwrap();
    assert!(told.starts_with("round: round: round") && told.len() < 1_000);
    let panics = attributes(records.event("panics"));
    assert_eq!(panics["error"], "<panicked while formatting>");
    assert_eq!(panics["ok"], 1);
}
