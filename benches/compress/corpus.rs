//! Lines as a service records them: a shop that answers requests, with what differs between them drawn from a fixed seed.
//! Ids of traces and spans are the layer's own, at random, as they are in life.

use std::sync::mpsc;
use std::time::Duration;

use axiom_layer::{Compression, Overflow};
use tracing::field::Empty;
use tracing::{debug, error, info, info_span, warn};
use tracing_subscriber::prelude::*;

use crate::http::{self, Answer};

/// zstd's own advice is a hundredth of what the dictionary is trained with, and at most about this.
const DICTIONARY: usize = 64 * 1024;
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Corpus {
    training: Vec<u8>,
    text: Vec<u8>,
}

impl Corpus {
    /// Records until there is this much to train with and this much to compress.
    pub(crate) fn record(training: usize, text: usize) -> Self {
        let (sender, bodies) = mpsc::channel();
        let address = http::start(move |request| {
            let events = request.body.iter().filter(|&&byte| byte == b'\n').count();
            sender.send(request.body.clone()).unwrap();
            let body = format!(r#"{{"ingested":{events},"failed":0,"failures":[]}}"#);
            Answer {
                status: "200 OK",
                content_type: "application/json",
                body: body.into_bytes(),
            }
        })
        .unwrap();
        let (layer, guard) = axiom_layer::builder()
            .token("xaat-bench")
            .dataset("bench")
            .url(format!("http://{address}"))
            .compression(Compression::None)
            .overflow(Overflow::Block { timeout: LONG })
            .build()
            .unwrap();
        let mut lines = Vec::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let mut random = Random(4711);
            while lines.len() < training + text {
                (0..500).for_each(|_| request(&mut random));
                guard.flush(LONG).unwrap();
                lines.extend(bodies.try_iter().flatten());
            }
        });
        let stats = guard.shutdown(LONG).unwrap();
        assert_eq!(stats.delivered(), stats.recorded());
        let text = lines.split_off(end_of_line(&lines, training));
        Self {
            training: lines,
            text,
        }
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn lines(&self) -> usize {
        lines(&self.text).count()
    }

    pub(crate) fn dictionary(&self) -> Vec<u8> {
        let samples: Vec<&[u8]> = lines(&self.training).collect();
        zstd::dict::from_samples(&samples, DICTIONARY.min(self.training.len() / 10)).unwrap()
    }

    /// Whole lines, about as many as go into this size.
    pub(crate) fn batches(&self, size: usize) -> Vec<&[u8]> {
        let mut rest = self.text.as_slice();
        let mut batches = Vec::new();
        // What is left at the end is no batch of this size, unless it is all there is.
        while rest.len() >= size || batches.is_empty() {
            let (batch, others) = rest.split_at(end_of_line(rest, size));
            batches.push(batch);
            rest = others;
        }
        batches
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

/// Where the line ends in which this many bytes are reached.
fn end_of_line(text: &[u8], at: usize) -> usize {
    let from = at.min(text.len());
    let end = text[from..].iter().position(|&byte| byte == b'\n');
    end.map_or(text.len(), |end| from + end + 1)
}

/// A small generator: the lines should be the same in each run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// One request of the shop: two to four spans, three to seven events.
fn request(random: &mut Random) {
    let route = random.one_of(&["/api/v1/orders/{id}", "/api/v1/customers/{id}", "/checkout"]);
    let id = random.below(1_000_000);
    let path = route.replace("{id}", &id.to_string());
    let span = info_span!(
        "request",
        http.request.method = random.one_of(&["GET", "GET", "GET", "POST"]),
        http.route = route,
        url.path = path,
        client.address = %std::net::Ipv4Addr::from(random.next() as u32),
        user_agent.original = random.one_of(&AGENTS),
        http.response.status_code = Empty,
    );
    let _span = span.enter();
    debug!(session = format!("{:016x}", random.next()), "session found");
    for _ in 0..=random.below(2) {
        query(random, id);
    }
    if random.below(4) == 0 {
        let _span = info_span!("payment", provider = random.one_of(&["visa", "paypal"])).entered();
        let cents = random.below(100_000);
        info!(target: "shop::payment", order = id, cents, currency = "EUR", "payment authorised");
    }
    let status = random.one_of(&[200_u16, 200, 200, 200, 200, 200, 201, 304, 404, 500]);
    if status == 500 {
        let attempt = random.below(5);
        error!(
            attempt,
            error = "connection reset by peer (os error 104)",
            "the stock service could not be reached"
        );
    }
    info!(
        status,
        bytes = random.below(20_000),
        latency_ms = random.below(100_000) as f64 / 1_000.0,
        "request served"
    );
    span.record("http.response.status_code", status);
}

fn query(random: &mut Random, id: u64) {
    let table = random.one_of(&["orders", "customers", "stock", "prices"]);
    let _span = info_span!("query", db.system = "postgresql", db.collection = table).entered();
    let rows = random.below(50);
    let micros = random.below(30_000);
    info!(target: "shop::db", rows, micros, key = id, "query executed");
    if micros > 25_000 {
        warn!(target: "shop::db", micros, statement = "SELECT * FROM orders WHERE customer = $1", "slow query");
    }
}

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15",
    "shop-app/4.2.1 (android)",
];
