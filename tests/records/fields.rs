//! Fields: each type arrives as what it is.

use std::error::Error;
use std::fmt;
use std::num::{NonZeroU8, Wrapping};

use axiom_layer::SpanExt;
use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::{info, info_span};

use crate::common::{attributes, recorded};
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
fn integers_are_numbers_up_to_64_bits_with_a_sign_and_text_beyond() {
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
            "over": "9223372036854775808", "huge": "18446744073709551615", "wide": 7,
            "lowest": "-170141183460469231731687303715884105728",
            "highest": "340282366920938463463374607431768211455", "nonzero": 3, "wrapping": 9
        })
    );
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
