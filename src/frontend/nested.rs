//! Values of the `valuable` crate as nested JSON, bounded in bytes, depth and number of members.
//!
//! Structs and maps become objects, lists and tuples arrays, a struct around one unnamed value that value. An
//! enum's variant is its name, or an object of one member with that name. Runs on the application's threads,
//! with code of the application's inside: the caller catches what it throws.

use valuable::{Enumerable, Fields, NamedValues, Value, Variant, Visit};

use super::callsite::KEY_BYTES;
use super::members::ATTRIBUTES;
use crate::record::json::{self, Ansi};

/// Axiom cuts at 100 (docs/limits). Nobody reads that far, and each level is a frame on the stack.
const DEPTH: usize = 16;
/// Any number, and a text of which a reader still sees something, with the brackets to close behind it.
const LEAST: usize = 64;
/// What of that is for the brackets (a variant has two), quotes and the mark of a text that was shortened.
const CLOSING: usize = 2 * DEPTH + 8;

pub(crate) struct Nested {
    /// Nothing was shortened or left out.
    pub(crate) is_whole: bool,
    /// How many fields it is to Axiom beside itself: an object is one for each member, an array is one.
    pub(crate) members: u32,
}

/// Appends a value in at most `cap` bytes. Axiom names its members by their path, of which `path` bytes are
/// there already; `members` is how many there may be.
pub(crate) fn put(
    out: &mut Vec<u8>,
    value: Value<'_>,
    cap: usize,
    path: usize,
    members: u32,
    ansi: Ansi,
) -> Nested {
    let mut writer = Writer {
        end: out.len() + cap,
        out,
        depth: 0,
        path,
        in_list: false,
        room: members,
        start: 0,
        siblings: 0,
        is_tuple: false,
        is_whole: true,
        ansi,
    };
    writer.value(value);
    Nested {
        is_whole: writer.is_whole,
        members: members - writer.room,
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
    depth: usize,
    path: usize,
    /// To Axiom an array is one field, whatever is in it.
    in_list: bool,
    room: u32,
    /// Where the members of the innermost object begin, and how many there are.
    start: usize,
    siblings: u32,
    /// Unnamed values are an array even if there is only one.
    is_tuple: bool,
    is_whole: bool,
    ansi: Ansi,
}

impl Writer<'_> {
    fn left(&self) -> usize {
        self.end.saturating_sub(self.out.len())
    }

    /// Writes a value, or `null` for one that is too deep.
    fn value(&mut self, value: Value<'_>) {
        if self.depth == DEPTH {
            self.is_whole = false;
            return self.null();
        }
        self.depth += 1;
        self.shallow(value);
        self.depth -= 1;
    }

    fn shallow(&mut self, value: Value<'_>) {
        match value {
            Value::Unit => self.null(),
            Value::Bool(value) => json::put_bool(self.out, value),
            Value::Char(value) => self.text(value.encode_utf8(&mut [0; 4])),
            Value::String(value) => self.text(value),
            Value::Path(value) => self.text(&value.to_string_lossy()),
            Value::F32(value) => json::put_f32(self.out, value),
            Value::F64(value) => json::put_f64(self.out, value),
            Value::I8(value) => json::put_i64(self.out, value.into()),
            Value::I16(value) => json::put_i64(self.out, value.into()),
            Value::I32(value) => json::put_i64(self.out, value.into()),
            Value::I64(value) => json::put_i64(self.out, value),
            Value::I128(value) => json::put_i128(self.out, value),
            Value::Isize(value) => json::put_i128(self.out, value as i128),
            Value::U8(value) => json::put_i64(self.out, value.into()),
            Value::U16(value) => json::put_i64(self.out, value.into()),
            Value::U32(value) => json::put_i64(self.out, value.into()),
            Value::U64(value) => json::put_u64(self.out, value),
            Value::U128(value) => json::put_u128(self.out, value),
            Value::Usize(value) => json::put_u128(self.out, value as u128),
            Value::Error(error) => self.shown(format_args!("{error}")),
            Value::Listable(list) => self.list(|inside| list.visit(inside)),
            Value::Mappable(map) => self.object(|inside| map.visit(inside)),
            Value::Tuplable(tuple) if tuple.definition().is_unit() => self.null(),
            Value::Tuplable(tuple) => {
                self.is_tuple = true;
                tuple.visit(self);
            }
            Value::Structable(value) if value.definition().fields().is_named() => {
                self.object(|inside| value.visit(inside));
            }
            Value::Structable(value) => self.unnamed(|inside| value.visit(inside)),
            Value::Enumerable(value) => self.variant(value),
            // A kind of value that this version does not know.
            value => self.shown(format_args!("{value:?}")),
        }
    }

    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn text(&mut self, text: &str) {
        let cap = self.left().saturating_sub(CLOSING);
        self.is_whole &= json::put_text(self.out, text, cap, self.ansi);
    }

    fn shown(&mut self, text: std::fmt::Arguments<'_>) {
        let cap = self.left().saturating_sub(CLOSING);
        // A text that its own code gives up on ends there.
        self.is_whole &= json::put_fmt(self.out, text, cap, self.ansi).unwrap_or(false);
    }

    fn variant(&mut self, value: &dyn Enumerable) {
        let variant = value.variant();
        if let Variant::Static(variant) = variant
            && matches!(variant.fields(), Fields::Unnamed(0))
        {
            return self.text(variant.name());
        }
        self.object(|inside| {
            inside.member(variant.name(), |inside| {
                if variant.is_named_fields() {
                    inside.object(|inside| value.visit(inside));
                } else {
                    inside.unnamed(|inside| value.visit(inside));
                }
            });
        });
    }

    /// What a struct or a variant with unnamed fields holds.
    fn unnamed(&mut self, write: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.is_tuple = false;
        write(self);
        if self.out.len() == start {
            self.null();
        }
    }

    fn nest(&mut self, brackets: [u8; 2], write: impl FnOnce(&mut Self)) {
        self.out.push(brackets[0]);
        write(self);
        self.out.push(brackets[1]);
    }

    fn list(&mut self, write: impl FnOnce(&mut Self)) {
        let outside = std::mem::replace(&mut self.in_list, true);
        self.nest(*b"[]", write);
        self.in_list = outside;
    }

    fn object(&mut self, write: impl FnOnce(&mut Self)) {
        let outside = (self.start, self.siblings);
        self.nest(*b"{}", |inside| {
            inside.start = inside.out.len();
            inside.siblings = 0;
            write(inside);
        });
        (self.start, self.siblings) = outside;
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'[' | b'{')) {
            self.out.push(b',');
        }
    }

    fn element(&mut self, value: Value<'_>) {
        if self.left() < LEAST {
            self.is_whole = false;
            return;
        }
        self.comma();
        self.value(value);
    }

    fn member(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        let path = self.path + ".".len() + key.len();
        if path > KEY_BYTES
            || self.left() < key.len() + LEAST
            || self.siblings == ATTRIBUTES
            || (self.room == 0 && !self.in_list)
        {
            self.is_whole = false;
            return;
        }
        self.comma();
        let at = self.out.len();
        json::put_str(self.out, key, usize::MAX);
        self.out.push(b':');
        // A map may have two keys that are one as text.
        if has_key(&self.out[self.start..at], &self.out[at..]) {
            self.out.truncate(at);
            if self.out.len() > self.start {
                self.out.pop();
            }
            self.is_whole = false;
            return;
        }
        self.siblings += 1;
        if !self.in_list {
            self.room -= 1;
        }
        let outside = std::mem::replace(&mut self.path, path);
        write(self);
        self.path = outside;
    }
}

/// Whether one of these members has this key, which ends in a colon.
fn has_key(members: &[u8], key: &[u8]) -> bool {
    let mut rest = members;
    while !rest.is_empty() {
        if rest.starts_with(key) {
            return true;
        }
        rest = rest.get(json::value_len(rest) + 1..).unwrap_or_default();
    }
    false
}

impl Visit for Writer<'_> {
    fn visit_value(&mut self, value: Value<'_>) {
        self.element(value);
    }

    fn visit_named_fields(&mut self, named: &NamedValues<'_>) {
        for (field, value) in named.iter() {
            self.member(field.name(), |inside| inside.value(*value));
        }
    }

    fn visit_unnamed_fields(&mut self, values: &[Value<'_>]) {
        match values {
            [] if !self.is_tuple => {}
            [only] if !self.is_tuple => self.value(*only),
            _ => self.list(|inside| values.iter().for_each(|value| inside.element(*value))),
        }
    }

    fn visit_entry(&mut self, key: Value<'_>, value: Value<'_>) {
        match key {
            Value::String(key) => self.member(key, |inside| inside.value(value)),
            key => {
                let mut text = String::new();
                // Longer keys are left out, so that much of it is enough.
                let written = std::fmt::write(&mut Short(&mut text), format_args!("{key:?}"));
                match written {
                    Ok(()) => self.member(&text, |inside| inside.value(value)),
                    Err(std::fmt::Error) => self.is_whole = false,
                }
            }
        }
    }
}

/// Refuses text that is too long for a key.
struct Short<'a>(&'a mut String);

impl std::fmt::Write for Short<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > KEY_BYTES {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
