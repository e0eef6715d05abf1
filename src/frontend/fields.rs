//! Visits the fields of an event or a span and appends them as JSON members.
//!
//! The only place where the application's own `Debug`, `Display` and `Error` code runs. No lock is
//! held meanwhile, and a panic in it spoils no more than its own value.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing_core::Field;
use tracing_core::field::Visit;

use super::callsite::{Callsite, Role};
use super::json;

/// One value at most. With a message and all attributes at their caps, the labels (64 KiB) and the rest,
/// a line stays below 1,000,000 bytes: Axiom refuses a whole request for one line above 1 MiB.
pub(crate) const VALUE_BYTES: usize = 256 * 1024;
/// All attributes of a record.
pub(crate) const ATTRIBUTES_BYTES: usize = 640 * 1024;
/// A dataset on Axiom's personal plan has 256 fields (docs/limits): one record must not exhaust it.
pub(crate) const ATTRIBUTES: u32 = 250;
/// Fields of a callsite that are told apart; `tracing`'s macros take 32. Later ones are left out, for each
/// would cost a search through all that is there.
const SLOTS: usize = 256;
/// `status.message` of a span.
const STATUS_MESSAGE_BYTES: usize = 4 * 1024;
/// Causes of an error that are followed; the chain may be a circle.
const ERROR_CAUSES: usize = 32;

/// The members written so far, as `"key":value,"key":value,`.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) bytes: Vec<u8>,
    /// Which slots have a value.
    set: [u64; SLOTS / 64],
    count: u32,
}

impl Attributes {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.set = [0; SLOTS / 64];
        self.count = 0;
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.bytes.clone_from(&other.bytes);
        self.set = other.set;
        self.count = other.count;
    }

    /// Takes over what `later` holds; where both have a key, the later value wins.
    pub(crate) fn merge(&mut self, callsite: &Callsite, later: &Self, incomplete: &mut u32) {
        let mut at = 0;
        while at < later.bytes.len() {
            let end = at + json::value_len(&later.bytes[at..]) + 1;
            let entry = &later.bytes[at..end];
            at = end;
            let plan = callsite
                .fields
                .iter()
                .find(|plan| entry.starts_with(&plan.key));
            let Some(plan) = plan else { continue };
            if !self.make_room(plan.slot, &plan.key)
                || self.bytes.len() + entry.len() > ATTRIBUTES_BYTES
            {
                *incomplete += 1;
                continue;
            }
            self.bytes.extend_from_slice(entry);
        }
    }

    /// Removes an earlier value of the same key and counts the new one. `false`: there are too many.
    fn make_room(&mut self, slot: usize, key: &[u8]) -> bool {
        let (word, bit) = (slot / 64, 1_u64 << (slot % 64));
        let Some(set) = self.set.get(word) else {
            return false;
        };
        if set & bit != 0 && self.remove(key) {
            return true;
        }
        if self.count >= ATTRIBUTES {
            return false;
        }
        self.set[word] |= bit;
        self.count += 1;
        true
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        match self.find(key) {
            Some(entry) => {
                self.bytes.drain(entry);
                true
            }
            None => false,
        }
    }

    /// The value of a key, empty if it is not there.
    fn value(&self, key: &[u8]) -> &[u8] {
        self.find(key).map_or(b"", |entry| {
            &self.bytes[entry.start + key.len()..entry.end - 1]
        })
    }

    /// Where the entry of a key lies, its comma included.
    fn find(&self, key: &[u8]) -> Option<Range<usize>> {
        let mut at = 0;
        while at < self.bytes.len() {
            let end = at + json::value_len(&self.bytes[at..]) + 1;
            if self.bytes[at..end].starts_with(key) {
                return Some(at..end);
            }
            at = end;
        }
        None
    }
}

/// What fields of a special meaning said, as JSON strings; empty when absent.
#[derive(Debug, Default)]
pub(crate) struct Special {
    pub(crate) message: Vec<u8>,
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Vec<u8>,
    pub(crate) status_code: Vec<u8>,
    pub(crate) status_message: Vec<u8>,
}

impl Special {
    /// What an ERROR event says of the span around it: its message, else its `error` field. A JSON string
    /// without its closing quote, and whether it was shortened.
    pub(crate) fn error_message<'a>(&'a self, attributes: &'a Attributes) -> (&'a [u8], bool) {
        let text = if self.message.is_empty() {
            attributes.value(b"\"error\":")
        } else {
            &self.message
        };
        match text {
            [b'"', kept @ .., b'"'] if text.len() <= STATUS_MESSAGE_BYTES => {
                (&text[..=kept.len()], false)
            }
            [b'"', ..] => {
                let end = json::floor_string(text, STATUS_MESSAGE_BYTES);
                (&text[..end], true)
            }
            _ => (b"", false),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.message.clear();
        self.name.clear();
        self.kind.clear();
        self.status_code.clear();
        self.status_message.clear();
    }
}

pub(crate) struct FieldVisitor<'a> {
    pub(crate) callsite: &'a Callsite,
    pub(crate) attributes: &'a mut Attributes,
    pub(crate) special: &'a mut Special,
    /// Values shortened, left out or unreadable.
    pub(crate) incomplete: u32,
}

impl FieldVisitor<'_> {
    /// `write` appends one JSON value of at most so many bytes and says whether it is whole.
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Vec<u8>, usize) -> bool) {
        let Some(plan) = self.callsite.fields.get(field.index()) else {
            self.incomplete += 1;
            return;
        };
        let special = match plan.role {
            Role::Attribute => None,
            Role::Message => Some((&mut self.special.message, VALUE_BYTES)),
            Role::OtelName => Some((&mut self.special.name, 1024)),
            Role::OtelKind => Some((&mut self.special.kind, 64)),
            Role::OtelStatusCode => Some((&mut self.special.status_code, 64)),
            Role::OtelStatusDescription => {
                Some((&mut self.special.status_message, STATUS_MESSAGE_BYTES))
            }
        };
        let whole = match special {
            Some((text, cap)) => {
                text.clear();
                let whole = write(text, cap);
                if text.first() != Some(&b'"') {
                    text.insert(0, b'"');
                    text.push(b'"');
                }
                // An empty `otel.name` or description says nothing; a span without a name is no span to Axiom.
                if plan.role != Role::Message && text.len() == 2 {
                    text.clear();
                }
                whole
            }
            None => {
                let used = self.attributes.bytes.len() + plan.key.len();
                let cap = VALUE_BYTES.min(ATTRIBUTES_BYTES.saturating_sub(used));
                // 64: any number, and a text of which a reader still sees something.
                if cap < 64 || !self.attributes.make_room(plan.slot, &plan.key) {
                    false
                } else {
                    let out = &mut self.attributes.bytes;
                    out.extend_from_slice(&plan.key);
                    let whole = write(out, cap);
                    out.push(b',');
                    whole
                }
            }
        };
        if !whole || plan.shortened {
            self.incomplete += 1;
        }
    }

    fn put_user_fmt(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.put(field, |out, cap| {
            let start = out.len();
            let written = catch_unwind(AssertUnwindSafe(|| json::put_fmt(out, value, cap)));
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
        });
    }
}

impl Visit for FieldVisitor<'_> {
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
