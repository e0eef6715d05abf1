//! The layer that gives each request of a server its span: how it is set up.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use tower_layer::Layer;
use tracing::{Level, Span};

use super::server_span::ServerSpan;
use super::service::ServerService;

/// Gives each request that a server answers a span, which continues the trace of its caller. With the feature `tower`.
///
/// A `tower` layer for servers of any kind: axum, hyper, tonic. Everything that the service does for a request happens
/// inside its span, and so does what the response's body does while it is read.
/// A request with a valid `traceparent` continues its trace. Any other starts a trace of its own, whatever span is
/// current where the service is called.
///
/// # How long the span lasts
/// Until the server takes the last byte of the response's body, or drops the body before that. The record is sent then, even
/// if a task that was spawned for the request still holds the span: what such a task records later is in the trace, but
/// does not make the request any longer. `http.response.head_ns` is the part of it until the response's head (status and headers) was
/// there, in nanoseconds.
///
/// A response without a body ends the span with its head: one to HEAD, 204, 304, an empty one; and so do the responses after which
/// the connection is no longer one of HTTP (101, as for WebSockets, and a CONNECT that is accepted). With
/// [`end_at_head`](Self::end_at_head) the head ends each of them.
///
/// # The span
/// Its name is the method and the route, such as `GET /orders/{id}`, or the method alone where there is no route: never
/// the path, which anybody can invent. Its kind is `server`. Attributes, each if it is known: `http.request.method`
/// (and `_original`), `http.route`, `url.path`, `url.query` (without secrets), `url.scheme`, `server.address` and `server.port` from
/// `:authority` or `Host`, `client.address` (the peer's), `user_agent.original`, `network.protocol.version`,
/// `http.response.status_code`, `http.response.head_ns`, `error.type`. What proxies say in `Forwarded` or `X-Forwarded-*` is not
/// believed. For attributes of your own there is [`attributes`](Self::attributes).
///
/// The span is an error when
/// - the status is 5xx: `error.type` is the status. 4xx are the client's errors and not the server's.
/// - the service fails without a response: `error.type` is the type of its error, `status.message` what it says.
/// - the response's body fails: `body`, and `status.message` is what its error says.
/// - the service or the body panics: `panic`.
/// - the response is no longer waited for, or its body is dropped before its end, most often because the client is gone: `cancelled`.
///
/// The first of these stays. From the texts of errors the secrets in URLs are removed.
///
/// A layer around this one that replaces a response's body drops the original one, which looks like a client that is gone: put
/// such a layer inside.
///
/// # gRPC
/// Requests with the content type `application/grpc` also have `rpc.system`, `rpc.service` and `rpc.method`, and once the
/// method turned out to exist the span's name is `package.Service/Method`. The status of the call, from the
/// headers or the trailers of the response, is `rpc.grpc.status_code`. It is an error where the conventions for servers say so; then
/// `error.type` is the status and `status.message` the call's message.
/// The status of a gRPC-Web call is part of its body, which is not looked at.
///
/// # Routes
/// With the feature `axum` the route is what axum's router matched, nested routers included. Add the layer
/// with `Router::layer`, which runs after the router; wrapped around the whole router it could not know the route. For
/// other routers there is [`route`](Self::route).
///
/// # Examples
/// ```
/// # #[cfg(feature = "axum")]
/// # fn app() -> axum::Router {
/// use axum::{Router, routing::get};
/// use axiom_layer::http::ServerLayer;
///
/// Router::new()
///     .route("/orders/{id}", get(|| async { "tea" }))
///     .layer(ServerLayer::new())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerLayer {
    span: ServerSpan,
}

impl ServerLayer {
    /// A layer whose spans have the level INFO and, with the feature `axum`, axum's routes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            span: ServerSpan::new(),
        }
    }

    /// The level of the spans. Default INFO.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.span.level = level;
        self
    }

    /// How to find the route of a request: the template that its path matched, such as `/orders/{id}`. Default: axum's, with
    /// the feature `axum`, and else none.
    ///
    /// Whatever is returned becomes part of the span's name, so there must be few of them: never the
    /// path itself. `None` means that no route matched.
    ///
    /// # Examples
    /// ```
    /// use axiom_layer::http::ServerLayer;
    ///
    /// let layer = ServerLayer::new().route(|request| match request.uri.path() {
    ///     "/health" => Some("/health"),
    ///     path if path.starts_with("/orders/") => Some("/orders/{id}"),
    ///     _ => None,
    /// });
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn route<F>(mut self, route: F) -> Self
    where
        F: for<'a> Fn(&'a Parts) -> Option<&'a str> + Send + Sync + 'static,
    {
        self.span.route = Some(Arc::new(route));
        self
    }

    /// Adds attributes of your own to the span of each request: called with the request's head, in the span, before the service is.
    /// Default none.
    ///
    /// # Examples
    /// ```
    /// use axiom_layer::{SpanExt, http::ServerLayer};
    ///
    /// let layer = ServerLayer::new().attributes(|request, span| {
    ///     let tenant = request.headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok());
    ///     if let Some(tenant) = tenant {
    ///         span.set_attribute("tenant", tenant);
    ///     }
    /// });
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn attributes<F>(mut self, attributes: F) -> Self
    where
        F: Fn(&Parts, &Span) + Send + Sync + 'static,
    {
        self.span.attributes = Some(Arc::new(attributes));
        self
    }

    /// Which requests get no span, such as those of health checks. Default none.
    ///
    /// They are served as if this layer was not there: what is recorded meanwhile belongs to the span that is current where
    /// the service is called, if there is one, and the caller's trace is not continued, for without a span there is nothing
    /// that could carry it. A service that wants it can read it with [`TraceContext::extract`](crate::TraceContext::extract).
    ///
    /// # Examples
    /// ```
    /// use axiom_layer::http::ServerLayer;
    ///
    /// let layer = ServerLayer::new().skip(|request| request.uri.path() == "/health");
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn skip<F>(mut self, skip: F) -> Self
    where
        F: Fn(&Parts) -> bool + Send + Sync + 'static,
    {
        self.span.skip = Some(Arc::new(skip));
        self
    }

    /// The scheme of all requests, `url.scheme`. Default: the request's own where it has one, as in HTTP/2, and else `http`.
    ///
    /// For servers whose clients use another: one with TLS, or behind a proxy that has it. What a proxy says in
    /// `X-Forwarded-Proto` is not believed, as any client can send it.
    ///
    /// # Examples
    /// ```
    /// use axiom_layer::http::ServerLayer;
    ///
    /// let layer = ServerLayer::new().scheme("https");
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn scheme(mut self, scheme: impl Into<Arc<str>>) -> Self {
        self.span.scheme = Some(scheme.into());
        self
    }

    /// Whether the span ends with the response's head, rather than with the last byte of its body. Default false.
    ///
    /// For services whose responses go on for hours and say of themselves how they went. The body is then handed on as
    /// it is: what it records is not in the span, errors in it are not seen, nor is the status in the trailers of a gRPC call.
    /// There is no `http.response.head_ns`, since it would be the span's duration.
    #[must_use]
    pub fn end_at_head(mut self, end_at_head: bool) -> Self {
        self.span.ends_at_head = end_at_head;
        self
    }
}

impl Default for ServerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ServerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerLayer")
            .field("level", &self.span.level)
            .field("scheme", &self.span.scheme)
            .field("ends_at_head", &self.span.ends_at_head)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, service: S) -> Self::Service {
        ServerService::new(service, self.span.clone())
    }
}
