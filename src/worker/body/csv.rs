//! Records as CSV: one column for each flattened field. Fields that a record is the first to have
//! get the next columns, in alphabetical order.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value;

use super::{Batch, each_line};

/// A row's cells, by column.
type Row = Vec<Option<String>>;

#[derive(Default)]
struct Table {
    names: Vec<String>,
    columns: HashMap<String, usize>,
    rows: Vec<Row>,
}

pub(super) fn write(batch: &Batch, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::default();
    each_line(batch, |line| {
        let record: Value = serde_json::from_slice(line)?;
        let mut row = Row::new();
        table.flatten("", &record, &mut row);
        table.rows.push(row);
        Ok(())
    })?;
    let names: Vec<Option<&str>> = table.names.iter().map(|name| Some(name.as_str())).collect();
    write_row(&names, names.len(), out)?;
    for row in &table.rows {
        let cells: Vec<Option<&str>> = row.iter().map(Option::as_deref).collect();
        write_row(&cells, names.len(), out)?;
    }
    Ok(())
}

impl Table {
    fn flatten(&mut self, name: &str, value: &Value, row: &mut Row) {
        let text = match value {
            Value::Object(fields) => {
                for (inner, value) in fields {
                    if name.is_empty() {
                        self.flatten(inner, value, row);
                    } else {
                        self.flatten(&format!("{name}.{inner}"), value, row);
                    }
                }
                return;
            }
            Value::Null => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let column = match self.columns.get(name) {
            Some(column) => *column,
            None => {
                self.names.push(name.to_owned());
                self.columns.insert(name.to_owned(), self.names.len() - 1);
                self.names.len() - 1
            }
        };
        if row.len() <= column {
            row.resize(column + 1, None);
        }
        row[column] = Some(text);
    }
}

fn write_row(cells: &[Option<&str>], columns: usize, out: &mut impl Write) -> io::Result<()> {
    for at in 0..columns {
        if at > 0 {
            out.write_all(b",")?;
        }
        let cell = cells.get(at).copied().flatten().unwrap_or("");
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}
