//! Serves HTTP/1.1 by hyper.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::AnswerBody;
use super::service::{self, Arriving, Ending};
use super::tools::{Cut, Tools};
use crate::fault::Kind;

/// Serves a connection to its end.
pub(super) async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, tools: Tools) {
    let service = hyper::service::service_fn(|request| answer(request, tools.clone()));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.max_buf_size(1024 * 1024);
    // An error is ignored: the client went away, or does not speak HTTP.
    drop(builder.serve_connection(TokioIo::new(io), service).await);
}

async fn answer(
    request: Request<Incoming>,
    tools: Tools,
) -> Result<Response<AnswerBody>, Infallible> {
    let (head, body) = request.into_parts();
    let begun = service::begin(&head, tools.number, &tools.shared);
    let leaves = begun.fault.kind == Kind::GoAwayGracefully;
    match service::answer(head, body, begun, tools.shared).await {
        Ending::Answer(mut response) => {
            if leaves {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok(response)
        }
        Ending::Cut(how) => tools.scissors.cut(how).await,
        Ending::Reset(_) | Ending::Abandoned => tools.scissors.cut(Cut::Close).await,
        Ending::Silence => pending().await,
    }
}

impl Arriving for Incoming {
    async fn next(&mut self) -> Option<Result<Bytes, ()>> {
        loop {
            match poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx))
                .await?
                .map(|frame| frame.into_data())
            {
                Ok(Ok(data)) => return Some(Ok(data)),
                // Trailers are of no use here.
                Ok(Err(_)) => {}
                Err(_) => return Some(Err(())),
            }
        }
    }

    fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}
