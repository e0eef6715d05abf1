//! The labels of a request: fields that each of its events gets.

use serde_json::{Map, Value};

/// The labels of one request. All events of the request share them.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    pub(crate) fields: Map<String, Value>,
    /// The labels as JSON on one line, without the braces around them, ready to be pasted into an event.
    pub(crate) inside: String,
    /// Length of the header, which is billed once for each request.
    pub(crate) bytes: usize,
}

impl Labels {
    pub(crate) fn new(fields: Map<String, Value>, bytes: usize) -> Self {
        let object = Value::Object(fields.clone()).to_string();
        Labels {
            fields,
            inside: object[1..object.len() - 1].to_owned(),
            bytes,
        }
    }

    /// What the labels cost in memory, near enough to bound it: the text, and the parsed form.
    pub(crate) fn weight(&self) -> usize {
        5 * self.inside.len()
    }

    /// Appends the JSON object `text` with the labels added to it.
    pub(crate) fn put_merged(&self, text: &[u8], out: &mut Vec<u8>) {
        let text = text.trim_ascii();
        let Some(open) = text.strip_suffix(b"}") else {
            return out.extend_from_slice(text);
        };
        out.extend_from_slice(open);
        if !self.inside.is_empty() {
            if open.trim_ascii_end() != b"{" {
                out.push(b',');
            }
            out.extend_from_slice(self.inside.as_bytes());
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str, labels: &str) -> String {
        let labels = Labels::new(serde_json::from_str(labels).unwrap(), labels.len());
        let mut out = Vec::new();
        labels.put_merged(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn labels_join_an_object_of_any_size() {
        assert_eq!(merged("{}", r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(merged("{ }", r#"{"a":1}"#), r#"{ "a":1}"#);
        assert_eq!(merged(r#"{"b":2}"#, r#"{"a":1}"#), r#"{"b":2,"a":1}"#);
        assert_eq!(merged(r#"{"b":2} "#, "{}"), r#"{"b":2}"#);
    }
}
