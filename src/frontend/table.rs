//! Finds what is kept for a span by the id that the registry gave it. No lock, and no allocation once warm.
//!
//! Open addressing over atomics. A slot belongs to an id from [`Table::claim`] to [`Table::release`], and then to the next one,
//! which finds what the last one left: buffers keep their capacity. Slots are never freed; the table grows by
//! whole segments, each twice as large as the one before.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use once_cell::race::OnceBox;

/// Slots of the first segment, as a power of two: enough for most programs.
const FIRST: u32 = 10;
/// With all of them there are more slots than a machine has memory for.
const SEGMENTS: usize = 22;
/// Slots of a segment that an id may be in: its home and those behind it.
const WINDOW: usize = 8;

/// No registry gives these as ids: a slot that is free, and one that is being taken.
const FREE: u64 = 0;
const TAKING: u64 = u64::MAX;

/// The part of an id that names the place in the registry's slab. Above it is the generation, which changes each time the
/// place is used again: left out, a place has the same home each time, and the home's memory is warm.
const PLACE: u64 = (1 << 51) - 1;

#[derive(Debug)]
pub(crate) struct Table<T> {
    segments: [OnceBox<Segment<T>>; SEGMENTS],
}

#[derive(Debug)]
struct Segment<T> {
    slots: Box<[CachePadded<Slot<T>>]>,
}

#[derive(Debug, Default)]
struct Slot<T> {
    id: AtomicU64,
    /// Ids that have their home here and are further on, because the home was taken. Without any, a look at the home is enough.
    displaced: AtomicU32,
    value: T,
}

/// Where an id is.
struct Found<'a, T> {
    slot: &'a Slot<T>,
    /// The homes that it was displaced from, as a number of segments, the slot's own included if it is not home there.
    homes: usize,
}

impl<T: Default> Default for Table<T> {
    fn default() -> Self {
        Self {
            segments: [const { OnceBox::new() }; SEGMENTS],
        }
    }
}

impl<T: Default> Table<T> {
    /// What is kept for this id, if it was claimed.
    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&T> {
        let home = self.segments[0].get()?.home(id);
        if home.id.load(Ordering::Acquire) == id {
            return Some(&home.value);
        }
        if home.displaced.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.find(id, |here| here == id)
            .map(|found| &found.slot.value)
    }

    /// Gives the id a slot, which `fill` makes ready before anybody can find it. `None`: there is no slot left.
    pub(crate) fn claim(&self, id: u64, fill: impl FnOnce(&T)) -> Option<&T> {
        if id == FREE || id == TAKING {
            return None;
        }
        let slot = match self.take_over(id) {
            Some(slot) => slot,
            None => self.take_slot(id)?,
        };
        fill(&slot.value);
        slot.id.store(id, Ordering::Release);
        Some(&slot.value)
    }

    /// Frees the id's slot for another, after `empty` has had its last look and said whether the slot is fit for that.
    /// `None`: the id had no slot.
    pub(crate) fn release<R>(&self, id: u64, empty: impl FnOnce(&T) -> (R, bool)) -> Option<R> {
        let found = self.find(id, |here| here == id)?;
        let (result, is_fit) = empty(&found.slot.value);
        let next = if is_fit { FREE } else { TAKING };
        found.slot.id.store(next, Ordering::Release);
        self.count_displaced(id, found.homes, |displaced| {
            displaced.fetch_sub(1, Ordering::AcqRel);
        });
        Some(result)
    }

    /// All values that belong to an id now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let slots = self.segments().flat_map(|segment| segment.slots.iter());
        slots
            .filter(|slot| !matches!(slot.id.load(Ordering::Acquire), FREE | TAKING))
            .map(|slot| &slot.value)
    }

    fn segments(&self) -> impl Iterator<Item = &Segment<T>> {
        self.segments.iter().map_while(OnceBox::get)
    }

    /// The slot of an earlier span in the same place of the registry, which is over since the place was given away again:
    /// whoever should have released it was not told.
    fn take_over(&self, id: u64) -> Option<&Slot<T>> {
        let is_left = |here: u64| here != FREE && here != TAKING && (here ^ id) & PLACE == 0;
        let slot = self.find(id, is_left)?.slot;
        let left = slot.id.load(Ordering::Acquire);
        (is_left(left) && slot.take_from(left)).then_some(slot)
    }

    fn take_slot(&self, id: u64) -> Option<&Slot<T>> {
        for (index, segment) in self.segments.iter().enumerate() {
            let segment = segment.get_or_init(|| Box::new(Segment::new(FIRST + index as u32)));
            let mut window = segment.window(id);
            let home = window.next()?;
            if home.take() {
                return Some(home);
            }
            // Before the slot further on has the id, so that whoever looks for it does not stop here.
            home.displaced.fetch_add(1, Ordering::AcqRel);
            if let Some(slot) = window.find(|slot| slot.take()) {
                return Some(slot);
            }
        }
        None
    }

    /// Among the slots that this id may be in, the one whose id is looked for.
    fn find(&self, id: u64, is_it: impl Fn(u64) -> bool) -> Option<Found<'_, T>> {
        for (index, segment) in self.segments().enumerate() {
            let is_here = |slot: &&Slot<T>| is_it(slot.id.load(Ordering::Acquire));
            let mut window = segment.window(id);
            let home = window.next()?;
            if is_here(&home) {
                return Some(Found {
                    slot: home,
                    homes: index,
                });
            }
            if home.displaced.load(Ordering::Acquire) == 0 {
                return None;
            }
            if let Some(slot) = window.find(is_here) {
                return Some(Found {
                    slot,
                    homes: index + 1,
                });
            }
        }
        None
    }

    fn count_displaced(&self, id: u64, homes: usize, count: impl Fn(&AtomicU32)) {
        for segment in self.segments().take(homes) {
            count(&segment.home(id).displaced);
        }
    }
}

impl<T: Default> Segment<T> {
    fn new(bits: u32) -> Self {
        Self {
            slots: (0..1_usize << bits)
                .map(|_| CachePadded::default())
                .collect(),
        }
    }

    fn home_index(&self, id: u64) -> usize {
        /// 2⁶⁴ divided by the golden ratio: multiples of it spread evenly (Knuth, volume 3, 6.4).
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let bits = self.slots.len().trailing_zeros();
        ((id & PLACE).wrapping_mul(SPREAD) >> (u64::BITS - bits)) as usize
    }

    #[inline]
    fn home(&self, id: u64) -> &Slot<T> {
        &self.slots[self.home_index(id)]
    }

    /// The slots that the id may be in, the home first.
    fn window(&self, id: u64) -> impl Iterator<Item = &Slot<T>> {
        let home = self.home_index(id);
        (home..home + WINDOW).map(|index| &*self.slots[index & (self.slots.len() - 1)])
    }
}

impl<T> Slot<T> {
    fn take(&self) -> bool {
        self.id.load(Ordering::Relaxed) == FREE && self.take_from(FREE)
    }

    fn take_from(&self, id: u64) -> bool {
        let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.id.compare_exchange(id, TAKING, done, failed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn claim(table: &Table<AtomicU64>, id: u64) {
        let claimed = table.claim(id, |value| value.store(!id, Ordering::Relaxed));
        assert!(claimed.is_some());
    }

    fn release(table: &Table<AtomicU64>, id: u64) {
        assert!(table.release(id, |_| ((), true)).is_some());
    }

    fn value(table: &Table<AtomicU64>, id: u64) -> Option<u64> {
        table.get(id).map(|value| value.load(Ordering::Relaxed))
    }

    proptest! {
        #[test]
        fn what_was_claimed_and_not_released_is_found(
            // Few places, so that many share a home.
            steps in prop::collection::vec((any::<bool>(), 1_u64..4_000), 1..4_000)
        ) {
            let table = Table::<AtomicU64>::default();
            let mut open = HashMap::new();
            for (opens, id) in steps {
                if opens && !open.contains_key(&id) {
                    claim(&table, id);
                    open.insert(id, !id);
                } else {
                    let released = table.release(id, |value| (value.load(Ordering::Relaxed), true));
                    prop_assert_eq!(released, open.remove(&id));
                }
            }
            for id in 1..4_000 {
                prop_assert_eq!(value(&table, id), open.get(&id).copied());
            }
            prop_assert_eq!(table.iter().count(), open.len());
            for id in open.keys() {
                release(&table, *id);
            }
            // Nothing is left behind that would lengthen a search.
            let displaced = table.segments().flat_map(|segment| segment.slots.iter());
            prop_assert!(displaced.into_iter().all(|slot| slot.displaced.load(Ordering::Relaxed) == 0));
        }
    }

    #[test]
    fn a_hundred_thousand_open_at_once_are_found() {
        let table = Table::<AtomicU64>::default();
        (1..=100_000).for_each(|id| claim(&table, id));
        assert!((1..=100_000).all(|id| value(&table, id) == Some(!id)));
        assert_eq!(value(&table, 100_001), None);
        let slots: usize = table.segments().map(|segment| segment.slots.len()).sum();
        assert!(slots <= 262_143, "{slots} slots");
    }

    #[test]
    fn a_place_that_is_given_away_again_takes_over_what_was_left_there() {
        let table = Table::<AtomicU64>::default();
        let id = |generation: u64, place: u64| generation << 51 | place;
        for generation in 0..3 {
            (1..=5_000).for_each(|place| claim(&table, id(generation, place)));
            // Nobody releases them.
            assert_eq!(table.iter().count(), 5_000);
        }
        for place in 1..=5_000 {
            assert_eq!(value(&table, id(1, place)), None);
            assert_eq!(value(&table, id(2, place)), Some(!id(2, place)));
            // The very same id, which comes again after all generations.
            claim(&table, id(2, place));
            release(&table, id(2, place));
        }
        assert_eq!(table.iter().count(), 0);
    }

    #[test]
    fn a_slot_that_is_not_fit_for_another_is_left_alone() {
        let table = Table::<AtomicU64>::default();
        for generation in 0..3 {
            let id = generation << 51 | 7;
            claim(&table, id);
            assert!(table.release(id, |_| ((), generation != 0)).is_some());
            assert_eq!(value(&table, id), None);
        }
        let slots = table.segments().flat_map(|segment| segment.slots.iter());
        let left = |slot: &&CachePadded<Slot<_>>| slot.id.load(Ordering::Relaxed) == TAKING;
        assert_eq!(slots.filter(left).count(), 1);
        assert_eq!(table.iter().count(), 0);
    }

    #[test]
    fn threads_that_claim_and_release_at_once_find_their_own() {
        let table = Table::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let ids: Vec<_> = (0..16)
                            .map(|n| 1 + n * 4 + thread + (round << 51))
                            .collect();
                        ids.iter().for_each(|id| claim(table, *id));
                        assert!(ids.iter().all(|id| value(table, *id) == Some(!id)));
                        ids.iter().for_each(|id| release(table, *id));
                    }
                });
            }
        });
        assert_eq!(table.iter().count(), 0);
    }
}
