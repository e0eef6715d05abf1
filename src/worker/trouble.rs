//! Why a request got no answer: read off the HTTP client's error, and put into the user's words.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use super::words::{ADDRESS, Place, Words};

/// How far a request got, and what stopped it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The HTTP client can not be set up.
    Client,
    /// The host's name does not resolve.
    Name,
    /// Nothing listens there.
    Refused,
    /// Packets go unanswered, or the other side is silent while TLS is set up.
    ConnectTimeout,
    /// Any other way not to reach the host, such as no route.
    Network,
    /// The other side is no TLS server.
    NotTls,
    /// The certificate was issued by nobody whom this machine trusts, or is malformed.
    Untrusted,
    /// The certificate is not valid at this time.
    Expired,
    /// The certificate is another host's.
    WrongName,
    /// Any other failure to set up TLS.
    Tls,
    /// The configured proxy can not be reached or does not let the request through.
    Proxy,
    /// The connection ended before the answer did.
    Closed,
    /// The other side is no HTTP server.
    NotHttp,
    /// A connection, but no answer in time.
    Timeout,
    /// The other side said that it did not process the request, or the request never left.
    Unprocessed,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) trouble: Trouble,
    /// The client's own words.
    pub(crate) detail: String,
}

impl NoAnswer {
    pub(crate) fn client(detail: String) -> Self {
        Self {
            trouble: Trouble::Client,
            detail,
        }
    }

    /// The answer came, but from the proxy.
    pub(super) fn proxy(detail: String) -> Self {
        Self {
            trouble: Trouble::Proxy,
            detail,
        }
    }

    /// `proxy`: the host and port through which the request went, if it did not go straight.
    pub(super) fn of(error: reqwest::Error, proxy: Option<(String, u16)>) -> Self {
        let trouble = trouble(&error, proxy.is_some());
        let mut detail = match trouble {
            Trouble::ConnectTimeout => "no connection within the time-out".to_owned(),
            Trouble::Timeout if is_unanswered_ping(&error) => {
                "no answer to a ping on the connection".to_owned()
            }
            Trouble::Timeout => "no answer within the request time-out".to_owned(),
            _ => explain(error),
        };
        if let (Trouble::Proxy, Some((host, port))) = (trouble, proxy) {
            detail = format!("{detail} (proxy {host}:{port})");
        }
        Self { trouble, detail }
    }
}

fn trouble(error: &reqwest::Error, is_proxied: bool) -> Trouble {
    // Words alone, of the system's libraries, mean TLS only while it is being set up.
    if (cfg!(feature = "rustls") || error.is_connect())
        && let Some(trouble) = causes(error).find_map(tls::trouble)
    {
        return trouble;
    }
    let said: String = causes(error).map(|error| format!("{error}\n")).collect();
    if error.is_connect() {
        if is_proxied && !said.contains("tls handshake") {
            return Trouble::Proxy;
        }
        let is = |kind| {
            let mut errors = causes(error).filter_map(|error| error.downcast_ref::<io::Error>());
            errors.any(|error| error.kind() == kind)
        };
        return if error.is_dns() {
            Trouble::Name
        } else if error.is_timeout() {
            Trouble::ConnectTimeout
        } else if is(io::ErrorKind::ConnectionRefused) {
            Trouble::Refused
        } else if is(io::ErrorKind::UnexpectedEof) || is(io::ErrorKind::ConnectionReset) {
            // Only TLS reads anything before there is a connection.
            Trouble::Tls
        } else {
            Trouble::Network
        };
    }
    if error.is_timeout() {
        Trouble::Timeout
    } else if let Some(error) = causes(error).find_map(|error| error.downcast_ref()) {
        http2(error)
    } else if NEVER_SENT.iter().any(|words| said.contains(words)) {
        Trouble::Unprocessed
    } else if said.contains("invalid HTTP") || said.contains("http2 error") {
        Trouble::NotHttp
    } else {
        Trouble::Closed
    }
}

/// What hyper says of a request that it still had when its connection came to an end. Its types are not ours.
const NEVER_SENT: [&str; 2] = ["operation was canceled", "dispatch task is gone"];

/// A stream that GOAWAY ends lies behind the last one that the server processed: those before it go on, or end with the connection.
fn http2(error: &h2::Error) -> Trouble {
    if error.is_io() {
        return Trouble::Closed;
    }
    if !error.is_remote() {
        return Trouble::NotHttp;
    }
    match error.reason() {
        // Not processed either, but the server asks for fewer requests, so none is sent at once.
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Trouble::Closed,
        _ if error.is_go_away() => Trouble::Unprocessed,
        Some(h2::Reason::REFUSED_STREAM) => Trouble::Unprocessed,
        _ => Trouble::Closed,
    }
}

/// hyper calls this a time-out too.
fn is_unanswered_ping(error: &reqwest::Error) -> bool {
    causes(error).any(|error| error.to_string() == "keep-alive timed out")
}

/// The error's causes. `source` of an `io::Error` leaves out the error that it wraps, so that is looked into.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&error| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|wrapped| -> &(dyn Error + 'static) { wrapped });
        wrapped.or_else(|| error.source())
    })
}

/// The error and its causes in one line. The URL is left out: the caller names the endpoint.
pub(super) fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Layers repeat each other, and hyper-util's says no more than that it failed.
        if !text.contains(&said) && !said.starts_with("client error (") {
            let separator = if text.is_empty() { "" } else { ": " };
            if write!(text, "{separator}{said}").is_err() {
                break;
            }
        }
        cause = error.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text
    }
}

#[cfg(feature = "rustls")]
mod tls {
    use std::error::Error;

    use rustls::{CertificateError as Certificate, Error as Tls};

    use super::Trouble;

    pub(super) fn trouble(error: &(dyn Error + 'static)) -> Option<Trouble> {
        // Before it asks for its address, TLS looks whether a host can have that name.
        if error.is::<rustls::pki_types::InvalidDnsNameError>() {
            return Some(Trouble::Name);
        }
        let trouble = match error.downcast_ref()? {
            Tls::InvalidMessage(_) => Trouble::NotTls,
            Tls::InvalidCertificate(certificate) => match certificate {
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => Trouble::Expired,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    Trouble::WrongName
                }
                _ => Trouble::Untrusted,
            },
            _ => Trouble::Tls,
        };
        Some(trouble)
    }
}

/// The systems' libraries have no types in common, only words; these are OpenSSL's.
#[cfg(not(feature = "rustls"))]
mod tls {
    use std::error::Error;

    use super::Trouble;

    pub(super) fn trouble(error: &(dyn Error + 'static)) -> Option<Trouble> {
        let said = error.to_string().to_lowercase();
        let holds = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if holds(&["has expired", "not yet valid"]) {
            Some(Trouble::Expired)
        } else if holds(&["hostname mismatch", "ip address mismatch"]) {
            Some(Trouble::WrongName)
        } else if holds(&["certificate"]) {
            Some(Trouble::Untrusted)
        } else if holds(&[
            "wrong version",
            "packet length too long",
            "unknown protocol",
        ]) {
            Some(Trouble::NotTls)
        } else if holds(&["ssl routines", "unexpected eof"]) {
            Some(Trouble::Tls)
        } else {
            None
        }
    }
}

impl Trouble {
    /// What is wrong and what fixes it.
    pub(crate) fn words(self, place: Place<'_>, detail: &str) -> Words {
        let host = place.host();
        match self {
            Self::Client => Words::new(
                format!("connections can not be set up: {detail}"),
                "check the system's certificates (on Linux the package ca-certificates, or SSL_CERT_FILE)",
            ),
            Self::Name => Words::new(
                format!("the name of {host} can not be resolved: {detail}"),
                format!(
                    "check the spelling of the host in the address ({ADDRESS}), and this machine's DNS"
                ),
            ),
            Self::Refused => Words::new(
                format!("{host} can not be reached, the connection was refused: {detail}"),
                format!(
                    "check host and port of the address ({ADDRESS}), and that something listens there"
                ),
            ),
            Self::ConnectTimeout => Words::new(
                format!("{host} can not be reached: {detail}"),
                format!(
                    "let this machine connect to {host} (firewall, security group, routes), or set HTTPS_PROXY where only a proxy leads out; or correct the address ({ADDRESS})"
                ),
            ),
            Self::Network => Words::new(
                format!("{host} can not be reached: {detail}"),
                format!("check this machine's network and the address ({ADDRESS})"),
            ),
            Self::NotTls => Words::new(
                format!(
                    "{host} can not be reached by https, as this port does not speak TLS: {detail}"
                ),
                format!(
                    "write http:// in the address ({ADDRESS}) if the endpoint is meant to have no TLS, or correct the port"
                ),
            ),
            Self::Untrusted => Words::new(
                format!("the certificate of {host} is not trusted: {detail}"),
                format!(
                    "check the address ({ADDRESS}); if a proxy of your network inspects TLS, or the endpoint is your own, add its certificate authority to the system's (or name it in SSL_CERT_FILE)"
                ),
            ),
            Self::Expired => Words::new(
                format!("the certificate of {host} is not valid at this time: {detail}"),
                "set this machine's clock if it is wrong; else the endpoint (or the proxy before it) needs a new certificate",
            ),
            Self::WrongName => Words::new(
                format!("the certificate is not that of {host}: {detail}"),
                format!(
                    "correct the host in the address ({ADDRESS}), or see which proxy answers in its place"
                ),
            ),
            Self::Tls => Words::new(
                format!("no TLS with {host}: {detail}"),
                format!(
                    "check that this port speaks TLS ({ADDRESS}), and whether a proxy or a firewall stands before it"
                ),
            ),
            Self::Proxy => Words::new(
                format!("the proxy does not lead to {host}: {detail}"),
                "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY with the proxy's address, user name and password, or name the host in NO_PROXY to go without",
            ),
            Self::Closed => Words::new(
                format!("{host} ended the connection before its answer did: {detail}"),
                format!(
                    "nothing to do unless it lasts; then see what stands before the endpoint (a proxy, a firewall) and check the address ({ADDRESS})"
                ),
            ),
            Self::NotHttp => Words::new(
                format!("{host} does not answer as Axiom does, nor with HTTP: {detail}"),
                format!(
                    "write https:// in the address ({ADDRESS}) if this port speaks TLS, or correct the port"
                ),
            ),
            Self::Timeout => Words::new(
                format!("{host} is connected and silent: {detail}"),
                format!(
                    "see whether the endpoint is overloaded or a proxy or firewall swallows requests; check the address ({ADDRESS}); raise request_timeout if it is merely slow"
                ),
            ),
            Self::Unprocessed => Words::new(
                format!("{host} turns requests away unread, time after time: {detail}"),
                format!(
                    "see whether the endpoint, or the proxy before it, is overloaded or restarts all the time; check the address ({ADDRESS})"
                ),
            ),
        }
    }
}
