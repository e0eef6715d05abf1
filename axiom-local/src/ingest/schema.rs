//! The fields that a dataset has seen: their names, types and spelling.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// The JSON type of a field as a bit, so that a set of types is a number. Integers and floats are one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(u8);

impl Kind {
    pub(crate) const NONE: Kind = Kind(0);
    pub(crate) const BOOL: Kind = Kind(1);
    pub(crate) const NUMBER: Kind = Kind(2);
    pub(crate) const STRING: Kind = Kind(4);
    pub(crate) const ARRAY: Kind = Kind(8);
    /// An object is not a field; its members are.
    pub(crate) const OBJECT: Kind = Kind(16);

    pub(crate) fn has(self, other: Kind) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn and(self, other: Kind) -> Kind {
        Kind(self.0 | other.0)
    }

    fn is_field(self) -> bool {
        self.0 & !Kind::OBJECT.0 != 0
    }

    pub(crate) fn names(self) -> String {
        let all = [
            (Kind::BOOL, "bool"),
            (Kind::NUMBER, "number"),
            (Kind::STRING, "string"),
            (Kind::ARRAY, "array"),
            (Kind::OBJECT, "object"),
        ];
        let names: Vec<&str> = all
            .iter()
            .filter(|(kind, _)| self.has(*kind))
            .map(|(_, name)| *name)
            .collect();
        names.join(" or ")
    }
}

/// Tells which dots of a flattened name stand for nesting, rather than being part of a name: a hash of their positions.
pub(crate) type Spelling = u32;

/// The spelling of a name inside the object whose name ends at `dot`.
pub(crate) fn nested(outer: Spelling, dot: usize) -> Spelling {
    outer
        .wrapping_mul(257)
        .wrapping_add(dot as u32)
        .wrapping_add(1)
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) kinds: Kind,
    pub(crate) spelling: Spelling,
    /// The field has been seen in two spellings, and that was reported.
    pub(crate) mixed: bool,
}

/// The fields of one dataset.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    shapes: Names<Shape>,
    fields: usize,
}

/// A map by flattened name.
pub(crate) type Names<T> = HashMap<Box<str>, T, BuildHasherDefault<NameHasher>>;

/// A set of hashes of keys.
pub(crate) type Hashes = HashSet<u64, BuildHasherDefault<NameHasher>>;

impl Schema {
    pub(crate) fn get(&self, path: &str) -> Option<&Shape> {
        self.shapes.get(path)
    }

    /// How many of these shapes would be new fields. `_time` and `_sysTime` do not count.
    fn new_fields(&self, shapes: &Names<Shape>) -> usize {
        shapes
            .iter()
            .filter(|(path, shape)| shape.kinds.is_field() && !is_free(path))
            .filter(|(path, _)| {
                self.shapes
                    .get(*path)
                    .is_none_or(|known| !known.kinds.is_field())
            })
            .count()
    }

    /// Adds the fields of an event. If the dataset would then have too many, nothing is added, and the error is their number.
    pub(crate) fn merge(
        &mut self,
        shapes: &mut Names<Shape>,
        max_fields: usize,
    ) -> Result<(), usize> {
        if shapes.is_empty() {
            return Ok(());
        }
        let fields = self.fields + self.new_fields(shapes);
        if fields > max_fields {
            return Err(fields);
        }
        self.fields = fields;
        for (path, shape) in shapes.drain() {
            match self.shapes.get_mut(&path) {
                Some(known) => {
                    known.kinds = known.kinds.and(shape.kinds);
                    known.mixed |= shape.mixed;
                }
                None => {
                    self.shapes.insert(path, shape);
                }
            }
        }
        Ok(())
    }
}

fn is_free(path: &str) -> bool {
    matches!(path, "_time" | "_sysTime")
}

/// A fast hash for names. The standard library's hash costs several times as much, because it resists attackers; a local server
/// has none.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NameHasher(u64);

impl NameHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x2d35_8dcc_aa6c_78a5)
            * u128::from(0x8bb8_4b93_962e_acc9_u64);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of one key.
pub(crate) fn hash(key: &str) -> u64 {
    let mut hasher = NameHasher::default();
    hasher.write(key.as_bytes());
    hasher.finish()
}
