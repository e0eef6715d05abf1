//! The only user of the HTTP client. It sends one request and hands back the answer, whatever it is.

use std::time::Duration;

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use reqwest::{Client, ClientBuilder, Url, redirect, retry};

use super::answer::Answer;
use super::body::Body;
use super::digest::Digest;
use super::trouble::{self, NoAnswer};
use crate::config::TokenFile;

/// How long a connection may take to stand, TLS included; at most half of the request's time, so that no
/// connection and no answer can be told apart.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP/2 connection that shows no sign of life for this part of a request's time, while one is under way, is asked for one
/// (PING). It has the other part of that time to give it: a server that is busy may take a while. So a dead connection is noticed
/// before the request ends.
const PING_AFTER: f64 = 0.25;
const PONG_WITHIN: f64 = 0.5;
/// Neither is shorter than this, nor longer.
const PING_TIMES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// How far the endpoint may send ahead of what is read, over HTTP/2: answers are short, and memory is bounded.
const ANSWER_WINDOW: u32 = 64 * 1024;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// What every request carries. The token's header is marked sensitive, so that no `Debug` shows it.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// `Bearer …`
    pub(crate) authorization: HeaderValue,
    pub(crate) org_id: Option<HeaderValue>,
    /// `X-Axiom-Event-Labels`
    pub(crate) labels: Option<HeaderValue>,
}

impl Credentials {
    pub(crate) fn token(&self) -> &str {
        token_in(&self.authorization)
    }
}

/// The token in a value of `Authorization`.
pub(super) fn token_in(authorization: &HeaderValue) -> &str {
    let text = authorization.to_str().unwrap_or_default();
    text.strip_prefix("Bearer ").unwrap_or(text)
}

/// How requests travel.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) credentials: Credentials,
    /// Where the token was read from, if that is a file.
    pub(crate) token_file: Option<TokenFile>,
    pub(crate) content_type: &'static str,
    pub(crate) request_timeout: Duration,
    /// The endpoint is on this machine: no proxy, and no certificates to load for plain HTTP.
    pub(crate) is_loopback: bool,
    pub(crate) is_https: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: Client,
    is_loopback: bool,
}

impl Transport {
    /// Loads the system's certificates, which takes a while: called on the worker's thread.
    ///
    /// # Errors
    /// TLS can not be set up.
    pub(crate) fn new(settings: &Settings) -> Result<Self, NoAnswer> {
        let mut headers = HeaderMap::new();
        let credentials = settings.credentials.clone();
        headers.insert(AUTHORIZATION, credentials.authorization);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(settings.content_type),
        );
        if let Some(org_id) = credentials.org_id {
            headers.insert("x-axiom-org-id", org_id);
        }
        if let Some(labels) = credentials.labels {
            headers.insert("x-axiom-event-labels", labels);
        }
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers)
            // A redirect would turn the POST into a GET, and its answer into a false success.
            .redirect(redirect::Policy::none())
            // Retries are ours: they are counted and paced.
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(settings.request_timeout / 2))
            .timeout(settings.request_timeout)
            // A connection without requests is not asked: a program with nothing to deliver does not wake up.
            .http2_keep_alive_while_idle(false)
            .http2_keep_alive_interval(ping_time(settings.request_timeout, PING_AFTER))
            .http2_keep_alive_timeout(ping_time(settings.request_timeout, PONG_WITHIN))
            .http2_initial_stream_window_size(ANSWER_WINDOW)
            .http2_initial_connection_window_size(16 * ANSWER_WINDOW)
            .tcp_nodelay(true);
        if settings.is_loopback {
            builder = builder.no_proxy();
        }
        with_tls(builder, settings.is_https)
            .build()
            .map(|client| Self {
                client,
                is_loopback: settings.is_loopback,
            })
            .map_err(|error| NoAnswer::client(trouble::explain(error)))
    }

    /// Sends a body and reads the answer, within the request time-out.
    ///
    /// # Errors
    /// There was no complete answer. The endpoint may have taken the records all the same.
    pub(crate) async fn post(&self, url: Url, body: Body) -> Result<Answer, NoAnswer> {
        let no_answer = {
            let url = url.clone();
            move |error| NoAnswer::of(error, proxy(&url, self.is_loopback))
        };
        let mut request = self.client.post(url).body(body.bytes);
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let mut response = request.send().await.map_err(&no_answer)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut digest = Digest::default();
        while let Some(chunk) = response.chunk().await.map_err(&no_answer)? {
            if !digest.take(&chunk) {
                break;
            }
        }
        Ok(Answer {
            status,
            headers,
            body: Bytes::from(digest.into_kept()),
        })
    }
}

fn ping_time(request_timeout: Duration, part: f64) -> Duration {
    let (least, most) = PING_TIMES;
    request_timeout.mul_f64(part).clamp(least, most)
}

/// The `host` and port of the proxy that requests to `url` go through, by the rules that the client follows.
pub(crate) fn proxy(url: &Url, is_loopback: bool) -> Option<(String, u16)> {
    if is_loopback {
        return None;
    }
    let proxy = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    let uri = proxy.uri();
    // A user name and a password are not part of these.
    let host = uri.host()?.to_owned();
    let default = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => 1080,
    };
    Some((host, uri.port_u16().unwrap_or(default)))
}

/// The proxy that may answer requests to `url` itself, as `host:port`: one that reads them, for they are not encrypted.
pub(crate) fn forwarder(url: &Url, is_loopback: bool) -> Option<String> {
    if url.scheme() != "http" {
        return None;
    }
    proxy(url, is_loopback).map(|(host, port)| format!("{host}:{port}"))
}

/// rustls as reqwest ships it, also where the application has chosen the system's TLS for its own clients.
#[cfg(feature = "rustls")]
fn with_tls(builder: ClientBuilder, is_https: bool) -> ClientBuilder {
    let builder = builder.tls_backend_rustls();
    if is_https {
        builder
    } else {
        // Never used; without it the client would load the system's certificates.
        builder.tls_certs_only([])
    }
}

#[cfg(not(feature = "rustls"))]
fn with_tls(builder: ClientBuilder, _is_https: bool) -> ClientBuilder {
    builder
}
