//! The rules for a row that is a span, and for a row that is an event in a trace.

use crate::violation::Rule;

/// A JSON value, reduced to what the rules ask about it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scalar<'v> {
    Null,
    Bool,
    Int(i64),
    /// Beyond signed 64 bits.
    BigInt,
    Float(f64),
    Str(&'v str),
    Array,
    Object,
}

/// What was seen of one field.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) enum Seen {
    #[default]
    Absent,
    Good,
    /// The field is not as it should be. The text describes its value.
    Bad(String),
}

impl Seen {
    fn is_present(&self) -> bool {
        *self != Seen::Absent
    }
}

/// The fields of one row that have a meaning in traces.
#[derive(Debug, Default)]
pub(crate) struct Row {
    trace_id: Seen,
    span_id: Seen,
    parent_span_id: Seen,
    name: Seen,
    kind: Seen,
    duration: Seen,
    error: Seen,
    status_code: Seen,
    service_name: Seen,
}

impl Row {
    /// Notes a field by its flattened name. A field that is null counts as absent.
    pub(crate) fn note(&mut self, path: &str, value: Scalar<'_>) {
        if matches!(value, Scalar::Null) {
            return;
        }
        let (seen, good) = match path {
            "trace_id" => (&mut self.trace_id, is_id(value, 32)),
            "span_id" => (&mut self.span_id, is_id(value, 16)),
            "parent_span_id" => (&mut self.parent_span_id, is_id(value, 16)),
            "name" => (
                &mut self.name,
                matches!(value, Scalar::Str(text) if !text.is_empty()),
            ),
            "kind" => (
                &mut self.kind,
                is_one_of(
                    value,
                    &["internal", "server", "client", "producer", "consumer"],
                ),
            ),
            "duration" => (
                &mut self.duration,
                matches!(value, Scalar::Int(nanos) if nanos >= 0),
            ),
            "error" => (&mut self.error, matches!(value, Scalar::Bool)),
            "status.code" => (&mut self.status_code, is_one_of(value, &["OK", "ERROR"])),
            "service.name" => (
                &mut self.service_name,
                matches!(value, Scalar::Str(text) if !text.is_empty()),
            ),
            _ => return,
        };
        *seen = if good {
            Seen::Good
        } else {
            Seen::Bad(describe(value))
        };
    }

    /// True if the row names its service.
    pub(crate) fn has_service(&self) -> bool {
        self.service_name == Seen::Good
    }

    /// True if the row is a span, or was meant as one. With a `span_id`, it is one if it has a duration, or a name and a kind.
    /// Without, it is one if it has a trace and a kind, and also a name, a duration or a parent.
    fn is_span(&self) -> bool {
        let named = self.name.is_present() || self.duration.is_present();
        let kind = self.kind.is_present();
        if self.span_id.is_present() {
            self.duration.is_present() || (self.name.is_present() && kind)
        } else {
            self.trace_id.is_present() && kind && (named || self.parent_span_id.is_present())
        }
    }

    /// Judges the row, once all of it has been seen.
    pub(crate) fn judge(&self, service_in_labels: bool, mut broken: impl FnMut(Rule, String)) {
        if !self.is_span() {
            for (seen, rule, what) in [
                (&self.trace_id, Rule::TraceId, "trace_id is"),
                (&self.span_id, Rule::SpanId, "span_id is"),
            ] {
                if let Seen::Bad(found) = seen {
                    broken(rule, format!("{what} {found}"));
                }
            }
            return;
        }
        let required = [
            (&self.trace_id, Rule::TraceId, "trace_id"),
            (&self.span_id, Rule::SpanId, "span_id"),
            (&self.name, Rule::SpanName, "name"),
            (&self.kind, Rule::SpanKind, "kind"),
            (&self.duration, Rule::SpanDuration, "duration"),
        ];
        let optional = [
            (&self.parent_span_id, Rule::ParentSpanId, "parent_span_id"),
            (&self.error, Rule::SpanError, "error"),
            (&self.status_code, Rule::SpanStatusCode, "status.code"),
        ];
        for (seen, rule, name) in required {
            match seen {
                Seen::Good => {}
                Seen::Absent => broken(rule, format!("a span without {name}")),
                Seen::Bad(found) => broken(rule, format!("{name} is {found}")),
            }
        }
        for (seen, rule, name) in optional {
            if let Seen::Bad(found) = seen {
                broken(rule, format!("{name} is {found}"));
            }
        }
        match &self.service_name {
            Seen::Good => {}
            Seen::Absent if service_in_labels => {}
            Seen::Absent => broken(
                Rule::SpanServiceName,
                "a span without service.name, in itself or in the labels".into(),
            ),
            Seen::Bad(found) => broken(Rule::SpanServiceName, format!("service.name is {found}")),
        }
    }
}

fn is_id(value: Scalar<'_>, digits: usize) -> bool {
    matches!(value, Scalar::Str(text)
        if text.len() == digits
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && text.bytes().any(|byte| byte != b'0'))
}

fn is_one_of(value: Scalar<'_>, words: &[&str]) -> bool {
    matches!(value, Scalar::Str(text) if words.contains(&text))
}

/// A value in a few words.
pub(crate) fn describe(value: Scalar<'_>) -> String {
    match value {
        Scalar::Null => "null".into(),
        Scalar::Bool => "a bool".into(),
        Scalar::Int(number) => number.to_string(),
        Scalar::BigInt => "an integer beyond 64 bits".into(),
        Scalar::Float(number) => format!("the float {number}"),
        Scalar::Str(text) => format!("{:?}", shortened(text)),
        Scalar::Array => "an array".into(),
        Scalar::Object => "an object".into(),
    }
}

/// The first characters of a text, for a message.
pub(crate) fn shortened(text: &str) -> String {
    const ENOUGH: usize = 60;
    if text.chars().count() <= ENOUGH {
        return text.to_owned();
    }
    text.chars().take(ENOUGH).chain(['…']).collect()
}
