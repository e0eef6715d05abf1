//! The clock of the simulation, and the workers that it wakes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use reqwest::Url;

use super::super::allowance;
use super::super::answer::Answer;
use super::super::batch::Limits;
use super::super::destination::{Destination, Shipment};
use super::super::response::{self, Outcome, Peer};
use super::super::schedule::Schedule;
use super::endpoint::{Endpoint, wall};
use super::{Figures, Load, MINUTE, Scenario};
use crate::queue::{CHUNK_BYTES, Overflow, Queue, Signal};
use crate::report::Cause;
use crate::report::Counters;

const BATCH_BYTES: usize = 4 << 20;
const QUEUE_BYTES: usize = 8 * CHUNK_BYTES;
const RECORD: &[u8] = b"{}\n";
/// A request takes this and up to as long again.
const LATENCY: Duration = Duration::from_millis(50);
const TENTH: Duration = Duration::from_millis(100);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Record,
    Look(u64),
    /// A request arrives at the endpoint, and its answer at the worker.
    Request(u64),
    Answer(u64),
    Restart,
}

struct Flight {
    index: usize,
    shipment: Shipment,
    started: Instant,
    answer: Option<Answer>,
}

struct Worker {
    schedule: Schedule,
    destinations: Vec<Destination>,
    signal: Arc<Signal>,
    counters: Arc<Counters>,
    flights: HashMap<u64, Flight>,
    /// The look that is planned, for others are out of date.
    look: (u64, Option<Duration>),
    /// Its clock is off by so much, half a second more than it can be behind.
    clock: Duration,
    is_quiet: bool,
    accepted: u64,
    recorded: u64,
    /// The oldest record that was not tried yet.
    waits_since: Option<Duration>,
    has_failed: bool,
    random: SmallRng,
}

impl Worker {
    fn new(scenario: &Scenario, number: usize, seed: u64) -> Self {
        let signal = Arc::new(Signal::default());
        let counters = Arc::new(Counters::default());
        let destinations = (0..scenario.datasets).map(|_| {
            let queue = Queue::new(
                QUEUE_BYTES,
                Overflow::DropNewest,
                BATCH_BYTES,
                Arc::clone(&signal),
                Arc::clone(&counters),
            );
            let url = Url::parse("http://127.0.0.1/").unwrap();
            let limits = Limits {
                max_events: scenario.batch,
                max_bytes: BATCH_BYTES,
            };
            Destination::new("logs".into(), url, queue, limits)
        });
        let mut random = SmallRng::seed_from_u64(seed);
        Self {
            schedule: Schedule::new(scenario.flush_interval),
            destinations: destinations.collect(),
            signal,
            counters,
            flights: HashMap::new(),
            look: (0, None),
            clock: Duration::from_millis(random.random_range(0..1_000)),
            is_quiet: number >= scenario.busy,
            accepted: 0,
            recorded: 0,
            waits_since: None,
            has_failed: false,
            random,
        }
    }

    fn delivered(&self) -> u64 {
        let appended = || {
            self.destinations
                .iter()
                .map(|one| one.queue.appended())
                .sum()
        };
        self.counters.snapshot(appended).delivered()
    }
}

pub(super) struct Simulation {
    scenario: Scenario,
    start: Instant,
    now: Duration,
    plan: BinaryHeap<Reverse<(Duration, u64, usize, What)>>,
    planned: u64,
    endpoint: Endpoint,
    workers: Vec<Worker>,
    random: SmallRng,
    figures: Figures,
    /// What each worker had recorded when the outage or the restart was over.
    backlog: Option<Vec<u64>>,
}

impl Simulation {
    pub(super) fn new(scenario: Scenario) -> Self {
        let mut random = SmallRng::seed_from_u64(scenario.seed);
        let workers: Vec<_> = (0..scenario.workers)
            .map(|number| Worker::new(&scenario, number, random.random()))
            .collect();
        let mut this = Self {
            start: Instant::now(),
            now: Duration::ZERO,
            plan: BinaryHeap::new(),
            planned: 0,
            endpoint: Endpoint::new(scenario.endpoint.clone()),
            workers,
            random,
            figures: Figures::default(),
            backlog: None,
            scenario,
        };
        this.start_all();
        if let Some(at) = this.scenario.restart {
            this.plan(at, 0, What::Restart);
        }
        this
    }

    /// Every program records something as it starts, in the same moment, and then as its load is.
    fn start_all(&mut self) {
        for worker in 0..self.workers.len() {
            self.plan(self.now, worker, What::Record);
        }
    }

    fn plan(&mut self, at: Duration, worker: usize, what: What) {
        self.planned += 1;
        self.plan.push(Reverse((at, self.planned, worker, what)));
    }

    pub(super) fn run(mut self) -> Figures {
        while let Some(Reverse((at, _, worker, what))) = self.plan.pop() {
            if at >= self.scenario.lasts {
                break;
            }
            self.now = at;
            match what {
                What::Record => self.record(worker),
                What::Look(number) if self.workers[worker].look.0 == number => {
                    self.workers[worker].look.1 = None;
                }
                What::Look(_) => continue,
                What::Request(id) => {
                    self.request(worker, id);
                    continue;
                }
                What::Answer(id) => self.answer(worker, id),
                What::Restart => {
                    self.restart();
                    continue;
                }
            }
            self.turn(worker);
        }
        self.figures()
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn restart(&mut self) {
        let old = std::mem::take(&mut self.workers);
        for (number, mut worker) in old.into_iter().enumerate() {
            let seed = self.random.random();
            // Its last delivery, which leaves at once. It counts for the limit, but it is not what is looked at here.
            self.endpoint.answer(self.now, 0, 1.0);
            for destination in &mut worker.destinations {
                destination.drop_all(self.start + self.now);
            }
            let mut next = Worker::new(&self.scenario, number, seed);
            next.accepted = worker.accepted;
            // What was planned for the old process is not for the new one.
            next.look.0 = worker.look.0 + 1;
            self.workers.push(next);
        }
        self.start_all();
        self.backlog = Some(vec![1; self.workers.len()]);
    }

    fn record(&mut self, number: usize) {
        let now = self.instant();
        let is_first = self.workers[number].recorded == 0;
        let worker = &mut self.workers[number];
        let count = worker.destinations.len() as u64;
        worker.destinations[(worker.recorded % count) as usize]
            .queue
            .push(RECORD);
        worker.recorded += 1;
        worker.waits_since.get_or_insert(self.now);
        let mut context = Context::from_waker(Waker::noop());
        if worker.signal.poll_raised(&mut context).is_ready() {
            let random = match self.scenario.is_plain {
                true => 1.0,
                false => worker.random.random(),
            };
            worker.schedule.woken(now, random);
        }
        // A restarted process has its own line of records; the old one's goes on as its.
        if is_first && self.scenario.restart.is_some_and(|at| at == self.now) {
            return;
        }
        let phase = match self.scenario.load {
            Load::Every(_) if is_first => worker.random.random::<f64>(),
            _ => 1.0,
        };
        let busy_from = self.scenario.busy_from;
        let next = match self.scenario.load {
            Load::Every(every) if !worker.is_quiet && self.now >= busy_from => every,
            // Not all at once.
            Load::Every(every) if !worker.is_quiet => {
                let busy = busy_from + every.mul_f64(worker.random.random());
                let quiet = self.now + MINUTE.mul_f64(phase);
                self.plan(quiet.min(busy), number, What::Record);
                return;
            }
            _ => MINUTE,
        };
        self.plan(self.now + next.mul_f64(phase), number, What::Record);
    }

    /// The loop of `Worker::run`, once.
    fn turn(&mut self, number: usize) {
        let now = self.instant();
        let worker = &mut self.workers[number];
        let signal = Arc::clone(&worker.signal);
        worker.schedule.tick(now, &mut worker.destinations, &signal);
        loop {
            let worker = &mut self.workers[number];
            let random = worker.random.random();
            let next = worker
                .schedule
                .next(now, &mut worker.destinations, |_| true, random);
            let Some((index, mut shipment)) = next else {
                break;
            };
            shipment.since.get_or_insert(now);
            if let Some(since) = worker.waits_since.take()
                && !worker.has_failed
            {
                let waited = self.now - since;
                self.figures.longest_wait = self.figures.longest_wait.max(waited);
            }
            let flight = Flight {
                index,
                shipment,
                started: now,
                answer: None,
            };
            let latency = LATENCY.mul_f64(1.0 + worker.random.random::<f64>());
            self.planned += 1;
            let id = self.planned;
            worker.flights.insert(id, flight);
            self.plan(self.now + latency / 2, number, What::Request(id));
            self.plan(self.now + latency, number, What::Answer(id));
        }
        let worker = &mut self.workers[number];
        let at = worker.schedule.wakes_at(now, &worker.destinations);
        let at = at.map(|at| at - self.start);
        if at != worker.look.1 {
            worker.look = (worker.look.0 + 1, at);
            let look = What::Look(worker.look.0);
            if let Some(at) = at {
                self.plan(at, number, look);
            }
        }
    }

    fn request(&mut self, number: usize, id: u64) {
        let Some(flight) = self.workers[number].flights.get_mut(&id) else {
            return;
        };
        let dice = self.random.random();
        let events = flight.shipment.batch.events();
        let index = flight.index;
        flight.answer = self.endpoint.answer(self.now, events, dice);
        let slot = (self.now.as_millis() / TENTH.as_millis()) as usize;
        if self.figures.tenths.len() <= slot {
            self.figures.tenths.resize(slot + 1, 0);
        }
        self.figures.tenths[slot] += 1;
        if self.now >= self.scenario.counted_from {
            let status = flight.answer.as_ref().map(|answer| answer.status);
            self.figures.requests += 1;
            self.figures.limited += u64::from(status == Some(429));
            self.figures.accepted += u64::from(status == Some(200));
            self.figures.by_dataset[index] += u64::from(status == Some(200));
            self.workers[number].accepted += u64::from(status == Some(200));
        }
    }

    /// What `Worker::conclude` does with an answer.
    fn answer(&mut self, number: usize, id: u64) {
        let now = self.instant();
        let worker = &mut self.workers[number];
        let Some(flight) = worker.flights.remove(&id) else {
            return;
        };
        let destination = &mut worker.destinations[flight.index];
        let random = worker.random.random();
        let Some(answer) = flight.answer else {
            worker.has_failed = true;
            worker.schedule.failed(now);
            destination.failed(flight.shipment, flight.started, now, None, random);
            return;
        };
        let clock = wall(self.now) + worker.clock - Duration::from_millis(500);
        let sent = flight.shipment.batch.events();
        match response::outcome(&answer, sent, clock, Peer::Axiom) {
            Outcome::Accepted { failed, .. } => {
                let allowance = allowance::read(&answer, clock);
                worker.schedule.accepted(now, allowance, random);
                destination.delivered(flight.shipment, failed);
            }
            Outcome::Retry { cause, after, .. } => {
                worker.has_failed = true;
                destination.failed(flight.shipment, flight.started, now, after, random);
                if cause == Cause::RateLimited {
                    let refusal = allowance::refusal(&answer, clock, after);
                    let all = &mut worker.destinations;
                    let random = worker.random.random();
                    worker.schedule.limited(now, all, refusal, random);
                } else {
                    worker.schedule.failed(now);
                }
            }
            other => panic!("{other:?} is none of this endpoint's"),
        }
        if self.scenario.is_plain {
            worker.schedule.forget_limit();
        }
        self.see_whether_caught_up();
    }

    fn see_whether_caught_up(&mut self) {
        let over = match (self.scenario.endpoint.outage, self.scenario.restart) {
            (Some((_, end)), _) => end,
            (_, Some(at)) => at,
            _ => return,
        };
        if self.now < over || self.figures.caught_up.is_some() {
            return;
        }
        let backlog = self
            .backlog
            .get_or_insert_with(|| self.workers.iter().map(|one| one.recorded).collect());
        let slot = self.now.as_millis() / TENTH.as_millis();
        // Not at each of the answers: it is a look at all workers.
        if !self.planned.is_multiple_of(64) && !slot.is_multiple_of(10) {
            return;
        }
        let is_done = |(worker, recorded): (&Worker, &u64)| worker.delivered() >= *recorded;
        if self.workers.iter().zip(&*backlog).all(is_done) {
            self.figures.caught_up = Some(self.now - over);
        }
    }

    fn figures(mut self) -> Figures {
        let figures = &mut self.figures;
        let counted = self.scenario.lasts - self.scenario.counted_from;
        let seconds = counted.as_secs_f64();
        let allowed = self.scenario.endpoint.limit as f64 * seconds / 60.0;
        figures.goodput = 100.0 * figures.accepted as f64 / allowed;
        let from = (self.scenario.counted_from.as_millis() / TENTH.as_millis()) as usize;
        let tenths = figures.tenths.get(from..).unwrap_or_default();
        let mean = figures.requests as f64 / seconds;
        let most = |slots: usize| {
            let sums = tenths.chunks(slots).map(|chunk| chunk.iter().sum::<u32>());
            f64::from(sums.max().unwrap_or(0)) / (mean * slots as f64 / 10.0)
        };
        (figures.burst_100_ms, figures.burst_1_s) = (most(1), most(10));
        let busy = self.workers.iter().filter(|worker| !worker.is_quiet);
        let accepted: Vec<_> = busy.map(|worker| worker.accepted).collect();
        let mean = accepted.iter().sum::<u64>() as f64 / accepted.len() as f64;
        figures.slowest = accepted.iter().copied().min().unwrap_or(0) as f64 / mean;
        self.figures
    }
}
