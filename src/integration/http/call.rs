//! A span for each request that a tower client sends, and its context in the request.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::field::Empty;
use tracing::{Level, Span};

use super::body::ResponseBody;
use super::conventions::{self, KnownMethod, TARGET};
use super::exchange::{Exchange, Side, span_at};
use super::future::{Pending, ResponseFuture};
use super::grpc;
use super::secrets::redact_text;
use super::service::error_type;
use crate::integration::SpanExt;
use crate::trace::TraceContext;

/// Gives each request that a client sends a span below the current one, and sends its context along. With the feature `tower`.
///
/// A `tower` layer for clients of any kind: tonic's `Channel`, hyper's. The service that answers continues the trace. Whatever
/// `traceparent` and `tracestate` the request had are replaced. If the span is filtered out, the context of the nearest span
/// around it is sent.
///
/// # The span
/// Its name is the method, or of a gRPC call `package.Service/Method`; its kind `client`. Attributes, each if it is known:
/// `http.request.method` (and `_original`), `url.full` (without credentials and secrets), `server.address`,
/// `server.port`, `network.protocol.version`, `http.response.status_code`, `error.type`, and for gRPC `rpc.system`,
/// `rpc.service`, `rpc.method`, `rpc.grpc.status_code` and `http.response.head_ns`. Requests that tonic makes name no server unless the
/// client has an origin (`with_origin`), as its `Channel` adds the address only later.
///
/// The span ends when the response's headers are there; reading the body is not part of it. That of a gRPC call ends with the
/// response, as its trailers tell how the call went: each status but OK is an error, and the call's message is `status.message`.
///
/// The span is also an error when the status is 4xx or 5xx (`error.type` is the status); when there is no response (`error.type` is the
/// type of the client's error, and the error with its causes is the span's exception, without the secrets of the URLs in its
/// texts); when the response of a gRPC call fails before its end (`body`); and when nobody waits for the response, or for the rest of
/// a gRPC call, any longer (`cancelled`).
///
/// The client's error must be a [`std::error::Error`]. A boxed one is not: put this layer inside of those that box.
///
/// # Examples
/// ```
/// use axiom_layer::http::ClientLayer;
/// use tower::ServiceBuilder;
///
/// # fn client(channel: tonic::transport::Channel) {
/// let client = ServiceBuilder::new()
///     .layer(ClientLayer::new())
///     .service(channel);
/// let health = tonic_health::pb::health_client::HealthClient::new(client);
/// # drop(health);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClientLayer {
    level: Level,
}

impl ClientLayer {
    /// A layer whose spans have the level INFO.
    #[must_use]
    pub fn new() -> Self {
        Self { level: Level::INFO }
    }

    /// The level of the spans. Default INFO.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn open(&self, request: &Parts, call: Option<grpc::Call<'_>>) -> Span {
        let method = KnownMethod::of(&request.method);
        let uri = &request.uri;
        // What has no scheme is no full URL.
        let full = uri.scheme().map(|_| uri.to_string());
        let (host, port) = uri
            .authority()
            .map(|authority| conventions::host_and_port(authority.as_str()))
            .unzip();
        let name: &dyn std::fmt::Display = match &call {
            Some(call) => call,
            None => &method.name,
        };
        span_at!(
            self.level,
            "client request",
            otel.name = %name,
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = method.method,
            http.request.method_original = method.original,
            http.response.status_code = Empty,
            http.response.head_ns = Empty,
            url.full = full.as_deref().map(redact_text).as_deref(),
            server.address = host,
            server.port = port.flatten(),
            network.protocol.version = Empty,
            rpc.system = call.map(|_| "grpc"),
            rpc.service = call.map(|call| call.service),
            rpc.method = call.map(|call| call.method),
            rpc.grpc.status_code = Empty,
            error.type = Empty,
            error = Empty,
        )
    }
}

impl Default for ClientLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, service: S) -> Self::Service {
        let layer = Arc::new(self.clone());
        ClientService { service, layer }
    }
}

/// A client whose requests have spans: what [`ClientLayer`] makes of a client.
#[derive(Debug, Clone)]
pub struct ClientService<S> {
    service: S,
    layer: Arc<ClientLayer>,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Error + 'static,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let call = grpc::Call::of(&parts);
        let span = self.layer.open(&parts, call);
        let call = call.map(|call| call.to_string());
        if let Some(context) = span.context().or_else(TraceContext::current) {
            context.inject(&mut parts.headers);
        }
        let mut pending = Pending {
            exchange: Exchange::new(Side::Client, span),
            method: parts.method.clone(),
            ends_at_head: call.is_none(),
            call,
            end_with_error: |exchange, error| {
                exchange.end_with_exception(error_type::<S::Error>(), error);
            },
        };
        let request = Request::from_parts(parts, body);
        let response = pending.exchange.run(|| self.service.call(request));
        ResponseFuture::new(response, Some(pending))
    }
}
