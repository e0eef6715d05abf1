//! What our own HTTP work logs is never ingested, what the application's own client logs is: below a global subscriber at
//! TRACE without any filter, with `log` bridged to it.
//!
//! The servers are processes of their own, for what they log is not ours to fence off.

#[path = "common/child.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod child;
#[path = "common/remote.rs"]
mod remote;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axiom_layer::{AxiomLayer, Guard};
use serde_json::{Map, Value};
use tracing::{Event, Subscriber, info};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, prelude::*};

use remote::Remote;

const LONG: Duration = Duration::from_secs(30);
const TEST: &str = "only_what_the_application_does_is_recorded";

fn layer(url: &str) -> (AxiomLayer, Guard) {
    axiom_layer::builder()
        .token("xaat-any")
        .dataset("main")
        .url(url)
        .thread_names(true)
        .flush_interval(Duration::from_millis(5))
        .diagnostics(false)
        .build()
        .unwrap()
}

/// Another layer: the names of the threads that recorded something.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<HashSet<String>>>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        let thread = thread::current();
        let name = thread.name().unwrap_or("?").to_owned();
        self.0.lock().unwrap().insert(name);
    }
}

/// Deliveries that each round of ticks waits for.
const DELIVERIES: u32 = 200;

/// Records as a quiet program does, until so many requests were answered and so many attempts failed: each step of `delivered`
/// is a request or more. It is called twice.
fn tick(guard: &Guard, hopeless: &Guard, failures: u64) -> u64 {
    let start = Instant::now();
    let (mut ticks, mut deliveries, mut delivered) = (0, 0, guard.stats().delivered());
    while deliveries < DELIVERIES || hopeless.stats().retried() < failures {
        info!(ticks, "tick");
        ticks += 1;
        thread::sleep(Duration::from_millis(3));
        let now = guard.stats().delivered();
        deliveries += u32::from(now > delivered);
        delivered = now;
        assert!(start.elapsed() < LONG, "{deliveries} deliveries");
    }
    ticks
}

/// Requests of the application's own, by both versions of HTTP, and one that fails.
fn request(url: String, nowhere: String) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("application")
        .enable_all()
        .build()
        .unwrap();
    let requests = async move {
        for client in [
            reqwest::Client::builder().http1_only(),
            reqwest::Client::builder().http2_prior_knowledge(),
        ] {
            let client = client.user_agent("application/1").no_proxy();
            let client = client.build().unwrap();
            for _ in 0..5 {
                assert_eq!(client.get(&url).send().await.unwrap().status(), 404);
            }
            assert!(client.get(&nowhere).send().await.is_err());
        }
    };
    // On the runtime's own threads.
    runtime.block_on(runtime.spawn(requests)).unwrap();
}

#[test]
fn only_what_the_application_does_is_recorded() {
    if child::role().is_some() {
        return remote::serve();
    }
    let (remote, shop) = (Remote::start(TEST), Remote::start(TEST));
    let nowhere = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nowhere = format!("http://{nowhere}");
    let (layer, guard) = layer(&remote.url);
    let (hopeless, hopeless_guard) = self::layer(&nowhere);
    tracing_log::LogTracer::init().unwrap();
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry()
        .with(layer)
        .with(hopeless)
        .with(seen.clone());
    // `init` would set the logger, too, where the feature `init` of this crate is on.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    // Building and dropping one is our own work too, on a thread of the application's.
    drop(self::layer(&nowhere));
    // Hundreds of requests, and attempts that fail, none of which is the application's.
    let ticks = tick(&guard, &hopeless_guard, 3);
    assert_eq!(guard.flush(LONG).unwrap().recorded(), ticks);
    assert_eq!(hopeless_guard.stats().recorded(), ticks);

    request(shop.url.clone(), nowhere);
    let application = guard.flush(LONG).unwrap().recorded() - ticks;
    assert!(application > 0);
    let more = tick(&guard, &hopeless_guard, 3);
    let stats = guard.shutdown(LONG).unwrap();
    assert_eq!(stats.recorded(), ticks + application + more);
    assert_eq!(stats.delivered(), stats.recorded());
    let dead = hopeless_guard
        .shutdown(Duration::from_millis(50))
        .unwrap_err();
    assert_eq!(dead.stats().dropped(), stats.recorded());

    let seen = seen.0.lock().unwrap().clone();
    let of_ours: Vec<_> = seen
        .iter()
        .filter(|thread| thread.starts_with("axiom-layer"))
        .collect();
    assert!(of_ours.is_empty(), "another layer was told of our own work");
    assert!(seen.contains("application"));
    assert_eq!(shop.end(), (Vec::new(), Vec::new()));
    let (arrived, violations) = remote.end();
    assert_eq!(violations, [""; 0]);
    let arrived: Vec<Map<String, Value>> = arrived
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    assert_eq!(arrived.len() as u64, stats.delivered());
    let mut targets = HashSet::new();
    for record in &arrived {
        let text = |record: &Map<String, Value>, name: &str| {
            record
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let target = match record.get("attributes") {
            Some(Value::Object(attributes)) if attributes.contains_key("log.target") => {
                text(attributes, "log.target")
            }
            _ => text(record, "target") + &text(record, "scope.name"),
        };
        let thread = text(record, "thread.name");
        match target.split("::").next().unwrap() {
            "feedback" => assert_eq!(thread, TEST),
            // With `--cfg tokio_unstable`, of the application's runtime, which is made here.
            "runtime" | "tokio" if cfg!(tokio_unstable) && thread == TEST => {}
            _ if record.contains_key("duration") => {}
            _ => assert_eq!(thread, "application", "{record:?}"),
        }
        targets.insert(target.split("::").next().unwrap().to_owned());
    }
    for library in ["hyper_util", "h2", "reqwest"] {
        assert!(targets.contains(library), "{library}: {targets:?}");
    }
}
