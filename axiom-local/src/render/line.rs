//! Prints one row as one line.

use std::borrow::Cow;

use serde_json::Value;

use super::paint::{Look, Style, plain};
use crate::event::{Event, time};

/// Fields of an event with a place of their own in the line or in the tree.
const OF_AN_EVENT: [&str; 5] = ["_time", "target", "trace_id", "span_id", "service.name"];

/// Fields of a span with a place of their own in the line or in the tree, or of no use to a reader.
const OF_A_SPAN: [&str; 16] = [
    "_time",
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "kind",
    "duration",
    "error",
    "status.code",
    "status.message",
    "service.name",
    "scope.name",
    "scope.version",
    "level",
    "events",
    "links",
];

/// Fields that may hold the level, in the order in which Axiom's documentation has them.
const LEVELS: [&str; 4] = ["level", "@level", "severity", "@severity"];
/// Fields that may hold the text.
const MESSAGES: [&str; 2] = ["message", "msg"];

/// Characters of one value that are shown.
const MAX_VALUE: usize = 200;
/// Characters of a message that are shown.
const MAX_MESSAGE: usize = 2_000;

/// Prints an event that is not a span.
pub(super) fn event(event: &Event, style: Style, with_time: bool) -> String {
    let mut parts = Vec::new();
    if with_time && let Some(time) = clock(event) {
        parts.push(style.paint(Look::Dim, &time));
    }
    let first = |names: &[&'static str]| {
        names
            .iter()
            .find_map(|name| event.text(name).map(|text| (*name, text)))
    };
    let (level_name, level) = first(&LEVELS).unwrap_or_default();
    let message = first(&MESSAGES);
    if !level.is_empty() {
        parts.push(style.paint(
            level_look(level),
            &format!("{:>5}", level.to_ascii_uppercase()),
        ));
    }
    if let Some(target) = event.text("target") {
        parts.push(style.paint(Look::Dim, &format!("{target}:")));
    }
    if let Some((_, message)) = message {
        let message = shortened(message, MAX_MESSAGE);
        parts.push(if is_error(level) {
            style.paint(Look::Red, &message)
        } else {
            plain(&message)
        });
    }
    let message_name = message.map_or("", |(name, _)| name);
    parts.extend(fields(event, style, |path| {
        path == level_name || path == message_name || OF_AN_EVENT.contains(&path)
    }));
    parts.join(" ")
}

/// Prints a span, without its children.
pub(super) fn span(event: &Event, style: Style, service: Option<&str>) -> String {
    let failed = event.get("error").and_then(Value::as_bool) == Some(true)
        || event.text("status.code") == Some("ERROR");
    let name = event.text("name").unwrap_or("(no name)");
    let mut parts = vec![style.paint(if failed { Look::Red } else { Look::Bold }, name)];
    if let Some(nanos) = duration(event) {
        parts.push(style.paint(Look::Yellow, &humanised(nanos)));
    }
    if let Some(kind) = event.text("kind").filter(|kind| *kind != "internal") {
        parts.push(style.paint(Look::Blue, kind));
    }
    if let Some(service) = service {
        parts.push(style.paint(Look::Green, &format!("[{service}]")));
    }
    if failed {
        let message = event.text("status.message").map_or_else(
            || "✗ error".to_owned(),
            |text| format!("✗ {}", shortened(text, MAX_MESSAGE)),
        );
        parts.push(style.paint(Look::Red, &message));
    }
    parts.extend(fields(event, style, |path| OF_A_SPAN.contains(&path)));
    parts.join(" ")
}

fn level_look(level: &str) -> Look {
    match level.to_ascii_lowercase().as_str() {
        "error" | "fatal" | "critical" => Look::Red,
        "warn" | "warning" => Look::Yellow,
        "info" => Look::Green,
        "debug" => Look::Blue,
        _ => Look::Magenta,
    }
}

fn is_error(level: &str) -> bool {
    matches!(level_look(level), Look::Red)
}

/// The time of day, in UTC.
pub(super) fn clock(event: &Event) -> Option<String> {
    let time = time::rfc3339(event.unix_nanos()?);
    time.get(11..23).map(str::to_owned)
}

pub(super) fn duration(event: &Event) -> Option<i64> {
    event.get("duration").and_then(Value::as_i64)
}

/// Nanoseconds with three digits or so, in the unit that suits them.
pub(super) fn humanised(nanos: i64) -> String {
    let number = nanos as f64;
    match nanos {
        ..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", three_digits(number / 1e3)),
        1_000_000..1_000_000_000 => format!("{}ms", three_digits(number / 1e6)),
        1_000_000_000..60_000_000_000 => format!("{}s", three_digits(number / 1e9)),
        _ => format!(
            "{}m {:02}s",
            nanos / 60_000_000_000,
            nanos / 1_000_000_000 % 60
        ),
    }
}

fn three_digits(number: f64) -> String {
    let decimals = match number {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

/// The remaining fields of the row. Labels are left out, because they are the same on every row.
fn fields(event: &Event, style: Style, is_elsewhere: impl Fn(&str) -> bool) -> Option<String> {
    let mut shown = Vec::new();
    let own = event
        .fields()
        .iter()
        .filter(|(name, _)| !event.is_label(name));
    for (name, value) in own {
        put_leaves(name, value, &is_elsewhere, &mut shown);
    }
    let text = shown.join(" ");
    (!text.is_empty()).then(|| style.paint(Look::Dim, &text))
}

fn put_leaves(
    path: &str,
    value: &Value,
    is_elsewhere: &impl Fn(&str) -> bool,
    shown: &mut Vec<String>,
) {
    if is_elsewhere(path) {
        return;
    }
    let text = match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                put_leaves(&format!("{path}.{name}"), value, is_elsewhere, shown);
            }
            return;
        }
        Value::Null => return,
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => {
            Cow::Borrowed(text.as_str())
        }
        other => Cow::Owned(other.to_string()),
    };
    let text = shortened(&text, MAX_VALUE);
    shown.push(format!("{}={text}", short(path)));
}

/// A text, or its beginning if it is longer than a reader wants.
fn shortened(text: &str, max_characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_characters) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The name that the user gave to a field, without the prefixes under which Axiom keeps it.
fn short(path: &str) -> &str {
    let own = path.strip_prefix("attributes.").unwrap_or(path);
    own.strip_prefix("custom.").unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_in_the_unit_that_suits_them() {
        for (nanos, expected) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_500, "1.50µs"),
            (12_345_678, "12.3ms"),
            (999_900_000, "1000ms"),
            (1_234_000_000, "1.23s"),
            (125_000_000_000, "2m 05s"),
        ] {
            assert_eq!(humanised(nanos), expected);
        }
    }
}
