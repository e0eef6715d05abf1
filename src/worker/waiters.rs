//! Those who wait for an answer, and the deliveries that they wait for. Values, bounded by those who wait.

use std::collections::VecDeque;

use futures_channel::oneshot;

use crate::queue::Mark;

/// Waiters below which nobody looks whether they still wait.
const FEW: usize = 16;

/// Deliveries that are told apart. A mark takes 8 KiB for a queue of 64 MiB.
const GENERATIONS: usize = 4;

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Each record was delivered or dropped.
    Settled,
    /// Somebody has to mend something first.
    Blocked(String),
    /// Records could not be delivered at the end because nothing listens at this address.
    Unheard(String),
}

pub(crate) type Reply = oneshot::Sender<Flushed>;

/// Those who wait for the same answer: at most twice as many as ever waited at a time, for those who gave up are forgotten.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    replies: Vec<Reply>,
    /// The number at which those who gave up are looked for.
    crowd: usize,
}

impl Waiters {
    pub(super) fn push(&mut self, reply: Reply) {
        self.replies.push(reply);
        if self.replies.len() >= self.crowd.max(FEW) {
            self.replies.retain(|reply| !reply.is_canceled());
            self.crowd = 2 * self.replies.len();
        }
    }

    pub(super) fn join(&mut self, others: Self) {
        others.replies.into_iter().for_each(|one| self.push(one));
    }

    /// Whether anybody still waits. Looks at no more than one who does.
    pub(super) fn is_anybody(&mut self) -> bool {
        while self.replies.last().is_some_and(Reply::is_canceled) {
            self.replies.pop();
        }
        !self.replies.is_empty()
    }

    pub(super) fn answer(self, flushed: &Flushed) {
        for reply in self.replies {
            // Whoever asked may have stopped waiting.
            drop(reply.send(flushed.clone()));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }
}

/// Those who wait for the same records.
#[derive(Debug)]
struct Flush {
    /// One for each queue.
    marks: Vec<Mark>,
    waiters: Waiters,
}

/// Deliveries that are waited for, the oldest first, and a few of them at the most, however many wait and however long it takes.
///
/// Whoever comes when there are as many as may be joins the latest. Its mark is made anew then: a later one covers every
/// earlier wish. That puts nobody off for ever. The mark of all but the latest stays, so the oldest is done once the records are
/// settled that were there at one moment. With that there is room for another delivery, and the one that was the latest is
/// not made anew any more. So nobody waits for records that were made after all deliveries that were before his were done.
#[derive(Debug, Default)]
pub(super) struct Flushes(VecDeque<Flush>);

impl Flushes {
    /// `mark`: what is there now.
    pub(super) fn add(&mut self, mut waiters: Waiters, mark: impl FnOnce() -> Vec<Mark>) {
        if !waiters.is_anybody() {
            return;
        }
        let marks = mark();
        match self.0.get_mut(GENERATIONS - 1) {
            Some(latest) => {
                latest.marks = marks;
                latest.waiters.join(waiters);
            }
            None => self.0.push_back(Flush { marks, waiters }),
        }
    }

    /// Answers those that are done: `look` says what came of the records up to these marks. A later delivery is not done
    /// before an earlier one, whose records it has, too.
    pub(super) fn answer(&mut self, mut look: impl FnMut(&[Mark]) -> Option<Flushed>) {
        while let Some(oldest) = self.0.front_mut() {
            let flushed = if oldest.waiters.is_anybody() {
                match look(&oldest.marks) {
                    Some(flushed) => flushed,
                    None => return,
                }
            } else {
                Flushed::Settled
            };
            if let Some(oldest) = self.0.pop_front() {
                oldest.waiters.answer(&flushed);
            }
        }
    }

    pub(super) fn answer_all(&mut self, flushed: &Flushed) {
        for flush in self.0.drain(..) {
            flush.waiters.answer(flushed);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anybody still waits.
    pub(super) fn is_anybody(&mut self) -> bool {
        self.0.iter_mut().any(|flush| flush.waiters.is_anybody())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::queue::{CHUNK_BYTES, Overflow, Queue, Signal};
    use crate::report::{Counters, DropReason};

    type Replied = oneshot::Receiver<Flushed>;

    fn queue() -> Arc<Queue> {
        Queue::new(
            64 * CHUNK_BYTES,
            Overflow::DropNewest,
            CHUNK_BYTES,
            Arc::new(Signal::default()),
            Arc::new(Counters::default()),
        )
    }

    fn ask(flushes: &mut Flushes, queue: &Queue) -> Replied {
        let (reply, replied) = oneshot::channel();
        let mut waiters = Waiters::default();
        waiters.push(reply);
        flushes.add(waiters, || vec![queue.mark()]);
        replied
    }

    fn look(flushes: &mut Flushes, queue: &Queue) {
        flushes.answer(|marks| {
            let is_settled = queue.settled_up_to(&marks[0]);
            is_settled.then_some(Flushed::Settled)
        });
    }

    fn is_answered(replied: &mut Replied) -> bool {
        replied.try_recv().unwrap().is_some()
    }

    #[test]
    fn thousands_who_wait_keep_a_few_marks_and_all_are_answered() {
        let (mut flushes, queue) = (Flushes::default(), queue());
        let mut looks = 0;
        let mut waiting: Vec<_> = (0..5_000)
            .map(|_| {
                queue.push(b"{}\n");
                let replied = ask(&mut flushes, &queue);
                flushes.answer(|_| {
                    looks += 1;
                    None
                });
                replied
            })
            .collect();
        assert_eq!(flushes.0.len(), GENERATIONS);
        assert_eq!(looks, 5_000, "one look each time, not at all who wait");
        queue.collect_open();
        while let Some(unit) = queue.pop() {
            unit.delivered(unit.events());
        }
        look(&mut flushes, &queue);
        assert!(flushes.is_empty());
        assert!(waiting.iter_mut().all(is_answered));
    }

    #[test]
    fn nobody_waits_for_longer_than_the_deliveries_before_his_though_more_and_more_come() {
        let (mut flushes, queue) = (Flushes::default(), queue());
        let (mut waiting, mut under_way) = (VecDeque::new(), VecDeque::new());
        // What was recorded until then is settled ten rounds later; in each round some record and wait.
        let late = 10;
        for round in 0..1_000 {
            for _ in 0..3 {
                queue.push(b"{}\n");
                waiting.push_back((round, ask(&mut flushes, &queue)));
                look(&mut flushes, &queue);
            }
            queue.collect_open();
            under_way.push_back(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>());
            if under_way.len() > late {
                for unit in under_way.pop_front().unwrap() {
                    unit.delivered(unit.events());
                }
            }
            look(&mut flushes, &queue);
            while let Some((since, replied)) = waiting.front_mut() {
                if is_answered(replied) {
                    waiting.pop_front();
                    continue;
                }
                // Its own records, and those of the deliveries that were before it.
                let longest = (GENERATIONS + 1) * (late + 1);
                assert!(round - *since <= longest, "{since} waits in {round}");
                break;
            }
        }
        for unit in under_way.into_iter().flatten() {
            unit.dropped(unit.events(), DropReason::Shutdown);
        }
    }

    #[test]
    fn a_delivery_that_nobody_waits_for_any_more_keeps_no_mark() {
        let (mut flushes, queue) = (Flushes::default(), queue());
        queue.push(b"{}\n");
        let waiting = [(); 2].map(|()| ask(&mut flushes, &queue));
        drop(waiting);
        look(&mut flushes, &queue);
        assert!(flushes.is_empty());
    }
}
