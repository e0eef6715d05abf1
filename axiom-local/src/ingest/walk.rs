//! One pass over one event: a serde visitor that sees every key, repeated ones too, and builds no value.
//!
//! It knows the rules about names, types and nesting. It allocates only for what is new or wrong, because a load
//! test sends hundreds of thousands of events a second through it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::row::{Row, Scalar, Seen, describe, shortened};
use super::schema::{Hashes, Kind, Names, Schema, Shape, Spelling, hash, nested};
use crate::event::time;
use crate::violation::Rule;

/// Axiom documents at most this many bytes for one string.
pub(crate) const MAX_STRING: usize = 1_000_000;
/// Axiom documents at most this many bytes for the flattened name of a field.
const MAX_NAME: usize = 200;
/// Axiom documents at most this many levels of nesting; what lies deeper is cut.
pub(crate) const MAX_DEPTH: usize = 100;
/// Names that Axiom keeps for itself. It renames a client's field of such a name.
pub(crate) const TAKEN: [&str; 5] = ["_blockInfo", "_cursor", "_rowID", "_source", "_sysTime"];
/// From this many keys on, a set finds a repeated key faster than a scan does.
const MANY_KEYS: usize = 64;

/// What does not change from event to event of a request.
#[derive(Debug)]
pub(crate) struct Context<'r> {
    pub(crate) time_field: &'r str,
    /// The flattened names of the labels.
    pub(crate) labels: &'r Names<Shape>,
    pub(crate) map_fields: &'r [String],
}

/// What the walk over one event found. Reused from event to event.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) broken: Vec<(Rule, String)>,
    /// Fields that the schema does not know, or knows with another type or spelling.
    pub(crate) shapes: Names<Shape>,
    pub(crate) row: Row,
    pub(crate) time: Seen,
    /// The event can not be stored as it is.
    pub(crate) rewrite: bool,
    /// The event has a name in common with the labels, so the labels can not simply be pasted into its text.
    pub(crate) merge: bool,
    /// The walk ended early, because the event is nested too deep.
    pub(crate) too_deep: bool,
    /// A number too large for 64 bits, which may have been written as an integer.
    pub(crate) huge_number: bool,
    path: String,
    keys: Vec<u64>,
}

impl Findings {
    fn reset(&mut self) {
        self.broken.clear();
        self.shapes.clear();
        self.row = Row::default();
        self.time = Seen::Absent;
        self.rewrite = false;
        self.merge = false;
        self.too_deep = false;
        self.huge_number = false;
        self.path.clear();
        self.keys.clear();
    }
}

/// Examines one event. An error means that the text is not a JSON object or, if `found.too_deep` is set, that it must be cut
/// first.
pub(crate) fn walk(
    text: &str,
    schema: &Schema,
    context: &Context<'_>,
    found: &mut Findings,
) -> serde_json::Result<()> {
    found.reset();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walk = &mut Walk {
        schema,
        context,
        found,
        opaque: false,
        spelling: 0,
    };
    deserializer.deserialize_map(Node { walk, depth: 1 })?;
    deserializer.end()
}

struct Walk<'a> {
    schema: &'a Schema,
    context: &'a Context<'a>,
    found: &'a mut Findings,
    /// True inside an array or a map field, where keys are not fields.
    opaque: bool,
    spelling: Spelling,
}

impl Walk<'_> {
    fn broken(&mut self, rule: Rule, reason: String) {
        self.found.broken.push((rule, reason));
    }

    /// Checks a value that is a field, or an object that holds fields.
    fn value(&mut self, kind: Kind, value: Scalar<'_>) {
        if self.opaque {
            return;
        }
        if self.found.path == self.context.time_field {
            self.found.time = match value {
                Scalar::Null => Seen::Absent,
                _ if is_time(value) => Seen::Good,
                _ => Seen::Bad(describe(value)),
            };
        }
        self.found.row.note(&self.found.path, value);
        if !self.context.labels.is_empty() && self.context.labels.contains_key(&*self.found.path) {
            self.found.merge = true;
            if kind != Kind::OBJECT {
                let reason = format!("{:?} is both a label and a field", self.found.path);
                self.broken(Rule::LabelCollision, reason);
            }
        }
        if kind == Kind::NONE {
            return;
        }
        if kind != Kind::OBJECT && self.found.path.len() > MAX_NAME {
            let reason = format!(
                "a name of {} bytes: {:?}",
                self.found.path.len(),
                shortened(&self.found.path)
            );
            self.broken(Rule::FieldNameTooLong, reason);
        }
        let known = self.schema.get(&self.found.path);
        match known {
            Some(shape)
                if shape.kinds.has(kind) && (shape.spelling == self.spelling || shape.mixed) => {}
            _ => {
                let known = known.copied();
                self.surprise(kind, known);
            }
        }
    }

    /// Notes a field that is new, or that has another type or spelling than before.
    fn surprise(&mut self, kind: Kind, known: Option<Shape>) {
        let mut shape = self
            .found
            .shapes
            .get(&*self.found.path)
            .copied()
            .or(known)
            .unwrap_or(Shape {
                kinds: Kind::NONE,
                spelling: self.spelling,
                mixed: false,
            });
        if shape.spelling != self.spelling && !shape.mixed {
            shape.mixed = true;
            let reason = format!(
                "{:?} was sent both nested and with the dot in its name",
                self.found.path
            );
            self.broken(Rule::DottedAndNested, reason);
        }
        if shape.kinds != Kind::NONE && !shape.kinds.has(kind) {
            let reason = format!(
                "{:?} was {} and is now {}",
                self.found.path,
                shape.kinds.names(),
                kind.names()
            );
            self.broken(Rule::TypeChanged, reason);
        }
        shape.kinds = shape.kinds.and(kind);
        self.found
            .shapes
            .insert(self.found.path.as_str().into(), shape);
    }

    fn string(&mut self, text: &str) {
        if text.len() > MAX_STRING {
            let reason = format!("{:?} has {} bytes", self.found.path, text.len());
            self.broken(Rule::StringTooLong, reason);
            self.found.rewrite = true;
        }
        self.value(Kind::STRING, Scalar::Str(text));
    }
}

fn is_time(value: Scalar<'_>) -> bool {
    match value {
        Scalar::Str(text) => time::of_text(text),
        Scalar::Int(number) => time::of_integer(number),
        Scalar::Float(number) => time::of_float(number),
        _ => None,
    }
    .is_some()
}

/// Visits a value at some depth. It is both the seed and the visitor, in serde's terms.
struct Node<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// The depth of this value, if it is a container.
    depth: usize,
}

impl Node<'_, '_> {
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        if self.depth > MAX_DEPTH {
            self.walk.found.too_deep = true;
            return Err(E::custom("nested too deep"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.depth == 1 {
            "a JSON object"
        } else {
            "a JSON value"
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.walk.value(Kind::NONE, Scalar::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.walk.value(Kind::BOOL, Scalar::Bool);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.walk.value(Kind::NUMBER, Scalar::Int(number));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.walk.value(Kind::NUMBER, Scalar::Int(number)),
            Err(_) => {
                self.walk.found.huge_number = true;
                self.walk.value(Kind::NUMBER, Scalar::BigInt);
            }
        }
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        // An integer that does not fit in 64 bits arrives here as well.
        self.walk.found.huge_number |= number.abs() >= i64::MAX as f64;
        self.walk.value(Kind::NUMBER, Scalar::Float(number));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walk.string(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.enter()?;
        self.walk.value(Kind::ARRAY, Scalar::Array);
        let outside = std::mem::replace(&mut self.walk.opaque, true);
        while elements
            .next_element_seed(Node {
                walk: self.walk,
                depth: self.depth + 1,
            })?
            .is_some()
        {}
        self.walk.opaque = outside;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.enter()?;
        let depth = self.depth;
        let walk = self.walk;
        let outside = walk.opaque;
        if depth > 1 && !outside {
            if walk.context.map_fields.contains(&walk.found.path) {
                // A map field is one field, whatever it holds. It counts as an array, which is not taken apart either.
                walk.value(Kind::ARRAY, Scalar::Object);
                walk.opaque = true;
            } else {
                walk.value(Kind::OBJECT, Scalar::Object);
            }
        }
        let spelling = walk.spelling;
        let path_end = walk.found.path.len();
        let keys_start = walk.found.keys.len();
        if depth > 1 {
            walk.spelling = nested(spelling, path_end);
        }
        let mut many = Hashes::default();
        while members
            .next_key_seed(Key {
                walk,
                depth,
                keys_start,
                many: &mut many,
            })?
            .is_some()
        {
            members.next_value_seed(Node {
                walk,
                depth: depth + 1,
            })?;
            walk.found.path.truncate(path_end);
        }
        walk.found.keys.truncate(keys_start);
        walk.spelling = spelling;
        walk.opaque = outside;
        Ok(())
    }
}

/// Visits a key: checks it, and appends it to the path.
struct Key<'w, 'a> {
    walk: &'w mut Walk<'a>,
    depth: usize,
    /// Where the keys of this object begin in `Findings::keys`.
    keys_start: usize,
    many: &'w mut Hashes,
}

impl Key<'_, '_> {
    fn is_repeated(&mut self, key: &str) -> bool {
        let hash = hash(key);
        let keys = &mut self.walk.found.keys;
        if keys.len() - self.keys_start < MANY_KEYS {
            let repeated = keys[self.keys_start..].contains(&hash);
            keys.push(hash);
            return repeated;
        }
        if self.many.is_empty() {
            self.many.extend(&keys[self.keys_start..]);
        }
        !self.many.insert(hash)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(mut self, key: &str) -> Result<(), E> {
        if self.is_repeated(key) {
            let reason = format!("the key {:?} is there twice", shortened(key));
            self.walk.broken(Rule::RepeatedKey, reason);
            self.walk.found.rewrite = true;
        }
        if self.depth == 1 && key.starts_with('_') && key != "_time" {
            self.walk.broken(
                Rule::ReservedName,
                format!("a field named {:?}", shortened(key)),
            );
            self.walk.found.rewrite |= TAKEN.contains(&key);
        }
        let path = &mut self.walk.found.path;
        if self.depth > 1 {
            path.push('.');
        }
        path.push_str(key);
        Ok(())
    }
}
