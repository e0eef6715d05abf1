//! Prints the rows of a trace as a tree.

use std::collections::{HashMap, HashSet};

use super::line;
use super::paint::{Look, Style};
use super::row::{is_span, trace_id};
use crate::event::Event;

/// Deeper branches are not indented further: a chain of thousands would be mostly blanks.
const MAX_INDENT_BYTES: usize = 400;

/// A row that still has to be printed.
struct Pending<'a> {
    row: &'a Event,
    /// What stands before the branch of this row.
    indent: String,
    is_last: bool,
    is_top: bool,
    service: Option<&'a str>,
}

pub(super) fn trace(rows: &[Event], style: Style) -> String {
    let spans: HashSet<&str> = rows
        .iter()
        .filter(|row| is_span(row))
        .filter_map(|row| row.text("span_id"))
        .collect();
    let mut children: HashMap<&str, Vec<&Event>> = HashMap::new();
    let mut top = Vec::new();
    for row in rows {
        match parent(row).filter(|id| spans.contains(id)) {
            Some(id) => children.entry(id).or_default().push(row),
            None => top.push(row),
        }
    }
    let start = |row: &&Event| row.unix_nanos().unwrap_or(i64::MAX);
    children
        .values_mut()
        .for_each(|rows| rows.sort_by_key(start));
    top.sort_by_key(start);

    let mut out = heading(rows, style);
    let mut printed: HashSet<u64> = HashSet::new();
    print(&top, &mut children, &mut printed, &spans, style, &mut out);
    // Spans that are each other's ancestors hang below no top row. Print them from the first such row.
    for row in rows {
        if !printed.contains(&row.sequence()) {
            print(&[row], &mut children, &mut printed, &spans, style, &mut out);
        }
    }
    out
}

/// The span that a row stands under.
fn parent(row: &Event) -> Option<&str> {
    let name = if is_span(row) {
        "parent_span_id"
    } else {
        "span_id"
    };
    row.text(name).filter(|id| !id.is_empty())
}

fn heading(rows: &[Event], style: Style) -> String {
    let spans = rows.iter().filter(|row| is_span(row)).count();
    let id = rows.iter().find_map(trace_id).unwrap_or("?");
    let time = rows
        .iter()
        .filter(|row| row.unix_nanos().is_some())
        .min_by_key(|row| row.unix_nanos());
    let time = time.and_then(line::clock).unwrap_or_default();
    let plural = if spans == 1 { "" } else { "s" };
    format!(
        "{}\n",
        style.paint(
            Look::Dim,
            &format!("{time} trace {id} ({spans} span{plural})")
        )
    )
}

/// Prints rows and everything below them. It has a stack instead of recursion, because nothing bounds the depth of a trace.
fn print<'a>(
    top: &[&'a Event],
    children: &mut HashMap<&'a str, Vec<&'a Event>>,
    printed: &mut HashSet<u64>,
    spans: &HashSet<&str>,
    style: Style,
    out: &mut String,
) {
    let mut stack: Vec<Pending<'a>> = Vec::new();
    push(&mut stack, top, String::new(), true, None);
    while let Some(pending) = stack.pop() {
        let row = pending.row;
        if !printed.insert(row.sequence()) {
            continue;
        }
        let (branch, below) = match (pending.is_top, pending.is_last) {
            (true, _) => ("", ""),
            (false, true) => ("└─ ", "   "),
            (false, false) => ("├─ ", "│  "),
        };
        out.push_str(&style.paint(Look::Dim, &format!("{}{branch}", pending.indent)));
        if !is_span(row) {
            out.push_str(&line::event(row, style, true));
            out.push('\n');
            continue;
        }
        let service = row.text("service.name");
        let changed = service.filter(|_| service != pending.service);
        out.push_str(&line::span(row, style, changed));
        if let Some(missing) = parent(row).filter(|id| !spans.contains(id)) {
            out.push_str(&style.paint(Look::Dim, &format!(" (its parent {missing} is not here)")));
        }
        out.push('\n');
        // The first span of an id takes the children. If a second span has the same id, its children are not printed twice.
        if let Some(inner) = row.text("span_id").and_then(|id| children.remove(id)) {
            let mut indent = pending.indent;
            if indent.len() < MAX_INDENT_BYTES {
                indent.push_str(below);
            }
            push(&mut stack, &inner, indent, false, service);
        }
    }
}

fn push<'a>(
    stack: &mut Vec<Pending<'a>>,
    rows: &[&'a Event],
    indent: String,
    is_top: bool,
    service: Option<&'a str>,
) {
    for (at, row) in rows.iter().enumerate().rev() {
        stack.push(Pending {
            row,
            indent: indent.clone(),
            is_last: at + 1 == rows.len(),
            is_top,
            service,
        });
    }
}
