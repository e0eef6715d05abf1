//! Follows the server and makes the text that a person wants to see. It runs on the main thread, at a slow tick.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use axiom_local::render::{self, Style};
use axiom_local::{Rule, Server, Violation};

use crate::traces::Traces;

/// At most this many events are looked at in one tick. Nobody reads more, and printing them would slow the server down.
const MAX_EVENTS: u64 = 5_000;
/// The pause between two lines about the same rule. Breaches in between are counted.
const RULE_PAUSE: Duration = Duration::from_secs(1);

/// Standard output, until it is closed.
#[derive(Debug)]
pub(crate) struct Output {
    closed: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Output { closed: false }
    }

    /// Writes and flushes. If the reader has closed the other end, this and all later calls do nothing; that is not an error.
    pub(crate) fn write(&mut self, text: &str) {
        if self.closed || text.is_empty() {
            return;
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        self.closed = written.is_err();
    }
}

#[derive(Debug)]
pub(crate) struct Printer {
    style: Style,
    quiet: bool,
    next_event: u64,
    next_violation: u64,
    traces: Traces,
    rules: BTreeMap<Rule, Held>,
}

/// The breaches of one rule that are not printed yet.
#[derive(Debug)]
struct Held {
    printed_at: Instant,
    last: Option<Violation>,
    count: u64,
}

impl Printer {
    pub(crate) fn new(style: Style, quiet: bool) -> Self {
        Printer {
            style,
            quiet,
            next_event: 0,
            next_violation: 0,
            traces: Traces::default(),
            rules: BTreeMap::new(),
        }
    }

    /// Returns what is to be printed now.
    pub(crate) fn step(&mut self, server: &Server, now: Instant) -> String {
        let mut out = String::new();
        self.violations(server, now, &mut out);
        if !self.quiet {
            self.events(server, now, &mut out);
            for rows in self.traces.due(now) {
                out.push_str(&render::trace(&rows, self.style));
            }
        }
        out
    }

    /// Returns what is left to be printed, and a summary.
    pub(crate) fn end(&mut self, server: &Server, now: Instant) -> String {
        let mut out = self.step(server, now);
        for rows in self.traces.all() {
            out.push_str(&render::trace(&rows, self.style));
        }
        for held in self.rules.values_mut() {
            held.print(self.style, now, &mut out);
        }
        out.push_str(&summary(server));
        out
    }

    fn events(&mut self, server: &Server, now: Instant, out: &mut String) {
        let start = server
            .ingested()
            .saturating_sub(MAX_EVENTS)
            .max(self.next_event);
        let events = server.events_from(start);
        let first = events.first().map_or(start, axiom_local::Event::sequence);
        let skipped = first - self.next_event;
        if skipped > 0 {
            out.push_str(&format!("… {skipped} events came too fast to be shown\n"));
        }
        self.next_event = first;
        for event in events {
            self.next_event = event.sequence() + 1;
            match render::trace_id(&event) {
                Some(id) => self.traces.add(id, &event, now),
                None => out.push_str(&render::event(&event, self.style)),
            }
        }
    }

    fn violations(&mut self, server: &Server, now: Instant, out: &mut String) {
        let seen = server.violations_seen();
        let violations = server.violations_from(self.next_violation);
        // Breaches that are no longer kept are passed over here. The summary counts them.
        self.next_violation = seen.max(self.next_violation + violations.len() as u64);
        for violation in violations {
            match self.rules.get_mut(&violation.rule) {
                None => {
                    out.push_str(&render::violation(&violation, self.style));
                    let held = Held {
                        printed_at: now,
                        last: None,
                        count: 0,
                    };
                    self.rules.insert(violation.rule, held);
                }
                Some(held) => {
                    held.last = Some(violation);
                    held.count += 1;
                }
            }
        }
        for held in self.rules.values_mut() {
            if now.saturating_duration_since(held.printed_at) >= RULE_PAUSE {
                held.print(self.style, now, out);
            }
        }
    }
}

impl Held {
    fn print(&mut self, style: Style, now: Instant, out: &mut String) {
        let Some(last) = self.last.take() else {
            return;
        };
        out.push_str(&render::violation(&last, style));
        if self.count > 1 {
            let more = self.count - 1;
            // The number goes on the same line, because it is about the same rule.
            out.pop();
            out.push_str(&format!(" (and {more} more of this rule)\n"));
        }
        self.printed_at = now;
        self.count = 0;
    }
}

fn summary(server: &Server) -> String {
    let datasets: Vec<String> = server
        .datasets()
        .into_iter()
        .map(|name| format!("{name} {}", server.ingested_in(&name)))
        .collect();
    let datasets = match datasets.len() {
        0 => String::new(),
        _ => format!(" ({})", datasets.join(", ")),
    };
    format!(
        "stopped: {}, {} stored{datasets}, {}\n",
        counted(server.requests_seen(), "request"),
        counted(server.ingested(), "event"),
        counted(server.violations_seen(), "violation"),
    )
}

fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}
