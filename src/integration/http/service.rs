//! Runs a service inside the span of its request.

use std::any::type_name;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ResponseBody;
use super::exchange::{Exchange, Side};
use super::future::{Pending, ResponseFuture};
use super::grpc;
use super::server_span::ServerSpan;

/// A service whose requests have spans: what [`ServerLayer`](super::ServerLayer) makes of a service.
#[derive(Clone)]
pub struct ServerService<S> {
    service: S,
    // Shared, as many servers clone the service for each request.
    span: Arc<ServerSpan>,
}

impl<S> ServerService<S> {
    pub(super) fn new(service: S, span: ServerSpan) -> Self {
        let span = Arc::new(span);
        Self { service, span }
    }
}

impl<S: fmt::Debug> fmt::Debug for ServerService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerService")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        if self.span.skips(&parts) {
            let request = Request::from_parts(parts, body);
            return ResponseFuture::new(self.service.call(request), None);
        }
        let mut pending = Pending {
            exchange: Exchange::new(Side::Server, self.span.open(&parts)),
            method: parts.method.clone(),
            call: grpc::Call::of(&parts).map(|call| call.to_string()),
            ends_at_head: self.span.ends_at_head,
            end_with_error: |exchange, error| {
                exchange.fail_with(error_type::<S::Error>(), error);
                exchange.end();
            },
        };
        let span = pending.exchange.span.clone();
        let response = pending.exchange.run(|| {
            self.span.add_attributes(&parts, &span);
            self.service.call(Request::from_parts(parts, body))
        });
        ResponseFuture::new(response, Some(pending))
    }
}

/// A box tells nothing of the error in it; OpenTelemetry's word for that is `_OTHER`.
pub(super) fn error_type<E>() -> &'static str {
    let name = type_name::<E>();
    if name.contains("dyn ") {
        "_OTHER"
    } else {
        name
    }
}
