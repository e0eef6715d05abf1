//! When a destination is sent to, and what becomes of records at the end. What they share comes first.

mod goes_on;
mod left;
mod refused;
mod storms;

use super::*;
use crate::queue::{CHUNK_BYTES, Overflow, Signal};
use crate::report::{Counters, Stats};
use crate::worker::allowance::RateRefusal;
use crate::worker::pace::{MAX_IN_FLIGHT, SHUTDOWN_WAIT};
use crate::worker::schedule::Schedule;

const LIMITS: Limits = Limits {
    max_events: 10_000,
    max_bytes: 4 << 20,
};

/// Chunks of the queue.
const CHUNKS: usize = 256;

struct Bench {
    schedule: Schedule,
    destination: Destination,
    counters: Arc<Counters>,
    now: Instant,
}

impl Bench {
    fn new(events: usize) -> Self {
        Self::with_queue(CHUNKS, events)
    }

    fn with_queue(chunks: usize, events: usize) -> Self {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(
            chunks * CHUNK_BYTES,
            Overflow::DropNewest,
            LIMITS.max_bytes,
            Arc::new(Signal::default()),
            Arc::clone(&counters),
        );
        let url = Url::parse("http://127.0.0.1/").unwrap();
        let mut bench = Self {
            schedule: Schedule::new(Duration::from_secs(1)),
            destination: Destination::new("logs".into(), url, queue, LIMITS),
            counters,
            now: Instant::now(),
        };
        bench.record(0..events);
        bench
    }

    fn record(&mut self, seqs: std::ops::Range<usize>) {
        for seq in seqs {
            self.destination
                .queue
                .push(format!("{{\"seq\":{seq}}}\n").as_bytes());
        }
        self.destination.make_due();
    }

    fn record_long(&mut self, bytes: usize) {
        self.destination
            .queue
            .push(format!("{{\"text\":\"{}\"}}\n", "x".repeat(bytes)).as_bytes());
        self.destination.make_due();
    }

    fn too_large(&mut self, shipment: Shipment) -> Verdict {
        self.destination.too_large(shipment, self.now)
    }

    fn next(&mut self) -> Option<Shipment> {
        let all = std::slice::from_mut(&mut self.destination);
        let next = self.schedule.next(self.now, all, |_| true, 0.5);
        next.map(|(_, shipment)| shipment)
    }

    /// From now on the rate limit allows so many requests a minute, each after the same time.
    fn ration(&mut self, requests: u32) {
        for _ in 0..requests {
            self.schedule.accepted(self.now, None, 0.5);
        }
        let refusal = RateRefusal {
            after: None,
            resets: None,
            allowance: None,
        };
        let all = std::slice::from_mut(&mut self.destination);
        self.schedule.limited(self.now, all, refusal, 0.5);
    }

    /// The same, if need be after the wait that the pace of the search asks for.
    fn next_soon(&mut self) -> Option<Shipment> {
        self.next().or_else(|| {
            let at = self.destination.resumes_at(self.now)?;
            if at > self.now + Duration::from_secs(1) {
                return None;
            }
            self.now = at;
            self.next()
        })
    }

    /// Whether nothing can be done but wait for half a minute, or for somebody.
    fn is_blocked(&self) -> bool {
        self.destination.is_blocked(self.now)
    }

    /// Lets so many requests be in flight as may be.
    fn warm_up(&mut self) {
        for _ in 0..MAX_IN_FLIGHT {
            self.record(0..1);
            self.serve_all_but(&[]);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn stats(&self) -> Stats {
        self.counters.snapshot(|| self.destination.queue.appended())
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.stats().dropped_for(reason)
    }

    /// An endpoint that can not read any body with one of these records. Returns how many requests it took.
    fn serve_all_but(&mut self, bad: &[usize]) -> u32 {
        let mut requests = 0;
        while let Some(shipment) = self.next_soon() {
            requests += 1;
            let body: Vec<u8> = shipment.batch.parts().flatten().copied().collect();
            let body = String::from_utf8(body).unwrap();
            if bad
                .iter()
                .any(|seq| body.contains(&format!("{{\"seq\":{seq}}}")))
            {
                self.destination.unreadable(shipment, self.now);
            } else {
                self.destination.delivered(shipment, 0);
            }
        }
        requests
    }
}

#[test]
fn after_a_failure_the_same_bytes_are_sent_again_and_nothing_sooner() {
    let mut bench = Bench::new(10);
    let shipment = bench.next().unwrap();
    let started = bench.now;
    bench
        .destination
        .failed(shipment, started, bench.now, None, 1.0);
    assert!(bench.next().is_none());
    assert_eq!(bench.destination.paused(bench.now), Some(Why::Backoff));
    bench.pass(Duration::from_millis(200));
    assert_eq!(bench.next().unwrap().batch.events(), 10);
}

#[test]
fn failures_of_requests_under_way_together_count_once() {
    let mut bench = Bench::new(25_000);
    let (one, two) = (bench.next().unwrap(), bench.next().unwrap());
    let started = bench.now;
    bench.pass(Duration::from_millis(10));
    bench.destination.failed(one, started, bench.now, None, 1.0);
    bench.destination.failed(two, started, bench.now, None, 1.0);
    bench.pass(Duration::from_millis(200));
    assert!(
        bench.next().is_some(),
        "the second failure made it wait longer"
    );
    assert!(
        bench.next().is_none(),
        "one request at a time after a failure"
    );
}

#[test]
fn a_wait_that_the_server_asked_for_is_kept_even_while_closing() {
    let mut bench = Bench::new(10);
    let shipment = bench.next().unwrap();
    let told = Some(Duration::from_secs(5));
    bench
        .destination
        .failed(shipment, bench.now, bench.now, told, 0.0);
    bench.destination.close(bench.now);
    assert!(bench.next().is_none());
    assert!(
        bench
            .destination
            .is_hopeless(bench.now + Duration::from_secs(1), bench.now)
    );
    assert!(
        !bench
            .destination
            .is_hopeless(bench.now + Duration::from_secs(6), bench.now)
    );
    bench.pass(Duration::from_millis(4_999));
    assert!(bench.next().is_none());
    bench.pass(Duration::from_millis(1));
    assert!(bench.next().is_some());
}

#[test]
fn a_flush_makes_one_attempt_without_waiting_for_the_backoff() {
    let mut bench = Bench::new(10);
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    assert!(bench.next().is_none());
    bench.destination.hurry(bench.now);
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    assert!(bench.next().is_none(), "the next attempt waits again");
    bench.pass(Duration::from_secs(1));
    let shipment = bench.next().unwrap();
    let told = Some(Duration::from_secs(5));
    bench
        .destination
        .failed(shipment, bench.now, bench.now, told, 1.0);
    bench.destination.hurry(bench.now);
    assert!(bench.next().is_none(), "what the server asked for is kept");
}

#[test]
fn a_backoff_is_cut_short_when_closing() {
    let mut bench = Bench::new(10);
    for _ in 0..8 {
        let shipment = bench.next().unwrap();
        bench
            .destination
            .failed(shipment, bench.now, bench.now, None, 1.0);
        bench.pass(Duration::from_secs(60));
    }
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    assert!(bench.next().is_none());
    bench.destination.close(bench.now);
    let shipment = bench.next().unwrap();
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 1.0);
    bench.pass(SHUTDOWN_WAIT);
    assert!(bench.next().is_some());
}

#[test]
fn a_refusal_is_probed_once_in_thirty_seconds_and_heals() {
    let mut bench = Bench::new(10);
    for _ in 0..3 {
        let shipment = bench.next().unwrap();
        bench.destination.refused(shipment, bench.now);
        bench.pass(Duration::from_millis(29_999));
        assert!(bench.next().is_none());
        bench.pass(Duration::from_millis(1));
    }
    bench.serve_all_but(&[]);
    assert_eq!(bench.stats().delivered(), 10);
}

#[test]
fn in_an_outage_a_nearly_empty_chunk_does_not_take_the_room_of_a_full_one() {
    let mut bench = Bench::new(1);
    let shipment = bench.next().unwrap();
    bench.destination.refused(shipment, bench.now);
    // 300 ticks with one record each: more than the pool has chunks.
    for seq in 1..=300 {
        bench.record(seq..seq + 1);
        assert!(bench.next().is_none());
    }
    assert_eq!(bench.stats().dropped(), 0);
    bench.pass(REFUSED_PAUSE);
    bench.serve_all_but(&[]);
    assert_eq!(bench.stats().delivered(), 301);
}

#[test]
fn what_is_left_at_the_end_is_dropped_for_the_reason_that_explains_it() {
    for (why, reason) in [
        (Some(Why::Refused), DropReason::Refused),
        (Some(Why::Quota), DropReason::Quota),
        (Some(Why::Told), DropReason::Shutdown),
        (None, DropReason::Shutdown),
    ] {
        let mut bench = Bench::new(25_000);
        let shipment = bench.next().unwrap();
        bench.destination.sent_again(shipment);
        if let Some(why) = why {
            bench
                .destination
                .pause(bench.now + Duration::from_secs(1), why);
        }
        assert_eq!(bench.destination.drop_all(bench.now), 25_000);
        assert_eq!(bench.dropped(reason), 25_000);
        assert_eq!(bench.stats().pending(), 0);
    }
}

/// An attempt that is refused a connection, and the wait after it.
fn refuse_connection(bench: &mut Bench) {
    let shipment = bench.next().unwrap();
    bench.destination.attempted(bench.now, true);
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 0.5);
}

#[test]
fn a_shutdown_goes_on_for_a_second_where_nothing_listens() {
    let mut bench = Bench::new(10);
    for _ in 0..5 {
        refuse_connection(&mut bench);
        bench.pass(Duration::from_secs(30));
    }
    let deadline = bench.now + Duration::from_secs(5);
    bench.destination.close(bench.now);
    let start = bench.now;
    let mut attempts = 0;
    while !bench.destination.is_hopeless(deadline, bench.now) {
        refuse_connection(&mut bench);
        attempts += 1;
        bench.now = bench.destination.resumes_at(bench.now).unwrap();
        if bench.now == start + Duration::from_secs(1) {
            break;
        }
    }
    assert!(bench.destination.is_hopeless(deadline, bench.now));
    assert!(
        (2..=6).contains(&attempts),
        "{attempts} attempts in a second"
    );
    assert!(bench.destination.is_unheard());
}

#[test]
fn a_shutdown_is_hopeless_only_if_its_own_last_attempts_were_all_refused() {
    let mut bench = Bench::new(10);
    let deadline = bench.now + Duration::from_secs(60);
    // Begun before the shutdown.
    let before = bench.now;
    let shipment = bench.next().unwrap();
    bench.pass(Duration::from_millis(1));
    bench.destination.close(bench.now);
    bench.destination.attempted(before, true);
    bench
        .destination
        .failed(shipment, before, bench.now, None, 0.5);
    bench.pass(Duration::from_secs(2));
    refuse_connection(&mut bench);
    bench.pass(SHUTDOWN_WAIT);
    assert!(
        !bench.destination.is_hopeless(deadline, bench.now),
        "one attempt tells nothing"
    );
    // The endpoint is there, and in trouble.
    let shipment = bench.next().unwrap();
    bench.destination.attempted(bench.now, false);
    bench
        .destination
        .failed(shipment, bench.now, bench.now, None, 0.5);
    assert!(!bench.destination.is_unheard());
    bench.pass(SHUTDOWN_WAIT);
    refuse_connection(&mut bench);
    assert!(!bench.destination.is_hopeless(deadline, bench.now));
    bench.pass(SHUTDOWN_WAIT);
    refuse_connection(&mut bench);
    assert!(bench.destination.is_hopeless(deadline, bench.now));
    // It may be there by now.
    bench.pass(SHUTDOWN_WAIT);
    let shipment = bench.next().unwrap();
    assert!(!bench.destination.is_hopeless(deadline, bench.now));
    bench.destination.attempted(bench.now, false);
    bench.destination.delivered(shipment, 0);
    assert_eq!(bench.stats().delivered(), 10);
}

#[test]
fn what_was_not_processed_goes_again_at_once_three_times_while_nothing_gets_through() {
    let mut bench = Bench::new(10);
    let mut at_once = || {
        let mut times = 0;
        while let Some(shipment) = bench.next() {
            match bench.destination.unprocessed(shipment) {
                None => times += 1,
                Some(shipment) => {
                    // Another one got through meanwhile, with which the count begins anew.
                    bench.destination.pace.launched(Kind::Ordinary);
                    let mut other = Shipment::new(Batch::default(), Kind::Ordinary);
                    other.attempt = shipment.attempt + 1;
                    bench.destination.delivered(other, 0);
                    bench.destination.sent_again(shipment);
                    break;
                }
            }
        }
        times
    };
    let rounds = AT_ONCE_IN_ALL / AT_ONCE;
    for round in 0..rounds {
        assert_eq!(at_once(), AT_ONCE, "{round}");
    }
    // But not without end.
    assert_eq!(at_once(), AT_ONCE_IN_ALL - rounds * AT_ONCE);
    assert_eq!(at_once(), 0);
}

#[test]
fn requests_on_connections_that_were_left_hold_up_no_others() {
    let mut bench = Bench::new(0);
    let mut under_way = Vec::new();
    for _ in 0..2 {
        bench.record(0..10);
        under_way.push(bench.next().unwrap());
    }
    bench.record(0..10);
    assert!(bench.next().is_none());
    bench.destination.left_behind(2);
    let other = bench.next().unwrap();
    // They come back in the end, and count no more.
    for shipment in under_way {
        bench.destination.left_behind(-1);
        bench.destination.delivered(shipment, 0);
    }
    bench.destination.delivered(other, 0);
    assert!(bench.destination.pace.is_idle());
}
