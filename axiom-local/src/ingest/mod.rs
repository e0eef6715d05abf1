//! Judges the events of a body, and decides what is stored of each. It knows nothing of HTTP.
//!
//! The steps, in order: `decode` undoes the encoding of the body, `split` finds its events, `labels` reads the labels of the
//! request, `walk` examines an event against the rules of `row` and the fields in `schema`, `rewrite` makes the changes that
//! Axiom would make, and `files` appends the events to files.
//!
//! The task of each request runs this code. `decode`, `split` and `labels` need no lock. The other steps belong to [`Ingest`],
//! which is behind a lock (see `state`), so one request is judged at a time. This folder names `event` and `violation`, and
//! nothing else of the crate.

pub(crate) mod decode;
mod files;
pub(crate) mod labels;
mod rewrite;
mod row;
mod schema;
pub(crate) mod split;
mod walk;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use self::files::Files;
use self::rewrite::Changes;
use self::row::Seen;
use self::schema::{Names, Schema, Shape};
use self::split::Split;
use self::walk::{Context, Findings};
use crate::event::{Labels, time};
use crate::violation::Rule;

/// Axiom documents at most this many bytes for one event; a longer one breaks the contract.
const MAX_LINE: usize = 1_000_000;
/// A request with an event longer than this is refused with 400, because Axiom's users have met that refusal above this size.
const MAX_EVENT: usize = 1024 * 1024;
/// Axiom documents at most this many events for one request.
const MAX_EVENTS: usize = 10_000;

/// What a request wants done with its events.
#[derive(Debug)]
pub(crate) struct Batch<'r> {
    pub(crate) dataset: &'r Arc<str>,
    pub(crate) split: &'r Split,
    pub(crate) labels: &'r Arc<Labels>,
    pub(crate) time_field: &'r str,
    /// How many events, from the first, are to be failed on purpose.
    pub(crate) fail: usize,
}

/// One entry of `failures` in the answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) timestamp: String,
    pub(crate) error: String,
}

/// A breach, with the position of the event.
pub(crate) type Breach = (Rule, String, Option<usize>);

/// What became of a request's events.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) stored: Vec<(Bytes, Arc<Labels>)>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) breaches: Vec<Breach>,
    /// Why the whole request is refused, and with which status; then nothing is stored.
    pub(crate) refused: Option<(u16, String)>,
}

/// What is known of the fields of each dataset, and the files that events are written to.
#[derive(Debug)]
pub(crate) struct Ingest {
    schemas: HashMap<Arc<str>, Schema>,
    files: Option<Files>,
    max_fields: usize,
    map_fields: Vec<String>,
    findings: Findings,
}

impl Ingest {
    pub(crate) fn new(
        dir: Option<&Path>,
        max_fields: usize,
        map_fields: Vec<String>,
    ) -> io::Result<Self> {
        Ok(Ingest {
            schemas: HashMap::new(),
            files: dir.map(Files::open).transpose()?,
            max_fields,
            map_fields,
            findings: Findings::default(),
        })
    }

    /// Forgets the fields of all datasets.
    pub(crate) fn forget(&mut self) {
        self.schemas.clear();
    }

    /// Judges the events of one request and, unless the request is refused, writes them to the dataset's file.
    ///
    /// Fields of a refused request may stay known to the dataset.
    pub(crate) fn accept(&mut self, batch: &Batch<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        self.judge(batch, &mut outcome);
        if outcome.refused.is_none()
            && let Some(files) = &mut self.files
            && let Err(error) = files.append(batch.dataset, &outcome.stored)
        {
            outcome.refused = Some((500, format!("the events can not be written: {error}")));
        }
        if outcome.refused.is_some() {
            outcome.stored.clear();
            outcome.failures.clear();
        }
        outcome
    }

    fn judge(&mut self, batch: &Batch<'_>, outcome: &mut Outcome) {
        let events = &batch.split.events;
        if events.len() > MAX_EVENTS {
            outcome.breaches.push((
                Rule::TooManyEvents,
                format!("{} events in one request", events.len()),
                None,
            ));
        }
        for (index, at) in events.iter().enumerate() {
            if at.len() > MAX_LINE {
                outcome.breaches.push((
                    Rule::LineTooLong,
                    format!("an event of {} bytes", at.len()),
                    Some(index),
                ));
            }
            if at.len() > MAX_EVENT {
                outcome.refused = Some((
                    400,
                    format!("event {index} has {} bytes; the limit is 1 MiB", at.len()),
                ));
            }
        }
        if outcome.refused.is_some() {
            return;
        }
        // UTF-8 was checked when the body was split.
        let Ok(text) = std::str::from_utf8(&batch.split.text) else {
            return;
        };
        let schema = self.schemas.entry(Arc::clone(batch.dataset)).or_default();
        let arrival = time::rfc3339(time::now());
        let mut labels = JudgedLabels::new(batch, schema, &self.map_fields, outcome);
        let unlabelled = Arc::new(Labels::default());
        outcome.stored.reserve(events.len());
        for (index, at) in events.iter().enumerate() {
            let line = &text[at.clone()];
            if index < batch.fail {
                let timestamp = rewrite::time_of(line, batch.time_field, &arrival);
                outcome.failures.push(Failure {
                    timestamp,
                    error: "failed on purpose".into(),
                });
                continue;
            }
            let context = Context {
                time_field: batch.time_field,
                labels: &labels.names,
                map_fields: &self.map_fields,
            };
            let found = &mut self.findings;
            let mut walked = walk::walk(line, schema, &context, found);
            let mut cut = None;
            if found.too_deep {
                let text = rewrite::cut(line);
                walked = walk::walk(&text, schema, &context, found);
                found.rewrite = true;
                found
                    .broken
                    .push((Rule::NestingTooDeep, "nested more than 100 deep".into()));
                cut = Some(text);
            }
            if let Err(error) = walked {
                let reason = format!("event {index} is not a JSON object: {error}");
                outcome
                    .breaches
                    .push((Rule::BodyNotUnderstood, reason.clone(), Some(index)));
                outcome.refused = Some((400, reason));
                return;
            }
            if found.huge_number && rewrite::has_huge_integer(line) {
                found.broken.push((
                    Rule::IntegerTooLarge,
                    "an integer beyond signed 64 bits".into(),
                ));
            }
            found.row.judge(labels.has_service, |rule, reason| {
                found.broken.push((rule, reason))
            });
            match &found.time {
                Seen::Good => found.rewrite |= batch.time_field != "_time",
                Seen::Absent => found
                    .broken
                    .push((Rule::TimeMissing, format!("no {}", batch.time_field))),
                Seen::Bad(value) => found.broken.push((
                    Rule::TimeUnreadable,
                    format!("{} is {value}", batch.time_field),
                )),
            }
            let has_time = found.time == Seen::Good;
            // If only the labels have a time, pasting them in would give the event two: theirs and the time of arrival.
            found.merge |= !has_time && labels.names.contains_key("_time");
            labels.add_new_to(&mut found.shapes);
            if let Err(fields) = schema.merge(&mut found.shapes, self.max_fields) {
                let error = format!(
                    "the dataset would have {fields} fields; its limit is {}",
                    self.max_fields
                );
                found.broken.push((Rule::TooManyFields, error.clone()));
                let timestamp = rewrite::time_of(line, batch.time_field, &arrival);
                outcome.failures.push(Failure { timestamp, error });
            } else {
                labels.new.clear();
                // An event with a line end in it is rewritten, because the files have one event on each line.
                let as_is = has_time
                    && !found.rewrite
                    && !found.merge
                    && memchr::memchr2(b'\n', b'\r', line.as_bytes()).is_none();
                let stored = if as_is {
                    (batch.split.text.slice(at.clone()), Arc::clone(batch.labels))
                } else {
                    let changes = Changes {
                        time_field: batch.time_field,
                        has_time,
                        arrival: &arrival,
                        labels: found.merge.then_some(&batch.labels.fields),
                    };
                    let labels = if found.merge {
                        &unlabelled
                    } else {
                        batch.labels
                    };
                    match rewrite::rewrite(cut.as_deref().unwrap_or(line), &changes) {
                        Ok(text) => (text.into(), Arc::clone(labels)),
                        Err(error) => {
                            outcome.refused =
                                Some((400, format!("event {index} is not a JSON object: {error}")));
                            return;
                        }
                    }
                };
                outcome.stored.push(stored);
            }
            outcome.breaches.extend(
                found
                    .broken
                    .drain(..)
                    .map(|(rule, reason)| (rule, reason, Some(index))),
            );
        }
    }
}

/// The labels of a request as fields of the dataset.
struct JudgedLabels {
    /// The flattened names of all labels.
    names: Names<Shape>,
    /// The labels that the dataset does not know as fields yet. They become known when the first event is stored.
    new: Vec<(Box<str>, Shape)>,
    has_service: bool,
}

impl JudgedLabels {
    fn new(
        batch: &Batch<'_>,
        schema: &Schema,
        map_fields: &[String],
        outcome: &mut Outcome,
    ) -> Self {
        let mut judged = JudgedLabels {
            names: Names::default(),
            new: Vec::new(),
            has_service: false,
        };
        if batch.labels.inside.is_empty() {
            return judged;
        }
        let none = Names::default();
        let context = Context {
            time_field: "",
            labels: &none,
            map_fields,
        };
        let text = format!("{{{}}}", batch.labels.inside);
        let mut found = Findings::default();
        // Labels that are not a JSON object were refused before. A walk fails only if they are nested too deep; then they are
        // not judged.
        if walk::walk(&text, schema, &context, &mut found).is_ok() {
            judged.new = found.shapes.drain().collect();
            judged.has_service = found.row.has_service();
            outcome.breaches.extend(
                found
                    .broken
                    .drain(..)
                    .map(|(rule, reason)| (rule, format!("labels: {reason}"), None)),
            );
        }
        if walk::walk(&text, &Schema::default(), &context, &mut found).is_ok() {
            judged.names = found.shapes;
        }
        judged
    }

    fn add_new_to(&self, shapes: &mut Names<Shape>) {
        for (name, shape) in &self.new {
            shapes.entry(name.clone()).or_insert(*shape);
        }
    }
}
