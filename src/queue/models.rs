//! The crossing's races, explored: each model runs once for every order in which its threads can go, up to a
//! bound on how often one is interrupted, and for each value that a weakly ordered load may give.
//!
//! Built by the package in `models`, with loom's primitives and chunks of 8 bytes. `DESIGN.md` says what is not
//! modelled.

use std::future::poll_fn;
use std::task::Context;

use loom::thread;

use super::*;
use crate::Stats;

/// How often threads are interrupted in one execution. A fault that was found here needed three.
const INTERRUPTIONS: usize = 3;

/// Fits twice into a chunk.
const SHORT: [&[u8]; 4] = [b"a0\n", b"a1\n", b"b0\n", b"b1\n"];
/// Fills a chunk.
const WHOLE: &[u8] = b"1234567\n";
/// Takes two chunks.
const LONG: &[u8] = b"123456789\n";
const NO_TIMEOUT: Overflow = Overflow::Block {
    timeout: Duration::MAX,
};

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut explored = loom::model::Builder::new();
    explored.preemption_bound.get_or_insert(INTERRUPTIONS);
    explored.check(model);
}

fn queue(chunks: usize, overflow: Overflow) -> Arc<Queue> {
    let batch = 2 * CHUNK_BYTES;
    let (signal, counters) = (Arc::default(), Arc::default());
    Queue::new(chunks * CHUNK_BYTES, overflow, batch, signal, counters)
}

fn push(queue: &Arc<Queue>, lines: &'static [&'static [u8]]) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || {
        for line in lines {
            queue.push(line);
        }
    })
}

fn stats(queue: &Queue) -> Stats {
    queue.counters.snapshot(|| queue.appended())
}

/// Delivers what there is, as the worker does.
fn deliver(queue: &Arc<Queue>) -> Vec<Vec<u8>> {
    queue.collect_open();
    let mut lines = Vec::new();
    while let Some(unit) = queue.pop() {
        let bytes: Vec<u8> = unit.parts().flatten().copied().collect();
        lines.extend(
            bytes
                .split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec),
        );
        unit.delivered(unit.events());
    }
    lines
}

/// Looks no more and drops what there is, as the worker does at its end.
fn end(queue: &Arc<Queue>) {
    queue.close();
    queue.end();
    queue.collect_open();
    while let Some(unit) = queue.pop() {
        unit.dropped(unit.events(), DropReason::Shutdown);
    }
}

/// Until a producer wakes the worker: no timer runs.
fn park(queue: &Queue) {
    loom::future::block_on(poll_fn(|cx: &mut Context<'_>| queue.signal.poll_raised(cx)));
}

/// A worker with a timer running, that has dealt with all signals so far.
fn tick(queue: &Queue) {
    queue.signal.arm();
    park(queue);
}

/// The worker's sleep, as in its `tick`: with nothing pending it disarms, looks once more, and parks.
fn sleep_until_pending(queue: &Queue) {
    while !queue.has_pending() {
        queue.signal.disarm();
        if !queue.has_pending() {
            park(queue);
        }
    }
}

#[track_caller]
fn assert_settled(queue: &Queue, recorded: u64) {
    let stats = stats(queue);
    assert_eq!(stats.recorded(), recorded, "{stats}");
    assert_eq!(stats.delivered() + stats.dropped(), recorded, "{stats}");
    assert_eq!(stats.dropped_for(DropReason::Internal), 0, "{stats}");
    assert!(!queue.has_pending(), "{stats}");
}

#[test]
fn every_record_arrives_once_while_the_worker_takes_open_chunks() {
    explore(|| {
        let queue = queue(8, Overflow::DropNewest);
        let producers = [push(&queue, &SHORT[..2]), push(&queue, &SHORT[2..])];
        let mut lines = deliver(&queue);
        for producer in producers {
            producer.join().unwrap();
        }
        lines.extend(deliver(&queue));
        lines.sort_unstable();
        assert_eq!(lines, SHORT);
        assert_settled(&queue, 4);
    });
}

#[test]
fn evicting_beside_the_worker_counts_every_record_once() {
    explore(|| {
        let queue = queue(2, Overflow::DropOldest);
        queue.push(WHOLE);
        let producers = [push(&queue, &[WHOLE, WHOLE]), push(&queue, &[WHOLE])];
        let mut delivered = deliver(&queue).len();
        for producer in producers {
            producer.join().unwrap();
        }
        delivered += deliver(&queue).len();
        assert_settled(&queue, 4);
        assert_eq!(stats(&queue).delivered(), delivered as u64);
    });
}

#[test]
fn whoever_sees_a_record_settled_sees_it_recorded() {
    explore(|| {
        let queue = queue(2, Overflow::DropOldest);
        let producer = push(&queue, &[WHOLE, WHOLE, WHOLE]);
        let worker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || drop(deliver(&queue)))
        };
        let seen = stats(&queue);
        assert!(
            seen.delivered() + seen.dropped() <= seen.recorded(),
            "{seen}"
        );
        producer.join().unwrap();
        worker.join().unwrap();
        deliver(&queue);
        assert_settled(&queue, 3);
    });
}

#[test]
fn a_record_wakes_the_worker_or_is_seen_at_its_last_look() {
    explore(|| {
        let queue = queue(2, Overflow::DropNewest);
        tick(&queue);
        let producers = [push(&queue, &SHORT[..1]), push(&queue, &SHORT[1..2])];
        sleep_until_pending(&queue);
        for producer in producers {
            producer.join().unwrap();
        }
        deliver(&queue);
        assert_settled(&queue, 2);
    });
}

#[test]
fn records_wake_the_worker_each_time_it_goes_to_sleep() {
    explore(|| {
        let queue = queue(2, Overflow::DropNewest);
        tick(&queue);
        let producer = push(&queue, &SHORT[..2]);
        let mut delivered = 0;
        while delivered < 2 {
            sleep_until_pending(&queue);
            delivered += deliver(&queue).len();
            // With a chunk in the producer's hand the worker ticks.
            thread::yield_now();
        }
        producer.join().unwrap();
        assert_settled(&queue, 2);
    });
}

#[test]
fn full_chunks_for_a_batch_wake_the_worker_before_its_tick() {
    explore(|| {
        let queue = queue(4, Overflow::DropNewest);
        tick(&queue);
        let producers = [push(&queue, &[LONG]), push(&queue, &[WHOLE, WHOLE])];
        park(&queue);
        while !queue.wants_worker() {
            park(&queue);
        }
        for producer in producers {
            producer.join().unwrap();
        }
        deliver(&queue);
        assert_settled(&queue, 3);
    });
}

#[test]
fn a_push_that_races_with_the_end_is_settled_by_one_side() {
    explore(|| {
        let queue = queue(8, Overflow::DropNewest);
        // One leaves its chunk among the open ones, one among the full ones.
        let producers = [push(&queue, &SHORT[..2]), push(&queue, &[LONG])];
        end(&queue);
        for producer in producers {
            producer.join().unwrap();
        }
        assert_settled(&queue, 3);
    });
}

#[test]
fn a_push_that_finds_no_room_at_the_end_leaves_nothing_behind() {
    explore(|| {
        let queue = queue(2, Overflow::DropNewest);
        queue.push(WHOLE);
        let producers = [push(&queue, &[WHOLE]), push(&queue, &[LONG])];
        end(&queue);
        for producer in producers {
            producer.join().unwrap();
        }
        assert_settled(&queue, 3);
    });
}

#[test]
fn blocked_producers_go_on_when_chunks_are_freed() {
    explore(|| {
        let queue = queue(2, NO_TIMEOUT);
        queue.push(LONG);
        let producers = [push(&queue, &[WHOLE]), push(&queue, &[WHOLE])];
        // Two chunks at once. No more comes to wake whoever was not woken.
        deliver(&queue);
        for producer in producers {
            producer.join().unwrap();
        }
        deliver(&queue);
        assert_settled(&queue, 3);
        assert_eq!(stats(&queue).delivered(), 3);
    });
}

#[test]
fn long_and_short_lines_that_wait_for_room_do_not_take_each_others_wake_up() {
    explore(|| {
        let queue = queue(2, NO_TIMEOUT);
        queue.push(LONG);
        // One waits for two chunks and has the turn, the other for one.
        let producers = [push(&queue, &[LONG]), push(&queue, &[WHOLE])];
        let mut delivered = deliver(&queue).len();
        while delivered < 3 {
            // With a chunk in a producer's hand the worker ticks.
            delivered += deliver(&queue).len();
            thread::yield_now();
        }
        for producer in producers {
            producer.join().unwrap();
        }
        assert_settled(&queue, 3);
    });
}

#[test]
fn of_two_long_lines_the_second_has_its_turn() {
    explore(|| {
        let queue = queue(2, NO_TIMEOUT);
        let producers = [push(&queue, &[LONG]), push(&queue, &[LONG])];
        let mut delivered = 0;
        while delivered < 2 {
            park(&queue);
            delivered += deliver(&queue).len();
        }
        for producer in producers {
            producer.join().unwrap();
        }
        assert_settled(&queue, 2);
    });
}

#[test]
fn a_blocked_producer_gives_up_when_the_queue_closes() {
    explore(|| {
        let queue = queue(2, NO_TIMEOUT);
        queue.push(WHOLE);
        queue.push(WHOLE);
        let producer = push(&queue, &[WHOLE]);
        queue.close();
        producer.join().unwrap();
        deliver(&queue);
        assert_settled(&queue, 3);
        assert_eq!(stats(&queue).delivered(), 2);
    });
}

#[test]
fn a_flush_is_over_only_when_what_came_before_it_is_settled() {
    explore(|| {
        let queue = queue(4, Overflow::DropNewest);
        let first_sent = Arc::new(AtomicBool::new(false));
        let producer = push(&queue, &SHORT[1..2]);
        let worker = {
            let (queue, first_sent) = (Arc::clone(&queue), Arc::clone(&first_sent));
            thread::spawn(move || {
                queue.collect_open();
                while let Some(unit) = queue.pop() {
                    // Of several batches that share a chunk, the last may be answered first.
                    let lines: Vec<u8> = unit.parts().flatten().copied().collect();
                    for line in lines.rchunks(SHORT[0].len()) {
                        if line == SHORT[0] {
                            first_sent.store(true, Ordering::Relaxed);
                        }
                        unit.delivered(1);
                    }
                }
            })
        };
        queue.push(SHORT[0]);
        let mark = queue.mark();
        if queue.settled_up_to(&mark) {
            assert!(first_sent.load(Ordering::Relaxed), "it was not sent");
            assert!(stats(&queue).delivered() >= 1, "it was not counted");
        }
        producer.join().unwrap();
        worker.join().unwrap();
        deliver(&queue);
        assert_settled(&queue, 2);
    });
}
