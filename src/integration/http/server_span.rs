//! Opens the span of a request that arrived.

use std::fmt;
use std::sync::Arc;

use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use tracing::field::{Empty, display};
use tracing::{Level, Span};

use super::conventions::{self, KnownMethod, TARGET};
use super::exchange::span_at;
use super::grpc::Call;
use super::secrets::redact_query;
use crate::integration::SpanExt;
use crate::trace::TraceContext;

/// Finds the template of the path that a request matched.
pub(super) type Route = Arc<dyn for<'a> Fn(&'a Parts) -> Option<&'a str> + Send + Sync>;

/// Adds fields of the application's own to the span of a request.
pub(super) type Attributes = Arc<dyn Fn(&Parts, &Span) + Send + Sync>;

/// Tells the requests that get no span.
pub(super) type Skip = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// What the layer was told of the spans that it opens.
#[derive(Clone)]
pub(super) struct ServerSpan {
    pub(super) level: Level,
    pub(super) route: Option<Route>,
    pub(super) attributes: Option<Attributes>,
    pub(super) skip: Option<Skip>,
    pub(super) scheme: Option<Arc<str>>,
    pub(super) ends_at_head: bool,
}

impl ServerSpan {
    pub(super) fn new() -> Self {
        Self {
            level: Level::INFO,
            route: None,
            attributes: None,
            skip: None,
            scheme: None,
            ends_at_head: false,
        }
    }

    pub(super) fn skips(&self, request: &Parts) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(request))
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
