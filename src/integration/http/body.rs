//! The body of a response: the span of its request ends with its last byte.

use std::fmt::{self, Display};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::Exchange;
use super::grpc;

pin_project! {
    /// The body of a response, at whose end the span of its request ends.
    ///
    /// It has the frames, the trailers and the length of the body in it. While it is polled the span is current.
    pub struct ResponseBody<B> {
        // There until this is dropped. Dropped inside the span: what it holds may close spans and record.
        #[pin]
        body: Option<B>,
        // Absent if the span has ended with the head.
        rest: Option<Rest>,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(rest) = this.rest.take() {
                rest.exchange.span.in_scope(|| this.body.set(None));
            }
        }
    }
}

/// What of an exchange comes after the response's head.
#[derive(Debug)]
struct Rest {
    exchange: Exchange,
    is_grpc: bool,
    /// How many bytes are left, if that is known. Servers drop a body after that many, without asking it whether that was all.
    left: Option<u64>,
}

impl<B: Body> ResponseBody<B> {
    /// The body of a response to a request with this method, whose head was recorded already.
    pub(super) fn wrap(
        mut exchange: Exchange,
        method: &Method,
        is_grpc: bool,
        response: Response<B>,
    ) -> Response<Self> {
        let left = length(response.headers()).or_else(|| response.body().size_hint().exact());
        // A call has trailers after its last byte.
        let left = left.filter(|_| !is_grpc);
        let is_over = left == Some(0)
            || response.body().is_end_stream()
            || has_no_body(method, response.status());
        if is_over {
            exchange.end();
            return response.map(Self::inert);
        }
        response.map(|body| Self {
            body: Some(body),
            rest: Some(Rest {
                exchange,
                is_grpc,
                left,
            }),
        })
    }
}

impl<B> ResponseBody<B> {
    /// A body of which nothing is recorded.
    pub(super) fn inert(body: B) -> Self {
        Self {
            body: Some(body),
            rest: None,
        }
    }
}

/// Whether the response ends with its head, whatever its body would be: servers drop such a body without reading it
/// (RFC 9110, 6.4.1). After 101 and a CONNECT that was accepted, the connection is no longer one of HTTP.
fn has_no_body(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD
        || (method == Method::CONNECT && status.is_success())
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Rest {
    fn received<D: Buf, E: Display>(
        &mut self,
        frame: Option<&Result<Frame<D>, E>>,
        is_end_stream: bool,
    ) {
        let is_over = match frame {
            None => true,
            Some(Err(error)) => {
                self.exchange.fail_with("body", error);
                true
            }
            Some(Ok(frame)) => {
                if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
                    let sent = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
                    *left = left.saturating_sub(sent);
                }
                if let (true, Some(trailers)) = (self.is_grpc, frame.trailers_ref()) {
                    grpc::record_trailers(&mut self.exchange, trailers);
                }
                frame.is_trailers() || is_end_stream || self.left == Some(0)
            }
        };
        if is_over {
            self.exchange.end();
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Error: Display,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let Some(mut body) = this.body.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let Some(rest) = this.rest else {
            return body.poll_frame(context);
        };
        let polled = rest.exchange.run(|| body.as_mut().poll_frame(context));
        let frame = ready!(polled);
        rest.received(frame.as_ref(), body.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// A body of which nothing is recorded, for layers that answer by themselves.
impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::inert(B::default())
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
