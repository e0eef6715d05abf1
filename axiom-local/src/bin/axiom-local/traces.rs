//! Holds the rows of a trace until the trace can be printed. The time is passed in, so that tests need not wait.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axiom_local::{Event, render};

/// A trace whose root has arrived is printed once no row of it has come for this long.
const QUIET_WITH_ROOT: Duration = Duration::from_millis(500);
/// A trace without its root may still be running. It is printed after a longer pause, so that a person sees something of it.
const QUIET_WITHOUT_ROOT: Duration = Duration::from_secs(5);
/// At most this many rows, and bytes of their JSON, are held in all. Beyond that, every trace is printed as far as it is there.
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

    /// Gives the traces to print now, oldest first: those without news, or all of them if too much is held.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use axiom_local::Server;

    use super::*;

    /// Rows as the server would give them. Each text has the members of an object, without the trace id.
    fn rows(members: &[&str]) -> Vec<Event> {
        let server = Server::start().unwrap();
        let body: String = members
            .iter()
            .map(|members| format!("{{\"trace_id\":\"t\",{members}}}\n"))
            .collect();
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        let request = format!(
            "POST /v1/ingest/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        server.all_events()
    }

    const ROOT: &str = r#""span_id":"a","name":"root","kind":"internal","duration":1"#;
    const CHILD: &str =
        r#""span_id":"b","parent_span_id":"a","name":"child","kind":"internal","duration":1"#;
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_trace_with_its_root_waits_for_half_a_second_of_quiet() {
        let rows = rows(&[ROOT, CHILD]);
        let start = Instant::now();
        let mut traces = Traces::default();
        traces.add("t", &rows[0], start);
        assert_eq!(traces.due(start + 499 * MS).len(), 0);
        traces.add("t", &rows[1], start + 499 * MS);
        assert_eq!(traces.due(start + 998 * MS).len(), 0);
        let due = traces.due(start + 999 * MS);
        assert_eq!((due.len(), due[0].len()), (1, 2));
        assert_eq!(traces.due(start + 9_000 * MS).len(), 0);
    }

    #[test]
    fn a_trace_without_a_root_waits_for_longer() {
        let rows = rows(&[CHILD, r#""span_id":"a","message":"an event is no root""#]);
        let start = Instant::now();
        let mut traces = Traces::default();
        for row in &rows {
            traces.add("t", row, start);
        }
        assert_eq!(traces.due(start + 4_999 * MS).len(), 0);
        assert_eq!(traces.due(start + 5_000 * MS).len(), 1);
    }

    #[test]
    fn what_waits_is_bounded_and_comes_out_oldest_first() {
        let rows = rows(&[CHILD]);
        let start = Instant::now();
        let mut traces = Traces::default();
        for n in 0..=MAX_ROWS {
            let later = u32::try_from(n).unwrap() * Duration::from_nanos(1);
            traces.add(&format!("t{n}"), &rows[0], start + later);
            if n < MAX_ROWS {
                assert_eq!(traces.rows, n + 1);
            }
        }
        assert_eq!(traces.due(start).len(), MAX_ROWS + 1);
        assert_eq!((traces.rows, traces.bytes, traces.all().len()), (0, 0, 0));
        for name in ["new", "old"] {
            let at = if name == "old" { start } else { start + MS };
            traces.add(name, &rows[0], at);
            traces.add(name, &rows[0], start + 2 * MS);
            if name == "old" {
                traces.add(name, &rows[0], start + 3 * MS);
            }
        }
        let lengths: Vec<usize> = traces.all().iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 2]);
    }
}
