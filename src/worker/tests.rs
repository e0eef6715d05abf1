//! The worker panics where a test plans it: no defect that would do it is known.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axiom_local::{Fault, Server};
use reqwest::Url;
use tracing_subscriber::prelude::*;

use super::allowance::RateRefusal;
use super::inbox::Asked;
use super::{
    Credentials, Encoder, Inbox, Layout, Limits, PANIC_WAIT, Peer, Settings, Shared, Source,
    TransportSettings, Worker, bearer,
};
use crate::config::Compression;
use crate::queue::{CHUNK_BYTES, Overflow, Queue, Signal};
use crate::report::{Counters, Diag, Sink};
use crate::{DropReason, Guard, Stats};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Where in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// With a batch in hand that is about to be sent.
    Launch,
    /// With an answer in hand, and the batch that it is for.
    Answer,
    /// With nothing in hand.
    Idle,
    /// With a wish in hand that it has just been asked.
    Asked,
}

/// The panics to come, by the endpoint's port: tests run side by side.
static PLANNED: LazyLock<Mutex<HashMap<Option<u16>, VecDeque<Point>>>> =
    LazyLock::new(Mutex::default);

pub(super) fn panic_if_planned(point: Point, url: &Url) {
    let mut planned = PLANNED.lock().unwrap();
    let Some(points) = planned.get_mut(&url.port()) else {
        return;
    };
    if points.front() == Some(&point) {
        points.pop_front();
        drop(planned);
        panic!("on purpose, at {point:?}");
    }
}

fn plan(server: &Server, points: impl IntoIterator<Item = Point>) {
    let mut planned = PLANNED.lock().unwrap();
    let port = server.addr().port();
    planned.entry(Some(port)).or_default().extend(points);
}

fn is_over(server: &Server) -> bool {
    PLANNED.lock().unwrap()[&Some(server.addr().port())].is_empty()
}

/// Runs an application whose worker panics.
fn with_layer(server: &Server, application: impl FnOnce(&Guard)) {
    let (layer, guard) = crate::builder()
        .url(server.url())
        .token("xaat-test")
        .dataset("logs")
        .flush_interval(PATIENCE)
        .diagnostics(false)
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || application(&guard));
}

fn record(events: u64) {
    (0..events).for_each(|seq| tracing::info!(seq, "recorded"));
}

fn flush(guard: &Guard) -> Stats {
    let flushed = guard.flush(PATIENCE);
    flushed.unwrap_or_else(|error| error.stats().clone())
}

#[test]
fn each_panic_costs_one_batch_at_most_and_the_worker_goes_on() {
    let server = Server::start().unwrap();
    with_layer(&server, |guard| {
        let points = [
            Point::Launch,
            Point::Answer,
            Point::Idle,
            Point::Launch,
            Point::Answer,
        ];
        let (mut lost, mut recorded) = (0, 0);
        for (panics, point) in (1..).zip(points) {
            plan(&server, [point]);
            record(10);
            recorded += 10;
            lost += if point == Point::Idle { 0 } else { 10 };
            let stats = flush(guard);
            assert!(is_over(&server), "{point:?}");
            assert_eq!(stats.worker_panics(), panics);
            assert_eq!(stats.recorded(), recorded);
            assert_eq!(stats.dropped_for(DropReason::Internal), lost, "{point:?}");
            assert_eq!(stats.delivered(), recorded - lost, "{point:?}");
        }
        // It has not become slower or narrower either: many batches, none lost.
        record(50_000);
        let stats = flush(guard);
        assert_eq!(stats.delivered(), recorded - lost + 50_000, "{stats}");
        // With the answer in hand, the endpoint has the batch that is counted as lost.
        let stored = stats.delivered() + 20;
        assert!(server.wait_until(PATIENCE, |server| server.ingested() == stored));
    });
    assert_eq!(server.violations(), []);
}

#[test]
fn what_was_under_way_at_a_panic_is_sent_again() {
    let server = Server::start().unwrap();
    server.fault(Fault::hang());
    with_layer(&server, |guard| {
        record(10);
        let first = guard.pipeline_for_tests().ask_for_flush();
        assert!(server.wait_until(PATIENCE, |server| server.requests_seen() == 1));
        plan(&server, [Point::Idle]);
        let stats = flush(guard);
        drop(first);
        assert_eq!((stats.worker_panics(), stats.delivered()), (1, 10));
        assert_eq!(stats.retried(), 1);
    });
    assert_eq!(server.ingested(), 10);
}

#[test]
fn panics_in_a_row_do_not_delay_a_shutdown() {
    let server = Server::start().unwrap();
    with_layer(&server, |guard| {
        for _ in 0..3 {
            plan(&server, [Point::Idle]);
            flush(guard);
        }
        // After the fourth in a row the worker waits for longer than the shutdown may take.
        plan(&server, [Point::Idle]);
        drop(guard.pipeline_for_tests().ask_for_flush());
        while guard.stats().worker_panics() < 4 {
            std::thread::yield_now();
        }
        record(10);
        let stats = guard.shutdown(PANIC_WAIT * 8).unwrap();
        assert_eq!(stats.delivered(), 10);
    });
    assert_eq!(server.ingested(), 10);
}

#[test]
fn a_worker_that_only_panics_ends_at_the_deadline_of_the_shutdown() {
    let server = Server::start().unwrap();
    with_layer(&server, |guard| {
        plan(&server, [Point::Launch; 1_000]);
        record(10);
        plan(&server, [Point::Idle; 1_000]);
        let stats = flush(guard);
        assert_eq!(stats.dropped_for(DropReason::Internal), 10);
        record(10);
        let start = std::time::Instant::now();
        let timeout = std::time::Duration::from_millis(500);
        let stats = match guard.shutdown(timeout) {
            Ok(stats) => stats,
            Err(error) => error.stats().clone(),
        };
        assert!(start.elapsed() < timeout * 2);
        assert_eq!((stats.recorded(), stats.pending()), (20, 0), "{stats}");
    });
}

#[test]
fn a_panic_at_the_news_of_the_shutdown_does_not_make_whoever_asked_wait_for_ever() {
    let server = Server::start().unwrap();
    let (ended, is_ended) = std::sync::mpsc::channel();
    plan(&server, [Point::Asked]);
    let url = server.url().to_owned();
    // Left behind if it waits for ever.
    std::thread::spawn(move || {
        let builder = crate::builder().url(url).token("t").dataset("logs");
        let (layer, guard) = builder.diagnostics(false).build().unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || record(10));
        drop(ended.send(guard.shutdown(PANIC_WAIT * 8)));
        // Dropping it would wait, too.
        std::mem::forget(guard);
    });
    let stats = is_ended.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((stats.worker_panics(), stats.delivered()), (1, 10));
}

/// A worker that does not run: it is told what was asked for, and the time.
fn idle() -> Worker {
    let settings = Settings {
        flush_interval: PATIENCE,
        retry_timeout: None,
        refused_pause: PATIENCE,
        transport: TransportSettings {
            credentials: Credentials {
                authorization: bearer("t").unwrap(),
                org_id: None,
                labels: None,
            },
            token_file: None,
            content_type: "application/x-ndjson",
            request_timeout: PATIENCE,
            is_loopback: true,
            is_https: false,
        },
        encoder: Encoder::new(Layout::Ndjson, Compression::None).unwrap(),
        heartbeat: None,
        peer: Peer::Axiom,
    };
    let (signal, counters) = (Arc::<Signal>::default(), Arc::<Counters>::default());
    let limits = Limits {
        max_events: 10,
        max_bytes: CHUNK_BYTES,
    };
    let queue = Queue::new(
        4 * CHUNK_BYTES,
        Overflow::DropNewest,
        limits.max_bytes,
        Arc::clone(&signal),
        Arc::clone(&counters),
    );
    let source = Source {
        name: "logs".into(),
        url: Url::parse("http://127.0.0.1/").unwrap(),
        queue: Arc::clone(&queue),
        limits,
    };
    let shared = Arc::new(Shared {
        queues: vec![queue],
        signal,
        counters,
        diag: Diag::new(Sink::new(None, false)),
        inbox: Inbox::default(),
    });
    Worker::new(settings, vec![source], shared)
}

fn read(worker: &Worker) -> Asked {
    match worker
        .shared
        .inbox
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(asked) => asked,
        Poll::Pending => panic!("nothing was asked for"),
    }
}

#[test]
fn after_a_signal_that_the_application_took_over_the_rate_and_the_time_for_a_request_hold_again() {
    let (mut worker, now) = (idle(), Instant::now());
    let shared = Arc::clone(&worker.shared);
    let refusal = RateRefusal {
        after: Some(PATIENCE),
        resets: None,
        allowance: None,
    };
    for waits in [false, true] {
        let deadline = now + PATIENCE;
        let replied = shared.inbox.ask_for_last_delivery(deadline);
        worker.accept(read(&worker), now);
        assert_eq!(worker.hedge.at(), Some(now + PATIENCE / 2));
        let all = &mut worker.destinations;
        worker.schedule.limited(now, all, refusal, 0.5);
        assert!(worker.schedule.may_send(now));
        // A second thread that ends the process, as by an abort, still waits for the delivery.
        let other = waits.then(|| shared.inbox.ask_for_last_delivery(deadline));
        if waits {
            worker.accept(read(&worker), now);
        }
        drop(replied);
        shared.inbox.say_that_it_goes_on();
        worker.accept(read(&worker), now);
        assert_eq!(worker.hedge.at().is_some(), waits);
        assert_eq!(worker.schedule.may_send(now), waits);
        drop(other);
    }
}
