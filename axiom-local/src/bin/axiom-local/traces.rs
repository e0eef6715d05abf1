//! Rows wait here until their trace is worth printing. Time is passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axiom_local::{Event, render};

/// After its root has arrived, a trace is printed once nothing more has come for so long.
const QUIET_WITH_ROOT: Duration = Duration::from_millis(500);
/// Without a root it may still be running; a person waits no longer than this for a sign of life.
const QUIET_WITHOUT_ROOT: Duration = Duration::from_secs(5);
/// Bounds of what waits, over all traces: rows, and bytes of their JSON. Beyond them, all is printed as it is.
const MAX_ROWS: usize = 50_000;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Traces that are not printed yet.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    waiting: HashMap<String, Trace>,
    rows: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Trace {
    rows: Vec<Event>,
    has_root: bool,
    first_news: Instant,
    last_news: Instant,
}

impl Trace {
    fn is_due(&self, now: Instant) -> bool {
        let enough = if self.has_root {
            QUIET_WITH_ROOT
        } else {
            QUIET_WITHOUT_ROOT
        };
        now.saturating_duration_since(self.last_news) >= enough
    }
}

impl Traces {
    /// Takes the row of a trace.
    pub(crate) fn add(&mut self, trace_id: &str, row: &Event, now: Instant) {
        self.rows += 1;
        self.bytes += row.size();
        let is_root = render::is_span(row)
            && row
                .get("parent_span_id")
                .and_then(|id| id.as_str())
                .unwrap_or("")
                .is_empty();
        let trace = self
            .waiting
            .entry(trace_id.to_owned())
            .or_insert_with(|| Trace {
                rows: Vec::new(),
                has_root: false,
                first_news: now,
                last_news: now,
            });
        trace.has_root |= is_root;
        trace.last_news = now;
        trace.rows.push(row.compact());
    }

    /// Gives the traces to print now, oldest first: the quiet ones, and all of them if too much waits.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Vec<Event>> {
        let mut ids: Vec<(Instant, String)> = self
            .waiting
            .iter()
            .filter(|(_, trace)| trace.is_due(now))
            .map(|(id, trace)| (trace.first_news, id.clone()))
            .collect();
        ids.sort();
        let mut due: Vec<Vec<Event>> = ids.iter().filter_map(|(_, id)| self.take(id)).collect();
        if self.rows > MAX_ROWS || self.bytes > MAX_BYTES {
            due.extend(self.all());
        }
        due
    }

    /// Gives all of them, oldest first.
    pub(crate) fn all(&mut self) -> Vec<Vec<Event>> {
        let mut all: Vec<Trace> = self.waiting.drain().map(|(_, trace)| trace).collect();
        all.sort_by_key(|trace| trace.first_news);
        self.rows = 0;
        self.bytes = 0;
        all.into_iter().map(|trace| trace.rows).collect()
    }

    fn take(&mut self, id: &str) -> Option<Vec<Event>> {
        let trace = self.waiting.remove(id)?;
        self.rows -= trace.rows.len();
        self.bytes -= trace.rows.iter().map(Event::size).sum::<usize>();
        Some(trace.rows)
    }
}
