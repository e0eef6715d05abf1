//! The members of a JSON object under construction: no key twice, bounded in number and bytes.

use std::ops::Range;

use super::callsite::{Callsite, FieldPlan};
use super::json;

/// All attributes of a record.
pub(crate) const ATTRIBUTES_BYTES: usize = 600 * 1024;
/// A dataset on Axiom's personal plan has 256 fields (docs/limits): one record must not exhaust it.
pub(crate) const ATTRIBUTES: u32 = 250;

/// Any number, and a text of which a reader still sees something.
const LEAST: usize = 64;

/// The members written so far, as `"key":value,"key":value,`.
#[derive(Debug, Default)]
pub(crate) struct Members {
    bytes: Vec<u8>,
    /// Which slots have, or had, a value: a bit for each.
    set: [u64; 4],
}

impl Members {
    fn clear(&mut self) {
        self.bytes.clear();
        self.set = [0; 4];
    }

    fn copy_from(&mut self, other: &Self) {
        self.bytes.clone_from(&other.bytes);
        self.set = other.set;
    }

    /// Takes the slot; `true`: it was taken before.
    fn take(&mut self, slot: u8) -> bool {
        let word = &mut self.set[usize::from(slot / 64)];
        let bit = 1 << (slot % 64);
        let was_taken = *word & bit != 0;
        *word |= bit;
        was_taken
    }

    /// With a comma behind each, the last one too.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes an earlier value of the same key. `true`: there was one.
    fn remove(&mut self, key: &[u8]) -> bool {
        match self.find(key) {
            Some(entry) => {
                self.bytes.drain(entry);
                true
            }
            None => false,
        }
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

    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (entry, after) = rest.split_at(json::value_len(rest) + 1);
            rest = after;
            Some(entry)
        })
    }
}

/// The user's fields of a record: those in `attributes`, and those that have another place.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) attributes: Members,
    /// At the top level, or in `attributes.custom`: see [`Placement`](super::placement::Placement).
    pub(crate) outer: Members,
    count: u32,
    /// Members of nested values, each of which is a field to Axiom, beyond the one that the value counts for.
    nested: u32,
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.attributes.clear();
        self.outer.clear();
        self.count = 0;
        self.nested = 0;
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.attributes.copy_from(&other.attributes);
        self.outer.copy_from(&other.outer);
        self.count = other.count;
        self.nested = other.nested;
    }

    fn count(&self) -> u32 {
        self.count + self.nested
    }

    /// How many more members there may be.
    #[cfg(all(tracing_unstable, feature = "valuable"))]
    pub(crate) fn room(&self) -> u32 {
        ATTRIBUTES.saturating_sub(self.count())
    }

    /// Nested members were written.
    #[cfg(all(tracing_unstable, feature = "valuable"))]
    pub(crate) fn take_room(&mut self, members: u32) {
        self.nested += members.saturating_sub(1);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    fn bytes(&self) -> usize {
        self.attributes.bytes.len() + self.outer.bytes.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.attributes.bytes.capacity() + self.outer.bytes.capacity()
    }

    fn group(&mut self, is_outer: bool) -> &mut Members {
        if is_outer {
            &mut self.outer
        } else {
            &mut self.attributes
        }
    }

    /// Lends the buffer for a value of at most `cap` bytes, with the key written. An earlier value of the same key
    /// makes way. `None`: the record is full.
    #[inline]
    pub(crate) fn begin(&mut self, plan: &FieldPlan, cap: usize) -> Option<(&mut Vec<u8>, usize)> {
        let was_taken = self.group(plan.is_outer).take(plan.slot);
        if was_taken || !self.has_room(plan) {
            self.make_room(plan)?;
        }
        self.count += 1;
        let room = ATTRIBUTES_BYTES - self.bytes() - plan.key.len();
        let out = &mut self.group(plan.is_outer).bytes;
        plan.key.put(out);
        Some((out, cap.min(room)))
    }

    #[inline]
    fn has_room(&self, plan: &FieldPlan) -> bool {
        self.bytes() + plan.key.len() + LEAST <= ATTRIBUTES_BYTES && self.count() < ATTRIBUTES
    }

    #[cold]
    fn make_room(&mut self, plan: &FieldPlan) -> Option<()> {
        if self.group(plan.is_outer).remove(plan.key.bytes()) {
            self.count -= 1;
        }
        self.has_room(plan).then_some(())
    }

    /// Takes over what `later` holds; where both have a key, the later value wins.
    pub(crate) fn merge(&mut self, callsite: &Callsite, later: &Self, incomplete: &mut u32) {
        self.nested += later.nested;
        for is_outer in [false, true] {
            let group = if is_outer {
                &later.outer
            } else {
                &later.attributes
            };
            for entry in group.entries() {
                let plan = callsite
                    .fields
                    .iter()
                    .find(|plan| entry.starts_with(plan.key.bytes()));
                let Some(plan) = plan else { continue };
                let value = &entry[plan.key.len()..];
                match self.begin(plan, value.len().max(64)) {
                    Some((out, cap)) if value.len() <= cap + 1 => out.extend_from_slice(value),
                    Some((out, _)) => {
                        out.extend_from_slice(b"null,");
                        *incomplete += 1;
                    }
                    None => *incomplete += 1,
                }
            }
        }
    }

    /// Adds those of `outward` whose key is not there yet; of an exception only if there is none.
    pub(crate) fn inherit(&mut self, outward: &Self, has_exception: bool, incomplete: &mut u32) {
        self.nested += outward.nested;
        for is_outer in [false, true] {
            let group = if is_outer {
                &outward.outer
            } else {
                &outward.attributes
            };
            for entry in group.entries() {
                let key = &entry[..json::key_len(entry)];
                if has_exception && key.starts_with(b"\"exception.") {
                    continue;
                }
                let bytes = self.bytes();
                let count = self.count();
                let group = self.group(is_outer);
                if group.find(key).is_some() {
                    continue;
                }
                if count >= ATTRIBUTES || bytes + entry.len() > ATTRIBUTES_BYTES {
                    *incomplete += 1;
                    continue;
                }
                group.bytes.extend_from_slice(entry);
                self.count += 1;
            }
        }
    }

    /// The value of a key, empty if it is not there.
    pub(crate) fn value(&self, key: &[u8]) -> &[u8] {
        [&self.attributes, &self.outer]
            .into_iter()
            .find_map(|group| {
                let entry = group.find(key)?;
                Some(&group.bytes[entry.start + key.len()..entry.end - 1])
            })
            .unwrap_or_default()
    }
}
