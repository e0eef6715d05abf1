//! Memory in an outage: the queue's budget and 8 MiB, whatever is recorded.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use axiom_layer::{Compression, DropReason, Overflow};

use crate::common::{LONG, Program, timed};
use crate::process::{alone, of_process};

const QUEUE: usize = 8 << 20;
/// Above the queue's budget.
const ALLOWANCE: u64 = 8 << 10;

/// The issue asks for 10 million, which is this with `AXIOM_LAYER_LONG=1`. What there is room for is
/// recorded many times over either way.
fn events() -> u64 {
    match std::env::var_os("AXIOM_LAYER_LONG") {
        Some(_) => 10_000_000,
        None => 1_000_000,
    }
}

fn stays_within_the_budget(overflow: Overflow, compression: Compression) {
    // Accepts connections and never answers. Not `axiom-local`, whose memory would be counted too.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    // Without the program's code, which is read from its file as it is first used.
    let before = of_process("RssAnon");
    let program = Program::with(&url, |builder| {
        builder
            .queue_max_bytes(QUEUE)
            .overflow(overflow)
            .compression(compression)
            // Attempts that fail and are made again, too.
            .request_timeout(Duration::from_millis(300))
    });
    let each = events() / 4;
    let (peak, took) = timed(|| {
        thread::scope(|scope| {
            let producers: [_; 4] = std::array::from_fn(|thread| {
                let (program, start) = (&program, thread as u64 * each);
                scope.spawn(move || program.record(start..start + each))
            });
            let mut peak = 0;
            while !producers.iter().all(|one| one.is_finished()) {
                peak = peak.max(of_process("RssAnon"));
                // A pulse of measurement, not a wait.
                thread::sleep(Duration::from_millis(2));
            }
            peak.max(of_process("RssAnon"))
        })
    });
    let grown = peak - before;
    let stats = program.stats();
    println!(
        "{overflow:?}, {compression:?}: {} events in {took:?}: {grown} KiB at the peak; {stats}",
        events()
    );
    assert!(stats.dropped() > events() / 2, "{stats}");
    assert!(grown <= (QUEUE as u64 >> 10) + ALLOWANCE, "{grown} KiB");
    drop(program.guard.shutdown(Duration::from_millis(100)));
    let account = program.audit(&[]);
    assert!(account.dropped(DropReason::Shutdown) > 0);
}

/// As an application does that flushes after each piece of work, in an outage of days.
#[test]
fn flushes_that_nobody_waits_for_any_more_take_no_memory() {
    const FLUSHES: usize = 20_000;
    alone(
        "memory::flushes_that_nobody_waits_for_any_more_take_no_memory",
        || {
            let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let url = format!("http://{}", silent.local_addr().unwrap());
            let program = Program::with(&url, |builder| builder.queue_max_bytes(64 << 20));
            program.record(0..1);
            program.push();
            let before = of_process("RssAnon");
            for _ in 0..FLUSHES {
                let error = program.guard.flush(Duration::from_micros(1)).unwrap_err();
                assert!(error.is_timeout(), "{error}");
            }
            let grown = of_process("RssAnon").saturating_sub(before);
            println!("{FLUSHES} flushes: {grown} KiB");
            assert!(grown <= ALLOWANCE, "{grown} KiB");
            drop(program.guard.shutdown(Duration::from_millis(100)));
            program.audit(&[]);
        },
    );
}

/// As a server does that flushes at the end of each request, in an outage.
#[test]
fn flushes_that_wait_take_as_much_memory_as_those_who_wait() {
    const FLUSHES: usize = 5_000;
    alone(
        "memory::flushes_that_wait_take_as_much_memory_as_those_who_wait",
        || {
            let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let url = format!("http://{}", silent.local_addr().unwrap());
            let program = Program::with(&url, |builder| builder.queue_max_bytes(64 << 20));
            program.record(0..1);
            program.push();
            let before = of_process("RssAnon");
            let mut nobody = Context::from_waker(Waker::noop());
            let mut waiting: Vec<_> = (0..FLUSHES)
                .map(|_| {
                    let mut flush = Box::pin(program.guard.flush_async());
                    assert!(flush.as_mut().poll(&mut nobody).is_pending());
                    // The worker hears of each by itself.
                    program.flush_within(Duration::from_micros(1));
                    flush
                })
                .collect();
            let grown = of_process("RssAnon").saturating_sub(before);
            println!("{FLUSHES} flushes that wait: {grown} KiB");
            assert!(grown <= ALLOWANCE, "{grown} KiB");
            drop(program.guard.shutdown(Duration::from_millis(100)));
            for flush in &mut waiting {
                let flushed = flush.as_mut().poll(&mut nobody);
                assert!(flushed.is_ready(), "each is answered at the end");
            }
            drop(waiting);
            program.audit(&[]);
        },
    );
}

#[test]
fn an_outage_stays_within_the_budget_when_the_newest_are_dropped() {
    alone(
        "memory::an_outage_stays_within_the_budget_when_the_newest_are_dropped",
        || {
            stays_within_the_budget(Overflow::DropNewest, Compression::Zstd);
        },
    );
}

#[test]
fn an_outage_stays_within_the_budget_when_the_oldest_are_dropped() {
    alone(
        "memory::an_outage_stays_within_the_budget_when_the_oldest_are_dropped",
        || {
            stays_within_the_budget(Overflow::DropOldest, Compression::Zstd);
        },
    );
}

#[test]
fn an_outage_stays_within_the_budget_without_compression() {
    alone(
        "memory::an_outage_stays_within_the_budget_without_compression",
        || {
            stays_within_the_budget(Overflow::DropNewest, Compression::None);
        },
    );
}

/// Requests that may be in flight at a time.
const FLIGHTS: usize = 16;
/// Ordinary answers until so many may be.
const WARM_UP: usize = 32;

/// An endpoint that keeps nothing of what it reads. After the first answers it waits until as many requests as may be
/// are under way, and answers all of them at once with a failure for each record, megabytes of them.
struct Verbose {
    answer: String,
    /// Requests that came, and those whose answer has left.
    counts: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Verbose {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        loop {
            skip_request(&mut client)?;
            let mut counts = self.counts.lock().unwrap();
            counts.0 += 1;
            let number = counts.0;
            self.changed.notify_all();
            if number <= WARM_UP {
                drop(counts);
                respond(&mut client, r#"{"ingested":10000,"failed":0}"#)?;
                continue;
            }
            drop(
                self.changed
                    .wait_timeout_while(counts, LONG, |counts| counts.0 < WARM_UP + FLIGHTS),
            );
            respond(&mut client, &self.answer)?;
            self.counts.lock().unwrap().1 += 1;
            self.changed.notify_all();
        }
    }

    fn wait_for(&self, reached: impl Fn(&(usize, usize)) -> bool) {
        let counts = self.counts.lock().unwrap();
        let waited = self
            .changed
            .wait_timeout_while(counts, LONG, |counts| !reached(counts));
        assert!(
            !waited.unwrap().1.timed_out(),
            "{:?}",
            self.counts.lock().unwrap()
        );
    }
}

fn respond(client: &mut TcpStream, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
    )?;
    client.write_all(body.as_bytes())
}

/// Reads a request to its end without keeping its body.
fn skip_request(client: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.split("content-length:").nth(1).unwrap();
    let mut length: usize = length.split_whitespace().next().unwrap().parse().unwrap();
    let mut skipped = [0; 4096];
    while length > 0 {
        let most = length.min(skipped.len());
        length -= client.read(&mut skipped[..most])?;
    }
    Ok(())
}

#[test]
fn answers_of_megabytes_to_all_requests_at_once_take_little_memory_and_are_counted() {
    alone(
        "memory::answers_of_megabytes_to_all_requests_at_once_take_little_memory_and_are_counted",
        || {
            let failure = r#"{"timestamp":"2026-01-01T00:00:00Z","error":"the field `attributes.text` has another type"}"#;
            let failures = vec![failure; 25_000].join(",");
            // The counts come last.
            let answer = format!(r#"{{"failures":[{failures}],"ingested":0,"failed":10000}}"#);
            assert!(answer.len() > 2 << 20, "{}", answer.len());
            let verbose = Arc::new(Verbose {
                answer,
                counts: Mutex::default(),
                changed: Condvar::new(),
            });
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let serving = Arc::clone(&verbose);
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let serving = Arc::clone(&serving);
                    let thread = thread::Builder::new().stack_size(64 << 10);
                    thread.spawn(move || drop(serving.serve(client))).unwrap();
                }
            });
            let program = Program::with(&url, |builder| builder.queue_max_bytes(64 << 20));
            for turn in 0..WARM_UP as u64 {
                program.record(turn..turn + 1);
                program.flush().unwrap();
            }
            let each = 10_000;
            let all = FLIGHTS as u64 * each;
            program.record(0..all);
            verbose.wait_for(|counts| counts.0 >= WARM_UP + FLIGHTS - 1);
            let before = of_process("RssAnon");
            let mut peak = before;
            while verbose.counts.lock().unwrap().1 < FLIGHTS {
                peak = peak.max(of_process("RssAnon"));
            }
            drop(program.flush());
            peak = peak.max(of_process("RssAnon"));
            let grown = peak - before;
            println!(
                "{FLIGHTS} answers of {} bytes at once: {grown} KiB",
                verbose.answer.len()
            );
            assert!(grown <= ALLOWANCE, "{grown} KiB");
            let stats = program.stats();
            assert_eq!(stats.dropped_for(DropReason::Rejected), all, "{stats}");
            assert!(stats.rejection_samples()[0].contains("another type"));
            drop(program.guard.shutdown(LONG));
        },
    );
}
