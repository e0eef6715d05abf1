//! Changes an event as Axiom does before it stores it: deep nesting is cut, long strings are replaced, reserved names are
//! changed.

use serde_json::{Map, Value};

use super::walk::{MAX_DEPTH, MAX_STRING, TAKEN};
use crate::event::{find, time};

/// Replaces every value that is nested deeper than Axiom keeps by null. It works on text, because a parser would recurse as deep.
pub(crate) fn cut(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for character in text.chars() {
        let kept_before = depth <= MAX_DEPTH;
        if in_string {
            (in_string, escaped) = (escaped || character != '"', !escaped && character == '\\');
        } else {
            match character {
                '"' => in_string = true,
                '{' | '[' => {
                    depth += 1;
                    if depth == MAX_DEPTH + 1 {
                        out.push_str("null");
                    }
                }
                '}' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if kept_before && depth <= MAX_DEPTH {
            out.push(character);
        }
    }
    out
}

/// True if the text has an integer of more than 64 bits, outside of strings.
pub(crate) fn has_huge_integer(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = at;
                while at < bytes.len()
                    && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                {
                    at += 1;
                }
                let number = &text[start..at];
                if !number.contains(['.', 'e', 'E']) && number.parse::<i64>().is_err() {
                    return true;
                }
            }
            _ => at += 1,
        }
    }
    false
}

/// How an event is to be changed.
#[derive(Debug)]
pub(crate) struct Changes<'r> {
    pub(crate) time_field: &'r str,
    /// True if the time field holds a timestamp. If not, the time of arrival is used.
    pub(crate) has_time: bool,
    pub(crate) arrival: &'r str,
    /// Labels to merge in. Where both have a field, the event's own stays.
    pub(crate) labels: Option<&'r Map<String, Value>>,
}

/// Builds the event to store, if it has to differ from the one that was sent.
pub(crate) fn rewrite(text: &str, changes: &Changes<'_>) -> serde_json::Result<String> {
    let mut fields: Map<String, Value> = serde_json::from_str(text)?;
    rename_taken(&mut fields);
    fields.values_mut().for_each(shorten);
    let time = match find(&fields, changes.time_field) {
        Some(value) if changes.has_time => value.clone(),
        _ => Value::String(changes.arrival.to_owned()),
    };
    fields.insert("_time".into(), time);
    if let Some(labels) = changes.labels {
        merge(&mut fields, labels);
    }
    serde_json::to_string(&fields)
}

/// Renames fields that have a reserved name, with the prefix that Axiom uses.
pub(crate) fn rename_taken(fields: &mut Map<String, Value>) {
    for name in TAKEN {
        if let Some(value) = fields.remove(name) {
            fields.insert(format!("_user{name}"), value);
        }
    }
}

fn merge(fields: &mut Map<String, Value>, labels: &Map<String, Value>) {
    for (name, label) in labels {
        match (fields.get_mut(name), label) {
            (Some(Value::Object(inner)), Value::Object(label)) => merge(inner, label),
            (Some(_), _) => {}
            (None, _) => {
                fields.insert(name.clone(), label.clone());
            }
        }
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > MAX_STRING => {
            *text = "<invalid string: too long>".into()
        }
        Value::Array(elements) => elements.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

/// The time of an event for the answer's `failures`: its own or, if it has none, the time of arrival.
pub(crate) fn time_of(text: &str, time_field: &str, arrival: &str) -> String {
    serde_json::from_str::<Map<String, Value>>(text)
        .ok()
        .and_then(|fields| find(&fields, time_field).and_then(time::of_value))
        .map_or_else(|| arrival.to_owned(), time::rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_deep_becomes_null_and_the_rest_stays() {
        let deep = format!(
            "{{\"s\":\"[[\\\"{{\",\"a\":{}1{}, \"b\":2}}",
            "[".repeat(1_000),
            "]".repeat(1_000)
        );
        let cut = cut(&deep);
        let expected = format!(
            "{{\"s\":\"[[\\\"{{\",\"a\":{}null{}, \"b\":2}}",
            "[".repeat(99),
            "]".repeat(99)
        );
        assert_eq!(cut, expected);
    }

    #[test]
    fn only_integers_beyond_64_bits_are_huge() {
        for text in [
            r#"{"a":9223372036854775808}"#,
            r#"[-9223372036854775809]"#,
            r#"{"a":"\"","b":18446744073709551616}"#,
        ] {
            assert!(has_huge_integer(text), "{text}");
        }
        for text in [
            r#"{"a":9223372036854775807}"#,
            r#"{"a":1e300}"#,
            r#"{"a":"9223372036854775808"}"#,
            r#"{"a":92233720368547758080.5}"#,
        ] {
            assert!(!has_huge_integer(text), "{text}");
        }
    }
}
