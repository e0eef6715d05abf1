//! Opens the span of a request that arrived.

use std::fmt;
use std::sync::Arc;

use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use tower_layer::Layer;
use tracing::field::{Empty, display};
use tracing::{Level, Span};

use super::conventions::{self, KnownMethod, TARGET};
use super::exchange::span_at;
use super::grpc::Call;
use super::secrets::redact_query;
use super::service::ServerService;
use crate::span_ext::SpanExt;
use crate::trace::TraceContext;

/// Finds the template of the path that a request matched.
type Route = Arc<dyn for<'a> Fn(&'a Parts) -> Option<&'a str> + Send + Sync>;

/// Adds fields of the application's own to the span of a request.
type Attributes = Arc<dyn Fn(&Parts, &Span) + Send + Sync>;

/// Tells the requests that get no span.
type Skip = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

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
    level: Level,
    route: Option<Route>,
    attributes: Option<Attributes>,
    skip: Option<Skip>,
    scheme: Option<Arc<str>>,
    ends_at_head: bool,
}

impl ServerLayer {
    /// A layer whose spans have the level INFO and, with the feature `axum`, axum's routes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            level: Level::INFO,
            route: None,
            attributes: None,
            skip: None,
            scheme: None,
            ends_at_head: false,
        }
    }

    /// The level of the spans. Default INFO.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
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
        self.route = Some(Arc::new(route));
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
        self.attributes = Some(Arc::new(attributes));
        self
    }

    /// Which requests get no span, such as those of health checks. Default none.
    ///
    /// They are served as if this layer was not there: what is recorded meanwhile belongs to the span that is current where
    /// the service is called, if there is one, and the caller's trace is not continued, for without a span there is nothing
    /// that could carry it. A service that wants it can read it with [`TraceContext::extract`].
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
        self.skip = Some(Arc::new(skip));
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
        self.scheme = Some(scheme.into());
        self
    }

    /// Whether the span ends with the response's head, rather than with the last byte of its body. Default false.
    ///
    /// For services whose responses go on for hours and say of themselves how they went. The body is then handed on as
    /// it is: what it records is not in the span, errors in it are not seen, nor is the status in the trailers of a gRPC call.
    /// There is no `http.response.head_ns`, since it would be the span's duration.
    #[must_use]
    pub fn end_at_head(mut self, end_at_head: bool) -> Self {
        self.ends_at_head = end_at_head;
        self
    }

    pub(super) fn skips(&self, request: &Parts) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(request))
    }

    pub(super) fn ends_at_head(&self) -> bool {
        self.ends_at_head
    }

    pub(super) fn add_attributes(&self, request: &Parts, span: &Span) {
        if let Some(attributes) = &self.attributes {
            attributes(request, span);
        }
    }

    pub(super) fn open(&self, request: &Parts) -> Span {
        let method = KnownMethod::of(&request.method);
        let route = match &self.route {
            Some(route) => route(request),
            None => route_of_router(request),
        };
        let header = |name| request.headers.get(name)?.to_str().ok();
        let authority = request.uri.authority().map(|authority| authority.as_str());
        let authority = authority.or_else(|| header(HOST));
        let (host, port) = authority.map(conventions::host_and_port).unzip();
        let call = Call::of(request);
        // HTTP/1 sends none: the server's own, and without TLS unless it was told otherwise.
        let scheme = match &self.scheme {
            Some(scheme) => scheme,
            None => request.uri.scheme_str().unwrap_or("http"),
        };
        let uri = original_uri(request);
        let peer = client_address(request).map(display);
        let span = span_at!(
            self.level,
            parent: None,
            "server request",
            otel.name = %Name { method: method.name, route },
            otel.kind = "server",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = method.method,
            http.request.method_original = method.original,
            http.route = route,
            http.response.status_code = Empty,
            http.response.head_ns = Empty,
            url.path = uri.path(),
            url.query = uri.query().map(redact_query).as_deref(),
            url.scheme = scheme,
            server.address = host.filter(|host| !host.is_empty()),
            server.port = port.flatten(),
            client.address = peer,
            user_agent.original = header(USER_AGENT),
            network.protocol.version = conventions::protocol_version(request.version),
            rpc.system = call.map(|_| "grpc"),
            rpc.service = call.map(|call| call.service),
            rpc.method = call.map(|call| call.method),
            rpc.grpc.status_code = Empty,
            error.type = Empty,
        );
        // Before anything is recorded inside, so that all of it is in the caller's trace.
        if let Some(caller) = TraceContext::extract(&request.headers) {
            span.set_parent(&caller);
        }
        span
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
            .field("level", &self.level)
            .field("scheme", &self.scheme)
            .field("ends_at_head", &self.ends_at_head)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, service: S) -> Self::Service {
        ServerService::new(service, self.clone())
    }
}

/// `GET /orders/{id}`
struct Name<'a> {
    method: &'a str,
    route: Option<&'a str>,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method)?;
        match self.route {
            Some(route) => write!(f, " {route}"),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "axum")]
fn route_of_router(request: &Parts) -> Option<&str> {
    let path = request.extensions.get::<axum::extract::MatchedPath>()?;
    Some(path.as_str())
}

#[cfg(not(feature = "axum"))]
fn route_of_router(_: &Parts) -> Option<&str> {
    None
}

/// A nested router takes its prefix off the path; axum keeps the whole.
#[cfg(feature = "axum")]
fn original_uri(request: &Parts) -> &http::Uri {
    let original = request.extensions.get::<axum::extract::OriginalUri>();
    original.map_or(&request.uri, |original| &original.0)
}

#[cfg(not(feature = "axum"))]
fn original_uri(request: &Parts) -> &http::Uri {
    &request.uri
}

/// The peer, if the server was made with `into_make_service_with_connect_info::<SocketAddr>()`.
#[cfg(feature = "axum")]
fn client_address(request: &Parts) -> Option<std::net::IpAddr> {
    use axum::extract::ConnectInfo;
    let info = request
        .extensions
        .get::<ConnectInfo<std::net::SocketAddr>>()?;
    Some(info.0.ip())
}

#[cfg(not(feature = "axum"))]
fn client_address(_: &Parts) -> Option<std::net::IpAddr> {
    None
}
