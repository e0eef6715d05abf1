//! Takes one request from its head to its answer, or to what its fault does instead. Both versions of HTTP use it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Response;
use hyper::http::request::Parts;
use serde_json::Value;

use super::answer::{Answer, AnswerBody, Delivery, Receipt};
use super::endpoint::{self, Instructions, Refusal};
use super::tools::Cut;
use crate::event::Labels;
use crate::fault::{Fault, Kind, StreamError};
use crate::ingest::decode::{self, DecodeError};
use crate::ingest::split::{self, Split};
use crate::ingest::{Batch, Breach, labels};
use crate::request::{Request, Style};
use crate::state::Shared;
use crate::violation::Rule;

/// A body that is too large is still read, up to this many bytes. Otherwise the client would see a reset instead of the answer.
const MAX_DRAINED: usize = 1024 * 1024 * 1024;

/// A request that was noted, and the fault that it was given.
pub(crate) struct Begun {
    notes: Request,
    index: u64,
    pub(crate) fault: Fault,
}

/// Notes a request whose headers are in.
pub(crate) fn begin(head: &Parts, connection: u64, shared: &Shared) -> Begun {
    let mut notes = endpoint::request(head);
    notes.connection = connection;
    let (index, fault) = shared.store().begin(notes.clone());
    shared.notify();
    Begun {
        notes,
        index,
        fault: fault.unwrap_or_else(|| Fault::delay(Duration::ZERO)),
    }
}

/// A body on its way in.
pub(crate) trait Arriving {
    /// The next part of it; an error if it broke off.
    async fn next(&mut self) -> Option<Result<Bytes, ()>>;

    /// How long it will be, if the client has said so.
    fn length(&self) -> Option<u64>;
}

/// How a request ends.
pub(crate) enum Ending {
    Answer(Response<AnswerBody>),
    /// The connection ends.
    Cut(Cut),
    /// The stream ends, over HTTP/2; over HTTP/1.1 the connection does.
    Reset(StreamError),
    /// There is never an answer, and the connection stays open.
    Silence,
    /// The body broke off: nobody waits for an answer.
    Abandoned,
}

/// Answers a request, or tells how else it ends.
pub(crate) async fn answer(
    head: Parts,
    mut body: impl Arriving,
    begun: Begun,
    shared: Arc<Shared>,
) -> Ending {
    let Begun {
        notes,
        index,
        fault,
    } = begun;
    match fault.kind {
        Kind::CloseBeforeRead => {
            wait(fault.delay).await;
            return Ending::Cut(Cut::Close);
        }
        Kind::ResetStream(StreamError::Refused) => {
            wait(fault.delay).await;
            return Ending::Reset(StreamError::Refused);
        }
        _ => {}
    }
    let body = match read(&mut body, shared.settings.max_body_bytes).await {
        Ok(body) => body,
        Err(wire_bytes) => {
            // Nobody waits for an answer, but a test may wait to see the request in the notes.
            shared.update(index, |request| request.wire_bytes = wire_bytes);
            return Ending::Abandoned;
        }
    };
    let refusal = shared.store().plan.refusal(body.length);
    if let Some(refusal) = &refusal {
        shared.update(index, |request| request.fault = Some(refusal.name()));
    }
    let fault = refusal.unwrap_or(fault);
    wait(fault.delay).await;
    let mut exchange = Exchange {
        shared: &shared,
        head: &head,
        notes,
        index,
        breaches: Vec::new(),
        stored: Vec::new(),
    };
    // A large body takes a while. `block_in_place` lets other threads serve the connections meanwhile, which must answer pings.
    let mut answer = tokio::task::block_in_place(|| exchange.perform(body, &fault));
    let ending = match fault.kind {
        Kind::Hang { .. } | Kind::ShutWindow | Kind::IgnorePings | Kind::BlackHole => {
            Some(Ending::Silence)
        }
        Kind::Close { .. } | Kind::GoAway => Some(Ending::Cut(Cut::Close)),
        Kind::Reset { .. } => Some(Ending::Cut(Cut::Reset)),
        Kind::ResetStream(why) => Some(Ending::Reset(why)),
        _ => None,
    };
    let status = ending.is_none().then_some(answer.status);
    exchange.finish(status);
    if let Some(ending) = ending {
        return ending;
    }
    answer.headers = fault.headers;
    let delivery = match fault.kind {
        Kind::CutBody => Delivery::Cut,
        Kind::Trickle(rate) => Delivery::Trickle(rate),
        _ => Delivery::Whole,
    };
    Ending::Answer(answer.into_response(index, delivery))
}

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// A body as it came, of which no more is kept than allowed.
struct Received {
    bytes: Bytes,
    /// How many bytes came, also those that were not kept.
    length: usize,
}

/// Reads a body to its end, keeping no more of it than allowed. If it breaks off, this fails with the bytes that came.
async fn read(body: &mut impl Arriving, max_bytes: usize) -> Result<Received, usize> {
    let mut kept = BytesMut::new();
    if let Some(length) = body
        .length()
        .and_then(|length| usize::try_from(length).ok())
    {
        kept.reserve(length.min(max_bytes));
    }
    let mut length = 0;
    while let Some(data) = body.next().await {
        let data = data.map_err(|()| length)?;
        length += data.len();
        if length <= max_bytes {
            kept.extend_from_slice(&data);
        } else if length > MAX_DRAINED {
            break;
        }
    }
    Ok(Received {
        bytes: kept.freeze(),
        length,
    })
}

/// A request between its reading and its answer.
struct Exchange<'r> {
    shared: &'r Shared,
    head: &'r Parts,
    notes: Request,
    index: u64,
    breaches: Vec<Breach>,
    stored: Vec<(Bytes, Arc<Labels>)>,
}

impl Exchange<'_> {
    /// Judges the request as far as its fault allows, and makes the answer.
    fn perform(&mut self, body: Received, fault: &Fault) -> Answer {
        self.notes.wire_bytes = body.length;
        let stores = match &fault.kind {
            Kind::Status(_) | Kind::OverLimit(_) => {
                let code = match fault.kind {
                    Kind::Status(code) => code,
                    _ => 413,
                };
                // The body is looked at, so that `requests()` can tell how many events were turned away.
                drop(self.open(body));
                let message = hyper::StatusCode::from_u16(code)
                    .ok()
                    .and_then(|status| status.canonical_reason())
                    .map_or_else(|| format!("status {code}"), str::to_owned);
                let plain = Answer::error(code, &message);
                return Answer {
                    body: fault.body.clone().unwrap_or(plain.body),
                    ..plain
                };
            }
            Kind::Garbage => {
                drop(self.open(body));
                return Answer {
                    content_type: "text/html; charset=utf-8",
                    ..Answer::new(200, fault.body.clone().unwrap_or_default())
                };
            }
            Kind::Hang { store } | Kind::Close { store } | Kind::Reset { store } => *store,
            Kind::GoAway
            | Kind::ResetStream(_)
            | Kind::ShutWindow
            | Kind::IgnorePings
            | Kind::BlackHole => false,
            _ => true,
        };
        if !stores {
            drop(self.open(body));
            return Answer::new(200, String::new());
        }
        let (fail, messages) = match &fault.kind {
            Kind::FailEvents(n) => (*n, None),
            Kind::Messages(messages) => (0, Some(messages.clone())),
            _ => (0, None),
        };
        match self.serve(body, fail, messages) {
            Ok(answer) => answer,
            Err((status, message)) => Answer::error(status, &message),
        }
    }

    /// Judges head and body, and finds the events.
    fn open(&mut self, body: Received) -> Result<(Split, Instructions, Arc<Labels>), Refusal> {
        let breaches = &mut self.breaches;
        let mut broken = |rule: Rule, reason: String| breaches.push((rule, reason, None));
        endpoint::check_headers(&self.head.headers, &mut broken);
        endpoint::admit(self.head, &self.notes, &self.shared.settings, &mut broken)?;
        let style = self.notes.style.unwrap_or(Style::Edge);
        let instructions = endpoint::instructions(self.head, style, &mut broken)?;
        let labels = match self.head.headers.get("x-axiom-event-labels") {
            Some(header) => {
                labels::read(header.as_bytes(), &mut broken).map_err(|reason| (400, reason))?
            }
            None => Labels::default(),
        };
        self.notes.labels.clone_from(&labels.fields);
        let limit = self.shared.settings.max_body_bytes;
        let too_large = (413, format!("the body is larger than {limit} bytes"));
        if body.length > limit {
            broken(
                Rule::BodyTooLarge,
                format!("{} bytes on the wire", body.length),
            );
            return Err(too_large);
        }
        let decoded = match decode::decode(instructions.encoding, body.bytes, limit) {
            Ok(decoded) => decoded,
            Err(DecodeError::TooLarge) => {
                broken(
                    Rule::BodyTooLarge,
                    format!("more than {limit} bytes decoded"),
                );
                return Err(too_large);
            }
            Err(DecodeError::Corrupt(error)) => {
                let reason = format!("the body can not be decoded: {error}");
                broken(Rule::BodyNotUnderstood, reason.clone());
                return Err((400, reason));
            }
        };
        self.notes.decoded_bytes = decoded.len();
        if decoded.trim_ascii().is_empty() {
            broken(Rule::EmptyBody, "the body is empty".into());
        }
        let split = split::split(&instructions.format, decoded).map_err(|reason| {
            broken(Rule::BodyNotUnderstood, reason.clone());
            (400, reason)
        })?;
        self.notes.events = split.events.len();
        Ok((split, instructions, Arc::new(labels)))
    }

    /// Judges the events, and makes the receipt for those to be stored, which [`finish`](Self::finish) does.
    fn serve(
        &mut self,
        body: Received,
        fail: usize,
        messages: Option<Value>,
    ) -> Result<Answer, Refusal> {
        let (split, instructions, labels) = self.open(body)?;
        let dataset: Arc<str> = self.notes.dataset.as_deref().unwrap_or_default().into();
        let outcome = self.shared.ingest().accept(&Batch {
            dataset: &dataset,
            split: &split,
            labels: &labels,
            time_field: &instructions.time_field,
            fail,
        });
        self.breaches.extend(outcome.breaches);
        if let Some(refusal) = outcome.refused {
            return Err(refusal);
        }
        let ingested = outcome.stored.len();
        self.notes.ingested = ingested;
        self.stored = outcome.stored;
        let wal_length = self.shared.store().ingested_in(&dataset) + ingested as u64;
        Ok(Answer::receipt(&Receipt {
            ingested,
            failures: &outcome.failures,
            processed_bytes: self.notes.decoded_bytes + labels.bytes,
            wal_length,
            messages,
        }))
    }

    /// Stores the events, notes what became of the request, and wakes those who wait for it. All of this happens under one
    /// lock, so that whoever sees the events sees their violations too.
    fn finish(self, status: Option<u16>) {
        let mut store = self.shared.store();
        if !self.stored.is_empty() {
            let dataset: Arc<str> = self.notes.dataset.as_deref().unwrap_or_default().into();
            store.add_events(self.index, &dataset, self.stored);
        }
        for (rule, reason, event) in self.breaches {
            store.add_violation(
                self.index,
                self.notes.dataset.as_deref(),
                event,
                rule,
                reason,
            );
        }
        let notes = self.notes;
        store.update(self.index, |request| {
            request.labels = notes.labels;
            request.wire_bytes = notes.wire_bytes;
            request.decoded_bytes = notes.decoded_bytes;
            request.events = notes.events;
            request.ingested = notes.ingested;
            request.status = status;
        });
        drop(store);
        self.shared.notify();
    }
}
