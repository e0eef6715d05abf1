//! Runs a service inside the span of its request, and records how it went.

use std::any::type_name;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::exchange::Exchange;
use super::grpc;
use super::server::ServerLayer;

/// A service whose requests have spans: what [`ServerLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct ServerService<S> {
    service: S,
    layer: ServerLayer,
}

impl<S> ServerService<S> {
    pub(super) fn new(service: S, layer: ServerLayer) -> Self {
        Self { service, layer }
    }
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let mut exchange = Exchange::new(self.layer.open(&parts));
        let call = grpc::Call::of(&parts).map(|call| format!("{}/{}", call.service, call.method));
        let request = Request::from_parts(parts, body);
        exchange.is_running = true;
        let response = exchange.span.in_scope(|| self.service.call(request));
        exchange.is_running = false;
        ServerFuture {
            response: Some(response),
            exchange: Some(exchange),
            call,
        }
    }
}

pin_project! {
    /// The response that a [`ServerService`] will have.
    ///
    /// The span is closed when the response is ready, and when this is dropped before that.
    #[must_use = "futures do nothing unless polled"]
    pub struct ServerFuture<F> {
        // Taken out, inside the span, when it is done: what it holds may close spans and record.
        #[pin]
        response: Option<F>,
        exchange: Option<Exchange>,
        // The gRPC method that is called.
        call: Option<String>,
    }

    impl<F> PinnedDrop for ServerFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange.take() {
                exchange.span.in_scope(|| this.response.set(None));
            }
        }
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Display,
{
    type Output = F::Output;

    /// Polled again after it was ready, it stays pending for good.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(exchange), Some(response)) =
            (this.exchange.as_mut(), this.response.as_mut().as_pin_mut())
        else {
            return Poll::Pending;
        };
        let Exchange {
            span, is_running, ..
        } = exchange;
        let inside = span.enter();
        *is_running = true;
        let polled = response.poll(context);
        *is_running = false;
        let outcome = ready!(polled);
        this.response.set(None);
        drop(inside);
        if let Some(exchange) = this.exchange.take() {
            end(exchange, this.call.take(), &outcome);
        }
        Poll::Ready(outcome)
    }
}

fn end<R, E: Display>(exchange: Exchange, call: Option<String>, outcome: &Result<Response<R>, E>) {
    match outcome {
        Ok(response) => {
            let status = response.status();
            if let Some(call) = call {
                let grpc_status = grpc::status(response.headers());
                if grpc::is_known(grpc_status) {
                    exchange.span.record("otel.name", call);
                }
                if let Some(grpc_status) = grpc_status {
                    exchange.span.record("rpc.grpc.status_code", grpc_status);
                    if grpc::is_error(grpc_status) {
                        exchange.fail(&grpc_status.to_string());
                    }
                }
            }
            exchange.end_with_status(status, status.is_server_error());
        }
        Err(error) => exchange.end_with_error(error_type::<E>(), error),
    }
}

/// A box tells nothing of the error in it; OpenTelemetry's word for that is `_OTHER`.
fn error_type<E>() -> &'static str {
    let name = type_name::<E>();
    if name.contains("dyn ") {
        "_OTHER"
    } else {
        name
    }
}

impl<F> fmt::Debug for ServerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFuture")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
