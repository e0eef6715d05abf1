//! The audit that ends every test: the layer's ledger, the program's own count, and what the endpoint holds.

use std::collections::BTreeSet;

use axiom_layer::{DropReason, Stats};
use axiom_local::Server;

/// What became of everything.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) stats: Stats,
    /// Stored at least once.
    pub(crate) stored: BTreeSet<u64>,
    /// Stored beyond the first time.
    pub(crate) duplicates: u64,
}

impl Account {
    pub(crate) fn lost(&self) -> u64 {
        self.stats.recorded() - self.stored.len() as u64
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.stats.dropped_for(reason)
    }
}

/// Faults after which the client can not know whether its records were stored.
const AMBIGUOUS: [&str; 6] = [
    "cut_body",
    "close_after_store",
    "reset_after_store",
    "hang_after_store",
    "trickle",
    "delay",
];

/// What an endpoint holds.
pub(crate) struct Held {
    seqs: Vec<u64>,
    /// Stored by requests that were answered as usual.
    confirmed: u64,
    /// Stored by requests whose answer may not have arrived.
    unclear: u64,
}

impl Held {
    /// Looks at everything, and at the breaches of the contract.
    pub(crate) fn by(server: &Server) -> Self {
        assert_eq!(server.violations(), [], "breaches of the contract");
        assert_eq!(server.evicted(), 0, "the endpoint has forgotten events");
        let mut held = Self {
            seqs: Vec::new(),
            confirmed: 0,
            unclear: 0,
        };
        for event in server.all_events() {
            let seq = event.get("attributes.seq").unwrap();
            held.seqs.push(seq.as_u64().unwrap());
        }
        for request in server.requests() {
            assert!(request.http2 || !server.url().starts_with("https"));
            let fault = request.fault.unwrap_or_default();
            match AMBIGUOUS.iter().any(|name| fault.starts_with(name)) {
                true => held.unclear += request.ingested as u64,
                false => held.confirmed += request.ingested as u64,
            }
        }
        held
    }

    pub(crate) fn distinct(&self) -> u64 {
        self.seqs.iter().collect::<BTreeSet<_>>().len() as u64
    }
}

/// The audit of a layer that was shut down, against what the program counted and what the endpoint holds.
pub(crate) fn account(stats: &Stats, recorded: u64, held: &[Held]) -> Account {
    assert_eq!(stats.recorded(), recorded, "recorded by the program");
    assert_eq!(stats.pending(), 0, "pending after the end: {stats}");
    assert_eq!(stats.delivered() + stats.dropped(), recorded, "{stats}");
    assert_eq!(stats.dropped_for(DropReason::Internal), 0, "{stats}");
    assert_eq!(stats.worker_panics(), 0);
    let mut stored = BTreeSet::new();
    let (mut copies, mut confirmed, mut unclear) = (0, 0, 0);
    for one in held {
        stored.extend(&one.seqs);
        copies += one.seqs.len() as u64;
        confirmed += one.confirmed;
        unclear += one.unclear;
    }
    let duplicates = copies - stored.len() as u64;
    let delivered = stats.delivered();
    assert!(
        (confirmed..=confirmed + unclear).contains(&delivered),
        "{delivered} delivered, {confirmed} stored and confirmed, {unclear} stored with an answer that got lost"
    );
    assert!(
        stored.len() as u64 >= delivered,
        "{} stored, {stats}",
        stored.len()
    );
    assert!(
        duplicates <= unclear,
        "{duplicates} stored twice, {unclear} with an answer that got lost"
    );
    Account {
        stats: stats.clone(),
        stored,
        duplicates,
    }
}
