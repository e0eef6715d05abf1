//! One event, then silence: it arrives soon, and then the worker sleeps.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::{LONG, Program, server};
use crate::process::{alone, switches};

const INTERVAL: Duration = Duration::from_millis(200);
/// Longer than any event waits that leaves by the interval, on a busy machine, too. That the worker looks within the interval,
/// exactly, is tested where the time is passed in: `src/worker/schedule.rs`.
const SOON: Duration = Duration::from_secs(5);

/// What is called silence here.
const SILENCE: Duration = Duration::from_secs(3);

/// It is at rest after this long without waking up. Over HTTP/2 a timer of the last request may still go off, a quarter of the
/// request's time after its answer: had the connection given no sign of life, it would have been asked for one.
const REST: Duration = Duration::from_millis(800);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Lets the worker come to rest, and says how often it had woken up until then.
fn rest() -> u64 {
    let start = Instant::now();
    let mut before = switches("axiom-layer");
    let mut last = start;
    while last.elapsed() < REST {
        thread::sleep(2 * INTERVAL);
        let now = switches("axiom-layer");
        if now != before {
            (before, last) = (now, Instant::now());
        }
        assert!(start.elapsed() < LONG, "it does not come to rest");
    }
    before
}

/// The worker comes to rest and stays so. That nothing happens for a time can only be seen by letting it pass.
fn silence() {
    let before = rest();
    thread::sleep(SILENCE);
    let woken = switches("axiom-layer") - before;
    println!("the worker woke up {woken} times in {SILENCE:?} of silence");
    assert_eq!(woken, 0);
}

#[test]
fn one_event_arrives_within_the_flush_interval_and_then_nothing_wakes_up() {
    alone(
        "quiet::one_event_arrives_within_the_flush_interval_and_then_nothing_wakes_up",
        || {
            let server = server();
            let program = Program::with(server.url(), |builder| {
                builder
                    .flush_interval(INTERVAL)
                    .request_timeout(REQUEST_TIMEOUT)
            });
            // The second time the connection is there already and the worker ticks, the third time the worker is asleep.
            for seq in 0..3 {
                if seq == 2 {
                    rest();
                }
                let start = Instant::now();
                program.record(seq..seq + 1);
                assert!(server.wait_until(LONG, |server| server.ingested() == seq + 1));
                let took = start.elapsed();
                println!("event {seq} arrived after {took:?}");
                assert!(took < SOON, "{took:?}");
            }
            silence();
            assert_eq!(program.finish(&server).lost(), 0);
        },
    );
}

#[test]
fn a_layer_that_was_never_used_never_wakes_up() {
    alone("quiet::a_layer_that_was_never_used_never_wakes_up", || {
        let server = server();
        let program = Program::new(server.url());
        program.flush().unwrap();
        silence();
        drop(program.guard.shutdown(LONG));
        program.audit(&[&server]);
        assert_eq!(server.requests_seen(), 0);
    });
}
