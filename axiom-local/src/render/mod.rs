//! What arrived, as text for a person: traces as trees, events as lines.
//!
//! These are pure functions from events to text. They run on the thread of the caller, do no I/O and take no lock.

// `line` prints one row, and `tree` prints the rows of a trace. Below them, `row` tells what a row is to its trace, and `paint`
// has the colours. Of the rest of the crate this folder names only `event` and `violation`.

mod line;
mod paint;
mod row;
mod tree;

use std::collections::HashMap;

pub use self::paint::Style;
use self::paint::{Look, plain};
pub use self::row::{is_span, trace_id};
use crate::event::Event;
use crate::violation::Violation;

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
