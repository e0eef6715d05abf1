use std::collections::HashSet;

use super::*;

fn queue(chunks: usize, overflow: Overflow) -> (Arc<Queue>, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let signal = Arc::new(Signal::default());
    let bytes = chunks * CHUNK_BYTES;
    let queue = Queue::new(bytes, overflow, 2 << 20, signal, Arc::clone(&counters));
    (queue, counters)
}

fn stats(queue: &Queue, counters: &Counters) -> crate::Stats {
    counters.snapshot(|| queue.appended())
}

fn drain(queue: &Arc<Queue>) -> Vec<Vec<u8>> {
    queue.collect_open();
    let mut lines = Vec::new();
    while let Some(unit) = queue.pop() {
        let bytes = unit.parts().flatten().copied().collect::<Vec<u8>>();
        lines.extend(
            bytes
                .split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec),
        );
        unit.delivered(unit.events());
    }
    lines
}

#[test]
fn every_line_of_every_thread_arrives_once_while_the_worker_drains() {
    let (queue, counters) = queue(
        64,
        Overflow::Block {
            timeout: Duration::from_secs(60),
        },
    );
    let mut seen = HashSet::new();
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..8)
            .map(|thread| {
                let queue = &queue;
                scope.spawn(move || {
                    for seq in 0..20_000 {
                        queue.push(format!("{thread}:{seq}:{:>60}\n", "x").as_bytes());
                    }
                })
            })
            .collect();
        while !producers.iter().all(|producer| producer.is_finished()) {
            for line in drain(&queue) {
                assert!(seen.insert(line), "a line arrived twice");
            }
            std::thread::yield_now();
        }
    });
    seen.extend(drain(&queue));
    assert_eq!(seen.len(), 8 * 20_000);
    let stats = stats(&queue, &counters);
    assert_eq!((stats.recorded(), stats.delivered()), (160_000, 160_000));
    assert_eq!((stats.dropped(), stats.pending()), (0, 0));
}

#[test]
fn full_queue_drops_newest_and_counts_it() {
    let (queue, counters) = queue(4, Overflow::DropNewest);
    let line = [b'x'; CHUNK_BYTES / 2];
    for _ in 0..20 {
        queue.push(&line);
    }
    let stats = stats(&queue, &counters);
    assert_eq!(stats.recorded(), 20);
    let dropped: Vec<_> = stats.dropped_by_reason().collect();
    assert_eq!(dropped, [(DropReason::QueueFull, 12)]);
    assert_eq!(stats.pending(), 8);
}

#[test]
fn full_queue_drops_oldest_and_keeps_the_last() {
    let (queue, counters) = queue(4, Overflow::DropOldest);
    for seq in 0..20_u8 {
        let mut line = vec![seq + 1; CHUNK_BYTES - 1];
        line.push(b'\n');
        queue.push(&line);
    }
    let kept: Vec<u8> = drain(&queue).iter().map(|line| line[0]).collect();
    assert_eq!(kept.last(), Some(&20));
    let stats = stats(&queue, &counters);
    assert_eq!(stats.recorded(), 20);
    assert_eq!(stats.delivered() + stats.dropped(), 20);
    assert!(
        stats
            .dropped_by_reason()
            .all(|(reason, _)| reason == DropReason::Evicted)
    );
}

#[test]
fn a_line_longer_than_a_chunk_arrives_whole_and_once() {
    let (queue, counters) = queue(32, Overflow::DropNewest);
    let mut line: Vec<u8> = (0..900_000).map(|i| b'a' + (i % 26) as u8).collect();
    line.push(b'\n');
    queue.push(b"before\n");
    queue.push(&line);
    let lines = drain(&queue);
    assert_eq!(lines.len(), 2);
    assert!(lines.contains(&line));
    assert_eq!(stats(&queue, &counters).delivered(), 2);
}

#[test]
fn a_long_line_that_does_not_fit_gives_its_chunks_back() {
    let (queue, counters) = queue(4, Overflow::DropNewest);
    queue.push(&vec![b'x'; 5 * CHUNK_BYTES]);
    assert_eq!(stats(&queue, &counters).dropped(), 1);
    queue.push(&vec![b'x'; 4 * CHUNK_BYTES]);
    assert_eq!(stats(&queue, &counters).pending(), 1);
}

#[test]
fn blocked_producer_goes_on_when_a_chunk_is_freed() {
    let (queue, counters) = queue(
        2,
        Overflow::Block {
            timeout: Duration::from_secs(60),
        },
    );
    let line = [b'x'; CHUNK_BYTES];
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| (0..50).all(|_| queue.push(&line)));
        while !producer.is_finished() {
            drain(&queue);
            std::thread::yield_now();
        }
    });
    drain(&queue);
    assert_eq!(stats(&queue, &counters).delivered(), 50);
}

#[test]
fn a_flush_mark_is_met_only_when_all_before_it_is_settled() {
    let (queue, _counters) = queue(8, Overflow::DropNewest);
    queue.push(b"one\n");
    let mark = queue.mark();
    assert!(!queue.settled_up_to(&mark));
    queue.collect_open();
    let unit = queue.pop();
    assert!(!queue.settled_up_to(&mark));
    queue.push(b"two\n");
    if let Some(unit) = &unit {
        unit.delivered(1);
    }
    assert!(queue.settled_up_to(&mark));
    assert!(queue.has_pending());
}

#[test]
fn a_unit_dropped_unsettled_is_counted() {
    let (queue, counters) = queue(8, Overflow::DropNewest);
    queue.push(b"one\n");
    queue.collect_open();
    drop(queue.pop());
    let dropped: Vec<_> = stats(&queue, &counters).dropped_by_reason().collect();
    assert_eq!(dropped, [(DropReason::Internal, 1)]);
}

#[test]
fn closed_queue_counts_what_comes_after_shutdown() {
    let (queue, counters) = queue(8, Overflow::DropNewest);
    queue.close();
    queue.push(b"late\n");
    let dropped: Vec<_> = stats(&queue, &counters).dropped_by_reason().collect();
    assert_eq!(dropped, [(DropReason::AfterShutdown, 1)]);
}

#[test]
fn dropping_the_oldest_leaves_the_newest_even_when_the_worker_stalls() {
    let (queue, counters) = queue(32, Overflow::DropOldest);
    let line = |seq: usize| format!("{seq:>999}\n");
    let mut taken = Vec::new();
    for seq in 0..10_000 {
        queue.push(line(seq).as_bytes());
        // A worker that takes all it can get and delivers none of it.
        taken.extend(queue.pop());
    }
    let dropped = stats(&queue, &counters);
    assert_eq!(dropped.dropped(), dropped.dropped_for(DropReason::Evicted));
    assert_eq!(taken.len(), 16);
    taken
        .drain(..)
        .for_each(|unit| unit.delivered(unit.events()));
    let kept = drain(&queue);
    assert_eq!(kept.last().unwrap(), line(9_999).as_bytes());
    // 15 full chunks and the open one.
    assert!(kept.len() > 15 * 65, "{}", kept.len());
}

#[test]
fn a_record_that_comes_when_the_worker_has_gone_is_settled() {
    let (queue, counters) = queue(8, Overflow::DropNewest);
    queue.push(b"early\n");
    queue.end();
    // Its thread had looked before the queue was closed.
    queue.push(b"late\n");
    let after = stats(&queue, &counters);
    assert_eq!(after.dropped_for(DropReason::Shutdown), 2);
    assert_eq!((after.recorded(), after.pending()), (2, 0));
}

#[test]
fn a_push_without_room_settles_what_it_left_when_the_worker_has_gone() {
    let (queue, counters) = queue(2, Overflow::DropNewest);
    let line = [b'x'; CHUNK_BYTES];
    queue.push(&line);
    queue.push(&line);
    // As if another producer had that chunk.
    let held = queue.pop();
    queue.end();
    queue.push(&line);
    drop(held);
    let after = stats(&queue, &counters);
    assert_eq!(after.dropped_for(DropReason::QueueFull), 1);
    assert_eq!(after.dropped_for(DropReason::Shutdown), 1);
    assert_eq!((after.recorded(), after.pending()), (3, 0));
}

/// Takes whatever is full, and delivers it.
fn deliver(queue: &Arc<Queue>) {
    while let Some(unit) = queue.pop() {
        unit.delivered(unit.events());
    }
}

#[test]
fn a_long_line_waits_no_longer_than_the_timeout_for_all_of_its_chunks() {
    let timeout = Duration::from_millis(200);
    let (queue, counters) = queue(16, Overflow::Block { timeout });
    let line = [b'x'; CHUNK_BYTES];
    assert!((0..16).all(|_| queue.push(&line)));
    std::thread::scope(|scope| {
        let long = scope.spawn(|| queue.push(&[b'y'; 15 * CHUNK_BYTES]));
        // A worker that frees one chunk before each timeout is over. A wait for each chunk would get all of them in the end.
        while !long.is_finished() {
            std::thread::sleep(timeout * 3 / 4);
            if let Some(unit) = queue.pop() {
                unit.delivered(unit.events());
            }
        }
        long.join().unwrap();
    });
    // It gave up.
    assert_eq!(stats(&queue, &counters).dropped(), 1);
}

#[test]
fn long_lines_of_several_threads_do_not_wait_for_each_other() {
    let timeout = Duration::from_secs(60);
    let (queue, counters) = queue(32, Overflow::Block { timeout });
    let start = Instant::now();
    std::thread::scope(|scope| {
        let push = || (0..500).all(|_| queue.push(&[b'y'; 15 * CHUNK_BYTES]));
        let producers = [(); 4].map(|()| scope.spawn(push));
        while !producers.iter().all(|producer| producer.is_finished()) {
            deliver(&queue);
            std::thread::yield_now();
        }
    });
    deliver(&queue);
    assert_eq!(stats(&queue, &counters).delivered(), 2_000);
    assert!(start.elapsed() < timeout, "{:?}", start.elapsed());
}
