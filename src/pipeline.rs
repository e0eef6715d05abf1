//! Puts the parts together: queues and worker, from one validated configuration.
//!
//! A process that is forked has no worker: threads do not survive. The first record in the child, or
//! the first use of the guard there, gives it a pipeline of its own. What the parent had queued
//! stays the parent's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use once_cell::race::OnceBox;
use reqwest::header::{HeaderValue, InvalidHeaderValue};

use crate::config::{Config, Destination, Endpoint};
use crate::diag::{Cause, Diag, Diagnostic, Sink};
use crate::error::BuildError;
use crate::exit;
use crate::fence;
use crate::fork::Process;
use crate::frontend::json::Ansi;
use crate::frontend::{AxiomLayer, CallsiteOptions, OpenSpans, Options, Placement, Tracer};
use crate::guard::Guard;
use crate::late::Late;
use crate::queue::{Queue, Signal};
use crate::running;
use crate::stats::{Counters, DropReason, Stats};
use crate::worker::{
    self, Credentials, Encoder, Flushed, Heartbeat, Inbox, Layout, Peer, Shared, Source, Words,
};

/// Queues, worker and the way to talk to it, in one process.
#[derive(Debug)]
pub(crate) struct Pipeline {
    config: Arc<Config>,
    process: Process,
    shared: Arc<Shared>,
    /// Those of the layer, to be counted.
    spans: Arc<OpenSpans>,
    thread: Mutex<Option<JoinHandle<()>>>,
    late: Late,
    /// Losses that some receipt has told of.
    lost_before: AtomicU64,
    /// In a child of the process that this was made in. Set without a lock: the thread that would hold it may be one
    /// that a fork left behind.
    child: OnceBox<Arc<Pipeline>>,
}

/// Starts the worker. Opens no connection and loads no certificates: the worker does, on its own thread.
pub(crate) fn start(config: Config) -> Result<(AxiomLayer, Guard), BuildError> {
    let options = Options {
        thread_names: config.thread_names,
        span_fields: config.span_fields,
        span_events: config.span_events,
        errors_fail_spans: config.errors_fail_spans,
        panics: config.panics,
        callsites: CallsiteOptions {
            source_location: config.source_location,
            placement: Placement {
                fields: config.field_placement,
                tags: config.labels.names().into(),
            },
            text_fields: config.text_fields.iter().cloned().collect(),
            ansi: if config.keep_ansi {
                Ansi::Keep
            } else {
                Ansi::Strip
            },
        },
        labels: config.labels.members().into(),
    };
    let spans = Arc::new(OpenSpans::default());
    let pipeline = Arc::new(Pipeline::new(Arc::new(config), Arc::clone(&spans))?);
    if pipeline.has_exit_hooks() {
        exit::install(pipeline.shutdown_timeout());
    }
    if options.panics {
        exit::watch_panics();
    }
    running::add(&pipeline);
    let tracer = Tracer::new(Arc::clone(&pipeline), spans, options);
    Ok((AxiomLayer::new(tracer), Guard::new(pipeline)))
}

/// A layer that records nothing, and a guard with nothing to deliver. No thread is started.
pub(crate) fn inert() -> (AxiomLayer, Guard) {
    (AxiomLayer::inert(), Guard::inert())
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // In a forked child there is no such thread. The system has forgotten it and may have given what it is known
        // by to a thread of the child's own, which a dropped handle would detach: it could not be joined any more.
        if !self.process.is_this() {
            let thread = self.thread.get_mut();
            std::mem::forget(thread.unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

impl Pipeline {
    fn new(config: Arc<Config>, spans: Arc<OpenSpans>) -> Result<Self, BuildError> {
        let shared = shared(&config, Inbox::default());
        let sources = destinations(&config)
            .into_iter()
            .zip(&shared.queues)
            .map(|(destination, queue)| source(&config, destination, queue))
            .collect();
        let settings = worker_settings(&config)?;
        let thread = worker::spawn(settings, sources, Arc::clone(&shared)).map_err(|error| {
            let words = Words::of_system("the worker can not be started".to_owned(), &error);
            BuildError::system(words.what, error).fix(words.fix)
        })?;
        Ok(Self {
            config,
            process: Process::new(),
            shared,
            spans,
            thread: Mutex::new(Some(thread)),
            late: Late::default(),
            lost_before: AtomicU64::new(0),
            child: OnceBox::new(),
        })
    }

    /// One that has ended before it began: what is recorded is counted.
    fn closed(config: Arc<Config>, spans: Arc<OpenSpans>) -> Self {
        let shared = shared(&config, Inbox::closed());
        for queue in &shared.queues {
            queue.close();
        }
        Self {
            config,
            process: Process::new(),
            shared,
            spans,
            thread: Mutex::new(None),
            late: Late::default(),
            lost_before: AtomicU64::new(0),
            child: OnceBox::new(),
        }
    }

    /// This pipeline, or in a forked child the child's own.
    #[inline]
    pub(crate) fn here(self: &Arc<Self>) -> &Arc<Self> {
        if self.process.is_this() {
            self
        } else {
            self.in_child()
        }
    }

    #[cold]
    fn in_child(self: &Arc<Self>) -> &Arc<Self> {
        let child = self.child(|| {
            let config = Arc::clone(&self.config);
            // No thread to be had: what the child records is counted.
            let spans = || Arc::clone(&self.spans);
            Self::new(config, spans())
                .unwrap_or_else(|_| Self::closed(self.config.clone(), spans()))
        });
        child.here()
    }

    /// The pipeline of a child of this process. Several threads of the child may make one, and the first is kept; the worker of
    /// another ends when that is dropped.
    fn child(&self, make: impl FnOnce() -> Self) -> &Arc<Self> {
        if let Some(child) = self.child.get() {
            return child;
        }
        let made = Arc::new(make());
        let child = self.child.get_or_init(|| Box::new(Arc::clone(&made)));
        if Arc::ptr_eq(child, &made) {
            if child.has_exit_hooks() && child.is_open() {
                exit::install(child.shutdown_timeout());
            }
            running::add(child);
        }
        child
    }

    /// Like [`here`](Self::here), but a child that has recorded nothing is given no pipeline.
    pub(crate) fn existing(self: &Arc<Self>) -> Option<&Arc<Self>> {
        if self.process.is_this() {
            Some(self)
        } else {
            self.child.get()?.existing()
        }
    }

    /// Like [`here`](Self::here), but a child that has recorded nothing will not record anything either.
    pub(crate) fn here_or_closed(self: &Arc<Self>) -> &Arc<Self> {
        if self.process.is_this() {
            return self;
        }
        let closed = || Self::closed(Arc::clone(&self.config), Arc::clone(&self.spans));
        self.child(closed).here_or_closed()
    }

    pub(crate) fn events(&self) -> &Queue {
        &self.shared.queues[0]
    }

    /// The same as the events' unless spans have a dataset of their own.
    pub(crate) fn spans(&self) -> &Queue {
        &self.shared.queues[self.shared.queues.len() - 1]
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn diag(&self) -> &Diag {
        &self.shared.diag
    }

    pub(crate) fn stats(&self) -> Stats {
        let open = self.spans.iter().filter(|span| !span.has_ended());
        self.shared.stats().with_open_spans(open.count() as u64)
    }

    /// Records that were lost and that no receipt has told of, until now. Several threads may ask, and each
    /// may have looked at the ledger earlier than it asks.
    pub(crate) fn newly_lost(&self, stats: &Stats) -> u64 {
        let lost = stats.dropped();
        lost.saturating_sub(self.lost_before.fetch_max(lost, Ordering::Relaxed))
    }

    pub(crate) fn shutdown_timeout(&self) -> Duration {
        self.config.limits.shutdown_timeout
    }

    pub(crate) fn has_exit_hooks(&self) -> bool {
        self.config.exit_hooks
    }

    pub(crate) fn is_open(&self) -> bool {
        self.thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    pub(crate) fn late(&self) -> &Late {
        &self.late
    }

    /// A record came after the shutdown, and was counted.
    #[cold]
    pub(crate) fn recorded_late(self: &Arc<Self>) {
        if !self.late.see(Instant::now()) {
            return;
        }
        let pipeline = Arc::clone(self);
        let say = move || {
            fence::raise();
            pipeline.report_late();
        };
        let thread = std::thread::Builder::new().name("axiom-layer-late".into());
        // Without a thread it is said at the exit.
        drop(thread.spawn(say));
    }

    pub(crate) fn report_late_at_exit(&self) {
        if self.stats().dropped_for(DropReason::AfterShutdown) > 0 {
            self.late.see_at_exit();
        }
        self.report_late();
        self.late.hear_out();
    }

    /// Says, unless that was done, what came after the guard was dropped.
    fn report_late(&self) {
        self.late.say(|| {
            let effect = match self.stats().dropped_for(DropReason::AfterShutdown) {
                1 => "1 record was dropped for this so far".to_owned(),
                records => format!("{records} records were dropped for this so far"),
            };
            let diagnostic = Diagnostic::new(
                Cause::AfterShutdown,
                "records were made after the guard was dropped",
                effect,
                "keep the guard until the last record: bind it neither to `_` nor inside a function that returns, and let tasks end before it, also those that #[tokio::main] cancels after the end of main",
            );
            self.diag().report("", Instant::now(), diagnostic);
        });
    }

    /// Whether the calling thread is the worker's.
    pub(crate) fn is_worker(&self) -> bool {
        if !fence::is_raised() {
            return false;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = thread.as_ref().map(|thread| thread.thread().id());
        worker == Some(std::thread::current().id())
    }

    /// Asks for the delivery of what was recorded so far.
    pub(crate) fn ask_for_flush(&self) -> oneshot::Receiver<Flushed> {
        self.shared.inbox.ask_for_delivery(false)
    }

    /// The same before the process ends.
    pub(crate) fn ask_for_last_flush(&self) -> oneshot::Receiver<Flushed> {
        self.shared.inbox.ask_for_delivery(true)
    }

    /// Ends recording and asks for the end of the worker. `None`: it has ended before.
    pub(crate) fn ask_for_shutdown(&self, deadline: Instant) -> Option<oneshot::Receiver<Flushed>> {
        for queue in &self.shared.queues {
            queue.close();
        }
        self.shared.inbox.ask_for_end(deadline)
    }

    /// After the worker's last word: its thread ends now.
    pub(crate) fn join(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // It catches its own panics.
            drop(thread.join());
        }
    }
}

fn shared(config: &Config, inbox: Inbox) -> Arc<Shared> {
    let sink = Sink::new(config.on_diagnostic.as_ref(), config.diagnostics);
    let counters = Arc::new(Counters::default());
    let signal = Arc::new(Signal::default());
    let destinations = destinations(config).len();
    let queue = |_| {
        Queue::new(
            // One dataset must not starve the other.
            config.limits.queue_max_bytes / destinations,
            config.limits.overflow,
            config.limits.batch_max_bytes,
            Arc::clone(&signal),
            Arc::clone(&counters),
        )
    };
    Arc::new(Shared {
        queues: (0..destinations).map(queue).collect(),
        signal: Arc::clone(&signal),
        counters: Arc::clone(&counters),
        diag: Diag::new(sink),
        inbox,
    })
}

fn destinations(config: &Config) -> Vec<&Destination> {
    std::iter::once(&config.events)
        .chain(&config.spans)
        .collect()
}

fn source(config: &Config, destination: &Destination, queue: &Arc<Queue>) -> Source {
    let url = &destination.url;
    Source {
        name: destination
            .dataset
            .clone()
            .unwrap_or_else(|| worker::shown(url)),
        url: url.clone(),
        queue: Arc::clone(queue),
        limits: worker::Limits {
            max_events: u32::try_from(config.limits.batch_max_events).unwrap_or(u32::MAX),
            max_bytes: config.limits.batch_max_bytes,
        },
    }
}

pub(crate) fn worker_settings(config: &Config) -> Result<worker::Settings, BuildError> {
    let is_https = destinations(config)
        .iter()
        .any(|destination| destination.url.scheme() == "https");
    if cfg!(not(any(feature = "rustls", feature = "native-tls"))) && is_https {
        return Err(BuildError::plain(
            "the endpoint is reached by https, but the crate was built without TLS",
        )
        .fix("enable its feature `rustls` or `native-tls`"));
    }
    let layout = match (config.events.endpoint, config.labels.tags()) {
        (Some(Endpoint::ApiIngest), tags) => Layout::Groups {
            tags: tags.unwrap_or("{}").into(),
        },
        _ => Layout::of(config.format),
    };
    let transport = worker::TransportSettings {
        credentials: Credentials {
            authorization: worker::bearer(config.token.expose()).map_err(unsendable)?,
            org_id: config.org_id.as_deref().map(header).transpose()?,
            labels: config.labels.header().map(header).transpose()?,
        },
        token_file: config.token_file.clone(),
        content_type: layout.content_type(),
        request_timeout: config.limits.request_timeout,
        is_loopback: config.loopback,
        is_https,
    };
    let encoder = Encoder::new(layout, config.compression)
        .map_err(|error| BuildError::system("the compressor can not be set up", error))?;
    Ok(worker::Settings {
        flush_interval: config.limits.flush_interval,
        retry_timeout: config.limits.retry_timeout,
        refused_pause: config.limits.refused_pause,
        transport,
        encoder,
        heartbeat: config
            .limits
            .heartbeat
            .map(|interval| Heartbeat::new(interval, config.labels.members())),
        peer: if config.gateway {
            Peer::Gateway
        } else {
            Peer::Axiom
        },
    })
}

/// The configuration has checked every character, so this can not fail.
fn header(text: &str) -> Result<HeaderValue, BuildError> {
    HeaderValue::from_str(text).map_err(unsendable)
}

fn unsendable(error: InvalidHeaderValue) -> BuildError {
    BuildError::system("a setting can not be sent as a header", error)
}
