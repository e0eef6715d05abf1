//! A program that records, and what its layer says of its own trouble.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use axiom_layer::{Builder, Cause, Diagnostic, FlushError, Guard, Stats};
use axiom_local::Server;
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::prelude::*;

use crate::audit::{Account, Held, account};

pub(crate) const DATASET: &str = "logs";

/// Long enough for anything that is not stuck, on a machine that is busy.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// What a busy machine may add to a deadline: where a test looks at one, the alternative is longer still.
pub(crate) const SLACK: Duration = Duration::from_secs(5);

/// Set for a process whose endpoints speak HTTP/2 over TLS: the file of certificates that it trusts.
pub(crate) const OVER_HTTP2: &str = "AXIOM_LAYER_TEST_OVER_HTTP2";

pub(crate) fn is_over_http2() -> bool {
    std::env::var_os(OVER_HTTP2).is_some()
}

pub(crate) fn server() -> Server {
    server_options().start().unwrap()
}

/// An endpoint that is yet to start. It speaks HTTP/1.1 in the clear, unless the process is one for HTTP/2 over TLS.
pub(crate) fn server_options() -> axiom_local::Builder {
    let options = Server::builder();
    match std::env::var_os(OVER_HTTP2) {
        Some(trusted) => options.tls(true).ca_file(trusted),
        None => options,
    }
}

/// The address of an endpoint that starts later, if at all.
pub(crate) fn url_of(port: u16) -> String {
    if is_over_http2() {
        // The issuer is trusted before that.
        drop(server());
        return format!("https://127.0.0.1:{port}");
    }
    format!("http://127.0.0.1:{port}")
}

/// A layer that hands over quickly, and keeps quiet on stderr.
pub(crate) fn builder(url: &str) -> Builder {
    axiom_layer::builder()
        .token("xaat-test")
        .dataset(DATASET)
        .url(url)
        .service_name("delivery")
        .flush_interval(Duration::from_millis(20))
        .diagnostics(false)
}

/// What the layer said of its own trouble.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<(Mutex<Vec<Diagnostic>>, Condvar)>);

impl Said {
    pub(crate) fn hook(&self) -> impl Fn(&Diagnostic) + Send + Sync + 'static {
        let said = Arc::clone(&self.0);
        move |diagnostic| {
            said.0.lock().unwrap().push(diagnostic.clone());
            said.1.notify_all();
        }
    }

    /// Waits for the first message about this cause.
    pub(crate) fn wait_for(&self, cause: Cause) -> Diagnostic {
        let (all, changed) = &*self.0;
        let silent = |all: &mut Vec<Diagnostic>| all.iter().all(|one| one.cause() != cause);
        let (all, waited) = changed
            .wait_timeout_while(all.lock().unwrap(), LONG, silent)
            .unwrap();
        assert!(
            !waited.timed_out(),
            "nothing was said of {cause:?}: {all:?}"
        );
        all.iter().find(|one| one.cause() == cause).unwrap().clone()
    }

    /// Waits until something was said, whatever it was.
    pub(crate) fn wait(&self) {
        let (all, changed) = &*self.0;
        let silent = |all: &mut Vec<Diagnostic>| all.is_empty();
        let waited = changed
            .wait_timeout_while(all.lock().unwrap(), LONG, silent)
            .unwrap();
        assert!(!waited.1.timed_out(), "nothing was said");
    }

    /// Every message in full.
    pub(crate) fn all(&self) -> Vec<String> {
        let all = self.0.0.lock().unwrap();
        all.iter().map(Diagnostic::to_string).collect()
    }

    pub(crate) fn causes(&self) -> Vec<Cause> {
        let all = self.0.0.lock().unwrap();
        all.iter().map(Diagnostic::cause).collect()
    }
}

/// An application: a subscriber with our layer, a guard, and the count of what it recorded.
pub(crate) struct Program {
    pub(crate) guard: Guard,
    pub(crate) dispatch: Dispatch,
    pub(crate) said: Said,
    recorded: AtomicU64,
}

impl Program {
    pub(crate) fn new(url: &str) -> Self {
        Self::with(url, |builder| builder)
    }

    /// One whose records leave when a batch is full or when it is told to, so that requests can be counted.
    pub(crate) fn slow(url: &str) -> Self {
        Self::with(url, |builder| builder.flush_interval(LONG))
    }

    pub(crate) fn with(url: &str, options: impl FnOnce(Builder) -> Builder) -> Self {
        let said = Said::default();
        let builder = options(builder(url)).on_diagnostic(said.hook());
        let (layer, guard) = builder.build().unwrap();
        Self {
            guard,
            dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)),
            said,
            recorded: AtomicU64::new(0),
        }
    }

    /// One event for each number, from the calling thread.
    pub(crate) fn record(&self, seqs: Range<u64>) {
        self.record_with(seqs, "");
    }

    pub(crate) fn record_with(&self, seqs: Range<u64>, text: &str) {
        let events = seqs.end - seqs.start;
        with_default(&self.dispatch, || {
            for seq in seqs {
                tracing::info!(seq, text, "step");
            }
        });
        self.recorded.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.guard.stats()
    }

    pub(crate) fn flush(&self) -> Result<Stats, FlushError> {
        self.guard.flush(LONG)
    }

    pub(crate) fn flush_within(&self, timeout: Duration) -> bool {
        self.guard.flush(timeout).is_ok()
    }

    /// Asks for delivery without waiting for it.
    pub(crate) fn push(&self) {
        drop(self.guard.flush(Duration::ZERO));
    }

    /// Shuts down and audits. At half of its time a shutdown sends once more what is under way, which on a busy machine is not to make
    /// a duplicate of what was stored.
    pub(crate) fn finish(self, server: &Server) -> Account {
        drop(self.guard.shutdown(4 * LONG));
        self.audit(&[server])
    }

    /// After the shutdown. Without a server nothing can have been delivered.
    pub(crate) fn audit(self, servers: &[&Server]) -> Account {
        let held: Vec<Held> = servers.iter().map(|server| Held::by(server)).collect();
        account(&self.stats(), self.recorded(), &held)
    }
}

/// How long it took.
pub(crate) fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = run();
    (value, start.elapsed())
}

/// Time since 1970, in whole seconds.
pub(crate) fn unix_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}
