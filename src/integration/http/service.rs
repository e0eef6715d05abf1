//! Runs a service inside the span of its request.

use std::any::type_name;
use std::fmt::Display;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ResponseBody;
use super::exchange::{Exchange, Side};
use super::future::{Pending, ResponseFuture};
use super::grpc;
use super::server::ServerLayer;

/// A service whose requests have spans: what [`ServerLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct ServerService<S> {
    service: S,
    // Shared, as many servers clone the service for each request.
    layer: Arc<ServerLayer>,
}

impl<S> ServerService<S> {
    pub(super) fn new(service: S, layer: ServerLayer) -> Self {
        let layer = Arc::new(layer);
        Self { service, layer }
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
        if self.layer.skips(&parts) {
            let request = Request::from_parts(parts, body);
            return ResponseFuture::new(self.service.call(request), None);
        }
        let mut pending = Pending {
            exchange: Exchange::new(Side::Server, self.layer.open(&parts)),
            method: parts.method.clone(),
            call: grpc::Call::of(&parts).map(|call| call.to_string()),
            ends_at_head: self.layer.ends_at_head(),
            end_with_error: |exchange, error| {
                exchange.fail_with(error_type::<S::Error>(), error);
                exchange.end();
            },
        };
        let span = pending.exchange.span.clone();
        let response = pending.exchange.run(|| {
            self.layer.add_attributes(&parts, &span);
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
