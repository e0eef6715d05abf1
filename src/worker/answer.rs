//! What came back, before anybody asks what it means.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::config::{HIDDEN, SHORTEST_TOKEN};

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Takes the token out of what the server says, of which diagnostics quote parts: servers and proxies
    /// may quote the request. A token shorter than any of Axiom's stays: it could be a word of the answer.
    pub(crate) fn hide(&mut self, token: &str) {
        if token.len() < SHORTEST_TOKEN {
            return;
        }
        let is_in = |bytes: &[u8]| {
            let mut windows = bytes.windows(token.len());
            windows.any(|window| window == token.as_bytes())
        };
        if is_in(&self.body) {
            let body = String::from_utf8_lossy(&self.body).replace(token, HIDDEN);
            self.body = Bytes::from(body);
        }
        // JSON can spell it in other ways, and some encoders write `\/` and `\u0026`.
        if self.body.contains(&b'\\')
            && let Ok(mut body) = serde_json::from_slice(&self.body)
        {
            hide_in(&mut body, token);
            self.body = Bytes::from(body.to_string());
        }
        for value in self.headers.values_mut() {
            if is_in(value.as_bytes()) {
                *value = HeaderValue::from_static(HIDDEN);
            }
        }
    }
}

fn hide_in(value: &mut Value, token: &str) {
    match value {
        Value::String(text) => *text = text.replace(token, HIDDEN),
        Value::Array(values) => values.iter_mut().for_each(|value| hide_in(value, token)),
        Value::Object(fields) => fields.values_mut().for_each(|value| hide_in(value, token)),
        _ => {}
    }
}
