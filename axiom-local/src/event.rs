//! One stored event: the bytes that arrived, parsed when somebody looks.
//!
//! A load test stores hundreds of thousands of events a second and looks at few, so an event is a slice of its
//! request's body and shares the labels of the request.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::ingest::Labels;
use crate::ingest::time;

/// What an event costs beside its text: two allocations, a place in the queue.
const OVERHEAD: usize = 200;

/// An event as Axiom would store it: labels merged in, reserved names renamed, `_time` present.
///
/// Cheap to clone. It is parsed when it is first looked at, and the parsed form lives as long as this handle and its
/// clones: the server itself keeps the text only.
///
/// ```no_run
/// # let server = axiom_local::Server::start()?;
/// for event in server.events("my-dataset") {
///     println!("{:?} {:?}", event.get("level"), event.get("attributes.user.id"));
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Event {
    inner: Arc<Inner>,
    parsed: OnceLock<Arc<Map<String, Value>>>,
}

struct Inner {
    sequence: u64,
    request: u64,
    dataset: Arc<str>,
    /// One JSON object on one line, without the labels.
    text: Bytes,
    labels: Arc<Labels>,
    weight: usize,
}

impl Event {
    pub(crate) fn new(
        sequence: u64,
        request: u64,
        dataset: Arc<str>,
        text: Bytes,
        labels: Arc<Labels>,
        labels_share: usize,
    ) -> Self {
        let weight = text.len() + OVERHEAD + labels_share;
        Event {
            inner: Arc::new(Inner {
                sequence,
                request,
                dataset,
                text,
                labels,
                weight,
            }),
            parsed: OnceLock::new(),
        }
    }

    /// The event's fields, as nested as they were sent.
    pub fn fields(&self) -> &Map<String, Value> {
        self.parsed.get_or_init(|| {
            // The text was parsed once when it was accepted, so it does parse.
            let mut fields: Map<String, Value> =
                serde_json::from_slice(&self.inner.text).unwrap_or_default();
            for (name, value) in &self.inner.labels.fields {
                fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
            Arc::new(fields)
        })
    }

    /// Finds a field by its flattened name, whether it was sent nested or with dots in its name.
    ///
    /// `get("attributes.user.id")` finds `{"attributes": {"user": {"id": 7}}}` and `{"attributes": {"user.id": 7}}`.
    pub fn get(&self, path: &str) -> Option<&Value> {
        find(self.fields(), path)
    }

    /// The dataset it is stored in.
    pub fn dataset(&self) -> &str {
        &self.inner.dataset
    }

    /// The [`index`](crate::Request::index) of the request that brought it.
    pub fn request(&self) -> u64 {
        self.inner.request
    }

    /// Position in the order of arrival, over all datasets, since the server started, from 0.
    pub fn sequence(&self) -> u64 {
        self.inner.sequence
    }

    /// Returns the fields, owned.
    pub fn into_fields(mut self) -> Map<String, Value> {
        self.fields();
        let parsed = self.parsed.take().unwrap_or_default();
        Arc::try_unwrap(parsed).unwrap_or_else(|shared| Map::clone(&shared))
    }

    /// A copy that does not keep the rest of its request's body, nor the parsed form, in memory: for holding a few events
    /// out of many.
    pub fn compact(&self) -> Event {
        Event {
            inner: Arc::new(Inner {
                dataset: Arc::clone(&self.inner.dataset),
                text: Bytes::copy_from_slice(&self.inner.text),
                labels: Arc::clone(&self.inner.labels),
                ..*self.inner
            }),
            parsed: OnceLock::new(),
        }
    }

    /// Bytes of the event's JSON, without the labels of its request.
    pub fn size(&self) -> usize {
        self.inner.text.len()
    }

    /// `_time` in nanoseconds since the epoch.
    pub fn unix_nanos(&self) -> Option<i64> {
        self.fields().get("_time").and_then(time::of_value)
    }

    /// A string field, by flattened name; none if it is absent or no string.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.get(path).and_then(Value::as_str)
    }

    /// True if the field was a label of the request, rather than the event's own.
    pub(crate) fn is_label(&self, name: &str) -> bool {
        self.inner.labels.fields.contains_key(name)
    }

    /// What the event costs in memory, near enough to bound it.
    pub(crate) fn weight(&self) -> usize {
        self.inner.weight
    }

    /// Appends the event as one line of JSON, without the line end.
    pub(crate) fn put_json(&self, out: &mut Vec<u8>) {
        put_merged(&self.inner.text, &self.inner.labels.inside, out);
    }
}

/// Appends the object `text` with the members `inside` (no braces) added to it.
pub(crate) fn put_merged(text: &[u8], inside: &str, out: &mut Vec<u8>) {
    let text = text.trim_ascii();
    let Some(open) = text.strip_suffix(b"}") else {
        return out.extend_from_slice(text);
    };
    out.extend_from_slice(open);
    if !inside.is_empty() {
        if open.trim_ascii_end() != b"{" {
            out.push(b',');
        }
        out.extend_from_slice(inside.as_bytes());
    }
    out.push(b'}');
}

/// Finds a value by its flattened name.
pub(crate) fn find<'v>(fields: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    path.match_indices('.')
        .find_map(|(dot, _)| match fields.get(&path[..dot]) {
            Some(Value::Object(inner)) => find(inner, &path[dot + 1..]),
            _ => None,
        })
}

/// The event as one line of JSON.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            Vec::with_capacity(self.inner.text.len() + self.inner.labels.inside.len() + 1);
        self.put_json(&mut line);
        f.write_str(&String::from_utf8_lossy(&line))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Event({}, request {}, {self})",
            self.dataset(),
            self.request()
        )
    }
}

impl From<Event> for Value {
    fn from(event: Event) -> Value {
        Value::Object(event.into_fields())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str, inside: &str) -> String {
        let mut out = Vec::new();
        put_merged(text.as_bytes(), inside, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn labels_join_an_object_of_any_size() {
        assert_eq!(merged("{}", r#""a":1"#), r#"{"a":1}"#);
        assert_eq!(merged("{ }", r#""a":1"#), r#"{ "a":1}"#);
        assert_eq!(merged(r#"{"b":2}"#, r#""a":1"#), r#"{"b":2,"a":1}"#);
        assert_eq!(merged(r#"{"b":2} "#, ""), r#"{"b":2}"#);
    }

    #[test]
    fn a_flattened_path_finds_nested_and_dotted_names() {
        let fields: Map<String, Value> =
            serde_json::from_str(r#"{"a.b":1,"c":{"d.e":2,"f":{"g":3}},"c.x":4}"#).unwrap();
        assert_eq!(find(&fields, "a.b"), Some(&Value::from(1)));
        assert_eq!(find(&fields, "c.d.e"), Some(&Value::from(2)));
        assert_eq!(find(&fields, "c.f.g"), Some(&Value::from(3)));
        assert_eq!(find(&fields, "c.x"), Some(&Value::from(4)));
        assert_eq!(find(&fields, "c.f.h"), None);
    }
}
