//! Visits the fields of an event or a span and appends them as JSON members.
//!
//! The only place where the application's own `Debug`, `Display` and `Error` code runs. No lock is
//! held meanwhile, and a panic in it spoils no more than its own value.

use std::error::Error;
use std::fmt;

use tracing_core::Field;
use tracing_core::field::Visit;

use super::callsite::{Callsite, FieldPlan, NAME_BYTES, Role, role_in_span};
use super::exception::{Causes, Chain, put_type};
use super::members::{Fields, VALUE_BYTES};
use super::survive::survive;
use crate::config::TagValue;
use crate::record::json::{self, Ansi};

/// `status.message` of a span.
pub(crate) const STATUS_MESSAGE_BYTES: usize = 4 * 1024;
/// Each of the members that describe an exception.
pub(crate) const EXCEPTION_BYTES: usize = 16 * 1024;

/// What fields of a special meaning said, as JSON; empty when absent.
#[derive(Debug, Default)]
pub(crate) struct Special {
    /// Of an event, only a message that does not stand in its line already: see [`Fields::message`].
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
    /// Any of them may say something.
    is_used: bool,
}

impl Special {
    /// What an ERROR event says of the span around it: its message, else its error.
    pub(crate) fn error_message<'a>(&'a self, fields: &'a Fields) -> &'a [u8] {
        // An empty text says nothing.
        let is_text = |text: &&[u8]| text.len() > 2 && text.starts_with(b"\"");
        [fields.message(), &self.message, &self.error]
            .into_iter()
            .find(is_text)
            .or_else(|| Some(fields.value(b"\"error\":")).filter(is_text))
            .unwrap_or_default()
    }

    /// Where a field of a meaning of its own goes, and how long it may be.
    fn text_of(&mut self, role: Role) -> Option<(&mut Vec<u8>, usize)> {
        self.is_used = true;
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

    /// Lends the texts of an exception: its members, and what it says.
    pub(crate) fn exception(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        self.is_used = true;
        (&mut self.exception, &mut self.error)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_used
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        if self.is_used {
            self.is_used = false;
            self.clear_all();
        }
    }

    fn clear_all(&mut self) {
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

// The long ways are functions of their own, so that a plain field does not pay for their registers.
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

    /// Where the value of a plain field goes. A comma has to follow it. `None`: it has to go the long way.
    #[inline(always)]
    fn plain(&mut self, field: &Field) -> Option<&mut Vec<u8>> {
        let plan = self.callsite.fields.get(field.index())?;
        if plan.is_plain {
            self.fields.begin_plain(plan)
        } else {
            None
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
            Role::Message if !self.fields.message().is_empty() => {
                self.incomplete += 1;
                return None;
            }
            role => self.special.text_of(role)?,
        };
        text.clear();
        Some((plan, text, cap))
    }

    fn put_user_fmt(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let ansi = self.callsite.ansi;
        let put = |out: &mut Vec<u8>, cap, _: &FieldPlan| put_caught(out, value, cap, ansi);
        if !self.put_message(field, put) {
            self.put(field, put);
        }
    }

    /// Writes a message where it stands in the line, if no other field came before it. `false`: it has another place.
    #[inline]
    fn put_message(
        &mut self,
        field: &Field,
        write: impl FnOnce(&mut Vec<u8>, usize, &FieldPlan) -> bool,
    ) -> bool {
        let is_only = !self.callsite.repeats_keys && self.special.message.is_empty();
        let plan = match self.callsite.fields.get(field.index()) {
            Some(plan)
                if plan.role == Role::Message && is_only && self.fields.is_before_attributes() =>
            {
                plan
            }
            _ => return false,
        };
        if !write(self.fields.begin_message(), VALUE_BYTES, plan) {
            self.incomplete += 1;
        }
        self.fields.end_message();
        true
    }

    #[cold]
    fn put_integer<I: fmt::Display>(&mut self, field: &Field, value: I, put: fn(&mut Vec<u8>, I)) {
        self.put(field, |out, _, plan| {
            if plan.is_text {
                json::put_digits(out, value);
            } else {
                put(out, value);
            }
            true
        });
    }

    #[cold]
    fn put_f64(&mut self, field: &Field, value: f64) {
        self.put(field, |out, _, plan| {
            if plan.is_text {
                json::put_f64_text(out, value);
            } else {
                json::put_f64(out, value);
            }
            true
        });
    }

    #[cold]
    fn put_bool(&mut self, field: &Field, value: bool) {
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

    #[cold]
    fn put_text(&mut self, field: &Field, value: &str) {
        let ansi = self.callsite.ansi;
        let put = |out: &mut Vec<u8>, cap, _: &FieldPlan| json::put_text(out, value, cap, ansi);
        if !self.put_message(field, put) {
            self.put(field, put);
        }
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
        let (out, message) = self.special.exception();
        let ansi = self.callsite.ansi;
        let mut whole = put_caught(message, format_args!("{error}"), STATUS_MESSAGE_BYTES, ansi);
        out.extend_from_slice(b"\"exception.message\":");
        out.extend_from_slice(message);
        out.extend_from_slice(b",\"exception.type\":");
        put_type(out, error);
        out.push(b',');
        if survive(|| error.source().is_some()).unwrap_or(false) {
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
    let instead = match survive(|| put(out)) {
        Some(Ok(whole)) => return whole,
        Some(Err(fmt::Error)) => "<failed to format>",
        None => "<panicked while formatting>",
    };
    out.truncate(start);
    json::put_str(out, instead, VALUE_BYTES);
    false
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
        if let Some(out) = self.plain(field) {
            json::put_f64(out, value);
            return out.push(b',');
        }
        self.put_f64(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some(out) = self.plain(field) {
            json::put_i64(out, value);
            return out.push(b',');
        }
        self.put_integer(field, value, json::put_i64);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Some(out) = self.plain(field) {
            json::put_u64(out, value);
            return out.push(b',');
        }
        self.put_integer(field, value, json::put_u64);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put_integer(field, value, json::put_i128);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put_integer(field, value, json::put_u128);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Some(out) = self.plain(field) {
            let text: &[u8] = if value { b"true," } else { b"false," };
            return json::put_short(out, text);
        }
        self.put_bool(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let ansi = self.callsite.ansi;
        if let Some(out) = self.plain(field) {
            let is_whole = json::put_text(out, value, VALUE_BYTES, ansi);
            out.push(b',');
            self.incomplete += u32::from(!is_whole);
            return;
        }
        self.put_text(field, value);
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
