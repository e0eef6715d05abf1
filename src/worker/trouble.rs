//! Why a request got no answer: read off the HTTP client's error. `words/trouble.rs` puts it into the user's words.

mod system;
mod tls;

pub(super) use self::system::want_files;

use std::error::Error;
use std::fmt::Write as _;
use std::io;

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
    /// No network, or no way to the host from here.
    NoRoute,
    /// This machine does not let this process connect there.
    Forbidden,
    /// Any other way not to reach the host.
    Network,
    /// This process may open no more files, of which a connection is one.
    Files,
    /// This machine may open no more files.
    FilesOfAll,
    /// This process may start no more threads.
    Threads,
    /// No memory, or no room for a connection's data.
    Memory,
    /// No local port is left, or there is no local address to connect from.
    Ports,
    /// The other side is no TLS server.
    NotTls,
    /// The certificate was issued by nobody whom this machine trusts, or is malformed.
    Untrusted,
    /// The certificate is not valid at this time.
    Expired,
    /// The certificate is another host's.
    WrongName,
    /// The certificate was revoked.
    Revoked,
    /// The other side serves no host of that name.
    UnknownName,
    /// The other side wants a certificate, and this side has none.
    ClientCertificate,
    /// No version of TLS, or no cipher, that both sides take.
    NoCommonTls,
    /// The two sides understand TLS differently.
    TlsBroken,
    /// TLS, but neither version of HTTP over it.
    OtherProtocol,
    /// Any other failure to set up TLS.
    Tls,
    /// The configured proxy can not be reached or does not let the request through.
    Proxy,
    /// The connection, or the request, ended before the answer did.
    Closed,
    /// The other side is no HTTP server.
    NotHttp,
    /// One side finds that the other does not keep to HTTP/2.
    Http2,
    /// The other side takes such requests by HTTP/1.1 only.
    OnlyHttp1,
    /// The other side wants fewer requests, and says so by HTTP/2 instead of a 429.
    TooMany,
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
    /// The same may be sent again at once.
    pub(crate) is_unprocessed: bool,
}

impl NoAnswer {
    pub(crate) fn client(detail: String) -> Self {
        Self {
            trouble: system::files().unwrap_or(Trouble::Client),
            detail,
            is_unprocessed: false,
        }
    }

    /// The answer came, but from the proxy.
    pub(super) fn proxy(detail: String) -> Self {
        Self {
            trouble: Trouble::Proxy,
            detail,
            is_unprocessed: false,
        }
    }

    /// `proxy`: the host and port through which the request went, if it did not go straight.
    pub(super) fn of(error: reqwest::Error, proxy: Option<(String, u16)>) -> Self {
        let trouble = trouble(&error, proxy.is_some());
        let is_unprocessed = is_unprocessed(&error);
        // The system may have given up before any time-out of ours.
        let is_systems = causes(&error)
            .filter_map(system::error)
            .any(|error| error.raw_os_error().is_some());
        let mut detail = match trouble {
            _ if is_systems => explain(error),
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
        Self {
            trouble,
            detail,
            is_unprocessed,
        }
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
    let of_system = || causes(error).filter_map(system::error);
    if let Some(trouble) = of_system().find_map(Trouble::exhausted) {
        return trouble;
    }
    let connection = || of_system().find_map(Trouble::of_connection);
    if error.is_connect() {
        if is_proxied && !said.contains("tls handshake") {
            let machine = connection().filter(|trouble| trouble.is_of_machine());
            return machine.unwrap_or(Trouble::Proxy);
        }
        let is_https = error.url().is_some_and(|url| url.scheme() == "https");
        return if error.is_dns() {
            Trouble::Name
        } else if error.is_timeout() {
            Trouble::ConnectTimeout
        } else if let Some(trouble) = connection() {
            trouble
        } else if of_system().any(system::is_cut) {
            // Only TLS reads anything before there is a connection.
            if is_https {
                Trouble::Tls
            } else {
                Trouble::Closed
            }
        } else {
            Trouble::Network
        };
    }
    if error.is_timeout() {
        Trouble::Timeout
    } else if let Some(error) = causes(error).find_map(|error| error.downcast_ref()) {
        http2(error)
    } else if is_unprocessed(error) {
        Trouble::Unprocessed
    } else if connection() == Some(Trouble::NoRoute) {
        Trouble::NoRoute
    } else if NOT_HTTP.iter().any(|words| said.contains(words)) {
        Trouble::NotHttp
    } else {
        Trouble::Closed
    }
}

/// What hyper says of an answer that is none. Its types are not ours.
const NOT_HTTP: [&str; 5] = [
    "invalid HTTP",
    "invalid content-length",
    "invalid transfer-encoding",
    "message head is too large",
    "Invalid chunk",
];

/// What hyper says of a request that it still had when its connection came to an end. Its types are not ours.
const NEVER_SENT: [&str; 2] = ["operation was canceled", "dispatch task is gone"];

/// The other side did not process the request, or it never left, so that it may go again at once.
///
/// A stream that GOAWAY ends lies behind the last one that the server processed: those before it go on, or end with the connection.
fn is_unprocessed(error: &reqwest::Error) -> bool {
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    let http2: Option<&h2::Error> = causes(error).find_map(|error| error.downcast_ref());
    let Some(error) = http2 else {
        return causes(error).any(|error| {
            let said = error.to_string();
            NEVER_SENT.iter().any(|words| said.contains(words))
        });
    };
    // Not processed either, but the server asks for fewer requests, so none is sent at once.
    let is_too_many = error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
    let is_refused = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && is_refused && !is_too_many
}

fn http2(error: &h2::Error) -> Trouble {
    use h2::Reason;

    if let Some(error) = error.get_io() {
        return match Trouble::of_connection(error) {
            Some(Trouble::ConnectTimeout) => Trouble::Timeout,
            Some(Trouble::NoRoute) => Trouble::NoRoute,
            _ => Trouble::Closed,
        };
    }
    match error.reason() {
        // What this side finds wrong, whatever it calls it.
        _ if !error.is_remote() => Trouble::Http2,
        Some(Reason::ENHANCE_YOUR_CALM) => Trouble::TooMany,
        Some(Reason::INADEQUATE_SECURITY) => Trouble::NoCommonTls,
        Some(Reason::HTTP_1_1_REQUIRED) => Trouble::OnlyHttp1,
        Some(
            Reason::PROTOCOL_ERROR
            | Reason::FLOW_CONTROL_ERROR
            | Reason::SETTINGS_TIMEOUT
            | Reason::STREAM_CLOSED
            | Reason::FRAME_SIZE_ERROR
            | Reason::COMPRESSION_ERROR,
        ) => Trouble::Http2,
        Some(Reason::REFUSED_STREAM) => Trouble::Unprocessed,
        _ if error.is_go_away() => Trouble::Unprocessed,
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

impl Trouble {
    /// This machine, or this process, has used something up. Neither the endpoint nor a proxy is at fault.
    pub(crate) fn is_of_machine(self) -> bool {
        matches!(
            self,
            Self::Files | Self::FilesOfAll | Self::Threads | Self::Memory | Self::Ports
        )
    }
}

#[cfg(test)]
mod tests;
