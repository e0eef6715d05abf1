//! Serves HTTP/2 by h2 and not by hyper, because a GOAWAY frame names a stream, and hyper does not tell the stream of a request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hyper::Response;
use hyper::body::Body;
use hyper::header::{CONTENT_LENGTH, DATE, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::answer::AnswerBody;
use super::frames::{Ordering, Orders};
use super::service::{self, Arriving, Begun, Ending};
use super::tools::Tools;
use crate::fault::{Kind, StreamError};

/// Labels that are longer than the contract allows must still arrive, so that they can be reported.
const MAX_HEADER_BYTES: u32 = 256 * 1024;

/// What a client may send before it must wait, in one stream and in all of a connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, tools: Tools) {
    let orders = Orders::default();
    let mut builder = h2::server::Builder::new();
    builder
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(tools.shared.settings.max_streams);
    let io = Ordering::new(io, orders.clone());
    let Ok(mut connection) = builder.handshake::<_, Bytes>(io).await else {
        return;
    };
    let is_shut = Arc::new(AtomicBool::new(false));
    // The requests end when this set is dropped, which is when the connection ends.
    let mut requests = JoinSet::new();
    // `left_at` is the first stream that is not processed any more. Such streams are kept in `left`, because h2 sends a frame
    // about a stream that is dropped.
    let (mut left_at, mut left) = (None, Vec::new());
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            Some(_) = requests.join_next() => continue,
        };
        let Some(Ok((request, respond))) = accepted else {
            return;
        };
        let stream = respond.stream_id().as_u32();
        if left_at.is_some_and(|first| stream >= first) {
            left.push((request.into_body(), respond));
            continue;
        }
        let (head, body) = request.into_parts();
        let begun = service::begin(&head, tools.number, &tools.shared);
        match begun.fault.kind {
            Kind::GoAway => {
                left_at = Some(stream);
                // The streams of a client have odd numbers, so this names the stream before.
                orders.go_away(stream.saturating_sub(2));
                left.push((body, respond));
                continue;
            }
            Kind::GoAwayGracefully => connection.graceful_shutdown(),
            Kind::ShutWindow => {
                is_shut.store(true, Relaxed);
                // This fails if the client has not acknowledged an earlier change. The windows still stay shut, because no
                // capacity is given back any more.
                drop(connection.set_initial_window_size(0));
            }
            Kind::IgnorePings => orders.answer_no_ping(),
            Kind::BlackHole => {
                // h2 may have read later requests already, and they must not be processed.
                left_at = Some(stream + 2);
                orders.swallow_everything();
            }
            _ => {}
        }
        let body = Arrival {
            stream: body,
            is_shut: Arc::clone(&is_shut),
        };
        requests.spawn(answer(head, body, begun, respond, tools.clone()));
    }
}

/// Answers a request, or ends it as its fault says. It stops at once if the client resets the stream.
async fn answer(
    head: hyper::http::request::Parts,
    body: Arrival,
    begun: Begun,
    mut respond: SendResponse<Bytes>,
    tools: Tools,
) {
    let ending = tokio::select! {
        ending = service::answer(head, body, begun, Arc::clone(&tools.shared)) => ending,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    match ending {
        Ending::Answer(response) => send(respond, response).await,
        Ending::Cut(how) => tools.scissors.cut(how).await,
        Ending::Reset(why) => respond.send_reset(match why {
            StreamError::Refused => Reason::REFUSED_STREAM,
            StreamError::Cancel => Reason::CANCEL,
            StreamError::Internal => Reason::INTERNAL_ERROR,
            StreamError::EnhanceYourCalm => Reason::ENHANCE_YOUR_CALM,
        }),
        // The stream stays open until the client resets it.
        Ending::Silence => drop(poll_fn(|cx| respond.poll_reset(cx)).await),
        Ending::Abandoned => {}
    }
}

/// Sends a response. Errors are ignored, because they mean that the client has gone.
async fn send(mut respond: SendResponse<Bytes>, response: Response<AnswerBody>) {
    let (mut head, mut body) = response.into_parts();
    let date = httpdate::fmt_http_date(SystemTime::now());
    if let Ok(date) = HeaderValue::from_str(&date) {
        head.headers.entry(DATE).or_insert(date);
    }
    if let Some(length) = body.size_hint().exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    let is_empty = body.is_end_stream();
    let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), is_empty) else {
        return;
    };
    if is_empty {
        return;
    }
    loop {
        let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let frame = tokio::select! {
            frame = next => frame,
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return,
        };
        match frame {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if stream.send_data(data, false).is_err() {
                    return;
                }
            }
            Some(Err(_)) => return stream.send_reset(Reason::INTERNAL_ERROR),
            None => return drop(stream.send_data(Bytes::new(), true)),
        }
    }
}

/// A request's body. Reading it gives capacity back to the flow-control windows, unless they are shut.
struct Arrival {
    stream: RecvStream,
    is_shut: Arc<AtomicBool>,
}

impl Arriving for Arrival {
    async fn next(&mut self) -> Option<Result<Bytes, ()>> {
        let data = match self.stream.data().await? {
            Ok(data) => data,
            Err(_) => return Some(Err(())),
        };
        if !self.is_shut.load(Relaxed)
            && self
                .stream
                .flow_control()
                .release_capacity(data.len())
                .is_err()
        {
            return Some(Err(()));
        }
        Some(Ok(data))
    }

    fn length(&self) -> Option<u64> {
        None
    }
}
