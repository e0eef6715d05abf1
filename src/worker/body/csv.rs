//! Records as CSV: one column for each flattened field. Fields that a record is the first to have
//! get the next columns, in alphabetical order.
//!
//! The records are read twice, for the columns and for the cells: kept in between, a table of many different records
//! would be many times as large as these.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value;

use super::{Batch, each_line};

pub(super) fn write(batch: &Batch, out: &mut impl Write) -> io::Result<()> {
    let mut names = Vec::new();
    let mut columns = HashMap::new();
    each_line(batch, |line| {
        flatten("", &serde_json::from_slice(line)?, &mut |name, _| {
            if !columns.contains_key(name) {
                columns.insert(name.to_owned(), names.len());
                names.push(name.to_owned());
            }
        });
        Ok(())
    })?;
    write_row(names.iter().map(String::as_str), out)?;
    let mut cells = vec![String::new(); names.len()];
    each_line(batch, |line| {
        flatten("", &serde_json::from_slice(line)?, &mut |name, value| {
            let cell = columns.get(name).and_then(|column| cells.get_mut(*column));
            if let Some(cell) = cell {
                *cell = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
            }
        });
        write_row(cells.iter().map(String::as_str), out)?;
        cells.iter_mut().for_each(String::clear);
        Ok(())
    })
}

/// Lends each field that has a value, by its whole name.
fn flatten(name: &str, value: &Value, put: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => {
            for (inner, value) in fields {
                if name.is_empty() {
                    flatten(inner, value, put);
                } else {
                    flatten(&format!("{name}.{inner}"), value, put);
                }
            }
        }
        Value::Null => {}
        value => put(name, value),
    }
}

fn write_row<'a>(cells: impl Iterator<Item = &'a str>, out: &mut impl Write) -> io::Result<()> {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}
