//! A span for each request that a reqwest client sends, and its context in the request.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use super::conventions::{self, KnownMethod, TARGET};
use super::exchange::{Exchange, Side, span_at};
use super::secrets::full_url;
use crate::integration::SpanExt;
use crate::trace::TraceContext;

/// Gives each request that a reqwest client sends a span below the current one, and sends its context along. With the
/// feature `reqwest-middleware`.
///
/// The service that answers continues the trace. Whatever `traceparent` and `tracestate` the request had are replaced. If
/// the span is filtered out, the context of the nearest span around it is sent.
///
/// # The span
/// Its name is the method, its kind `client`. Attributes: `http.request.method` (and `_original`), `url.full` (without
/// credentials and secrets), `server.address`, `server.port`, `network.protocol.version`,
/// `http.response.status_code`, `http.request.resend_count`, `error.type`. It ends when the response's headers are
/// there, whatever still holds it; reading the body is not part of it.
///
/// The span is an error when the status is 4xx or 5xx (`error.type` is the status); when there is no response (`error.type`
/// is `timeout`, `connect`, `redirect`, `body`, `decode`, `builder`, `request`, `middleware` or `_OTHER`, and the error with its
/// causes is the span's exception, without the secrets of the URLs in its texts); and when nobody waits for the response any longer (`cancelled`).
///
/// Redirects that reqwest follows by itself are one span. Put it after a middleware that retries, and each attempt has a
/// span of its own, with `http.request.resend_count`.
///
/// # Examples
/// ```no_run
/// use axiom_layer::http::ClientMiddleware;
///
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(ClientMiddleware::new())
///     .build();
/// # drop(client);
/// ```
#[derive(Debug, Clone)]
pub struct ClientMiddleware {
    level: Level,
}

impl ClientMiddleware {
    /// A middleware whose spans have the level INFO.
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

    fn open(&self, request: &Request, resends: u32) -> Span {
        let method = KnownMethod::of(request.method());
        let url = request.url();
        let full = full_url(url);
        let host = url.host_str();
        span_at!(
            self.level,
            "client request",
            otel.name = method.name,
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = method.method,
            http.request.method_original = method.original,
            http.request.resend_count = (resends > 0).then_some(resends),
            http.response.status_code = Empty,
            url.full = &*full,
            server.address = host.map(|host| host.trim_matches(['[', ']'])),
            server.port = url.port_or_known_default(),
            network.protocol.version = Empty,
            error.type = Empty,
            error = Empty,
        )
    }
}

impl Default for ClientMiddleware {
    fn default() -> Self {
        Self::new()
    }
}

/// How often one request was sent before: it is kept in the request's extensions, which all attempts share.
#[derive(Debug, Clone, Copy)]
struct Sent(u32);

#[async_trait::async_trait]
impl Middleware for ClientMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let sent = extensions.get::<Sent>().map_or(0, |sent| sent.0);
        extensions.insert(Sent(sent + 1));
        let mut exchange = Exchange::new(Side::Client, self.open(&request, sent));
        if let Some(context) = exchange.span.context().or_else(TraceContext::current) {
            context.inject(request.headers_mut());
        }
        let outcome = next
            .run(request, extensions)
            .instrument(exchange.span.clone())
            .await;
        match outcome {
            Ok(response) => {
                let (status, version) = (response.status(), response.version());
                if let Some(version) = conventions::protocol_version(version) {
                    exchange.span.record("network.protocol.version", version);
                }
                exchange.has_status(status);
                exchange.end();
                Ok(response)
            }
            Err(error) => Err(end(exchange, error)),
        }
    }
}

/// Records an error without its URL, which may hold secrets, and gives it back as it was.
fn end(mut exchange: Exchange, error: Error) -> Error {
    let url = error.url().cloned();
    let error = error.without_url();
    match &error {
        Error::Reqwest(error) => exchange.end_with_exception(error_type(error), error),
        Error::Middleware(error) => exchange.end_with_exception("middleware", &**error),
    }
    match url {
        Some(url) => error.with_url(url),
        None => error,
    }
}

/// `error.type`: what of a request failed.
fn error_type(error: &reqwest::Error) -> &'static str {
    // The kinds overlap: a timeout while connecting is both.
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else if error.is_redirect() {
        "redirect"
    } else if error.is_body() {
        "body"
    } else if error.is_decode() {
        "decode"
    } else if error.is_builder() {
        "builder"
    } else if error.is_request() {
        "request"
    } else {
        "_OTHER"
    }
}
