//! Reads the header `X-Axiom-Event-Labels`, whose fields every event of the request gets.

use serde_json::{Map, Value};

use super::rewrite::rename_taken;
use crate::event::Labels;
use crate::violation::Rule;

/// Proxies between client and server may refuse a header that is longer than this.
const MAX_BYTES: usize = 4 * 1024;

/// Reads the header. An error is a text for a person.
pub(crate) fn read(header: &[u8], mut broken: impl FnMut(Rule, String)) -> Result<Labels, String> {
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
            Ok(Labels::new(fields, header.len()))
        }
        Err(error) => {
            let reason = format!("the labels are not a JSON object: {error}");
            broken(Rule::LabelsMalformed, reason.clone());
            Err(reason)
        }
    }
}
