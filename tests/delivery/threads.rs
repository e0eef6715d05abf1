//! Many short-lived threads cost what a few long-lived ones do.

use std::sync::Arc;
use std::thread;

use crate::common::{Program, server};
use crate::process::{alone, of_process};

const THREADS: u64 = 10_000;
/// Alive at a time.
const AT_ONCE: u64 = 50;

fn record_from(program: &Arc<Program>, threads: u64, at_once: u64, first: u64, each: u64) {
    for start in (0..threads).step_by(at_once as usize) {
        let started: Vec<_> = (start..start + at_once)
            .map(|thread| {
                let program = Arc::clone(program);
                let seq = first + thread * each;
                thread::spawn(move || program.record(seq..seq + each))
            })
            .collect();
        started.into_iter().for_each(|one| one.join().unwrap());
    }
}

#[test]
fn ten_thousand_short_threads_lose_nothing_and_leave_nothing_behind() {
    alone(
        "threads::ten_thousand_short_threads_lose_nothing_and_leave_nothing_behind",
        || {
            let server = server();
            let program = Arc::new(Program::new(server.url()));
            // As many records from eight threads, for comparison.
            record_from(&program, 8, 8, 0, THREADS / 8);
            program.flush().unwrap();
            let before = of_process("VmRSS");
            record_from(&program, THREADS, AT_ONCE, THREADS, 1);
            program.flush().unwrap();
            let grown = of_process("VmRSS").saturating_sub(before);
            println!("10,000 threads: {grown} KiB more than 8");
            // The server is in this process too, and holds the events.
            assert!(grown < 16 * 1024, "{grown} KiB");
            let program = Arc::into_inner(program).unwrap();
            let account = program.finish(&server);
            assert_eq!((account.lost(), account.duplicates), (0, 0));
            assert_eq!(account.stats.delivered(), 2 * THREADS);
        },
    );
}
