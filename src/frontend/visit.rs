//! Visits the fields of an event or a span and appends them as JSON members.
//!
//! The only place where the application's own `Debug`, `Display` and `Error` code runs. No lock is
//! held meanwhile, and a panic in it spoils no more than its own value.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing_core::Field;
use tracing_core::field::Visit;

use super::callsite::{Callsite, FieldPlan, NAME_BYTES, Role, role_in_span};
use super::current;
use super::json;
use super::members::Fields;
use crate::config::TagValue;

/// One value at most. With a message and all attributes at their caps, the labels (64 KiB) and the rest,
/// a line stays below 1,000,000 bytes: Axiom refuses a whole request for one line above 1 MiB.
pub(crate) const VALUE_BYTES: usize = 256 * 1024;
/// `status.message` of a span.
pub(crate) const STATUS_MESSAGE_BYTES: usize = 4 * 1024;
/// Each of the members that describe an exception.
pub(crate) const EXCEPTION_BYTES: usize = 16 * 1024;
/// Causes of an error that are followed; the chain may be a circle.
const ERROR_CAUSES: usize = 32;

/// What fields of a special meaning said, as JSON; empty when absent.
#[derive(Debug, Default)]
pub(crate) struct Special {
    pub(crate) message: Vec<u8>,
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Vec<u8>,
    pub(crate) status_code: Vec<u8>,
    pub(crate) status_message: Vec<u8>,
    /// Of a record made through the `log` crate: where it was really made.
    pub(crate) log_target: Vec<u8>,
    pub(crate) log_file: Vec<u8>,
    pub(crate) log_line: Vec<u8>,
    /// The members `"exception.message":…,` and so on of the first error among the fields.
    pub(crate) exception: Vec<u8>,
    /// That error's own text.
    pub(crate) error: Vec<u8>,
}

impl Special {
    /// What an ERROR event says of the span around it: its message, else its error.
    pub(crate) fn error_message<'a>(&'a self, fields: &'a Fields) -> &'a [u8] {
        let candidates = [&self.message, &self.error, fields.value(b"\"error\":")];
        candidates
            .into_iter()
            .find(|text| text.starts_with(b"\""))
            .unwrap_or_default()
    }

    /// Where a field of a meaning of its own goes, and how long it may be.
    fn text_of(&mut self, role: Role) -> Option<(&mut Vec<u8>, usize)> {
        Some(match role {
            Role::Message => (&mut self.message, VALUE_BYTES),
            Role::OtelName => (&mut self.name, NAME_BYTES),
            Role::OtelKind => (&mut self.kind, 64),
            Role::OtelStatusCode => (&mut self.status_code, 64),
            Role::OtelStatusDescription => (&mut self.status_message, STATUS_MESSAGE_BYTES),
            Role::LogTarget => (&mut self.log_target, NAME_BYTES),
            Role::LogFile => (&mut self.log_file, NAME_BYTES),
            Role::LogLine => (&mut self.log_line, 64),
            Role::Attribute | Role::LogModule | Role::Excess => return None,
        })
    }

    /// Takes a value for a field of a span that has a meaning of its own, and says whether it is whole. `None`: it has none.
    pub(crate) fn set(&mut self, name: &str, value: &TagValue) -> Option<bool> {
        let role = role_in_span(name)?;
        let (text, cap) = self.text_of(role)?;
        let is_whole = value.put(text, cap);
        finish_text(role, text);
        Some(is_whole)
    }

    pub(crate) fn clear(&mut self) {
        for text in [
            &mut self.message,
            &mut self.name,
            &mut self.kind,
            &mut self.status_code,
            &mut self.status_message,
            &mut self.log_target,
            &mut self.log_file,
            &mut self.log_line,
            &mut self.exception,
            &mut self.error,
        ] {
            text.clear();
        }
    }
}

pub(crate) struct FieldVisitor<'a> {
    pub(crate) callsite: &'a Callsite,
    pub(crate) fields: &'a mut Fields,
    pub(crate) special: &'a mut Special,
    /// Values shortened, left out or unreadable.
    pub(crate) incomplete: u32,
}

impl FieldVisitor<'_> {
    /// `write` appends one JSON value of at most so many bytes and says whether it is whole.
    #[inline]
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>, usize) -> bool) {
        let Some((plan, out, cap)) = self.begin(field) else {
            return;
        };
        let whole = write(out, cap);
        match plan.role {
            Role::Attribute => out.push(b','),
            role => finish_text(role, out),
        }
        if !whole || plan.shortened {
            self.incomplete += 1;
        }
    }

    /// Where the value of a field goes, and how long it may be. `None`: it is not kept.
    fn begin(&mut self, field: &Field) -> Option<(&FieldPlan, &mut Vec<u8>, usize)> {
        let Some(plan) = self.callsite.fields.get(field.index()) else {
            self.incomplete += 1;
            return None;
        };
        let (text, cap) = match plan.role {
            Role::Attribute => {
                let Some((out, cap)) = self.fields.begin(plan, VALUE_BYTES) else {
                    self.incomplete += 1;
                    return None;
                };
                return Some((plan, out, cap));
            }
            // Told by the target.
            Role::LogModule => return None,
            Role::Excess => {
                self.incomplete += 1;
                return None;
            }
            role => self.special.text_of(role)?,
        };
        text.clear();
        Some((plan, text, cap))
    }

    fn put_user_fmt(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.put(field, |out, cap| put_caught(out, value, cap));
    }

    /// A value of the `valuable` crate, as nested JSON.
    #[cfg(all(tracing_unstable, feature = "valuable"))]
    fn put_nested(&mut self, field: &Field, value: valuable::Value<'_>) {
        let Some(plan) = self.callsite.fields.get(field.index()) else {
            return self.put_user_fmt(field, format_args!("{value:?}"));
        };
        if plan.role != Role::Attribute {
            // These are text.
            return self.put_user_fmt(field, format_args!("{value:?}"));
        }
        let room = self.fields.room();
        let mut members = 0;
        self.put(field, |out, cap| {
            caught(out, |out| {
                let nested = super::nested::put(out, value, cap, plan.key.len(), room);
                members = nested.members;
                Ok(nested.is_whole)
            })
        });
        self.fields.take_room(members);
    }

    /// OpenTelemetry's attributes of an exception, for the first error of a record.
    fn put_exception(&mut self, error: &(dyn Error + 'static)) {
        if self.callsite.has_exception || !self.special.exception.is_empty() {
            return;
        }
        let (out, message) = (&mut self.special.exception, &mut self.special.error);
        let mut whole = put_caught(message, format_args!("{error}"), STATUS_MESSAGE_BYTES);
        out.extend_from_slice(b"\"exception.message\":");
        out.extend_from_slice(message);
        out.extend_from_slice(b",\"exception.type\":");
        put_type(out, error);
        out.push(b',');
        if survive(|| error.source().is_some()).unwrap_or(false) {
            out.extend_from_slice(b"\"exception.stacktrace\":");
            whole &= put_caught(out, format_args!("{}", Causes(error)), EXCEPTION_BYTES);
            out.push(b',');
        }
        if !whole {
            self.incomplete += 1;
        }
    }
}

/// What has a meaning of its own is text, whatever the value was; only a line's number is one.
fn finish_text(role: Role, text: &mut Vec<u8>) {
    if role == Role::LogLine {
        return;
    }
    if text.first() != Some(&b'"') {
        text.insert(0, b'"');
        text.push(b'"');
    }
    // An empty `otel.name` or description says nothing; a span without a name is no span to Axiom.
    if role != Role::Message && text.len() == 2 {
        text.clear();
    }
}

/// Appends what a value of the application's formats to, or what became of that.
fn put_caught(out: &mut Vec<u8>, value: fmt::Arguments<'_>, cap: usize) -> bool {
    caught(out, |out| json::put_fmt(out, value, cap))
}

/// Runs code of the application's that appends one JSON value.
fn caught(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>) -> Result<bool, fmt::Error>) -> bool {
    let start = out.len();
    let instead = match survive(|| put(out)) {
        Some(Ok(whole)) => return whole,
        Some(Err(fmt::Error)) => "<failed to format>",
        None => "<panicked while formatting>",
    };
    out.truncate(start);
    json::put_str(out, instead, VALUE_BYTES);
    false
}

/// Runs code of the application's. `None`: it panicked.
fn survive<T>(run: impl FnOnce() -> T) -> Option<T> {
    let heard = current::panics_heard();
    let survived = catch_unwind(AssertUnwindSafe(run));
    survived
        .map_err(|payload| {
            // Dropping a payload may panic again.
            std::mem::forget(payload);
            // It is over, unlike one in whose destructors it may have come.
            current::forget_panics_since(heard);
        })
        .ok()
}

/// A `dyn Error` does not tell its type, but what `Debug` begins with does: the name of a struct, or of
/// an enum's variant.
fn put_type(out: &mut Vec<u8>, error: &(dyn Error + 'static)) {
    /// Takes the first word, and then ends the formatting by an error.
    struct Word<'a> {
        out: &'a mut Vec<u8>,
        left: usize,
    }
    impl fmt::Write for Word<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let word = text
                .split(|char: char| !char.is_alphanumeric() && !matches!(char, '_' | ':'))
                .next()
                .unwrap_or_default();
            let fits = json::floor_char_boundary(word, self.left);
            // Nothing in a word needs an escape.
            self.out.extend_from_slice(&word.as_bytes()[..fits]);
            self.left -= fits;
            if fits < text.len() {
                Err(fmt::Error)
            } else {
                Ok(())
            }
        }
    }
    out.push(b'"');
    let start = out.len();
    let mut word = Word {
        out,
        left: NAME_BYTES,
    };
    let written = survive(|| fmt::write(&mut word, format_args!("{error:?}")).is_ok());
    if written.is_none() {
        out.truncate(start);
    }
    if out.len() == start {
        out.extend_from_slice(b"Error");
    }
    out.push(b'"');
}

impl Visit for FieldVisitor<'_> {
    #[cfg(all(tracing_unstable, feature = "valuable"))]
    fn record_value(&mut self, field: &Field, value: valuable::Value<'_>) {
        match value {
            valuable::Value::Error(error) => self.record_error(field, error),
            value => self.put_nested(field, value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, |out, _| {
            json::put_f64(out, value);
            true
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |out, _| {
            json::put_i64(out, value);
            true
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |out, _| {
            json::put_u64(out, value);
            true
        });
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put(field, |out, _| {
            json::put_i128(out, value);
            true
        });
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, |out, _| {
            json::put_u128(out, value);
            true
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |out, _| {
            json::put_bool(out, value);
            true
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, |out, cap| json::put_str(out, value, cap));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.put(field, |out, cap| json::put_hex(out, value, cap));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_user_fmt(field, format_args!("{}", Chain(value)));
        self.put_exception(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_user_fmt(field, format_args!("{value:?}"));
    }
}

/// An error and its causes, joined by `: `.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        for _ in 0..ERROR_CAUSES {
            let Some(error) = cause else { break };
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The causes of an error, a line each.
struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause = self.0.source();
        let mut line_end = "";
        for _ in 0..ERROR_CAUSES {
            let Some(error) = cause else { break };
            write!(f, "{line_end}caused by: {error}")?;
            line_end = "\n";
            cause = error.source();
        }
        Ok(())
    }
}
