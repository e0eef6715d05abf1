//! One stored event, and the words that everything else uses to speak of events: labels, times, flattened names.
//!
//! A load test stores hundreds of thousands of events a second and looks at few of them. So an [`Event`] is a slice of its
//! request's body, shares the labels of its request, and is parsed only when somebody looks at its fields.
//!
//! The server's tasks make events; the caller's thread reads them. Nothing here takes a lock or does I/O. The files of this
//! folder name nothing outside of it: the checks (`ingest`), the memory (`store`) and the printing (`render`) stand above and
//! name it.

mod labels;
mod path;
pub(crate) mod time;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};

pub(crate) use self::labels::Labels;
pub(crate) use self::path::find;

/// What an event costs in memory beside its text: two allocations, and a place in the queue.
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

    /// The dataset that the event is stored in.
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

    /// Returns a copy that keeps neither the rest of its request's body nor the parsed form in memory. It serves to hold a few
    /// events out of many.
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

    /// Finds a string field by its flattened name. None if the field is absent or is not a string.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.get(path).and_then(Value::as_str)
    }

    /// True if the field came from the labels of the request rather than from the event itself.
    pub(crate) fn is_label(&self, name: &str) -> bool {
        self.inner.labels.fields.contains_key(name)
    }

    /// What the event costs in memory, near enough to bound it.
    pub(crate) fn weight(&self) -> usize {
        self.inner.weight
    }

    /// Appends the event as one line of JSON, without the line end.
    pub(crate) fn put_json(&self, out: &mut Vec<u8>) {
        self.inner.labels.put_merged(&self.inner.text, out);
    }
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
