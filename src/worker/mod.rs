//! The one background thread, `axiom-layer`: it takes chunks, makes batches, sends them, and acts on the answers.
//!
//! It has a runtime of its own, so that nothing runs on the application's. Its thread and those of
//! its runtime are fenced: what the HTTP client logs there is never ingested.

mod allowance;
mod answer;
mod backoff;
mod batch;
mod body;
mod commands;
mod destination;
mod digest;
mod ending;
mod exchange;
mod heartbeat;
mod hedge;
mod inbox;
mod isolate;
mod limit;
mod pace;
mod report;
mod response;
mod schedule;
mod size;
mod streak;
mod token;
mod transport;
mod trouble;
mod waiters;
mod words;

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

pub(crate) use self::allowance::clock_skew;
pub(crate) use self::answer::Answer;
pub(crate) use self::batch::{Batcher, Limits};
pub(crate) use self::body::{Body, Encoder, Layout};
use self::commands::Closing;
use self::destination::Destination;
use self::exchange::{Attempt, Flight};
pub(crate) use self::heartbeat::Heartbeat;
use self::hedge::Hedge;
use self::inbox::Asked;
pub(crate) use self::inbox::Inbox;
pub(crate) use self::response::{Outcome, Peer, outcome};
use self::schedule::Schedule;
pub(crate) use self::token::bearer;
pub(crate) use self::transport::{
    Credentials, Settings as TransportSettings, Transport, forwarder, proxy,
};
pub(crate) use self::trouble::{NoAnswer, Trouble};
pub(crate) use self::waiters::Flushed;
use self::waiters::Flushes;
pub(crate) use self::words::{ADDRESS, Place, Words, shown};
use crate::process::fence;
use crate::queue::{Queue, Signal};
use crate::report::{Counters, Diag, Stats};

/// How long to wait for a record that a producer is just now appending.
const STRAGGLER: Duration = Duration::from_millis(1);

/// After the worker panicked it starts again, but not in a hurry.
const PANIC_WAIT: Duration = Duration::from_millis(100);

/// Files that a runtime opens at the most: its event queue and a duplicate of it, what wakes it, and two pairs of sockets for signals.
const RUNTIME_FILES: usize = 8;

/// What the worker needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) flush_interval: Duration,
    pub(crate) retry_timeout: Option<Duration>,
    pub(crate) refused_pause: Duration,
    pub(crate) transport: TransportSettings,
    pub(crate) encoder: Encoder,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) peer: Peer,
}

/// A dataset and its queue.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) url: reqwest::Url,
    pub(crate) queue: Arc<Queue>,
    pub(crate) limits: Limits,
}

/// The parts that worker and guard share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queues: Vec<Arc<Queue>>,
    pub(crate) signal: Arc<Signal>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) diag: Diag,
    /// What the worker is asked for.
    pub(crate) inbox: Inbox,
}

impl Shared {
    pub(crate) fn stats(&self) -> Stats {
        self.counters
            .snapshot(|| self.queues.iter().map(|queue| queue.appended()).sum())
    }
}

/// Starts the worker's thread.
///
/// # Errors
/// The system gives no thread, or no event queue for its runtime.
pub(crate) fn spawn(
    settings: Settings,
    sources: Vec<Source>,
    shared: Arc<Shared>,
) -> io::Result<JoinHandle<()>> {
    // With the feature `tracing` of tokio, what it makes and drops is recorded. The application's thread goes on after.
    let _fence = fence::raise_for_now();
    let runtime = runtime(4)?;
    let mut worker = Worker::new(settings, sources, shared);
    std::thread::Builder::new()
        .name("axiom-layer".into())
        .spawn(move || {
            fence::raise();
            // A panic is a defect of ours. It costs the batch in hand, not those behind it.
            while catch_unwind(AssertUnwindSafe(|| runtime.block_on(worker.run()))).is_err() {
                if !worker.restart() {
                    break;
                }
            }
            runtime.shutdown_background();
            worker.end();
        })
}

/// A runtime of one thread, and of so many more for the resolution of names.
///
/// # Errors
/// The system gives no event queue.
pub(crate) fn runtime(resolvers: usize) -> io::Result<tokio::runtime::Runtime> {
    // Where the application has tokio's signals, its runtime panics for want of files instead of saying so.
    trouble::want_files(RUNTIME_FILES)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(resolvers)
        .thread_name("axiom-layer-dns")
        .on_thread_start(fence::raise)
        .build()
}

/// Why the worker woke up.
enum Wake {
    Answer(u64, Result<Answer, NoAnswer>),
    Asked(Asked),
    Signal,
    Time,
}

struct Worker {
    settings: Settings,
    destinations: Vec<Destination>,
    shared: Arc<Shared>,
    /// Made when first needed, for loading certificates takes a while.
    transport: Option<Transport>,
    /// How many there were so far.
    transports_made: u64,
    /// The next request needs another one, for a connection of this one may be wedged.
    is_wedged: bool,
    hedge: Hedge,
    /// The last answer about the token in use was a refusal.
    is_token_refused: bool,
    attempts: FuturesUnordered<Attempt>,
    flights: HashMap<u64, Flight>,
    next_flight: u64,
    flushes: Flushes,
    /// Those before the process ends.
    last_flushes: Flushes,
    closing: Option<Closing>,
    schedule: Schedule,
    random: SmallRng,
    /// Drops for want of room that were reported.
    overflow_reported: u64,
    panics_in_a_row: u32,
}

impl Worker {
    fn new(settings: Settings, sources: Vec<Source>, shared: Arc<Shared>) -> Self {
        let schedule = Schedule::new(settings.flush_interval);
        let refused_pause = settings.refused_pause;
        Self {
            settings,
            destinations: sources
                .into_iter()
                .map(|source| {
                    Destination::new(source.name, source.url, source.queue, source.limits)
                        .with_refused_pause(refused_pause)
                })
                .collect(),
            shared,
            transport: None,
            transports_made: 0,
            is_wedged: false,
            hedge: Hedge::default(),
            is_token_refused: false,
            attempts: FuturesUnordered::new(),
            flights: HashMap::new(),
            next_flight: 0,
            flushes: Flushes::default(),
            last_flushes: Flushes::default(),
            closing: None,
            schedule,
            random: SmallRng::seed_from_u64(crate::trace::random_seed()),
            overflow_reported: 0,
            panics_in_a_row: 0,
        }
    }

    /// Runs until the guard has shut it down.
    async fn run(&mut self) {
        if self.panics_in_a_row > 0 {
            self.calm_down().await;
        }
        loop {
            let now = Instant::now();
            self.beat(now);
            self.hedge(now);
            self.send(now);
            if self.answer_commands(now) {
                return;
            }
            match self.wait(now).await {
                Wake::Answer(id, answer) => {
                    self.conclude(id, answer, Instant::now());
                    self.panics_in_a_row = 0;
                }
                Wake::Asked(asked) => self.accept(asked, Instant::now()),
                Wake::Signal => self.woken(Instant::now()),
                Wake::Time => {}
            }
            self.tick(Instant::now());
            #[cfg(test)]
            tests::panic_if_planned(tests::Point::Idle, &self.destinations[0].url);
        }
    }

    /// A shutdown does not wait for long: its deadline is near.
    async fn calm_down(&mut self) {
        let mut wait = PANIC_WAIT * (1 << self.panics_in_a_row.min(6));
        if self.closing.is_some() {
            wait = PANIC_WAIT;
        }
        let mut timer = Box::pin(tokio::time::sleep(wait));
        let was_closing = self.closing.is_some();
        while self.closing.is_some() == was_closing {
            let asked = poll_fn(|cx| {
                if !was_closing && let Poll::Ready(asked) = self.shared.inbox.poll(cx) {
                    return Poll::Ready(Some(asked));
                }
                timer.as_mut().poll(cx).map(|()| None)
            });
            match asked.await {
                Some(asked) => self.accept(asked, Instant::now()),
                None => return,
            }
        }
    }

    /// After the shutdown was asked for, nothing is recorded any more.
    fn next_beat(&self) -> Option<Instant> {
        let heartbeat = self.settings.heartbeat.as_ref()?;
        self.closing.is_none().then(|| heartbeat.due())
    }

    fn beat(&mut self, now: Instant) {
        if self.closing.is_some() {
            return;
        }
        // The ledger is summed when it is time, not whenever the worker wakes.
        let Some(heartbeat) = self
            .settings
            .heartbeat
            .as_mut()
            .filter(|one| one.is_due(now))
        else {
            return;
        };
        let line = heartbeat.beat(now, &self.shared.stats());
        self.shared.queues[0].push(&line);
    }

    // Waiting.

    async fn wait(&mut self, now: Instant) -> Wake {
        let at = self.next_look(now);
        let mut timer = at.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        poll_fn(|cx| self.poll_wake(cx, timer.as_mut().map(|timer| timer.as_mut()))).await
    }

    fn poll_wake(
        &mut self,
        cx: &mut Context<'_>,
        timer: Option<Pin<&mut tokio::time::Sleep>>,
    ) -> Poll<Wake> {
        if let Poll::Ready(Some((id, answer))) = self.attempts.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Answer(id, answer));
        }
        if let Poll::Ready(asked) = self.shared.inbox.poll(cx) {
            return Poll::Ready(Wake::Asked(asked));
        }
        if self.shared.signal.poll_raised(cx).is_ready() {
            return Poll::Ready(Wake::Signal);
        }
        match timer.map(|timer| timer.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Wake::Time),
            _ => Poll::Pending,
        }
    }

    /// When there will be something to do, if nothing happens before.
    fn next_look(&self, now: Instant) -> Option<Instant> {
        let is_asked =
            !self.flushes.is_empty() || !self.last_flushes.is_empty() || self.closing.is_some();
        let mut destinations = self.destinations.iter();
        // While the rate forbids a request, a record that is just now appended can wait, too.
        let straggler = is_asked
            && self.schedule.may_send(now)
            && destinations.any(|one| one.has_straggler(now));
        self.schedule
            .wakes_at(now, &self.destinations)
            .into_iter()
            .chain(self.closing.as_ref().map(|closing| closing.deadline))
            .chain(straggler.then(|| now + STRAGGLER))
            .chain(self.next_beat())
            .chain(self.hedge.at().filter(|_| !self.flights.is_empty()))
            .min()
    }

    /// A producer has appended something, or filled enough chunks.
    fn woken(&mut self, now: Instant) {
        self.schedule.woken(now, self.random.random());
        self.report_overflow(now);
    }

    fn tick(&mut self, now: Instant) {
        let signal = &self.shared.signal;
        if self.schedule.tick(now, &mut self.destinations, signal) {
            self.report_overflow(now);
        }
    }
}

#[cfg(test)]
mod fleet;
#[cfg(test)]
mod tests;
