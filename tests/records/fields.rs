//! Fields: each type arrives as what it is.

use std::error::Error;
use std::fmt;
use std::num::{NonZeroU8, Wrapping};

use axiom_layer::SpanExt;
use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::{info, info_span};

use crate::common::{attributes, recorded, recorded_with};
use crate::made;

#[derive(Debug)]
struct Failure {
    text: &'static str,
    cause: Option<Box<Failure>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

fn failure() -> Failure {
    Failure {
        text: "no coffee",
        cause: Some(Box::new(Failure {
            text: "no water",
            cause: Some(Box::new(Failure {
                text: "pipe \"frozen\"",
                cause: None,
            })),
        })),
    }
}

/// The same fields on an event and on a span.
macro_rules! both {
    ($($fields:tt)*) => {{
        let records = recorded(|| {
            info!($($fields)*);
            drop(info_span!("span", $($fields)*));
        });
        let event = attributes(records.events().next().unwrap());
        assert_eq!(event, attributes(records.span("span")));
        Value::from(event)
    }};
}

#[test]
fn integers_are_numbers_and_floats_beyond_64_bits_with_a_sign() {
    let seen = both!(
        min = i64::MIN,
        max = i64::MAX,
        byte = 255_u8,
        small = -1_i8,
        top = i64::MAX as u64,
        over = i64::MAX as u64 + 1,
        huge = u64::MAX,
        wide = 7_i128,
        lowest = i128::MIN,
        highest = u128::MAX,
        nonzero = NonZeroU8::new(3).unwrap(),
        wrapping = Wrapping(9_u32)
    );
    assert_eq!(
        seen,
        json!({
            "min": i64::MIN, "max": i64::MAX, "byte": 255, "small": -1, "top": i64::MAX,
            "over": 9_223_372_036_854_775_808.0, "huge": u64::MAX as f64, "wide": 7,
            "lowest": i128::MIN as f64, "highest": u128::MAX as f64, "nonzero": 3, "wrapping": 9
        })
    );
}

#[test]
fn fields_named_as_text_are_text_whatever_their_type_and_keep_every_digit() {
    let names = [
        "hash", "small", "wide", "late", "half", "nan", "yes", "shown", "hex",
    ];
    let records = recorded_with(
        |builder| builder.text_fields(names),
        || {
            let hex: &[u8] = &[1, 255];
            info!(
                hash = u64::MAX,
                small = -7,
                wide = i128::MIN,
                half = 0.5,
                nan = f64::NAN,
                yes = true,
                shown = "already",
                hex,
                hashes = 3,
                none = None::<u64>,
                "event"
            );
            let span = info_span!("span", hash = 5_u8, late = Empty, other = 5);
            span.record("late", u128::MAX);
        },
    );
    assert_eq!(
        Value::from(attributes(records.event("event"))),
        json!({
            "hash": "18446744073709551615", "small": "-7", "hashes": 3, "half": "0.5", "nan": "NaN",
            "wide": "-170141183460469231731687303715884105728", "yes": "true", "shown": "already", "hex": "01ff"
        })
    );
    assert_eq!(
        Value::from(attributes(records.span("span"))),
        json!({ "hash": "5", "late": "340282366920938463463374607431768211455", "other": 5 })
    );
}

#[test]
fn a_message_that_is_a_number_keeps_every_digit() {
    let records = recorded(|| info!(message = u64::MAX));
    records.event("18446744073709551615");
}

#[test]
fn escape_sequences_are_removed_from_texts_and_messages_unless_kept() {
    let record = || {
        let red = "\u{1b}[31mred\u{1b}[0m";
        info!(
            text = red,
            shown = %red,
            debug = ?format_args!("{red}"),
            // As `Debug` of a text writes it, there is no ESC.
            quoted = ?red,
            "is {red} or {}",
            red
        );
        drop(info_span!("span", otel.name = red, text = red));
    };
    let records = recorded(record);
    assert_eq!(
        Value::from(attributes(records.event("is red or red"))),
        json!({ "text": "red", "shown": "red", "debug": "red", "quoted": "\"\\u{1b}[31mred\\u{1b}[0m\"" })
    );
    assert_eq!(attributes(records.span("red"))["text"], "red");
    let records = recorded_with(|builder| builder.keep_ansi(true), record);
    let red = "\u{1b}[31mred\u{1b}[0m";
    let event = attributes(records.event(&format!("is {red} or {red}")));
    assert_eq!(
        (&event["text"], &event["shown"]),
        (&json!(red), &json!(red))
    );
    assert!(records.all[0].to_string().contains("\\u001b[31mred"));
    assert_eq!(attributes(records.span(red))["text"], red);
}

#[test]
fn floats_are_numbers_and_null_when_json_has_none() {
    let seen = both!(
        whole = 2.0,
        tenth = 0.1,
        single = 0.5_f32,
        large = 1.0e300,
        tiny = f64::MIN_POSITIVE,
        last = f64::MAX,
        zero = -0.0,
        nan = f64::NAN,
        up = f64::INFINITY,
        down = f64::NEG_INFINITY
    );
    assert_eq!(
        seen,
        json!({
            "whole": 2.0, "tenth": 0.1, "single": 0.5, "large": 1.0e300, "tiny": f64::MIN_POSITIVE,
            "last": f64::MAX, "zero": -0.0, "nan": null, "up": null, "down": null
        })
    );
}

#[test]
fn texts_and_booleans_are_themselves() {
    let owned = String::from("owned");
    let seen = both!(
        yes = true,
        no = false,
        plain = "text",
        empty = "",
        owned,
        quotes = "\"\\/",
        lines = "a\nb\r\tc\u{8}\u{c}\u{0}\u{1f}\u{7f}",
        wide = "é漢🦀\u{2028}\u{feff}\u{10ffff}"
    );
    assert_eq!(
        seen,
        json!({
            "yes": true, "no": false, "plain": "text", "empty": "", "owned": "owned",
            "quotes": "\"\\/", "lines": "a\nb\r\tc\u{8}\u{c}\u{0}\u{1f}\u{7f}",
            "wide": "é漢🦀\u{2028}\u{feff}\u{10ffff}"
        })
    );
}

#[test]
fn formatted_values_are_text() {
    let seen = both!(
        debug = ?vec![Some("a\n")],
        display = %format_args!("{:>5}|", 1.5),
        failed = ?Err::<(), _>("x"),
        unit = ?()
    );
    assert_eq!(
        seen,
        json!({
            "debug": r#"[Some("a\n")]"#, "display": "  1.5|", "failed": "Err(\"x\")", "unit": "()"
        })
    );
}

#[test]
fn an_error_is_told_with_its_causes() {
    let failure = failure();
    let seen = both!(error = &failure as &(dyn Error + 'static), shown = %failure);
    assert_eq!(
        seen,
        json!({
            "error": "no coffee: no water: pipe \"frozen\"",
            "shown": "no coffee",
            "exception.message": "no coffee",
            "exception.type": "Failure",
            "exception.stacktrace": "caused by: no water\ncaused by: pipe \"frozen\"",
        })
    );
}

/// The `exception.type` of an event with this error.
fn exception_type(error: &(dyn Error + 'static)) -> String {
    let records = recorded(|| info!(error, "event"));
    let attributes = attributes(records.event("event"));
    attributes["exception.type"].as_str().unwrap().to_owned()
}

#[test]
fn an_anyhow_error_has_the_type_of_the_first_cause_that_tells_one() {
    use anyhow::{Context, anyhow};

    let io = || std::fs::File::open("/there/is/no/such/file");
    let wrapped = anyhow::Error::from(io().unwrap_err());
    assert_eq!(exception_type(wrapped.as_ref()), "Os");
    let context = io().context("Broken(pipe)").context("while reading");
    assert_eq!(exception_type(context.unwrap_err().as_ref()), "Os");
    let context = Err::<(), _>(failure()).with_context(|| "Timeout {");
    assert_eq!(exception_type(context.unwrap_err().as_ref()), "Failure");
    // A message alone is of no type.
    assert_eq!(exception_type(anyhow!("Timeout").as_ref()), "Error");
    assert_eq!(
        exception_type(anyhow!("Timeout").context("Late").as_ref()),
        "Error"
    );
}

#[test]
fn a_word_of_the_message_is_no_exception_type() {
    /// Shows its message by `Debug` as well, as the reports of some crates do.
    struct Report(&'static str);
    impl fmt::Debug for Report {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl fmt::Display for Report {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Report {}
    let messages = [
        "Timeout",
        "Broken(pipe)",
        "Broken {pipe",
        "Timeout: late",
        "Timeout at 5",
        "timeout(5)",
        "",
        "Ünicode",
        "\"quoted\"",
        "a::b",
        "::",
    ];
    for message in messages {
        assert_eq!(exception_type(&Report(message)), "Error", "{message}");
    }
    let number = "x".parse::<i32>().unwrap_err();
    assert_eq!(exception_type(&number), "ParseIntError");
    assert_eq!(exception_type(&std::fmt::Error), "Error");
    assert_eq!(exception_type(&std::sync::mpsc::RecvError), "RecvError");
    let path = reqwest::Client::new().get("no url").build().unwrap_err();
    assert_eq!(exception_type(&path), "reqwest::Error");
}

#[test]
fn bytes_are_hex() {
    let bytes: &[u8] = &[0, 1, 0xab, 0xff];
    let none: &[u8] = &[];
    assert_eq!(
        both!(bytes, none),
        json!({ "bytes": "0001abff", "none": "" })
    );
}

#[test]
fn a_field_without_a_value_is_absent() {
    let seen = both!(some = Some(1), none = None::<i64>, empty = Empty);
    assert_eq!(seen, json!({ "some": 1 }));
}

#[test]
fn names_are_kept_as_they_are_written() {
    let seen = both!(
        r#type = "a",
        user.id = 1,
        "any name" = 2,
        level = "mine",
        _time = "now",
        trace_id = "x"
    );
    assert_eq!(
        seen,
        json!({
            "type": "a", "user.id": 1, "any name": 2, "level": "mine", "_time": "now", "trace_id": "x"
        })
    );
}

#[test]
fn of_a_repeated_field_the_last_value_is_sent_once() {
    let records = recorded(|| info!(a = 1, b = "x,\"y\":", a = "two", c = 3, b = 4));
    let line = records.all[0].to_string();
    assert!(
        line.contains(r#""attributes":{"a":"two","c":3,"b":4}"#),
        "{line}"
    );
}

#[test]
fn an_attribute_may_have_the_name_of_a_field_beyond_those_that_are_told_apart() {
    let names = (0..260).map(|number| format!("field-{number}"));
    let fields: Vec<(_, Box<dyn tracing::Value>)> =
        names.map(|name| (name, Box::new(Empty) as _)).collect();
    let records = recorded(|| {
        let span = made::span("span", &fields);
        span.record("field-0", 1);
        span.set_attribute("field-258", 2);
        span.record("field-0", 3);
        span.record("field-0", 4);
    });
    assert_eq!(
        Value::from(attributes(records.span("span"))),
        json!({ "field-0": 4, "field-258": 2 })
    );
}
