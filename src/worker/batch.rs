//! A batch: the records of one request, as slices of the chunks that hold them.
//!
//! Whoever holds a batch owes the ledger an entry for each of its records. A batch that is merely
//! dropped is a defect, which the chunks behind it count (see [`Unit`]).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::queue::{Queue, Unit};
use crate::report::DropReason;

/// Whole lines of one chunk.
#[derive(Debug)]
struct Slice {
    unit: Arc<Unit>,
    range: Range<usize>,
    events: u32,
}

impl Slice {
    fn whole(unit: Unit) -> Self {
        Self {
            range: 0..unit.parts().map(<[u8]>::len).sum(),
            events: unit.events(),
            unit: Arc::new(unit),
        }
    }

    fn bytes(&self) -> usize {
        self.range.len()
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.unit.parts().filter_map(move |part| {
            let at = start;
            start += part.len();
            let from = self.range.start.clamp(at, start) - at;
            let to = self.range.end.clamp(at, start) - at;
            part.get(from..to).filter(|part| !part.is_empty())
        })
    }

    /// Cuts off as many lines as fit into both limits, and at least `least`. `None` leaves the slice whole.
    fn cut(&mut self, max_events: u32, max_bytes: usize, least: u32) -> Option<Self> {
        if self.events <= 1 {
            // A line longer than a chunk is alone in its unit.
            return None;
        }
        let (mut events, mut bytes) = (0, 0);
        // Only a long line has several parts, and that was dealt with.
        for line in self.parts().flat_map(lines) {
            let fits = events < max_events && bytes + line.len() <= max_bytes;
            if !fits && events >= least {
                break;
            }
            events += 1;
            bytes += line.len();
        }
        if events == 0 || events >= self.events {
            return None;
        }
        let at = self.range.start + bytes;
        let cut = Self {
            unit: Arc::clone(&self.unit),
            range: self.range.start..at,
            events,
        };
        self.range.start = at;
        self.events -= events;
        Some(cut)
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

/// What one request may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_events: u32,
    /// Decoded. A single record may be larger.
    pub(crate) max_bytes: usize,
}

/// The records of one request.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    slices: VecDeque<Slice>,
    events: u32,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, slice: Slice) {
        self.events += slice.events;
        self.bytes += slice.bytes();
        self.slices.push_back(slice);
    }

    pub(crate) fn events(&self) -> u32 {
        self.events
    }

    /// Bytes of NDJSON.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The NDJSON, in pieces.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.slices.iter().flat_map(Slice::parts)
    }

    /// Takes the first records, as many as the limits allow but at least one. What is left stays.
    pub(crate) fn take(&mut self, limits: Limits) -> Self {
        let mut taken = Self::default();
        while let Some(mut slice) = self.slices.pop_front() {
            let events = limits.max_events.saturating_sub(taken.events);
            let bytes = limits.max_bytes.saturating_sub(taken.bytes);
            if slice.events <= events && slice.bytes() <= bytes {
                taken.push(slice);
                continue;
            }
            let least = u32::from(taken.events == 0);
            match slice.cut(events, bytes, least) {
                Some(cut) => taken.push(cut),
                None if least == 1 => {
                    taken.push(slice);
                    break;
                }
                None => {}
            }
            self.slices.push_front(slice);
            break;
        }
        self.events -= taken.events;
        self.bytes -= taken.bytes;
        taken
    }

    /// Puts the records of another before these.
    pub(crate) fn prepend(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        for slice in other.slices.into_iter().rev() {
            match self.slices.front_mut() {
                // They were cut from each other.
                Some(first)
                    if Arc::ptr_eq(&first.unit, &slice.unit)
                        && first.range.start == slice.range.end =>
                {
                    first.range.start = slice.range.start;
                    first.events += slice.events;
                }
                _ => self.slices.push_front(slice),
            }
        }
    }

    /// Puts the records of another after these.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.slices.append(&mut other.slices);
    }

    /// Takes the records that lie in the same chunk as the first.
    pub(crate) fn take_chunk(&mut self) -> Option<Self> {
        let first = Arc::clone(&self.slices.front()?.unit);
        let (mut taken, mut left) = (Self::default(), Self::default());
        for slice in std::mem::take(&mut self.slices) {
            match Arc::ptr_eq(&slice.unit, &first) {
                true => taken.push(slice),
                false => left.push(slice),
            }
        }
        *self = left;
        Some(taken)
    }

    /// What keeps its records in memory: an identity, and how many chunks of the queue it is. One may come up twice.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (usize, usize)> {
        self.slices.iter().map(|slice| {
            let identity = Arc::as_ptr(&slice.unit) as usize;
            (identity, slice.unit.parts().count())
        })
    }

    /// Two halves, by records. Called with two records or more.
    pub(crate) fn halves(mut self) -> (Self, Self) {
        let first = self.take(Limits {
            max_events: self.events.div_ceil(2),
            max_bytes: usize::MAX,
        });
        (first, self)
    }

    /// The endpoint has all of it except for `failed` records. Which ones it does not say.
    pub(crate) fn delivered_except(self, failed: u32) {
        let mut failed = failed.min(self.events);
        for slice in self.slices {
            let lost = failed.min(slice.events);
            failed -= lost;
            if lost > 0 {
                slice.unit.dropped(lost, DropReason::Rejected);
            }
            if slice.events > lost {
                slice.unit.delivered(slice.events - lost);
            }
        }
    }

    pub(crate) fn dropped(self, reason: DropReason) {
        for slice in self.slices {
            slice.unit.dropped(slice.events, reason);
        }
    }
}

/// Makes batches of a queue's full chunks. Keeps what of a chunk did not fit into the last batch.
#[derive(Debug, Default)]
pub(crate) struct Batcher {
    rest: Batch,
}

impl Batcher {
    /// The next batch, oldest chunks first; `None` when there is nothing to take.
    pub(crate) fn next(&mut self, queue: &Arc<Queue>, limits: Limits) -> Option<Batch> {
        while self.rest.events < limits.max_events && self.rest.bytes < limits.max_bytes {
            match queue.pop() {
                Some(unit) => self.rest.push(Slice::whole(unit)),
                None => break,
            }
        }
        (self.rest.events > 0).then(|| self.rest.take(limits))
    }

    /// Records taken from the queue and not yet given out.
    pub(crate) fn events(&self) -> u32 {
        self.rest.events
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::queue::{CHUNK_BYTES, Overflow, Signal};
    use crate::report::{Counters, Stats};

    fn queue() -> (Arc<Queue>, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(
            256 * CHUNK_BYTES,
            Overflow::Block {
                timeout: Duration::ZERO,
            },
            1 << 20,
            Arc::new(Signal::default()),
            Arc::clone(&counters),
        );
        (queue, counters)
    }

    fn fill(queue: &Queue, lines: usize) {
        for seq in 0..lines {
            queue.push(format!("{seq:>99}\n").as_bytes());
        }
        queue.collect_open();
    }

    fn text(batch: &Batch) -> Vec<u8> {
        batch.parts().flatten().copied().collect()
    }

    fn stats(queue: &Queue, counters: &Counters) -> Stats {
        counters.snapshot(|| queue.appended())
    }

    const LIMITS: Limits = Limits {
        max_events: 1_000,
        max_bytes: 1 << 20,
    };

    #[test]
    fn batches_keep_to_both_limits_and_lose_nothing() {
        for limits in [
            LIMITS,
            Limits {
                max_events: 7,
                ..LIMITS
            },
            Limits {
                max_bytes: 1_050,
                ..LIMITS
            },
            Limits {
                max_bytes: 1,
                ..LIMITS
            },
        ] {
            let (queue, counters) = queue();
            fill(&queue, 2_500);
            let mut batcher = Batcher::default();
            let mut seen = Vec::new();
            while let Some(batch) = batcher.next(&queue, limits) {
                assert!(batch.events() <= limits.max_events);
                assert!(batch.bytes() <= limits.max_bytes || batch.events() == 1);
                assert_eq!(batch.bytes(), 100 * batch.events() as usize);
                seen.extend(text(&batch));
                batch.delivered_except(0);
            }
            assert_eq!(seen.len(), 250_000);
            let lines: Vec<usize> = String::from_utf8(seen)
                .unwrap()
                .lines()
                .map(|line| line.trim().parse().unwrap())
                .collect();
            assert_eq!(lines, (0..2_500).collect::<Vec<_>>());
            let stats = stats(&queue, &counters);
            assert_eq!((stats.delivered(), stats.pending()), (2_500, 0));
        }
    }

    #[test]
    fn halves_hold_every_record_once() {
        let (queue, counters) = queue();
        fill(&queue, 1_001);
        let whole = Batcher::default()
            .next(
                &queue,
                Limits {
                    max_events: 10_000,
                    ..LIMITS
                },
            )
            .unwrap();
        let expected = text(&whole);
        let (first, second) = whole.halves();
        assert_eq!((first.events(), second.events()), (501, 500));
        assert_eq!([text(&first), text(&second)].concat(), expected);
        first.delivered_except(1);
        second.dropped(DropReason::TooLarge);
        let stats = stats(&queue, &counters);
        let dropped: Vec<_> = stats.dropped_by_reason().collect();
        assert_eq!(
            dropped,
            [(DropReason::Rejected, 1), (DropReason::TooLarge, 500)]
        );
        assert_eq!((stats.delivered(), stats.pending()), (500, 0));
    }

    #[test]
    fn the_records_of_a_chunk_are_taken_together_wherever_they_lie() {
        let (queue, _) = queue();
        fill(&queue, 1_000);
        let everything = Limits {
            max_events: 10_000,
            ..LIMITS
        };
        let mut whole = Batcher::default().next(&queue, everything).unwrap();
        let expected = text(&whole);
        let first = whole.take(Limits {
            max_events: 100,
            ..LIMITS
        });
        whole.append(first);
        let chunk = whole.take_chunk().unwrap();
        let mut identities: Vec<_> = chunk.chunks().collect();
        identities.dedup();
        assert_eq!(identities.len(), 1);
        assert!(whole.chunks().all(|chunk| chunk != identities[0]));
        assert_eq!(chunk.events() + whole.events(), 1_000);
        assert_eq!(text(&chunk).len() + text(&whole).len(), expected.len());
        chunk.delivered_except(0);
        whole.delivered_except(0);
    }

    #[test]
    fn a_line_longer_than_a_chunk_travels_alone_or_with_others_but_whole() {
        let (queue, _) = queue();
        let mut long = vec![b'x'; 3 * CHUNK_BYTES];
        long.push(b'\n');
        queue.push(&long);
        fill(&queue, 10);
        let mut batcher = Batcher::default();
        let small = Limits {
            max_bytes: 1_000,
            ..LIMITS
        };
        let first = batcher.next(&queue, small).unwrap();
        assert_eq!((first.events(), text(&first)), (1, long));
        let second = batcher.next(&queue, small).unwrap();
        assert_eq!(second.events(), 10);
        first.delivered_except(0);
        second.delivered_except(0);
    }

    #[test]
    fn a_flush_waits_for_its_record_even_if_a_later_one_of_the_chunk_is_delivered_first() {
        let (queue, _) = queue();
        queue.push(b"before\n");
        let mark = queue.mark();
        queue.push(b"after\n");
        queue.collect_open();
        let one = Limits {
            max_events: 1,
            ..LIMITS
        };
        let mut batcher = Batcher::default();
        let first = batcher.next(&queue, one).unwrap();
        let second = batcher.next(&queue, one).unwrap();
        second.delivered_except(0);
        assert!(!queue.settled_up_to(&mark));
        first.delivered_except(0);
        assert!(queue.settled_up_to(&mark));
    }

    #[test]
    fn a_batch_that_is_forgotten_is_counted_as_our_defect() {
        let (queue, counters) = queue();
        fill(&queue, 10);
        let mut batch = Batcher::default().next(&queue, LIMITS).unwrap();
        batch
            .take(Limits {
                max_events: 4,
                ..LIMITS
            })
            .delivered_except(0);
        drop(batch);
        let stats = stats(&queue, &counters);
        let dropped: Vec<_> = stats.dropped_by_reason().collect();
        assert_eq!(dropped, [(DropReason::Internal, 6)]);
        assert_eq!(stats.delivered(), 4);
    }
}
