//! `X-Axiom-Event-Labels`: fields that every event of a request gets.

use serde_json::{Map, Value};

use super::rewrite::rename_taken;
use crate::violation::Rule;

/// Beyond this, intermediaries may refuse the header.
const MAX_BYTES: usize = 4 * 1024;

/// The labels of one request.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    pub(crate) fields: Map<String, Value>,
    /// What stands between the braces, on one line.
    pub(crate) inside: String,
    /// Length of the header, which is billed once a request.
    pub(crate) bytes: usize,
}

impl Labels {
    /// What they cost in memory, near enough to bound it: the text, and the parsed form.
    pub(crate) fn weight(&self) -> usize {
        5 * self.inside.len()
    }

    /// Reads the header. An error is a text for a person.
    pub(crate) fn read(
        header: &[u8],
        mut broken: impl FnMut(Rule, String),
    ) -> Result<Labels, String> {
        if !header.is_ascii() {
            broken(Rule::LabelsMalformed, "the labels are not ASCII".into());
        }
        if header.len() > MAX_BYTES {
            broken(
                Rule::LabelsTooLarge,
                format!("the labels have {} bytes", header.len()),
            );
        }
        match serde_json::from_slice::<Map<String, Value>>(header) {
            Ok(mut fields) => {
                rename_taken(&mut fields);
                let object = Value::Object(fields.clone()).to_string();
                let inside = object[1..object.len() - 1].to_owned();
                Ok(Labels {
                    fields,
                    inside,
                    bytes: header.len(),
                })
            }
            Err(error) => {
                let reason = format!("the labels are not a JSON object: {error}");
                broken(Rule::LabelsMalformed, reason.clone());
                Err(reason)
            }
        }
    }
}
