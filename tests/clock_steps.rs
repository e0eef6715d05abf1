//! The local clock is set while a program runs: back by an hour, ahead by a day.
//!
//! Rust's standard library reads the clock by the C function `clock_gettime`. This binary defines one of its own, which
//! adds what the clock was stepped by; so do the layer, its HTTP client and the endpoint in this process see it.
#![cfg(target_os = "linux")]

#[path = "common/audit.rs"]
#[expect(dead_code, reason = "the other binary needs the rest")]
mod audit;
#[path = "common/program.rs"]
#[expect(dead_code, reason = "the other binary needs the rest")]
mod common;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use axiom_layer::Cause;
use axiom_local::Fault;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tracing::dispatcher::with_default;

use common::{LONG, Program, server, timed, unix_now};

const STEPS: [i64; 2] = [-3_600, 24 * 3_600];

/// What a wait may be late by on a busy machine: far less than any of the steps.
const LATE: Duration = Duration::from_secs(10);

/// Seconds that are added to the wall clock.
static STEP: AtomicI64 = AtomicI64::new(0);

#[expect(unsafe_code, reason = "takes the place of libc's function")]
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    // SAFETY: the caller vouches for the pointer, to the system as to us.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && clock == libc::CLOCK_REALTIME {
        // SAFETY: the system has just written there.
        unsafe { (*time).tv_sec += STEP.load(Ordering::SeqCst) };
    }
    result as libc::c_int
}

/// The clock, for one test at a time. Right again when dropped.
struct Clock {
    _alone: MutexGuard<'static, ()>,
}

impl Clock {
    fn right() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { _alone }
    }

    fn step(&self, seconds: i64) {
        STEP.store(seconds, Ordering::SeqCst);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        STEP.store(0, Ordering::SeqCst);
    }
}

fn at(record: &Map<String, Value>) -> DateTime<Utc> {
    let text = record["_time"].as_str().unwrap();
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn now() -> DateTime<Utc> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    DateTime::from_timestamp_nanos(since.unwrap().as_nanos() as i64)
}

#[test]
fn the_clock_of_this_process_can_be_stepped() {
    let clock = Clock::right();
    let (before, monotonic) = (unix_now(), Instant::now());
    clock.step(1_000);
    assert!((1_000..1_060).contains(&(unix_now() - before)));
    assert!(monotonic.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_span_lasts_as_long_as_it_lasted_and_records_have_the_time_of_their_making() {
    let clock = Clock::right();
    for step in STEPS {
        clock.step(0);
        let server = server();
        let program = Program::new(server.url());
        let start = now();
        let stepped = with_default(&program.dispatch, || {
            let root = tracing::info_span!("root").entered();
            clock.step(step);
            let stepped = now();
            tracing::info!("inside");
            tracing::info_span!("child").in_scope(|| thread::sleep(Duration::from_millis(1)));
            drop(root);
            tracing::info_span!("next").in_scope(|| {});
            stepped
        });
        let stats = program.guard.shutdown(LONG).unwrap();
        assert_eq!((stats.recorded(), stats.delivered()), (4, 4));
        assert_eq!(server.violations(), []);
        let records = server.all_events();
        let named = |name: &str| {
            let is_it = |record: &&axiom_local::Event| {
                ["name", "message"]
                    .iter()
                    .any(|key| record.get(key).and_then(Value::as_str) == Some(name))
            };
            records.iter().find(is_it).unwrap().fields()
        };
        let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64();
        let late = LATE.as_secs_f64();
        let (root, child) = (named("root"), named("child"));
        println!("{step} s: {root:?} {child:?}");
        // In nanoseconds.
        let duration = |span: &Map<String, Value>| span["duration"].as_u64().unwrap();
        let longest = LATE.as_nanos() as u64;
        assert!((1_000_000..longest).contains(&duration(child)));
        assert!((duration(child)..longest).contains(&duration(root)));
        // A trace has one time line, whatever the clock does; what comes after it is on the new one.
        let into = seconds(at(root), at(child));
        assert!(into >= 0.0 && into <= duration(root) as f64 / 1e9, "{into}");
        assert!((0.0..late).contains(&seconds(start, at(root))));
        for later in [named("inside"), named("next")] {
            assert!(
                (0.0..late).contains(&seconds(stepped, at(later))),
                "{later:?}"
            );
        }
    }
}

#[test]
fn records_leave_as_often_as_before() {
    let clock = Clock::right();
    for step in STEPS {
        clock.step(0);
        let server = server();
        let program = Program::new(server.url());
        for (seq, step) in [0, step, 0].into_iter().enumerate() {
            let seq = seq as u64;
            program.record(seq..seq + 1);
            clock.step(step);
            assert!(server.wait_until(LATE, |server| server.ingested() == seq + 1));
        }
        assert!(server.requests_seen() <= 3);
        assert_eq!(program.finish(&server).lost(), 0);
    }
}

#[test]
fn a_wait_that_the_server_asked_for_is_neither_cut_short_nor_drawn_out() {
    const WAIT: u64 = 2;
    let clock = Clock::right();
    for step in STEPS {
        clock.step(0);
        // An absolute time has whole seconds, so that its wait may be a second shorter.
        let limits = [
            ("x-ratelimit-reset", unix_now() + WAIT + 1),
            ("retry-after", WAIT),
        ];
        let limited = limits.map(|(header, value)| {
            let server = server();
            server.fault(Fault::status(429).header(header, value.to_string()));
            let program = Program::slow(server.url());
            program.record(0..100);
            program.push();
            program.said.wait_for(Cause::RateLimited);
            (server, program)
        });
        clock.step(step);
        for (server, program) in limited {
            program.flush().unwrap();
            let requests = server.requests();
            let gap = requests[1].received_at - requests[0].received_at;
            println!("{step} s: the next request after {gap:?}");
            let wait = Duration::from_secs(WAIT);
            assert!(gap + Duration::from_millis(250) >= wait, "{gap:?}");
            assert!(gap <= wait + LATE, "{gap:?}");
            assert_eq!(program.finish(&server).lost(), 0);
        }
    }
}

#[test]
fn failures_are_retried_and_told_as_if_nothing_had_happened() {
    let clock = Clock::right();
    for step in STEPS {
        clock.step(0);
        let server = server();
        server.faults((0..4).map(|_| Some(Fault::status(503))));
        let program = Program::new(server.url());
        program.record(0..100);
        program.said.wait_for(Cause::ServerError);
        clock.step(step);
        // Four waits of the backoff, three seconds in all at the most.
        assert!(server.wait_until(LATE, |server| server.ingested() == 100));
        // A day later by the clock, but not a minute.
        assert_eq!(program.said.causes(), [Cause::ServerError]);
        assert_eq!(program.finish(&server).lost(), 0);
    }
}

#[test]
fn deadlines_hold() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let clock = Clock::right();
    for step in STEPS {
        clock.step(0);
        let server = server();
        server.always(Some(Fault::hang()));
        let program = Program::new(server.url());
        program.record(0..100);
        thread::scope(|scope| {
            let flush = scope.spawn(|| timed(|| program.flush_within(TIMEOUT)));
            assert!(server.wait_until(LONG, |server| server.requests_seen() > 0));
            clock.step(step);
            let (delivered, took) = flush.join().unwrap();
            assert!(
                !delivered && took >= TIMEOUT && took < TIMEOUT + LATE,
                "{took:?}"
            );
        });
        clock.step(0);
        let (_, took) = timed(|| program.guard.shutdown(TIMEOUT));
        assert!(took < TIMEOUT + LATE, "{took:?}");
        program.audit(&[&server]);
    }
}
