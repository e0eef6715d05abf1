//! What the server remembers, all of it bounded: events, requests, violations, and the faults to come. `state` has the lock
//! around it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::event::{Event, Labels};
use crate::fault::{Fault, Plan};
use crate::request::Request;
use crate::violation::{Rule, Violation};

/// At most this many requests are remembered: a load test makes many.
const MAX_REQUESTS: usize = 100_000;
/// At most roughly this much memory is spent on them: a client may send large headers.
const MAX_REQUESTS_WEIGHT: usize = 128 * 1024 * 1024;
/// At most this many violations are remembered: nobody reads more.
const MAX_VIOLATIONS: usize = 10_000;
/// At most this many bytes of a violation's reason are kept, because it may quote what a client sent.
const MAX_REASON: usize = 500;

#[derive(Debug)]
pub(crate) struct Store {
    events: VecDeque<Event>,
    weight: usize,
    max_events: usize,
    max_weight: usize,
    ingested: u64,
    ingested_by_dataset: HashMap<Arc<str>, u64>,
    evicted: u64,
    requests: VecDeque<Request>,
    requests_weight: usize,
    requests_seen: u64,
    violations: VecDeque<Violation>,
    violations_seen: u64,
    pub(crate) plan: Plan,
    /// Grows with every change that somebody may wait for.
    pub(crate) generation: u64,
}

impl Store {
    pub(crate) fn new(max_events: usize, max_weight: usize) -> Self {
        Store {
            events: VecDeque::new(),
            weight: 0,
            max_events,
            max_weight,
            ingested: 0,
            ingested_by_dataset: HashMap::new(),
            evicted: 0,
            requests: VecDeque::new(),
            requests_weight: 0,
            requests_seen: 0,
            violations: VecDeque::new(),
            violations_seen: 0,
            plan: Plan::default(),
            generation: 0,
        }
    }

    /// Notes a request whose headers are in; gives it its index and its fault.
    pub(crate) fn begin(&mut self, mut request: Request) -> (u64, Option<Fault>) {
        let index = self.requests_seen;
        let fault = self.plan.next();
        request.index = index;
        request.fault = fault.as_ref().map(Fault::name);
        self.requests_seen += 1;
        self.requests_weight += request.weight();
        self.requests.push_back(request);
        // The newest always stays, however large it is, because its handler has yet to fill it in.
        while self.requests.len() > MAX_REQUESTS
            || (self.requests_weight > MAX_REQUESTS_WEIGHT && self.requests.len() > 1)
        {
            let Some(oldest) = self.requests.pop_front() else {
                break;
            };
            self.requests_weight -= oldest.weight();
        }
        self.generation += 1;
        (index, fault)
    }

    /// Fills in what became of a request, if it is still remembered.
    pub(crate) fn update(&mut self, index: u64, change: impl FnOnce(&mut Request)) {
        let first = self.requests_seen - self.requests.len() as u64;
        let place = index
            .checked_sub(first)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(request) = place.and_then(|at| self.requests.get_mut(at)) {
            change(request);
        }
        self.generation += 1;
    }

    pub(crate) fn add_events(
        &mut self,
        request: u64,
        dataset: &Arc<str>,
        events: Vec<(Bytes, Arc<Labels>)>,
    ) {
        let added = events.len() as u64;
        let count = events.len().max(1);
        for (text, labels) in events {
            let share = labels.weight() / count;
            let event = Event::new(
                self.ingested,
                request,
                Arc::clone(dataset),
                text,
                labels,
                share,
            );
            self.ingested += 1;
            self.weight += event.weight();
            self.events.push_back(event);
        }
        while self.events.len() > self.max_events || self.weight > self.max_weight {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.weight -= oldest.weight();
            self.evicted += 1;
        }
        *self
            .ingested_by_dataset
            .entry(Arc::clone(dataset))
            .or_default() += added;
        self.generation += 1;
    }

    pub(crate) fn add_violation(
        &mut self,
        request: u64,
        dataset: Option<&str>,
        event: Option<usize>,
        rule: Rule,
        mut reason: String,
    ) {
        if reason.len() > MAX_REASON {
            let end = (0..=MAX_REASON)
                .rev()
                .find(|at| reason.is_char_boundary(*at))
                .unwrap_or(0);
            reason.truncate(end);
            reason.push('…');
        }
        self.violations.push_back(Violation {
            rule,
            reason,
            request,
            dataset: dataset.map(str::to_owned),
            event,
        });
        self.violations_seen += 1;
        if self.violations.len() > MAX_VIOLATIONS {
            self.violations.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.weight = 0;
        self.requests.clear();
        self.requests_weight = 0;
        self.violations.clear();
        self.generation += 1;
    }

    pub(crate) fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// The kept events from this sequence number on.
    pub(crate) fn events_from(&self, sequence: u64) -> Vec<Event> {
        let first = self.events.front().map_or(self.ingested, Event::sequence);
        let skip = usize::try_from(sequence.saturating_sub(first)).unwrap_or(usize::MAX);
        self.events.iter().skip(skip).cloned().collect()
    }

    pub(crate) fn requests(&self) -> &VecDeque<Request> {
        &self.requests
    }

    /// The kept violations from this place in the order of arrival on.
    pub(crate) fn violations_from(&self, place: u64) -> Vec<Violation> {
        let first = self.violations_seen - self.violations.len() as u64;
        let skip = usize::try_from(place.saturating_sub(first)).unwrap_or(usize::MAX);
        self.violations.iter().skip(skip).cloned().collect()
    }

    pub(crate) fn requests_seen(&self) -> u64 {
        self.requests_seen
    }

    pub(crate) fn violations_seen(&self) -> u64 {
        self.violations_seen
    }

    pub(crate) fn ingested(&self) -> u64 {
        self.ingested
    }

    pub(crate) fn ingested_in(&self, dataset: &str) -> u64 {
        self.ingested_by_dataset.get(dataset).copied().unwrap_or(0)
    }

    pub(crate) fn datasets(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .ingested_by_dataset
            .keys()
            .map(|name| name.to_string())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(header_bytes: usize) -> Request {
        let header = ("x-large".to_owned(), "x".repeat(header_bytes));
        Request {
            index: 0,
            method: "POST".into(),
            path: "/v1/ingest/logs".into(),
            style: None,
            dataset: None,
            http2: false,
            connection: 0,
            headers: [header].into(),
            content_type: None,
            content_encoding: None,
            labels: serde_json::Map::new(),
            wire_bytes: 0,
            decoded_bytes: 0,
            events: 0,
            ingested: 0,
            status: None,
            fault: None,
            received_at: std::time::Instant::now(),
        }
    }

    #[test]
    fn requests_are_bounded_by_number_and_by_size() {
        let mut store = Store::new(1, 1);
        for _ in 0..MAX_REQUESTS + 10 {
            store.begin(request(0));
        }
        assert_eq!(store.requests().len(), MAX_REQUESTS);
        for _ in 0..300 {
            store.begin(request(1024 * 1024));
        }
        assert!((100..=128).contains(&store.requests().len()));
        assert_eq!(store.requests_seen(), MAX_REQUESTS as u64 + 310);
        let last = store.requests_seen() - 1;
        store.update(0, |_| panic!("long forgotten"));
        store.update(last, |request| request.events = 7);
        assert_eq!(
            store.requests().back().map(|r| (r.index, r.events)),
            Some((last, 7))
        );
    }
}
