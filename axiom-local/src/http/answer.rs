//! Makes answers, and sends their bodies: whole, cut off, or slowly.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response};
use serde_json::{Value, json};
use tokio::time::{Interval, Sleep};

use crate::ingest::Failure;

/// An answer that has not been sent yet.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) content_type: &'static str,
    /// Headers that a fault adds.
    pub(crate) headers: Vec<(String, String)>,
}

/// How the body is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery {
    Whole,
    /// Half of it, then an error, which ends the connection or the stream.
    Cut,
    /// At so many bytes a second.
    Trickle(u32),
}

/// The numbers of a 200.
#[derive(Debug)]
pub(crate) struct Receipt<'a> {
    pub(crate) ingested: usize,
    pub(crate) failures: &'a [Failure],
    pub(crate) processed_bytes: usize,
    pub(crate) wal_length: u64,
    pub(crate) messages: Option<Value>,
}

impl Answer {
    pub(crate) fn receipt(receipt: &Receipt<'_>) -> Self {
        let failures: Vec<Value> = receipt
            .failures
            .iter()
            .map(|failure| json!({"timestamp": failure.timestamp, "error": failure.error}))
            .collect();
        let mut body = json!({
            "ingested": receipt.ingested,
            "failed": failures.len(),
            "failures": failures,
            "processedBytes": receipt.processed_bytes,
            "blocksCreated": usize::from(receipt.ingested > 0),
            "walLength": receipt.wal_length,
        });
        if let Some(messages) = &receipt.messages {
            body["messages"] = messages.clone();
        }
        Answer::new(200, body.to_string())
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        Answer::new(status, json!({"message": message}).to_string())
    }

    pub(crate) fn new(status: u16, body: String) -> Self {
        Answer {
            status,
            body,
            content_type: "application/json",
            headers: Vec::new(),
        }
    }

    /// Makes the response to be sent. Added headers whose name or value is not valid are left out.
    pub(crate) fn into_response(self, request: u64, delivery: Delivery) -> Response<AnswerBody> {
        let length = self.body.len();
        let mut response = Response::new(AnswerBody::new(self.body.into(), delivery));
        *response.status_mut() = hyper::StatusCode::from_u16(self.status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Ok(id) = HeaderValue::from_str(&format!("{request:032x}")) {
            headers.insert("x-axiom-trace-id", id);
        }
        if self.status == 405 {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        let mut added = HeaderMap::new();
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                added.append(name, value);
            }
        }
        // `extend` replaces an existing header by all the added values of that name.
        headers.extend(added);
        if matches!(delivery, Delivery::Cut) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

/// The error that cuts a body off on purpose.
#[derive(Debug)]
pub(crate) struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was cut off on purpose")
    }
}

impl std::error::Error for CutOff {}

impl From<Infallible> for CutOff {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[derive(Debug)]
pub(crate) struct AnswerBody {
    rest: Bytes,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Whole,
    Cut {
        pause: Pin<Box<Sleep>>,
    },
    Trickle {
        every: Box<Interval>,
        rate: u64,
        ticks: u64,
        sent: u64,
    },
}

/// A pause between the first half and the error. Without it, over HTTP/2 the error would overtake data that is still to be sent.
const BEFORE_CUT: Duration = Duration::from_millis(50);

/// How often a slow body sends a piece. A rate below this sends one byte each time, less often.
const TICKS_PER_SECOND: u64 = 10;

impl AnswerBody {
    fn new(body: Bytes, delivery: Delivery) -> Self {
        match delivery {
            Delivery::Whole => AnswerBody {
                rest: body,
                way: Way::Whole,
            },
            Delivery::Cut => {
                let half = body.len() / 2;
                AnswerBody {
                    rest: body.slice(..half),
                    way: Way::Cut {
                        pause: Box::pin(tokio::time::sleep(BEFORE_CUT)),
                    },
                }
            }
            Delivery::Trickle(rate) => {
                let rate = u64::from(rate);
                let ticks_per_second = rate.min(TICKS_PER_SECOND);
                let pause = Duration::from_nanos(1_000_000_000 / ticks_per_second);
                AnswerBody {
                    rest: body,
                    way: Way::Trickle {
                        every: Box::new(tokio::time::interval(pause)),
                        rate,
                        ticks: 0,
                        sent: 0,
                    },
                }
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let this = &mut *self;
        let next = match &mut this.way {
            Way::Cut { pause } if this.rest.is_empty() => {
                ready!(pause.as_mut().poll(cx));
                return Poll::Ready(Some(Err(CutOff)));
            }
            _ if this.rest.is_empty() => return Poll::Ready(None),
            Way::Whole | Way::Cut { .. } => std::mem::take(&mut this.rest),
            Way::Trickle {
                every,
                rate,
                ticks,
                sent,
            } => {
                ready!(every.poll_tick(cx));
                *ticks += 1;
                let due = *rate * *ticks / (*rate).min(TICKS_PER_SECOND) - *sent;
                let n = usize::try_from(due)
                    .unwrap_or(usize::MAX)
                    .min(this.rest.len());
                *sent += n as u64;
                this.rest.split_to(n)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !matches!(self.way, Way::Cut { .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self.way {
            Way::Cut { .. } => SizeHint::default(),
            _ => SizeHint::with_exact(self.rest.len() as u64),
        }
    }
}
