//! Queues, worker and the way to talk to it, in one process and in those forked from it.
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

use super::assemble::{destinations, shared, source, worker_settings};
use super::late::Late;
use crate::config::Config;
use crate::frontend::OpenSpans;
use crate::process::{Process, fence};
use crate::queue::{Lanes, Outlet, Owner};
use crate::report::{BuildError, Cause, Diag, Diagnostic, DropReason, Stats, records_were};
use crate::worker::{self, Flushed, Inbox, Shared, Words};

/// What begins with a pipeline in its process, beside its worker.
type Begin = fn(&Arc<Pipeline>);

/// Queues, worker and the way to talk to it, in one process.
#[derive(Debug)]
pub(crate) struct Pipeline {
    config: Arc<Config>,
    process: Process,
    shared: Arc<Shared>,
    lanes: Lanes,
    begin: Begin,
    /// Those of the layer, to be counted.
    spans: Arc<OpenSpans>,
    thread: Mutex<Option<JoinHandle<()>>>,
    late: Arc<Late>,
    /// Losses that some receipt has told of.
    lost_before: AtomicU64,
    /// In a child of the process that this was made in. Set without a lock: the thread that would hold it may be one
    /// that a fork left behind.
    child: OnceBox<Arc<Pipeline>>,
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // In a forked child there is no such thread. The system has forgotten it and may have given what it is known
        // by to a thread of the child's own, which a dropped handle would detach: it could not be joined any more.
        if !self.process.is_this() {
            let thread = self.thread.get_mut();
            std::mem::forget(thread.unwrap_or_else(PoisonError::into_inner).take());
            return;
        }
        // Nobody can ask its worker for anything any more. One that was asked to end before keeps its deadline.
        drop(self.ask_for_shutdown(Instant::now()));
    }
}

impl Pipeline {
    pub(super) fn new(
        config: Arc<Config>,
        spans: Arc<OpenSpans>,
        begin: Begin,
    ) -> Result<Self, BuildError> {
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
            lanes: lanes(&shared),
            begin,
            shared,
            spans,
            thread: Mutex::new(Some(thread)),
            late: Arc::default(),
            lost_before: AtomicU64::new(0),
            child: OnceBox::new(),
        })
    }

    /// One that has ended before it began: what is recorded is counted.
    fn closed(config: Arc<Config>, spans: Arc<OpenSpans>, begin: Begin) -> Self {
        let shared = shared(&config, Inbox::closed());
        for queue in &shared.queues {
            queue.close();
        }
        Self {
            config,
            process: Process::new(),
            lanes: lanes(&shared),
            begin,
            shared,
            spans,
            thread: Mutex::new(None),
            late: Arc::default(),
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
    fn in_child(&self) -> &Arc<Self> {
        let child = self.child(|| {
            let config = Arc::clone(&self.config);
            // No thread to be had: what the child records is counted.
            let spans = || Arc::clone(&self.spans);
            Self::new(config, spans(), self.begin)
                .unwrap_or_else(|_| Self::closed(self.config.clone(), spans(), self.begin))
        });
        child.here()
    }

    /// The pipeline of a child of this process. Several threads of the child may make one. The first is kept; the others are
    /// dropped, which ends their workers.
    fn child(&self, make: impl FnOnce() -> Self) -> &Arc<Self> {
        if let Some(child) = self.child.get() {
            return child;
        }
        let made = Arc::new(make());
        let child = self.child.get_or_init(|| Box::new(Arc::clone(&made)));
        if Arc::ptr_eq(child, &made) {
            (self.begin)(child);
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
        let closed = || {
            let (config, spans) = (Arc::clone(&self.config), Arc::clone(&self.spans));
            Self::closed(config, spans, self.begin)
        };
        self.child(closed).here_or_closed()
    }

    /// Where the layer's lines go.
    pub(super) fn outlet(self: &Arc<Self>) -> Outlet {
        let owner: Arc<dyn Owner> = Arc::clone(self) as _;
        Outlet::new(self.process.clone(), self.lanes.clone(), owner)
    }

    #[cfg(test)]
    pub(super) fn counters(&self) -> &crate::report::Counters {
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

    pub(crate) fn report_late_at_exit(&self) {
        if self.stats().dropped_for(DropReason::AfterShutdown) > 0 {
            self.late.see_at_exit();
        }
        report_late(&self.late, &self.shared);
        self.late.hear_out();
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
        self.shared.inbox.ask_for_delivery()
    }

    /// The same before the process ends, at the deadline at the latest.
    pub(crate) fn ask_for_last_flush(&self, deadline: Instant) -> oneshot::Receiver<Flushed> {
        self.shared.inbox.ask_for_last_delivery(deadline)
    }

    /// The process does not end after all.
    pub(crate) fn say_that_it_goes_on(&self) {
        self.shared.inbox.say_that_it_goes_on();
    }

    /// Ends recording and asks for the end of the worker. `None`: it has ended before.
    pub(crate) fn ask_for_shutdown(&self, deadline: Instant) -> Option<oneshot::Receiver<Flushed>> {
        for queue in &self.shared.queues {
            queue.close();
        }
        self.shared.inbox.ask_for_end(deadline)
    }

    /// After the worker's last word: waits for its thread, which ends now.
    pub(crate) fn join(&self) {
        if let Some(thread) = self.take_thread() {
            // It catches its own panics.
            drop(thread.join());
        }
    }

    /// After the worker's last word: lets its thread end by itself.
    pub(crate) fn leave(&self) {
        drop(self.take_thread());
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.take()
    }
}

impl Owner for Pipeline {
    fn lanes_in_child(&self) -> &Lanes {
        &self.in_child().lanes
    }

    fn recorded_late(&self) {
        if !self.process.is_this() {
            return self.in_child().recorded_late();
        }
        if !self.late.see(Instant::now()) {
            return;
        }
        let (late, shared) = (Arc::clone(&self.late), Arc::clone(&self.shared));
        let say = move || {
            fence::raise();
            report_late(&late, &shared);
        };
        let thread = std::thread::Builder::new().name("axiom-layer-late".into());
        // Without a thread it is said at the exit.
        drop(thread.spawn(say));
    }
}

/// Spans go to the last queue: that of the events, unless they have a dataset of their own.
fn lanes(shared: &Shared) -> Lanes {
    let queues = &shared.queues;
    Lanes::new(&queues[0], &queues[queues.len() - 1], &shared.counters)
}

/// Says, unless that was done, how many records were made after the guard was dropped.
fn report_late(late: &Late, shared: &Shared) {
    late.say(|| {
        let dropped = shared.stats().dropped_for(DropReason::AfterShutdown);
        let diagnostic = Diagnostic::new(
            Cause::AfterShutdown,
            "records were made after the guard was dropped",
            records_were(dropped, "dropped for this so far"),
            "keep the guard until the last record: bind it neither to `_` nor inside a function that returns, and let tasks end before it, also those that #[tokio::main] cancels after the end of main",
        );
        shared.diag.report("", Instant::now(), diagnostic);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn the_worker_of_a_pipeline_that_came_second_in_a_child_ends() {
        let builder = crate::builder().url("http://localhost:1").token("t");
        let (_layer, guard) = builder.dataset("d").diagnostics(false).build().unwrap();
        let parent = guard.pipeline_for_tests();
        let make = || {
            let (config, spans) = (Arc::clone(&parent.config), Arc::clone(&parent.spans));
            Pipeline::new(config, spans, |_| ()).unwrap()
        };
        // What the worker's thread keeps as long as it runs.
        let mut second = Weak::new();
        let kept = parent.child(|| {
            parent.child(make);
            let made = make();
            second = Arc::downgrade(&made.shared);
            made
        });
        let start = Instant::now();
        while second.strong_count() > 0 {
            assert!(start.elapsed() < PATIENCE, "its worker goes on");
            std::thread::yield_now();
        }
        assert!(kept.is_open());
        kept.ask_for_shutdown(Instant::now());
    }
}
