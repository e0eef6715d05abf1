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
use super::json::{self, Ansi};
use super::members::Fields;

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

    /// Takes a value for a field of a span that has a meaning of its own. `false`: it has none.
    pub(crate) fn set(&mut self, name: &str, json: &[u8]) -> bool {
        let (role, text) = match role_in_span(name) {
            Some(role @ Role::OtelName) => (role, &mut self.name),
            Some(role @ Role::OtelKind) => (role, &mut self.kind),
            Some(role @ Role::OtelStatusCode) => (role, &mut self.status_code),
            Some(role @ Role::OtelStatusDescription) => (role, &mut self.status_message),
            _ => return false,
        };
        text.extend_from_slice(json);
        finish_text(role, text);
        true
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
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>, usize, &FieldPlan) -> bool) {
        let Some((plan, out, cap)) = self.begin(field) else {
            return;
        };
        let whole = write(out, cap, plan);
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
        let special = &mut *self.special;
        let (text, cap) = match plan.role {
            Role::Attribute => {
                let Some((out, cap)) = self.fields.begin(plan, VALUE_BYTES) else {
                    self.incomplete += 1;
                    return None;
                };
                return Some((plan, out, cap));
            }
            Role::Message => (&mut special.message, VALUE_BYTES),
            Role::OtelName => (&mut special.name, NAME_BYTES),
            Role::OtelKind => (&mut special.kind, 64),
            Role::OtelStatusCode => (&mut special.status_code, 64),
            Role::OtelStatusDescription => (&mut special.status_message, STATUS_MESSAGE_BYTES),
            Role::LogTarget => (&mut special.log_target, NAME_BYTES),
            Role::LogFile => (&mut special.log_file, NAME_BYTES),
            Role::LogLine => (&mut special.log_line, 64),
            // Told by the target.
            Role::LogModule => return None,
            Role::Excess => {
                self.incomplete += 1;
                return None;
            }
        };
        text.clear();
        Some((plan, text, cap))
    }

    fn put_user_fmt(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let ansi = self.callsite.ansi;
        self.put(field, |out, cap, _| put_caught(out, value, cap, ansi));
    }

    fn put_integer<I: itoa::Integer>(&mut self, field: &Field, value: I, put: fn(&mut Vec<u8>, I)) {
        self.put(field, |out, _, plan| {
            if plan.is_text {
                json::put_digits(out, value);
            } else {
                put(out, value);
            }
            true
        });
    }

    /// A value of the `valuable` crate, as nested JSON.
    #[cfg(all(tracing_unstable, feature = "valuable"))]
    fn put_nested(&mut self, field: &Field, value: valuable::Value<'_>) {
        let Some(plan) = self.callsite.fields.get(field.index()) else {
            return self.put_user_fmt(field, format_args!("{value:?}"));
        };
        if plan.is_text {
            return match value {
                valuable::Value::String(text) => self.record_str(field, text),
                value => self.put_user_fmt(field, format_args!("{value:?}")),
            };
        }
        let room = self.fields.room();
        let mut members = 0;
        let ansi = self.callsite.ansi;
        self.put(field, |out, cap, plan| {
            caught(out, |out| {
                let nested = super::nested::put(out, value, cap, plan.key.len(), room, ansi);
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
        let ansi = self.callsite.ansi;
        let mut whole = put_caught(message, format_args!("{error}"), STATUS_MESSAGE_BYTES, ansi);
        out.extend_from_slice(b"\"exception.message\":");
        out.extend_from_slice(message);
        out.extend_from_slice(b",\"exception.type\":");
        put_type(out, error);
        out.push(b',');
        if catch_unwind(AssertUnwindSafe(|| error.source().is_some())).unwrap_or(false) {
            out.extend_from_slice(b"\"exception.stacktrace\":");
            whole &= put_caught(
                out,
                format_args!("{}", Causes(error)),
                EXCEPTION_BYTES,
                ansi,
            );
            out.push(b',');
        }
        if !whole {
            self.incomplete += 1;
        }
    }
}

/// An empty `otel.name` or description says nothing; a span without a name is no span to Axiom.
fn finish_text(role: Role, text: &mut Vec<u8>) {
    if !matches!(role, Role::LogLine | Role::Message) && text.len() == 2 {
        text.clear();
    }
}

/// Appends what a value of the application's formats to, or what became of that.
fn put_caught(out: &mut Vec<u8>, value: fmt::Arguments<'_>, cap: usize, ansi: Ansi) -> bool {
    caught(out, |out| json::put_fmt(out, value, cap, ansi))
}

/// Runs code of the application's that appends one JSON value.
fn caught(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>) -> Result<bool, fmt::Error>) -> bool {
    let start = out.len();
    let written = catch_unwind(AssertUnwindSafe(|| put(out)));
    let instead = match written {
        Ok(Ok(whole)) => return whole,
        Ok(Err(fmt::Error)) => "<failed to format>",
        Err(payload) => {
            // Dropping a payload may panic again.
            std::mem::forget(payload);
            "<panicked while formatting>"
        }
    };
    out.truncate(start);
    json::put_str(out, instead, VALUE_BYTES);
    false
}

/// Appends the type of an error, or of the first of its causes that tells one.
///
/// A `dyn Error` does not tell its type, but what a derived `Debug` begins with does: the name of a struct, or of an
/// enum's variant. An `anyhow::Error` shows a message or `Error { context: …, source: … }` instead, and what it wraps is
/// among its causes.
fn put_type(out: &mut Vec<u8>, error: &(dyn Error + 'static)) {
    out.push(b'"');
    let start = out.len();
    let found = catch_unwind(AssertUnwindSafe(|| {
        let mut next = Some(error);
        for _ in 0..=ERROR_CAUSES {
            let Some(error) = next else { break };
            if put_type_of(out, error) {
                return;
            }
            next = error.source();
        }
        out.extend_from_slice(NO_TYPE);
    }));
    if let Err(payload) = found {
        std::mem::forget(payload);
        out.truncate(start);
        out.extend_from_slice(NO_TYPE);
    }
    out.push(b'"');
}

/// Stands for the type of an error that does not tell it. As a name it tells nothing either, so a cause's is preferred.
const NO_TYPE: &[u8] = b"Error";

/// Appends the type that the error's own `Debug` tells. `false`: it tells none, and nothing was appended.
fn put_type_of(out: &mut Vec<u8>, error: &(dyn Error + 'static)) -> bool {
    let start = out.len();
    let mut beginning = Beginning {
        out,
        left: NAME_BYTES,
    };
    // A value whose own code fails ends there.
    let is_all = fmt::write(&mut beginning, format_args!("{error:?}")).is_ok();
    let debug = &out[start..];
    let name = type_name(debug);
    let behind = debug.get(name.len()).copied();
    // Some show their message by `Debug` as well, and a message may begin like a type.
    let is_message = || match behind {
        Some(_) => Compared::with(&debug[..=name.len()], error).is_beginning(),
        None => Compared::with(name, error).is_all(),
    };
    let is_whole = behind.is_some() || is_all;
    let is_type = !name.is_empty() && is_whole && name != NO_TYPE && !is_message();
    let end = start + if is_type { name.len() } else { 0 };
    out.truncate(end);
    is_type
}

/// The name of a type that `debug` begins with, and that its fields or nothing follow; else empty.
fn type_name(debug: &[u8]) -> &[u8] {
    let is_of_path = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let end = debug.iter().position(|byte| !is_of_path(byte));
    let (path, behind) = debug.split_at(end.unwrap_or(debug.len()));
    let is_end = behind.is_empty()
        || [" {", "(", "{"]
            .iter()
            .any(|open| behind.starts_with(open.as_bytes()));
    let mut last = path;
    let mut rest = path;
    while let Some(colons) = rest.windows(2).position(|pair| pair == b"::") {
        rest = &rest[colons + 2..];
        last = rest;
    }
    // Some write a path, as in `reqwest::Error { … }`.
    let is_path = !path.starts_with(b":") && !last.contains(&b':');
    let is_type = last.first().is_some_and(u8::is_ascii_uppercase);
    if is_end && is_path && is_type {
        path
    } else {
        b""
    }
}

/// Takes the beginning of a text, and then ends the formatting by an error.
struct Beginning<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl fmt::Write for Beginning<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.len().min(self.left);
        self.out.extend_from_slice(&text.as_bytes()[..fits]);
        self.left -= fits;
        if fits < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

/// Compares the text that a value formats to with a beginning, as far as needed.
struct Compared<'a> {
    left: &'a [u8],
    is_same: bool,
    goes_on: bool,
}

impl<'a> Compared<'a> {
    fn with(beginning: &'a [u8], error: &dyn Error) -> Self {
        let mut compared = Self {
            left: beginning,
            is_same: true,
            goes_on: false,
        };
        fmt::write(&mut compared, format_args!("{error}")).ok();
        compared
    }

    fn is_beginning(&self) -> bool {
        self.is_same && self.left.is_empty()
    }

    fn is_all(&self) -> bool {
        self.is_beginning() && !self.goes_on
    }
}

impl fmt::Write for Compared<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (now, later) = self.left.split_at(self.left.len().min(text.len()));
        self.is_same &= text.as_bytes().starts_with(now);
        self.left = later;
        self.goes_on |= now.len() < text.len();
        if self.is_same && !self.goes_on {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
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
        self.put(field, |out, _, plan| {
            if plan.is_text {
                json::put_f64_text(out, value);
            } else {
                json::put_f64(out, value);
            }
            true
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put_integer(field, value, json::put_i64);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_integer(field, value, json::put_u64);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put_integer(field, value, json::put_i128);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put_integer(field, value, json::put_u128);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |out, _, plan| {
            if plan.is_text {
                let text = if value { "true" } else { "false" };
                json::put_str(out, text, usize::MAX);
            } else {
                json::put_bool(out, value);
            }
            true
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let ansi = self.callsite.ansi;
        self.put(field, |out, cap, _| json::put_text(out, value, cap, ansi));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.put(field, |out, cap, _| json::put_hex(out, value, cap));
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
