//! tokio built with its feature `tracing` and `--cfg tokio_unstable`, as for tokio-console, records what it does itself.
//! Of our own runtime and our own waiting nothing is recorded, by any layer. Without that flag the test says little;
//! `.ci/run` has a step with it.
//!
//! The server is a process of its own, for what its runtime records is not ours.

#[path = "common/child.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod child;
#[path = "common/remote.rs"]
mod remote;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber, info};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, prelude::*};

use remote::Remote;

const LONG: Duration = Duration::from_secs(30);
const TEST: &str = "one_record_stays_one_record_and_nothing_is_lost";

/// Another layer: the targets of what it saw.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target().to_owned();
        self.0.lock().unwrap().push(target);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let target = attributes.metadata().target().to_owned();
        self.0.lock().unwrap().push(target);
    }
}

#[test]
fn one_record_stays_one_record_and_nothing_is_lost() {
    if child::role().is_some() {
        return remote::serve();
    }
    let server = Remote::start(TEST);
    let build = || {
        axiom_layer::builder()
            .token("xaat-any")
            .dataset("main")
            .url(&server.url)
            .flush_interval(Duration::from_millis(5))
            .diagnostics(false)
            .build()
            .unwrap()
    };
    let (layer, guard) = build();
    let seen = Seen::default();
    tracing_subscriber::registry()
        .with(layer)
        .with(seen.clone())
        .init();
    info!("one");
    // Another layer is made, asked and dropped, all of it on this thread.
    let (_layer, other) = build();
    assert_eq!(other.flush(LONG).unwrap().recorded(), 0);
    drop(other);
    guard.flush(LONG).unwrap();
    smol::block_on(guard.flush_async()).unwrap();
    let stats = guard.shutdown(LONG).unwrap();
    assert_eq!((stats.recorded(), stats.delivered()), (1, 1), "{stats}");
    drop(guard);
    assert_eq!(*seen.0.lock().unwrap(), ["tokio_tracing"]);

    // Only so is it known that tokio does record what the application does with it.
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {});
    let of_tokio = |target: &String| target.starts_with("tokio::");
    let is_on = seen.0.lock().unwrap().iter().any(of_tokio);
    assert_eq!(is_on, cfg!(tokio_unstable));

    assert_eq!(server.end().0.len(), 1);
}
