//! Finds a key among the members of a record.

use super::Fields;

/// The keys of a record, to be found without a look at each: what is inherited may be many times what a record has.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Open addressing: the hash of a key, and where its member is, one more than the index.
    buckets: Vec<(u32, u16)>,
}

/// Twice as many as there are members, as a power of two.
const BUCKETS: usize = 512;

impl Keys {
    /// Begins with the keys that are there.
    pub(crate) fn of(&mut self, fields: &Fields) {
        self.buckets.clear();
        self.buckets.resize(BUCKETS, (0, 0));
        for (is_outer, group) in [(false, &fields.attributes), (true, &fields.outer)] {
            for index in 0..group.entries.len() {
                let (key, _) = group.member(index);
                let (bucket, _) = self.look(fields, is_outer, key);
                self.put(bucket, key, index);
            }
        }
    }

    pub(super) fn put(&mut self, bucket: usize, key: &[u8], index: usize) {
        self.buckets[bucket] = (hash(key), index as u16 + 1);
    }

    /// The bucket of a key, or the one that it would have.
    pub(super) fn look(&self, fields: &Fields, is_outer: bool, key: &[u8]) -> (usize, bool) {
        let group = if is_outer {
            &fields.outer
        } else {
            &fields.attributes
        };
        let hash = hash(key);
        let mut bucket = hash as usize % BUCKETS;
        loop {
            match self.buckets[bucket] {
                (_, 0) => return (bucket, false),
                (known, index) if known == hash => {
                    let index = usize::from(index) - 1;
                    if index < group.entries.len() && group.member(index).0 == key {
                        return (bucket, true);
                    }
                }
                _ => {}
            }
            bucket = (bucket + 1) % BUCKETS;
        }
    }
}

/// FNV-1a, eight bytes at a time: keys are short, and an attacker does not choose them.
fn hash(key: &[u8]) -> u32 {
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    let mut hash = BASIS;
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME);
        hash ^= hash >> 32;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    }
    (hash ^ hash >> 32) as u32
}
