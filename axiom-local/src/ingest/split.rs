//! Finds the events of a decoded body: where in its text each of them lies.
//!
//! CSV and groups are first rewritten as NDJSON, so that everything after this file sees one form only.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// How the events are laid out in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// An array, one object, or objects one after the other.
    Json,
    /// One object a line.
    Ndjson,
    /// Rows. If there are no names here, the first row has them.
    Csv {
        delimiter: u8,
        names: Option<Vec<String>>,
    },
    /// An array of `{tags, events: [{timestamp, attributes}]}`.
    Groups,
}

/// A text and where its events are.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) text: Bytes,
    pub(crate) events: Vec<Range<usize>>,
}

/// Finds the events of a body. It fails with a text for a person.
pub(crate) fn split(format: &Format, body: Bytes) -> Result<Split, String> {
    let text = std::str::from_utf8(&body).map_err(|e| format!("the body is not UTF-8: {e}"))?;
    match format {
        Format::Ndjson => {
            let events = lines(text);
            Ok(Split { text: body, events })
        }
        Format::Json => {
            let events = values(text).map_err(|e| format!("the body is not JSON: {e}"))?;
            Ok(Split { text: body, events })
        }
        Format::Csv { delimiter, names } => from_csv(text, *delimiter, names.as_deref())
            .map_err(|e| format!("the body is not CSV: {e}")),
        Format::Groups => {
            from_groups(text).map_err(|e| format!("the body is not an array of groups: {e}"))
        }
    }
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(bytes.len() / 256 + 1);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
        let line = &bytes[start..end];
        if !line.trim_ascii().is_empty() {
            found.push(start..start + line.trim_ascii_end().len());
        }
        start = end + 1;
    }
    found
}

fn values(text: &str) -> serde_json::Result<Vec<Range<usize>>> {
    let base = text.as_ptr() as usize;
    let place = |value: &RawValue| {
        let start = value.get().as_ptr() as usize - base;
        start..start + value.get().len()
    };
    if text.trim_ascii_start().starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(text)?;
        return Ok(elements.into_iter().map(place).collect());
    }
    serde_json::Deserializer::from_str(text)
        .into_iter::<&RawValue>()
        .map(|value| value.map(place))
        .collect()
}

/// Appends lines to a new text and remembers where they are.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    events: Vec<Range<usize>>,
}

impl Lines {
    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        self.events.push(start..self.text.len());
        self.text.push(b'\n');
    }

    fn finish(self) -> Split {
        Split {
            text: self.text.into(),
            events: self.events,
        }
    }
}

fn from_csv(text: &str, delimiter: u8, names: Option<&[String]>) -> csv::Result<Split> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(names.is_none())
        .from_reader(text.as_bytes());
    let names: Vec<String> = match names {
        Some(names) => names.to_vec(),
        None => reader.headers()?.iter().map(str::to_owned).collect(),
    };
    let mut lines = Lines::default();
    for row in reader.records() {
        let row = row?;
        let event: Map<String, Value> = names
            .iter()
            .zip(row.iter())
            .map(|(name, cell)| (name.clone(), typed(cell)))
            .collect();
        lines.line(|out| out.extend_from_slice(Value::Object(event).to_string().as_bytes()));
    }
    Ok(lines.finish())
}

/// Reads a CSV cell as the JSON that it looks like: null if it is empty, a bool, a number, or else a string.
fn typed(cell: &str) -> Value {
    match cell {
        "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match serde_json::from_str::<Number>(cell) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(cell.to_owned()),
        },
    }
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
    #[serde(borrow)]
    events: Vec<GroupEvent<'a>>,
}

#[derive(Deserialize)]
struct GroupEvent<'a> {
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

/// Rewrites groups as NDJSON. The text of tags and attributes is pasted, not parsed, so that a key which is there twice stays
/// there twice and is reported.
fn from_groups(text: &str) -> Result<Split, String> {
    let groups: Vec<Group<'_>> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut lines = Lines::default();
    for group in &groups {
        let tags = inside(group.tags)?;
        for event in &group.events {
            let attributes = inside(event.attributes)?;
            let time = event
                .timestamp
                .map(|time| format!("\"_time\":{}", time.get()));
            let members: Vec<&str> = [time.as_deref().unwrap_or(""), tags, attributes]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            lines.line(|out| {
                out.push(b'{');
                out.extend_from_slice(members.join(",").as_bytes());
                out.push(b'}');
            });
        }
    }
    Ok(lines.finish())
}

/// What stands between the braces of an object.
fn inside(object: Option<&RawValue>) -> Result<&str, String> {
    let text = object.map_or("null", RawValue::get);
    match text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(inner) => Ok(inner.trim()),
        None if text == "null" => Ok(""),
        None => Err("tags and attributes are objects".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(format: Format, body: &str) -> Vec<String> {
        let split = split(&format, Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let text = String::from_utf8(split.text.to_vec()).unwrap();
        split
            .events
            .into_iter()
            .map(|at| text[at].to_owned())
            .collect()
    }

    #[test]
    fn each_layout_gives_its_events() {
        assert_eq!(
            events(Format::Ndjson, "{\"a\":1}\r\n\n{\"a\":2}"),
            ["{\"a\":1}", "{\"a\":2}"]
        );
        assert_eq!(
            events(Format::Json, " [ {\"a\":1}, {\"a\" : 2} ] "),
            ["{\"a\":1}", "{\"a\" : 2}"]
        );
        assert_eq!(
            events(Format::Json, "{\"a\":1}\n{\"a\":2}\n"),
            ["{\"a\":1}", "{\"a\":2}"]
        );
        assert_eq!(events(Format::Json, "{\n\"a\":1}"), ["{\n\"a\":1}"]);
        assert_eq!(events(Format::Json, "[]"), [""; 0]);
        let csv = Format::Csv {
            delimiter: b',',
            names: None,
        };
        assert_eq!(
            events(csv, "a,b,c\n1,x y,\ntrue,007,\"q,\"\"r\"\n"),
            [
                r#"{"a":1,"b":"x y","c":null}"#,
                r#"{"a":true,"b":"007","c":"q,\"r"}"#,
            ]
        );
        let csv = Format::Csv {
            delimiter: b';',
            names: Some(vec!["a".into(), "b".into()]),
        };
        assert_eq!(events(csv, "1;2\n"), [r#"{"a":1,"b":2}"#]);
    }

    #[test]
    fn groups_keep_repeated_keys_visible() {
        let body = r#"[{"tags":{"host":"h"},"events":[{"timestamp":"2020-01-01","attributes":{"a":1,"a":2}},{"timestamp":1}]}]"#;
        assert_eq!(
            events(Format::Groups, body),
            [
                r#"{"_time":"2020-01-01","host":"h","a":1,"a":2}"#,
                r#"{"_time":1,"host":"h"}"#,
            ]
        );
    }
}
