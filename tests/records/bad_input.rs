//! What no program should record: the record arrives shortened and marked, its neighbours unharmed.
//!
//! Each test records `before` and `after` around the bad one, on the same thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axiom_layer::{DropReason, Overflow};
use axiom_local::{Event, Fault, Server};
use serde_json::Value;
use tracing::field::{Empty, debug};
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

use crate::common::{Records, Run, attributes, number, recorded, recorded_with, text};
use crate::made::{self, doing};

/// DESIGN.md: a value's cap, and the fields of a record.
pub(crate) const VALUE_BYTES: usize = 256 * 1024;
const FIELDS: usize = 250;
const LINE_BYTES: usize = 1_000_000;

pub(crate) fn between(record: impl FnOnce()) -> Records {
    let records = recorded(|| {
        info!(number = 1, "before");
        record();
        info!(number = 2, "after");
    });
    assert_neighbours(&records);
    records
}

fn assert_neighbours(records: &Records) {
    for (message, number) in [("before", 1), ("after", 2)] {
        let event = records.event(message);
        assert_eq!(attributes(event)["number"], number);
        assert_eq!(event.get("incomplete"), None);
    }
    assert_eq!(records.stats.dropped(), 0, "{}", records.stats);
}

/// A text that was cut at the cap.
pub(crate) fn assert_shortened(value: &Value, from: &str) {
    let text = value.as_str().unwrap().strip_suffix('…').unwrap();
    assert!(from.starts_with(text) && text.len() <= VALUE_BYTES);
    assert!(text.len() > VALUE_BYTES - 8, "{}", text.len());
}

#[test]
fn a_text_of_100_megabytes_is_cut_wherever_it_stands() {
    let huge = "x".repeat(100_000_000);
    let records = between(|| {
        info!(huge, small = 1, "field");
        info!("{huge}");
        let span = info_span!("span", huge, late = Empty);
        span.record("late", &huge);
    });
    let event = records.event("field");
    assert_shortened(&attributes(event)["huge"], &huge);
    assert_eq!(attributes(event)["small"], 1);
    assert_eq!(number(event, "incomplete"), 1);
    let message = records
        .events()
        .find(|e| text(e, "message").starts_with('x'));
    assert_shortened(message.unwrap().get("message").unwrap(), &huge);
    let span = records.span("span");
    assert_shortened(&attributes(span)["huge"], &huge);
    assert_shortened(&attributes(span)["late"], &huge);
    assert_eq!(number(span, "incomplete"), 2);
}

#[test]
fn a_cut_never_splits_a_character_or_an_escape() {
    for huge in [
        "🦀".repeat(100_000),
        "\u{1}".repeat(300_000),
        "\"é".repeat(150_000),
    ] {
        let records = between(|| info!(huge, shown = ?doing(|f| f.write_str(&huge)), "cut"));
        let attributes = attributes(records.event("cut"));
        for name in ["huge", "shown"] {
            let kept = attributes[name].as_str().unwrap();
            assert!(huge.starts_with(kept.strip_suffix('…').unwrap()), "{name}");
        }
    }
}

#[test]
fn the_longest_record_there_can_be_is_a_line_that_axiom_takes() {
    let huge = "\u{1}".repeat(VALUE_BYTES);
    let tag = "é".repeat(2_000);
    let records = recorded_with(
        |builder| {
            let builder = builder.source_location(true).thread_names(true);
            (0..5).fold(builder, |builder, n| {
                builder.tag(format!("tag{n}"), tag.as_str())
            })
        },
        || {
            info!(a = huge, b = huge, c = huge, d = huge, message = huge);
            let fields: Vec<_> = ["a", "b", "c", "d", "otel.name", "otel.status_description"]
                .map(|name| {
                    (
                        name.to_owned(),
                        Box::new(huge.as_str()) as Box<dyn tracing::Value>,
                    )
                })
                .into();
            drop(made::span(&huge, &fields));
        },
    );
    assert_eq!(records.all.len(), 2);
    for (record, least) in [
        (records.events().next(), 900_000),
        (records.spans().next(), 650_000),
    ] {
        let record = record.unwrap();
        let size = record.size();
        assert!((least..LINE_BYTES).contains(&size), "{size} bytes");
        assert!(number(record, "incomplete") >= 2);
    }
}

fn numbered(count: usize) -> Vec<(String, Box<dyn tracing::Value>)> {
    (0..count)
        .map(|n| (format!("field{n}"), Box::new(n as u64) as _))
        .collect()
}

#[test]
fn of_10_000_fields_the_first_250_are_kept_and_the_rest_is_counted() {
    let fields = numbered(10_000);
    let records = between(|| {
        made::event(&fields);
        drop(made::span("many", &fields));
    });
    let event = records
        .events()
        .find(|e| e.get("message").is_none())
        .unwrap();
    for record in [event, records.span("many")] {
        let attributes = attributes(record);
        assert_eq!(attributes.len(), FIELDS);
        assert!((0..FIELDS).all(|n| attributes[&format!("field{n}")] == n));
        assert_eq!(number(record, "incomplete"), 10_000 - FIELDS as u64);
    }
}

/// With a search through the values for each field, this took more than a minute.
#[test]
fn ten_thousand_fields_after_large_ones_cost_no_more_than_their_number() {
    let large = "x".repeat(2_350);
    let mut fields = numbered(10_000);
    for (_, value) in fields.iter_mut().take(FIELDS - 1) {
        *value = Box::new(large.as_str());
    }
    let mut took = Duration::MAX;
    let records = between(|| {
        let start = Instant::now();
        made::event(&fields);
        took = start.elapsed();
    });
    assert!(took < Duration::from_secs(5), "{took:?}");
    let event = records
        .events()
        .find(|e| e.get("message").is_none())
        .unwrap();
    assert_eq!(attributes(event).len(), FIELDS);
}

#[test]
fn ten_thousand_late_values_leave_the_last_of_each_field() {
    let records = between(|| {
        let span = info_span!("busy", a = Empty, b = "kept", c = Empty);
        for n in 0..10_000 {
            span.record("a", n);
            span.record("c", debug(format_args!("{{\"{n}\",")));
        }
    });
    let line = records.span("busy").to_string();
    assert!(
        line.contains(r#"{"b":"kept","a":9999,"c":"{\"9999\","}"#),
        "{line}"
    );
    assert_eq!(records.span("busy").get("incomplete"), None);
}

#[test]
fn names_that_axiom_reserves_are_harmless_below_attributes() {
    let names = [
        "_time",
        "_sysTime",
        "_source",
        "_rowID",
        "_cursor",
        "_blockInfo",
        "attributes",
        "service.name",
        "duration",
        "error",
    ];
    let fields: Vec<_> = names
        .iter()
        .map(|name| {
            (
                String::from(*name),
                Box::new("mine") as Box<dyn tracing::Value>,
            )
        })
        .collect();
    let records = between(|| {
        made::event(&fields);
        drop(made::span("taken", &fields));
    });
    let event = records
        .events()
        .find(|e| e.get("message").is_none())
        .unwrap();
    for record in [event, records.span("taken")] {
        let attributes = attributes(record);
        assert_eq!(attributes.len(), names.len());
        assert!(names.iter().all(|name| attributes[*name] == "mine"));
        assert_eq!(text(record, "service.name"), "test");
        assert!(record.unix_nanos().is_some());
    }
}

#[test]
fn names_are_cut_to_what_axiom_takes_and_stay_one_field_each() {
    let long = "n".repeat(500);
    let wide = "é".repeat(300);
    let fields = [long.clone(), format!("{long}2"), wide.clone(), "ok".into()]
        .map(|name| (name, Box::new(1) as Box<dyn tracing::Value>));
    let records = between(|| {
        made::event(&fields);
        let span = made::span("long", &fields);
        span.record(long.as_str(), 2);
        drop(made::span(&long, &[]));
    });
    let event = records
        .events()
        .find(|e| e.get("message").is_none())
        .unwrap();
    for (record, last) in [(event, 1), (records.span("long"), 2)] {
        let attributes = attributes(record);
        assert_eq!(
            attributes.len(),
            3,
            "two names are the same once they are cut"
        );
        for (name, value) in attributes {
            assert!(name.len() + "attributes.".len() <= 200, "{}", name.len());
            assert!(
                [&*long, &*wide, "ok"]
                    .iter()
                    .any(|whole| whole.starts_with(&name))
            );
            let expected = if name.starts_with('n') { last } else { 1 };
            assert_eq!(value, expected);
        }
        assert!(number(record, "incomplete") >= 3);
    }
}

#[test]
fn empty_and_strange_names_break_nothing() {
    let strange = [
        "", " ", "\"", "\\", "a\nb", "\u{0}", "{\"", ",", "é", "a..b", ".", "\u{feff}",
    ];
    let fields: Vec<_> = strange
        .iter()
        .map(|name| (String::from(*name), Box::new(1) as Box<dyn tracing::Value>))
        .collect();
    let records = between(|| {
        made::event(&fields);
        let span = made::span("strange", &fields);
        span.record("\"", 1);
        span.record("", 1);
        drop(made::span("", &[]));
        drop(info_span!(
            "named",
            otel.name = "",
            otel.status_description = ""
        ));
    });
    assert_eq!(
        text(records.span("made"), "scope.name"),
        "made",
        "called as its target"
    );
    assert_eq!(records.span("named").get("status.message"), None);
    let event = records
        .events()
        .find(|e| e.get("message").is_none())
        .unwrap();
    for record in [event, records.span("strange")] {
        let attributes = attributes(record);
        assert!(
            strange
                .iter()
                .filter(|name| !name.is_empty())
                .all(|name| attributes[*name] == 1)
        );
    }
}

/// Rust's text has no surrogates; a `Debug` can only write escapes for them.
#[test]
fn what_is_no_text_arrives_as_its_debug() {
    let bytes = b"\xff\xed\xa0\x80 half".to_vec();
    let lossy = String::from_utf8_lossy(&bytes).into_owned();
    let records = between(|| {
        info!(utf16 = ?"\\ud800", escaped = "\\ud800\\u0000", lossy, "text");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let path = std::ffi::OsStr::from_bytes(&bytes);
            info!(?path, "path");
        }
    });
    let event = attributes(records.event("text"));
    assert_eq!(event["utf16"], "\"\\\\ud800\"");
    assert_eq!(event["escaped"], "\\ud800\\u0000");
    assert_eq!(event["lossy"], lossy);
    #[cfg(unix)]
    assert_eq!(
        attributes(records.event("path"))["path"],
        r#""\xFF\xED\xA0\x80 half""#
    );
}

#[test]
fn long_records_that_find_no_room_are_counted_and_the_others_arrive_whole() {
    let huge = "x".repeat(VALUE_BYTES);
    let (layer, run) = Run::with(Server::builder(), |builder| {
        builder
            .queue_max_bytes(2 << 20)
            .overflow(Overflow::DropNewest)
    });
    // Nothing leaves, and the queue holds three records of half a megabyte.
    run.server.always(Some(Fault::status(503)));
    let total = 20;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for number in 0..total {
            info!(number, a = huge, b = huge, "huge");
            info!(number, "small");
        }
    });
    run.server.no_faults();
    let records = run.finish();
    assert_eq!(records.stats.recorded(), 2 * total);
    let whole = |event: &&Event| {
        text(event, "message") == "small"
            || attributes(event)["a"].as_str().map(str::len) == Some(VALUE_BYTES)
    };
    assert_eq!(records.events().filter(whole).count(), records.all.len());
    let dropped: Vec<_> = records.stats.dropped_by_reason().collect();
    assert!(
        matches!(dropped[..], [(DropReason::QueueFull, 10..)]),
        "{dropped:?}"
    );
}

#[test]
fn threads_that_record_bad_values_at_once_do_not_disturb_each_other() {
    let (layer, run) = Run::start();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    let huge = Arc::new("é\u{1}".repeat(100_000));
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let (dispatch, huge) = (dispatch.clone(), Arc::clone(&huge));
            std::thread::spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for seq in 0..10_u64 {
                        let panics = doing(|_| panic!("on purpose"));
                        info!(thread, seq, huge = huge.as_str(), ?panics, "bad");
                        info!(thread, seq, "good");
                    }
                });
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    drop(dispatch);
    let records = run.finish();
    assert_eq!(records.stats.dropped(), 0);
    for message in ["bad", "good"] {
        let mut seen: Vec<_> = records
            .events()
            .filter(|event| text(event, "message") == message)
            .map(|event| {
                (
                    number(event, "attributes.thread"),
                    number(event, "attributes.seq"),
                )
            })
            .collect();
        seen.sort_unstable();
        let all: Vec<_> = (0..4)
            .flat_map(|thread| (0..10).map(move |seq| (thread, seq)))
            .collect();
        assert_eq!(seen, all, "{message}");
    }
}
