//! A subscriber that is set for some threads only: our own HTTP work does not silence what the application's HTTP client
//! records there.
//!
//! Each test is a process of its own, since tracing keeps for the whole process who wants a callsite. So are the servers, for
//! their connections are of the same crates.

#[path = "common/child.rs"]
mod child;
#[path = "common/remote.rs"]
mod remote;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axiom_layer::Guard;
use tracing::{Event, Metadata, Subscriber, info};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, prelude::*};

use remote::Remote;

const LONG: Duration = Duration::from_secs(30);

fn builder(url: &str) -> axiom_layer::Builder {
    axiom_layer::builder()
        .token("xaat-any")
        .dataset("main")
        .url(url)
        .flush_interval(Duration::from_millis(5))
        .diagnostics(false)
}

/// Another layer: counts the events, and how often it is asked whether it wants one.
#[derive(Clone, Default)]
struct Seen {
    events: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
}

impl<S: Subscriber> Layer<S> for Seen {
    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ten requests of the application's own on this thread, each on a connection of its own.
fn ten_requests(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0);
    let client = client.build().unwrap();
    for _ in 0..10 {
        let answer = runtime.block_on(client.get(url).send()).unwrap();
        assert_eq!(answer.status(), 404);
    }
}

/// Our own HTTP work is done first, and then the application's client is used: both below a scoped subscriber.
fn ten_of_ten(test: &str, first: impl FnOnce(&str, &Guard)) {
    let (remote, shop) = (Remote::start(test), Remote::start(test));
    let (layer, guard) = builder(&remote.url).build().unwrap();
    let seen = Seen::default();
    let of_client = Targets::new().with_target("hyper_util", LevelFilter::TRACE);
    let subscriber = tracing_subscriber::registry()
        .with(layer)
        .with(seen.clone().with_filter(of_client));
    tracing::subscriber::with_default(subscriber, || {
        first(&remote.url, &guard);
        ten_requests(&shop.url);
    });
    guard.shutdown(LONG).unwrap();
    let (arrived, _) = remote.end();
    let connecting = |event: &&String| event.contains("connecting to ");
    assert_eq!(arrived.iter().filter(connecting).count(), 10, "{arrived:?}");
    assert!(seen.events.load(Ordering::Relaxed) >= 10);
    shop.end();
}

/// Runs a test in a process of its own, in which it may start servers.
fn alone(test: &str, run: impl FnOnce(&str)) {
    match child::role().as_deref() {
        Some("server") => remote::serve(),
        Some(_) => run(test),
        None => {
            child::succeeded(&child::command(test, "test").output().unwrap());
        }
    }
}

#[test]
fn the_client_s_records_arrive_though_the_worker_sent_first() {
    alone(
        "the_client_s_records_arrive_though_the_worker_sent_first",
        |test| {
            ten_of_ten(test, |_, guard| {
                info!("one");
                guard.flush(LONG).unwrap();
            });
        },
    );
}

#[test]
fn the_client_s_records_arrive_though_the_doctor_was_there_first() {
    alone(
        "the_client_s_records_arrive_though_the_doctor_was_there_first",
        |test| {
            ten_of_ten(test, |url, _| {
                assert!(builder(url).doctor().is_healthy());
            });
        },
    );
}

/// Nobody is asked about a callsite that all want, so each question costs.
#[test]
fn a_global_subscriber_that_comes_later_is_asked_no_more_than_without_us() {
    alone(
        "a_global_subscriber_that_comes_later_is_asked_no_more_than_without_us",
        |test| {
            let remote = Remote::start(test);
            let (scoped, scoped_guard) = builder(&remote.url).build().unwrap();
            let (global, global_guard) = builder(&remote.url).build().unwrap();
            let seen = Seen::default();
            let record = || info!("recorded");
            let scoped = tracing_subscriber::registry()
                .with(scoped)
                .with(seen.clone());
            tracing::subscriber::with_default(scoped, || {
                record();
                scoped_guard.flush(LONG).unwrap();
            });
            tracing_subscriber::registry()
                .with(global)
                .with(seen.clone())
                .init();
            // The worker notices the global one before it sends.
            record();
            global_guard.flush(LONG).unwrap();
            let asked = seen.asked.load(Ordering::Relaxed);
            (0..10).for_each(|_| record());
            assert_eq!(seen.asked.load(Ordering::Relaxed), asked);
            global_guard.shutdown(LONG).unwrap();
            drop(scoped_guard);
            assert_eq!(remote.end().0.len(), 12);
        },
    );
}
