//! The members of a JSON object under construction: no key twice, bounded in number and bytes.
//!
//! Where members may be replaced, added or inherited, an index says where each lies. An event that needs none of this goes without;
//! the one value that is asked for is then looked for among the bytes.

mod keys;

use std::ops::Range;

pub(crate) use self::keys::Keys;
use super::callsite::{FieldPlan, KEY_BYTES};
use crate::record::json;

/// One value at most. With a message and all attributes at their caps, the labels (64 KiB) and the rest,
/// a line stays below 1,000,000 bytes: Axiom refuses a whole request for one line above 1 MiB.
pub(crate) const VALUE_BYTES: usize = 256 * 1024;
/// All attributes of a record.
pub(crate) const ATTRIBUTES_BYTES: usize = 600 * 1024;
/// A dataset on Axiom's personal plan has 256 fields (docs/limits): one record must not exhaust it.
pub(crate) const ATTRIBUTES: u32 = 250;

/// Any number, and a text of which a reader still sees something.
const LEAST: usize = 64;

/// The slot of a member that no field of the callsite declares.
const UNDECLARED: u16 = u16::MAX;

/// Where a member lies. It ends where the next one of its group begins.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    /// With the quotes and the colon.
    key_len: u16,
    /// The slot of its field: see [`FieldPlan`].
    slot: u16,
}

/// The members written so far, as `"key":value,"key":value,`.
#[derive(Debug, Default)]
pub(crate) struct Members {
    bytes: Vec<u8>,
    /// Where they begin. Those of an event stand in its line, behind what the line begins with.
    start: usize,
    entries: Vec<Entry>,
    /// Which slots have, or had, a value: a bit for each.
    set: [u64; 4],
}

impl Members {
    fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.entries.clear();
        self.set = [0; 4];
    }

    /// Of members that stand in no line: `start` is 0 in both.
    fn copy_from(&mut self, other: &Self) {
        self.bytes.clone_from(&other.bytes);
        self.entries.clone_from(&other.entries);
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
        &self.bytes[self.start..]
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn range(&self, index: usize) -> Range<usize> {
        let next = self.entries.get(index + 1);
        let end = next.map_or(self.bytes.len(), |next| next.start as usize);
        self.entries[index].start as usize..end
    }

    /// The key and the whole of a member, its comma included.
    fn member(&self, index: usize) -> (&[u8], &[u8]) {
        let member = &self.bytes[self.range(index)];
        (&member[..usize::from(self.entries[index].key_len)], member)
    }

    fn members(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.entries.len()).map(|index| self.member(index))
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        self.members().position(|(known, _)| known == key)
    }

    /// Notes that a member begins here, and writes its key.
    fn begin(&mut self, slot: u16, key: impl FnOnce(&mut Vec<u8>)) -> &mut Vec<u8> {
        let start = self.bytes.len();
        key(&mut self.bytes);
        self.entries.push(Entry {
            start: start as u32,
            key_len: (self.bytes.len() - start) as u16,
            slot,
        });
        &mut self.bytes
    }

    /// The value of a key, found without an index.
    fn look_for(&self, key: &[u8]) -> Option<&[u8]> {
        let mut rest = self.bytes();
        while !rest.is_empty() {
            let (member, behind) = rest.split_at(json::value_len(rest));
            if let Some(value) = member.strip_prefix(key) {
                return Some(value);
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        None
    }

    fn remove(&mut self, index: usize) {
        let removed = self.range(index);
        let bytes = removed.len() as u32;
        self.bytes.drain(removed);
        self.entries.remove(index);
        for entry in &mut self.entries[index..] {
            entry.start -= bytes;
        }
    }
}

/// The user's fields of a record: those in `attributes`, and those that have another place.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) attributes: Members,
    /// At the top level, or in `attributes.custom`: see [`Placement`](crate::record::Placement).
    pub(crate) outer: Members,
    /// Members of nested values, each of which is a field to Axiom, beyond the one that the value counts for.
    nested: u32,
    /// Whether `entries` is kept. Without it members are counted by `set`, the first value of a field stays, and nothing is
    /// inherited.
    has_index: bool,
    /// An event's line ends before `,"attributes":{`, so that a message can still be put there.
    is_before_attributes: bool,
    /// While `attributes.bytes` is no longer than this, one more plain member fits, whatever its length. 0: each goes through
    /// `begin`, which looks at the outer members and the number, too.
    plain_until: usize,
    /// Where an event's message stands in its line, if it came before all other fields.
    message: Range<usize>,
}

/// With at most so many bytes of attributes, the longest key and value still fit. The number is not asked for: plain fields are 64
/// at most, and are recorded before those of higher slots.
const PLAIN_BYTES: usize = ATTRIBUTES_BYTES - VALUE_BYTES - KEY_JSON_BYTES;

/// How the attributes begin in a line.
pub(crate) const OPENING: &[u8] = b",\"attributes\":{";

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.attributes.clear();
        self.outer.clear();
        self.nested = 0;
        self.is_before_attributes = false;
        self.plain_until = 0;
        self.message = 0..0;
    }

    /// Begins members that stand alone and are kept, as those of a span are.
    pub(crate) fn begin_kept(&mut self) {
        self.has_index = true;
        self.plain_until = PLAIN_BYTES;
    }

    // An event's members stand in its line, where they are written once.

    /// Begins a line, which it lends for what stands before the fields.
    pub(crate) fn begin_line(&mut self, has_index: bool) -> &mut Vec<u8> {
        self.has_index = has_index;
        self.is_before_attributes = true;
        &mut self.attributes.bytes
    }

    /// Whether the line still ends before the attributes: it has neither a message nor an attribute yet. What
    /// [`Special`](super::visit::Special) holds is not in the line.
    #[inline]
    pub(crate) fn is_before_attributes(&self) -> bool {
        self.is_before_attributes
    }

    /// Lends the line for the message, which comes before all other fields.
    pub(crate) fn begin_message(&mut self) -> &mut Vec<u8> {
        let line = &mut self.attributes.bytes;
        line.extend_from_slice(b",\"message\":");
        self.message = line.len()..line.len();
        line
    }

    pub(crate) fn end_message(&mut self) {
        self.message.end = self.attributes.bytes.len();
        self.open();
    }

    /// The message, if it came before all other fields; else empty.
    pub(crate) fn message(&self) -> &[u8] {
        &self.attributes.bytes[self.message.clone()]
    }

    /// All fields were written. An event may have had none.
    pub(crate) fn end_fields(&mut self) {
        if self.is_before_attributes {
            self.open();
        }
    }

    /// Begins the object of the attributes.
    fn open(&mut self) {
        let attributes = &mut self.attributes;
        attributes.bytes.extend_from_slice(OPENING);
        attributes.start = attributes.bytes.len();
        self.is_before_attributes = false;
        self.plain_until = attributes.start + PLAIN_BYTES;
    }

    /// The line, where the attributes begin in it, and the members that have another place.
    pub(crate) fn line(&mut self) -> (&mut Vec<u8>, usize, &[u8]) {
        let Self {
            attributes, outer, ..
        } = self;
        (&mut attributes.bytes, attributes.start, &outer.bytes)
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.attributes.copy_from(&other.attributes);
        self.outer.copy_from(&other.outer);
        self.nested = other.nested;
        self.has_index = other.has_index;
    }

    fn count(&self) -> u32 {
        let members = if self.has_index {
            (self.attributes.entries.len() + self.outer.entries.len()) as u32
        } else {
            let taken = self.attributes.set.iter().chain(&self.outer.set);
            taken.map(|word| word.count_ones()).sum()
        };
        members + self.nested
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
        self.plain_until = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    fn bytes(&self) -> usize {
        self.attributes.len() + self.outer.len()
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

    /// Lends the buffer for the value of a plain field, of any length that a value may have, with the key written. `None`: it
    /// has to go the long way.
    #[inline(always)]
    pub(crate) fn begin_plain(&mut self, plan: &FieldPlan) -> Option<&mut Vec<u8>> {
        let Members {
            bytes,
            entries,
            set,
            ..
        } = &mut self.attributes;
        let bit = 1 << plan.slot;
        if set[0] & bit != 0 || bytes.len() > self.plain_until {
            return None;
        }
        set[0] |= bit;
        if self.has_index {
            entries.push(Entry {
                start: bytes.len() as u32,
                key_len: plan.key.len() as u16,
                slot: u16::from(plan.slot),
            });
        }
        plan.key.put(bytes);
        Some(bytes)
    }

    /// Lends the buffer for a value of at most `cap` bytes, with the key written. An earlier value of the same key
    /// makes way. `None`: the record is full.
    pub(crate) fn begin(&mut self, plan: &FieldPlan, cap: usize) -> Option<(&mut Vec<u8>, usize)> {
        if self.is_before_attributes {
            self.open();
        }
        // What has another place takes room, and nested values take some of the number: whoever comes next is counted.
        if plan.is_outer {
            self.plain_until = 0;
        }
        let has_room = self.has_room(plan.key.len());
        let was_taken = self.group(plan.is_outer).take(plan.slot);
        if was_taken || !has_room {
            self.make_room(plan)?;
        }
        let room = ATTRIBUTES_BYTES - self.bytes() - plan.key.len();
        let has_index = self.has_index;
        let group = self.group(plan.is_outer);
        let out = if has_index {
            group.begin(u16::from(plan.slot), |out| plan.key.put(out))
        } else {
            plan.key.put(&mut group.bytes);
            &mut group.bytes
        };
        Some((out, cap.min(room)))
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.bytes() + bytes + LEAST <= ATTRIBUTES_BYTES && self.count() < ATTRIBUTES
    }

    #[cold]
    fn make_room(&mut self, plan: &FieldPlan) -> Option<()> {
        let group = self.group(plan.is_outer);
        let slot = u16::from(plan.slot);
        match group.entries.iter().position(|entry| entry.slot == slot) {
            Some(index) => group.remove(index),
            // No macro gives a field two values, and without an index the first one stays.
            None if !self.has_index => return None,
            None => {}
        }
        self.has_room(plan.key.len()).then_some(())
    }

    /// Takes over the fields that `later` holds of the same callsite; where both have one, the later value wins.
    pub(crate) fn merge(&mut self, later: &Self, incomplete: &mut u32) {
        self.nested += later.nested;
        for (is_outer, group) in [(false, &later.attributes), (true, &later.outer)] {
            for (index, entry) in group.entries.iter().enumerate() {
                let (key, member) = group.member(index);
                if let Ok(slot) = u8::try_from(entry.slot) {
                    let own = self.group(is_outer);
                    let earlier = own.entries.iter().position(|own| own.slot == entry.slot);
                    if own.take(slot)
                        && let Some(earlier) = earlier
                    {
                        own.remove(earlier);
                    }
                }
                self.add(is_outer, entry.slot, key, member, incomplete);
            }
        }
    }

    /// Sets an attribute that the callsite need not declare: one more field, or a new value for the one of that key.
    pub(crate) fn set(
        &mut self,
        plan: Option<&FieldPlan>,
        is_outer: bool,
        key: &[u8],
        value: &[u8],
        incomplete: &mut u32,
    ) {
        // A span without any field had none yet.
        self.has_index = true;
        let group = self.group(is_outer);
        if let Some(index) = group.find(key) {
            group.remove(index);
        }
        let slot = match plan {
            Some(plan) => {
                group.take(plan.slot);
                u16::from(plan.slot)
            }
            None => UNDECLARED,
        };
        let member = [key, value, b","].concat();
        self.add(is_outer, slot, key, &member, incomplete);
    }

    /// Appends a member that is not there yet. Without room for its value it is `null`, without room for its key it is left out.
    fn add(&mut self, is_outer: bool, slot: u16, key: &[u8], member: &[u8], incomplete: &mut u32) {
        if !self.has_room(key.len()) {
            *incomplete += 1;
            return;
        }
        let fits = self.bytes() + member.len() <= ATTRIBUTES_BYTES;
        let out = self
            .group(is_outer)
            .begin(slot, |out| out.extend_from_slice(key));
        if fits {
            out.extend_from_slice(&member[key.len()..]);
        } else {
            out.extend_from_slice(b"null,");
            *incomplete += 1;
        }
    }

    /// Adds those of `outward` whose key is not among `keys`, which has all of this record's; of an exception only if there is
    /// none.
    pub(crate) fn inherit(
        &mut self,
        outward: &Self,
        has_exception: bool,
        keys: &mut Keys,
        incomplete: &mut u32,
    ) {
        self.nested = self.nested.saturating_add(outward.nested);
        for (is_outer, group) in [(false, &outward.attributes), (true, &outward.outer)] {
            for (index, entry) in group.entries.iter().enumerate() {
                let (key, member) = group.member(index);
                let is_kept_out = has_exception && key.starts_with(b"\"exception.");
                let (bucket, is_known) = keys.look(self, is_outer, key);
                if is_kept_out || is_known {
                    continue;
                }
                if self.count() >= ATTRIBUTES || self.bytes() + member.len() > ATTRIBUTES_BYTES {
                    *incomplete += 1;
                    continue;
                }
                let own = self.group(is_outer);
                keys.put(bucket, key, own.entries.len());
                let out = own.begin(entry.slot, |out| out.extend_from_slice(key));
                out.extend_from_slice(&member[key.len()..]);
            }
        }
    }

    /// Whether the application describes an exception itself.
    pub(crate) fn describe_exception(&self) -> bool {
        let mut all = self.attributes.members().chain(self.outer.members());
        all.any(|(key, _)| key.starts_with(b"\"exception."))
    }

    /// The value of a key, empty if it is not there.
    pub(crate) fn value(&self, key: &[u8]) -> &[u8] {
        [&self.attributes, &self.outer]
            .into_iter()
            .find_map(|group| group.look_for(key))
            .unwrap_or_default()
    }
}

/// A key is written with its quotes, its colon, and at the most six bytes for one of its own.
const KEY_JSON_BYTES: usize = 6 * KEY_BYTES + 3;
const _: () = assert!(KEY_JSON_BYTES <= u16::MAX as usize);
