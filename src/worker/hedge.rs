//! One attempt more beside those under way, on another connection, when the end is near.
//!
//! A request that got no answer when half of the time for the end is over may be on a wedged connection, and would be given up at the
//! deadline before its own time is over. So the same is sent once more, and the first answer counts. An endpoint that is merely slow
//! may then store records twice: a copy can be told apart later, a record that is lost can not be had back.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use futures_util::future::{Either, select};
use reqwest::Url;
use tokio::sync::watch;

use super::Worker;
use super::answer::Answer;
use super::body::Body;
use super::transport::Transport;
use super::trouble::NoAnswer;

/// Tells the attempts under way to use this transport, too.
#[derive(Debug)]
pub(super) struct Hedge {
    at: Option<Instant>,
    transport: watch::Sender<Option<Transport>>,
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            at: None,
            transport: watch::Sender::new(None),
        }
    }
}

impl Hedge {
    /// The end comes at the deadline at the latest.
    pub(super) fn end_is_near(&mut self, now: Instant, deadline: Instant) {
        let wait = deadline.saturating_duration_since(now) / 2;
        self.at.get_or_insert(now + wait);
    }

    /// It does not come after all.
    pub(super) fn goes_on(&mut self) {
        self.at = None;
    }

    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// For an attempt that begins now.
    pub(super) fn listen(&self) -> watch::Receiver<Option<Transport>> {
        self.transport.subscribe()
    }
}

impl Worker {
    /// Once its time has come.
    pub(super) fn hedge(&mut self, now: Instant) {
        if self.hedge.at.is_none_or(|at| now < at) {
            return;
        }
        self.hedge.at = None;
        if self.flights.is_empty() {
            return;
        }
        self.leave_connections(self.transports_made);
        if let Ok(transport) = self.transport() {
            self.shared.counters.add_retried(self.flights.len() as u64);
            self.hedge.transport.send_replace(Some(transport));
        }
    }
}

/// Sends a body, and once more when told to. The first answer counts, or else the last failure.
pub(super) async fn post(
    transport: Transport,
    mut other: watch::Receiver<Option<Transport>>,
    url: Url,
    body: Body,
) -> Result<Answer, NoAnswer> {
    let is_doubled = AtomicBool::new(false);
    let first = pin!(transport.post(url.clone(), body.clone()));
    let second = pin!(async {
        let told = other.changed().await;
        let transport = told.ok().and_then(|()| other.borrow_and_update().clone());
        match transport {
            Some(transport) => {
                is_doubled.store(true, Relaxed);
                transport.post(url, body).await
            }
            None => pending().await,
        }
    });
    match select(first, second).await {
        Either::Left((Err(_), second)) if is_doubled.load(Relaxed) => second.await,
        Either::Right((Err(_), first)) => first.await,
        Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
    }
}
