//! More records than the queue can hold: what is dropped is counted, and who waits asked for it.

use std::ops::Range;
use std::thread;
use std::time::Duration;

use axiom_layer::{Cause, DropReason, Overflow};
use axiom_local::{Fault, Server};
use tracing::dispatcher::with_default;

use crate::common::{LONG, Program, SLACK, server, timed};
use crate::process::{alone, switches};
use crate::work;

const THREADS: u64 = 8;
const EACH: u64 = 5_000;
/// About 10 MB in all, with its frame.
const TEXT: &str = "0123456789012345678901234567890123456789012345678901234567890123456789";
/// The least there is.
const QUEUE: usize = 2 << 20;
/// How long a request may hang.
const TIMEOUT: Duration = Duration::from_secs(2);

fn stalled(overflow: Overflow) -> (Server, Program) {
    let server = server();
    server.always(Some(Fault::hang()));
    let program = Program::with(server.url(), |builder| {
        builder
            .queue_max_bytes(QUEUE)
            .overflow(overflow)
            .request_timeout(TIMEOUT)
    });
    (server, program)
}

fn from_8_threads(program: &Program) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || program.record_with(thread * EACH..(thread + 1) * EACH, TEXT));
        }
    });
}

/// Lets the server answer again, and everything that is left arrive.
fn heal(server: &Server, program: &Program) {
    server.no_faults();
    drop(program.flush());
}

#[test]
fn a_full_queue_drops_the_newest_counts_each_and_never_waits() {
    let (server, program) = stalled(Overflow::DropNewest);
    let ((), took) = timed(|| from_8_threads(&program));
    let stats = program.stats();
    println!("40,000 events from 8 threads into a full queue took {took:?}: {stats}");
    assert!(
        took < LONG / 2,
        "somebody waited for the endpoint: {took:?}"
    );
    let dropped = stats.dropped_for(DropReason::QueueFull);
    assert_eq!((stats.dropped(), stats.delivered()), (dropped, 0));
    assert!(dropped > 20_000, "{stats}");
    assert_eq!(stats.pending(), 40_000 - dropped);
    let said = program.said.wait_for(Cause::QueueFull);
    assert!(said.fix().contains("queue_max_bytes"), "{said}");
    heal(&server, &program);
    let full = |causes: Vec<Cause>| {
        causes
            .iter()
            .filter(|one| **one == Cause::QueueFull)
            .count()
    };
    assert_eq!(full(program.said.causes()), 1);
    let account = program.finish(&server);
    assert_eq!((account.lost(), account.duplicates), (dropped, 0));
    // The first of each thread are there, as far as it got before the queue was full.
    assert!(account.stored.contains(&0) || account.stored.contains(&EACH));
}

/// Records these events, and says how often the calling thread gave up the processor to wait for something meanwhile, and what 99
/// of 100 events cost at the most. The time depends on the machine, so it is only shown; `benches/hot_path` measures it.
fn waits(program: &Program, seqs: Range<u64>) -> (u64, Duration) {
    let before = work::waits();
    let mut costs: Vec<_> = with_default(&program.dispatch, || {
        seqs.map(|seq| timed(|| tracing::info!(seq, TEXT, "step")).1)
            .collect()
    });
    let waits = work::waits() - before;
    costs.sort_unstable();
    (waits, costs[costs.len() * 99 / 100])
}

/// Waits of a thread for what is not ours, such as the kernel's lock when memory is first used.
const OTHER_WAITS: u64 = 5;

#[test]
#[cfg(target_os = "linux")]
fn a_full_queue_makes_none_of_8_threads_wait() {
    let (server, program) = stalled(Overflow::DropNewest);
    program.record_with(0..20_000, TEXT);
    assert!(program.stats().dropped() > 0, "the queue is not full");
    for _ in 0..5 {
        let all: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| waits(&program, 0..EACH)))
                .collect();
            let ends = threads.into_iter().map(|thread| thread.join().unwrap());
            ends.collect()
        });
        println!("waits and p99 of each thread: {all:?}");
        assert!(all.iter().all(|one| one.0 <= OTHER_WAITS), "{all:?}");
    }
    drop(program.guard.shutdown(Duration::from_millis(100)));
    let stats = program.stats();
    assert_eq!(stats.recorded(), 20_000 + 5 * THREADS * EACH);
    assert_eq!(stats.recorded(), stats.dropped() + stats.delivered());
    assert_eq!(server.violations(), []);
}

#[test]
fn dropping_the_newest_keeps_the_first() {
    let (server, program) = stalled(Overflow::DropNewest);
    program.record_with(0..40_000, TEXT);
    heal(&server, &program);
    let account = program.finish(&server);
    let kept = account.stored.len() as u64;
    println!("kept the first {kept} of 40,000");
    // Some of a chunk's room may be left for a record that is shorter.
    assert!(
        account
            .stored
            .iter()
            .rev()
            .take(1)
            .all(|last| *last < kept + 10)
    );
    assert!((0..kept - 10).all(|seq| account.stored.contains(&seq)));
}

#[test]
fn dropping_the_oldest_keeps_the_newest_and_counts_the_others() {
    let (server, program) = stalled(Overflow::DropOldest);
    let ((), took) = timed(|| program.record_with(0..40_000, TEXT));
    assert!(
        took < LONG / 2,
        "somebody waited for the endpoint: {took:?}"
    );
    heal(&server, &program);
    let account = program.finish(&server);
    let evicted = account.dropped(DropReason::Evicted);
    assert_eq!(
        (account.lost(), account.stats.dropped()),
        (evicted, evicted)
    );
    let kept = account.stored.len() as u64;
    let newest = (0..40_000)
        .rev()
        .take_while(|seq| account.stored.contains(seq))
        .count();
    println!("kept {kept} of 40,000, of which {newest} are the newest");
    // The others were on their way before the queue was full: half of it at the most.
    assert!(
        evicted > 20_000 && newest as u64 >= 4_000,
        "{newest} of {kept}"
    );
}

#[test]
fn dropping_the_oldest_from_8_threads_counts_each() {
    let (server, program) = stalled(Overflow::DropOldest);
    let ((), took) = timed(|| from_8_threads(&program));
    assert!(
        took < LONG / 2,
        "somebody waited for the endpoint: {took:?}"
    );
    program.record_with(40_000..40_100, TEXT);
    heal(&server, &program);
    let account = program.finish(&server);
    let stats = &account.stats;
    println!("{stats}");
    assert_eq!(account.lost(), stats.dropped());
    // Unless every chunk was just then in some thread's hands.
    let refused = account.dropped(DropReason::QueueFull);
    assert!(refused < 100, "{stats}");
    assert_eq!(
        account.dropped(DropReason::Evicted) + refused,
        stats.dropped()
    );
    assert!(stats.dropped() > 20_000, "{stats}");
    assert!((40_000..40_100).all(|newest| account.stored.contains(&newest)));
}

#[test]
fn blocking_waits_for_a_slow_endpoint_and_loses_nothing() {
    let server = server();
    server.always(Some(Fault::delay(Duration::from_millis(100))));
    let program = Program::with(server.url(), |builder| {
        let timeout = LONG;
        builder
            .queue_max_bytes(QUEUE)
            .overflow(Overflow::Block { timeout })
    });
    let ((), took) = timed(|| from_8_threads(&program));
    println!("blocking took {took:?}: {}", program.stats());
    program.flush().unwrap();
    let account = program.finish(&server);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
    assert!(program_had_to_wait(took), "{took:?}");
}

/// 10 MB through 2 MB, with 100 ms for each request.
fn program_had_to_wait(took: Duration) -> bool {
    took > Duration::from_millis(100)
}

#[test]
fn blocking_gives_up_after_its_timeout_and_counts_the_record() {
    const WAIT: Duration = Duration::from_millis(100);
    let (server, program) = stalled(Overflow::Block { timeout: WAIT });
    let mut seq = 0;
    while program.stats().dropped() == 0 {
        program.record_with(seq..seq + 1, TEXT);
        seq += 1;
    }
    let ((), took) = timed(|| program.record_with(seq..seq + 5, TEXT));
    assert!((5 * WAIT..5 * WAIT + SLACK).contains(&took), "{took:?}");
    assert_eq!(program.stats().dropped_for(DropReason::QueueFull), 6);
    heal(&server, &program);
    let account = program.finish(&server);
    assert_eq!(account.lost(), 6);
}

#[test]
fn a_shutdown_frees_those_who_wait_for_room() {
    let (server, program) = stalled(Overflow::Block { timeout: LONG });
    let (sender, ended) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (program, sender) = (&program, sender.clone());
            scope.spawn(move || {
                program.record_with(thread * 10_000..(thread + 1) * 10_000, TEXT);
                sender.send(thread).unwrap();
            });
        }
        assert!(server.wait_until(LONG, |server| server.requests_seen() > 0));
        // All of them wait by now, or will come to a queue that is closed.
        let ((), took) = timed(|| drop(program.guard.shutdown(Duration::from_millis(300))));
        assert!(took < Duration::from_millis(300) + SLACK, "{took:?}");
        for _ in 0..4 {
            ended.recv_timeout(LONG / 2).unwrap();
        }
    });
    let account = program.audit(&[&server]);
    println!("{}", account.stats);
}

#[test]
fn a_full_queue_does_not_keep_the_worker_busy() {
    alone(
        "overflow::a_full_queue_does_not_keep_the_worker_busy",
        || {
            let (server, program) = stalled(Overflow::DropNewest);
            program.record_with(0..20_000, TEXT);
            program.said.wait_for(Cause::QueueFull);
            let before = switches("axiom-layer");
            let more: Range<u64> = 20_000..70_000;
            let ((), took) = timed(|| program.record_with(more, TEXT));
            let woken = switches("axiom-layer") - before;
            println!("50,000 records for a full queue in {took:?} woke the worker {woken} times");
            assert!(woken < 500, "{woken} times in {took:?}");
            drop(program.guard.shutdown(Duration::from_millis(100)));
            program.audit(&[&server]);
        },
    );
}
