//! What arrived, as text for a person: traces as trees, events as lines.

mod line;
mod tree;

use std::collections::HashMap;

use crate::event::Event;
use crate::violation::Violation;

/// How to print. The default is without colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Use colours (ANSI escapes).
    pub color: bool,
}

/// The looks of a piece of text.
#[derive(Debug, Clone, Copy)]
enum Look {
    Dim,
    Bold,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
}

impl Style {
    /// Text in a look, free of control characters: what a stranger sent must not steer the terminal.
    fn paint(self, look: Look, text: &str) -> String {
        let text = plain(text);
        if !self.color || text.is_empty() {
            return text;
        }
        let code = match look {
            Look::Dim => "2",
            Look::Bold => "1",
            Look::Red => "31",
            Look::Green => "32",
            Look::Yellow => "33",
            Look::Blue => "34",
            Look::Magenta => "35",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn plain(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// Prints one event that is no span as a line: time, level, target, message, fields.
pub fn event(event: &Event, style: Style) -> String {
    let mut out = line::event(event, style, true);
    out.push('\n');
    out
}

/// Prints the rows of one trace as a tree: spans under their parents by start, events under their spans by time.
///
/// Spans whose parent is not among the rows stand at the top and say so.
pub fn trace(rows: &[Event], style: Style) -> String {
    tree::trace(rows, style)
}

/// Prints a breach of the contract as a line.
pub fn violation(violation: &Violation, style: Style) -> String {
    format!(
        "{} {}\n",
        style.paint(Look::Magenta, "violation"),
        plain(&violation.to_string())
    )
}

/// Prints everything: each trace as a tree where its first row stood, and the other events as lines.
///
/// ```no_run
/// # let server = axiom_local::Server::start()?;
/// use axiom_local::render::{Style, everything};
/// print!("{}", everything(&server.all_events(), Style { color: false }));
/// # std::io::Result::Ok(())
/// ```
pub fn everything(events: &[Event], style: Style) -> String {
    let mut traces: HashMap<&str, Vec<Event>> = HashMap::new();
    for event in events {
        if let Some(id) = trace_id(event) {
            traces.entry(id).or_default().push(event.clone());
        }
    }
    let mut out = String::new();
    for event in events {
        match trace_id(event) {
            None => out.push_str(&self::event(event, style)),
            Some(id) => {
                if let Some(rows) = traces.remove(id) {
                    out.push_str(&trace(&rows, style));
                }
            }
        }
    }
    out
}

/// The trace that a row belongs to.
pub fn trace_id(event: &Event) -> Option<&str> {
    event.text("trace_id").filter(|id| !id.is_empty())
}

/// True if the row is a span, or meant as one, rather than an event.
pub fn is_span(event: &Event) -> bool {
    let has = |name| event.get(name).is_some_and(|value| !value.is_null());
    if has("span_id") {
        has("duration") || (has("name") && has("kind"))
    } else {
        has("trace_id") && has("kind") && (has("name") || has("duration") || has("parent_span_id"))
    }
}
