//! What goes wrong, how often and when: all of it drawn from a seed, and each kind at least once.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use axiom_local::{Fault, Server, StreamError};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

/// From here on a run has the time for refusals that rest as long as they do without being told otherwise.
const LONG: u64 = 120;

/// Events that [`Fault::fail_events`] counts as failed.
const FAILED: u64 = 3;

/// A proxy's limits on the wire, of which half the time none is in force.
const LIMITS: [Option<usize>; 6] = [None, None, None, Some(LOW), Some(30_000), Some(100_000)];
/// A few hundred records, compressed.
const LOW: usize = 8_000;
/// The name of what a limit does to a request starts with this.
const OVER: &str = "over";

/// The name that a request notes it under, how often of a hundred requests, and the fault.
type Chance = (&'static str, f64, Fault);

/// What a retry mends.
fn passing(over_http2: bool) -> Vec<Chance> {
    let after = |code, seconds: &str| Fault::status(code).header("Retry-After", seconds);
    let mut passing = vec![
        ("status 500", 2.0, Fault::status(500)),
        ("status 503", 2.0, Fault::status(503)),
        ("status 502", 1.5, Fault::status(502)),
        (
            "status 504",
            1.5,
            Fault::status(504).body("<html>bad gateway</html>"),
        ),
        ("status 408", 0.5, Fault::status(408)),
        ("status 429", 1.0, after(429, "1")),
        ("reset", 1.5, Fault::reset()),
        ("reset_after_store", 1.5, Fault::reset_after_store()),
        ("close_before_read", 1.5, Fault::close_before_read()),
        ("close_before_answer", 1.5, Fault::close_before_answer()),
        ("close_after_store", 1.0, Fault::close_after_store()),
        ("hang", 0.5, Fault::hang()),
        ("hang_after_store", 0.5, Fault::hang_after_store()),
        ("garbage", 1.0, Fault::garbage("<html>please log in</html>")),
        ("cut_body", 1.0, Fault::cut_body()),
        ("fail_events 3", 1.0, Fault::fail_events(FAILED as usize)),
        ("delay 300ms", 1.5, Fault::delay(Duration::from_millis(300))),
        ("trickle 400", 1.0, Fault::trickle(400)),
        (
            "status 302",
            0.5,
            Fault::status(302).header("Location", "/login"),
        ),
    ];
    if over_http2 {
        let reset = Fault::reset_stream;
        passing.extend([
            ("go_away", 1.5, Fault::go_away()),
            ("go_away_gracefully", 1.5, Fault::go_away_gracefully()),
            ("reset_stream refused", 1.5, reset(StreamError::Refused)),
            ("reset_stream cancel", 1.0, reset(StreamError::Cancel)),
            ("reset_stream internal", 1.0, reset(StreamError::Internal)),
            ("shut_window", 0.5, Fault::shut_window()),
            ("ignore_pings", 0.5, Fault::ignore_pings()),
            ("black_hole", 0.5, Fault::black_hole()),
        ]);
    }
    passing
}

/// What may make a single record wait as long as a refusal does, so not at the very end.
fn halving() -> Vec<Chance> {
    vec![
        ("status 413", 2.0, Fault::status(413)),
        ("status 400", 1.0, Fault::status(400)),
        // An allowance that is renewed soon is waited for.
        (
            "status 430",
            0.5,
            Fault::status(430).header("Retry-After", "2"),
        ),
    ]
}

/// When refusals come, in seconds, and how much memory there is for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long a refused dataset rests.
    pub(crate) pause: u64,
    /// From one refusal to the next: the pause, and time to deliver what came meanwhile.
    slot: u64,
    /// The first refusal.
    first: u64,
    /// The allowance is used up as well, which rests for a minute.
    has_quota: bool,
    /// Room for a refusal's pause and what is left of the last one.
    pub(crate) queue_bytes: usize,
    /// Records made at the start while the endpoint hangs: they fill most of the queue, so that its memory is all there.
    pub(crate) fill: u64,
}

impl Pace {
    pub(crate) fn of(seconds: u64) -> Self {
        if seconds >= LONG {
            Self {
                pause: 30,
                slot: 36,
                first: 16,
                has_quota: true,
                queue_bytes: 64 << 20,
                fill: 395_000,
            }
        } else {
            Self {
                pause: 1,
                slot: 5,
                first: 4,
                has_quota: false,
                queue_bytes: 16 << 20,
                fill: 98_000,
            }
        }
    }
}

/// What rests for [`Pace::pause`], or twice as long if the allowance is used up.
fn refusals() -> Vec<(&'static str, Fault)> {
    vec![
        ("status 401", Fault::status(401)),
        ("status 403", Fault::status(403)),
        ("status 404", Fault::status(404)),
    ]
}

pub(crate) struct Plan {
    random: SmallRng,
    seed: u64,
    over_http2: bool,
    /// By the second in which it happens, soonest last.
    refusals: Vec<(u64, Fault)>,
    /// Every kind that is to be seen.
    kinds: HashSet<&'static str>,
    /// The allowance is to be used up for long, which costs the records that were on their way.
    costs_records: bool,
    pace: Pace,
    /// No limit before this second: a body over it would not meet the refusal that is due.
    limits_from: u64,
    /// When the faults that were dealt so far have all happened.
    dealt: u64,
}

impl Plan {
    pub(crate) fn new(seed: u64, seconds: u64, over_http2: bool) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut kinds: HashSet<_> = passing(over_http2)
            .into_iter()
            .chain(halving())
            .map(|(name, ..)| name)
            .collect();
        kinds.insert(OVER);
        let mut round = refusals();
        round.shuffle(&mut random);
        let pace = Pace::of(seconds);
        // In a long run also what costs records, which rests for a minute.
        if pace.has_quota {
            let for_days = Fault::status(430).header("Retry-After", "864000");
            round.push(("status 430", for_days));
        }
        let (mut scheduled, mut costs_records) = (Vec::new(), false);
        let mut start = pace.first;
        for (name, fault) in round.into_iter().cycle() {
            let slots = if name == "status 430" { 2 } else { 1 };
            if start + slots * pace.pause > seconds {
                break;
            }
            kinds.insert(name);
            costs_records |= name == "status 430";
            let spare = pace.slot - pace.pause - 2;
            scheduled.push((start + random.random_range(0..spare), fault));
            start += slots * pace.slot;
        }
        scheduled.reverse();
        Self {
            random,
            seed,
            over_http2,
            refusals: scheduled,
            kinds,
            costs_records,
            pace,
            limits_from: 0,
            dealt: 0,
        }
    }

    /// Nothing is answered while the queue fills.
    pub(crate) fn hold(&self, server: &Server) {
        server.always(Some(Fault::hang()));
    }

    pub(crate) fn start(&mut self, server: &Server) {
        server.always(None);
        let mut all = passing(self.over_http2);
        all.extend(halving());
        self.by_chance(server, &all);
        self.deal(server, all);
    }

    /// Each second: refusals when their time has come, now and then another limit, and what has not happened yet.
    pub(crate) fn second(&mut self, server: &Server, second: u64) {
        if self.random.random_bool(0.2) && second >= self.limits_from {
            let limit = LIMITS.choose(&mut self.random).copied().flatten();
            server.max_wire_bytes(limit);
        }
        if let Some((_, fault)) = self.refusals.pop_if(|(at, _)| *at <= second) {
            server.max_wire_bytes(None);
            self.limits_from = second + self.pace.pause.div_ceil(2);
            server.fault(fault);
        }
        if server.requests_seen() >= self.dealt {
            let mut all = passing(self.over_http2);
            all.extend(halving());
            self.deal(server, all);
            if second >= self.limits_from && self.missing(server).any(|kind| kind == OVER) {
                server.max_wire_bytes(Some(LOW));
            }
        }
    }

    /// From now on only what retries mend.
    pub(crate) fn end(&mut self, server: &Server) {
        server.no_faults();
        let passing = passing(self.over_http2);
        self.by_chance(server, &passing);
        self.deal(server, passing);
    }

    fn by_chance(&mut self, server: &Server, faults: &[Chance]) {
        for (at, (_, percent, fault)) in faults.iter().enumerate() {
            let seed = self.seed.wrapping_add(at as u64);
            server.with_probability(seed, percent / 100.0, fault.clone());
        }
    }

    /// Every second request gets one of those that chance has not brought yet.
    fn deal(&mut self, server: &Server, faults: Vec<Chance>) {
        let missing: HashSet<_> = self.missing(server).collect();
        let mut due: Vec<_> = faults
            .into_iter()
            .filter(|(name, ..)| missing.contains(name))
            .map(|(_, _, fault)| fault)
            .collect();
        due.shuffle(&mut self.random);
        self.dealt = server.requests_seen() + 2 * due.len() as u64;
        server.faults(due.into_iter().flat_map(|fault| [Some(fault), None]));
    }

    pub(crate) fn costs_records(&self) -> bool {
        self.costs_records
    }

    /// The kinds that never happened.
    pub(crate) fn missing<'p>(
        &'p self,
        server: &Server,
    ) -> impl Iterator<Item = &'static str> + 'p {
        let injected = injected(server);
        let kinds = self.kinds.iter().copied();
        kinds.filter(move |kind| !injected.contains_key(*kind))
    }
}

/// What happened, by kind, and how often.
pub(crate) fn injected(server: &Server) -> BTreeMap<String, u64> {
    let mut injected = BTreeMap::new();
    for fault in server.requests().into_iter().filter_map(|one| one.fault) {
        let kind = match fault.starts_with(OVER) {
            true => OVER.to_owned(),
            false => fault,
        };
        *injected.entry(kind).or_default() += 1;
    }
    injected
}

/// How many records may be dropped for this reason, by what happened.
pub(crate) fn explained(server: &Server, reason: &str) -> u64 {
    let requests = server.requests();
    let having = |name: &'static str| {
        let named = requests.iter();
        named.filter(move |one| one.fault.as_deref() == Some(name))
    };
    match reason {
        // Single records that met a 400 among others that did not.
        "rejected" => {
            FAILED * having("fail_events 3").count() as u64
                + having("status 400").filter(|one| one.events == 1).count() as u64
        }
        "quota" => having("status 430").map(|one| one.events as u64).sum(),
        _ => 0,
    }
}
