//! A worker in virtual time: its requests are made and never leave, and the test answers them.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::*;
use crate::config::Compression;
use crate::queue::{CHUNK_BYTES, Overflow, Queue, Signal};
use crate::report::{Counters, Diag, Sink};
use crate::worker::allowance::{Allowance, RateRefusal};
use crate::worker::pace::MAX_IN_FLIGHT;
use crate::worker::response::Peer;
use crate::worker::{
    Credentials, Encoder, Inbox, Layout, Limits, Settings, Shared, Source, TransportSettings,
    bearer,
};

const ONE_EACH: Limits = Limits {
    max_events: 1,
    max_bytes: 4 << 20,
};

struct Bench {
    worker: Worker,
    now: Instant,
}

impl Bench {
    fn new(datasets: usize, limits: Limits) -> Self {
        let (signal, counters) = (Arc::new(Signal::default()), Arc::new(Counters::default()));
        let queue = |_| {
            Queue::new(
                256 * CHUNK_BYTES,
                Overflow::DropNewest,
                limits.max_bytes,
                Arc::clone(&signal),
                Arc::clone(&counters),
            )
        };
        let queues: Vec<_> = (0..datasets).map(queue).collect();
        let source = |queue: &Arc<Queue>| Source {
            name: "logs".into(),
            url: Url::parse("http://127.0.0.1/").unwrap(),
            queue: Arc::clone(queue),
            limits,
        };
        let sources = queues.iter().map(source).collect();
        let transport = TransportSettings {
            credentials: Credentials {
                authorization: bearer("xaat-test").unwrap(),
                org_id: None,
                labels: None,
            },
            token_file: None,
            content_type: Layout::Ndjson.content_type(),
            request_timeout: Duration::from_secs(30),
            is_loopback: true,
            is_https: false,
        };
        let settings = Settings {
            flush_interval: Duration::from_secs(1),
            retry_timeout: None,
            refused_pause: Duration::from_secs(30),
            transport,
            encoder: Encoder::new(Layout::Ndjson, Compression::None).unwrap(),
            heartbeat: None,
            peer: Peer::Axiom,
        };
        let shared = Shared {
            queues,
            signal,
            counters,
            diag: Diag::new(Sink::new(None, false)),
            inbox: Inbox::default(),
        };
        Self {
            worker: Worker::new(settings, sources, Arc::new(shared)),
            now: Instant::now(),
        }
    }

    fn record(&mut self, index: usize, bytes: usize) {
        let destination = &mut self.worker.destinations[index];
        let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(bytes));
        destination.queue.push(line.as_bytes());
        destination.make_due();
    }

    /// What leaves now.
    fn send(&mut self) -> Vec<u64> {
        let first = self.worker.next_flight;
        self.worker.send(self.now);
        (first..self.worker.next_flight).collect()
    }

    fn destination_of(&self, id: u64) -> usize {
        self.worker.flights[&id].destination
    }

    fn answer(&mut self, id: u64, status: u16, body: &str) {
        let answer = Answer {
            status,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        self.worker.conclude(id, Ok(answer), self.now);
    }

    fn take(&mut self, id: u64) {
        let events = self.worker.flights[&id].shipment.batch.events();
        self.answer(id, 200, &format!("{{\"ingested\":{events},\"failed\":0}}"));
    }

    fn fail(&mut self, id: u64, trouble: Trouble, is_unprocessed: bool) {
        let no_answer = NoAnswer {
            trouble,
            detail: "on purpose".into(),
            is_unprocessed,
        };
        self.worker.conclude(id, Err(no_answer), self.now);
    }

    /// Lets so many requests be under way as may be.
    fn warm_up(&mut self) {
        for _ in 0..MAX_IN_FLIGHT {
            self.record(0, 1);
            let sent = self.send();
            sent.into_iter().for_each(|id| self.take(id));
        }
    }

    /// From now on there are seconds between two requests.
    fn slow_down(&mut self) {
        let after = Duration::from_secs(1);
        let refusal = RateRefusal {
            after: Some(after),
            resets: Some(after),
            allowance: Some(Allowance {
                limit: 600.0,
                remaining: 0.0,
                resets: after,
            }),
        };
        let all = &mut self.worker.destinations;
        self.worker.schedule.limited(self.now, all, refusal, 0.5);
        self.now += Duration::from_secs(600);
    }
}

#[test]
fn what_the_server_did_not_process_does_not_wait_for_its_turn() {
    let mut bench = Bench::new(1, ONE_EACH);
    bench.slow_down();
    for _ in 0..4 {
        bench.record(0, 1);
    }
    let [first] = bench.send()[..] else {
        panic!("one request leaves, and others wait for their turn");
    };
    bench.now += Duration::from_millis(50);
    bench.fail(first, Trouble::Unprocessed, true);
    let [again] = bench.send()[..] else {
        panic!("the same leaves at once, and nothing else");
    };
    // It has been paid for once, not twice: the next has its turn as if nothing had happened.
    bench.now += Duration::from_millis(50);
    bench.take(again);
    assert!(bench.send().is_empty());
    bench.now += Duration::from_secs(12);
    assert_eq!(bench.send().len(), 1);
    assert!(bench.send().is_empty());
}

#[test]
fn what_the_server_did_not_process_goes_before_what_another_dataset_has() {
    let mut bench = Bench::new(2, ONE_EACH);
    bench.slow_down();
    for index in [0, 0, 1, 1] {
        bench.record(index, 1);
    }
    for _ in 0..2 {
        let [first] = bench.send()[..] else {
            panic!("one request leaves");
        };
        let index = bench.destination_of(first);
        bench.fail(first, Trouble::Unprocessed, true);
        let [again] = bench.send()[..] else {
            panic!("one request leaves at once");
        };
        assert_eq!(bench.destination_of(again), index);
        bench.take(again);
        bench.now += Duration::from_secs(12);
    }
}

#[test]
fn what_a_wrong_connection_turned_away_does_not_wait_for_its_turn_either() {
    let mut bench = Bench::new(2, ONE_EACH);
    bench.slow_down();
    for index in [0, 0, 1, 1] {
        bench.record(index, 1);
    }
    let [first] = bench.send()[..] else {
        panic!("one request leaves");
    };
    let index = bench.destination_of(first);
    bench.answer(first, 421, "");
    let [again] = bench.send()[..] else {
        panic!("the same leaves at once");
    };
    assert_eq!(bench.destination_of(again), index);
    // The second time it is a refusal, and others wait for their turn.
    bench.answer(again, 421, "");
    assert!(bench.send().is_empty());
}

#[test]
fn what_was_refused_with_a_token_that_was_replaced_does_not_wait_for_its_turn_either() {
    let mut bench = Bench::new(1, ONE_EACH);
    bench.slow_down();
    bench.record(0, 1);
    let [first] = bench.send()[..] else {
        panic!("one request leaves");
    };
    // Another request under way found the new one.
    let credentials = &mut bench.worker.settings.transport.credentials;
    credentials.authorization = bearer("xaat-another").unwrap();
    bench.answer(first, 401, "");
    assert_eq!(bench.send().len(), 1);
}

#[test]
fn a_server_that_processes_nothing_does_not_make_requests_free() {
    let mut bench = Bench::new(1, ONE_EACH);
    bench.slow_down();
    bench.record(0, 1);
    bench.record(0, 1);
    let mut sent = 0;
    while let [id] = bench.send()[..] {
        sent += 1;
        bench.fail(id, Trouble::Unprocessed, true);
        assert!(sent < 10, "without end");
    }
    // Three times at once, and then it is a failure like any other.
    assert_eq!(sent, 4);
}

#[test]
fn connections_that_are_the_wrong_ones_are_left_once_for_all_that_were_under_way() {
    let mut bench = Bench::new(1, ONE_EACH);
    bench.warm_up();
    for _ in 0..MAX_IN_FLIGHT {
        bench.record(0, 1);
    }
    let flights = bench.send();
    assert_eq!(flights.len(), MAX_IN_FLIGHT as usize);
    let made = bench.worker.transports_made;
    let mut again = Vec::new();
    for &id in &flights[1..] {
        bench.answer(id, 421, "");
        again.extend(bench.send());
    }
    assert_eq!(again.len(), flights.len() - 1);
    assert_eq!(bench.worker.transports_made - made, 1);
    // A certificate that was not trusted on the old one says nothing of the new one either.
    bench.fail(flights[0], Trouble::Untrusted, false);
    assert!(bench.worker.transport.is_some());
    for id in again {
        bench.take(id);
    }
    assert_eq!(bench.worker.transports_made - made, 1);
}

#[test]
fn answers_to_come_have_their_part_of_the_memory_for_bodies() {
    let mut bench = Bench::new(
        1,
        Limits {
            max_events: 4,
            max_bytes: 4 << 20,
        },
    );
    bench.warm_up();
    for _ in 0..4 * MAX_IN_FLIGHT {
        bench.record(0, 50_000);
    }
    let flights = bench.send();
    let size = |id: &u64| {
        let body = bench.worker.flights[id].shipment.body.as_ref().unwrap();
        body.bytes.len() + KEPT
    };
    let before_the_last: usize = flights.iter().rev().skip(1).map(size).sum();
    assert!(before_the_last < BODIES_BYTES, "{before_the_last}");
    assert!(before_the_last + size(&flights[0]) > BODIES_BYTES);
}
