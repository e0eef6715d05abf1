//! The response that will be there: polled inside the span of its request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Method, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::ResponseBody;
use super::conventions;
use super::exchange::{Exchange, Side};
use super::grpc;

pin_project! {
    /// The response that a [`ServerService`] or a [`ClientService`] will have.
    ///
    /// Dropped before it is ready, it ends the span as cancelled.
    ///
    /// [`ServerService`]: super::ServerService
    /// [`ClientService`]: super::ClientService
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, E> {
        // Taken out, inside the span, when it is done: what it holds may close spans and record.
        #[pin]
        response: Option<F>,
        // Absent if the request has no span.
        pending: Option<Pending<E>>,
    }

    impl<F, E> PinnedDrop for ResponseFuture<F, E> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(pending) = this.pending.take() {
                pending.exchange.span.in_scope(|| this.response.set(None));
            }
        }
    }
}

/// What is known of a request that is not answered yet.
pub(super) struct Pending<E> {
    pub(super) exchange: Exchange,
    pub(super) method: Method,
    /// The gRPC method that is called, as the span is named.
    pub(super) call: Option<String>,
    pub(super) ends_at_head: bool,
    /// How an error of the service is recorded.
    pub(super) end_with_error: fn(&mut Exchange, &E),
}

impl<F, E> ResponseFuture<F, E> {
    pub(super) fn new(response: F, pending: Option<Pending<E>>) -> Self {
        Self {
            response: Some(response),
            pending,
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    /// Polled again after it was ready, it stays pending for good.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = this.response.as_mut();
        let Some(pending) = this.pending.as_mut() else {
            let polled = poll_once_ready(response, context);
            return polled.map_ok(|response| response.map(ResponseBody::inert));
        };
        let polled = pending.exchange.run(|| poll_once_ready(response, context));
        let outcome = ready!(polled);
        match this.pending.take() {
            Some(pending) => Poll::Ready(pending.answered(outcome)),
            None => Poll::Pending,
        }
    }
}

/// Polls a future that is dropped once it is ready, and stays pending from then on.
fn poll_once_ready<F: Future>(
    mut future: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    let Some(running) = future.as_mut().as_pin_mut() else {
        return Poll::Pending;
    };
    let output = ready!(running.poll(context));
    future.set(None);
    Poll::Ready(output)
}

impl<E> Pending<E> {
    fn answered<R: Body>(
        self,
        outcome: Result<Response<R>, E>,
    ) -> Result<Response<ResponseBody<R>>, E> {
        let mut exchange = self.exchange;
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                (self.end_with_error)(&mut exchange, &error);
                return Err(error);
            }
        };
        if let Some(call) = &self.call {
            grpc::record_head(&mut exchange, call, response.headers());
        }
        if exchange.side == Side::Client
            && let Some(version) = conventions::protocol_version(response.version())
        {
            exchange.span.record("network.protocol.version", version);
        }
        exchange.has_status(response.status());
        if self.ends_at_head {
            exchange.end();
            return Ok(response.map(ResponseBody::inert));
        }
        exchange.has_head_now();
        let is_grpc = self.call.is_some();
        Ok(ResponseBody::wrap(
            exchange,
            &self.method,
            is_grpc,
            response,
        ))
    }
}

impl<F, E> fmt::Debug for ResponseFuture<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchange = self.pending.as_ref().map(|pending| &pending.exchange);
        f.debug_struct("ResponseFuture")
            .field("exchange", &exchange)
            .finish_non_exhaustive()
    }
}
