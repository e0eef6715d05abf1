//! Why a request got no answer: read off the HTTP client's error, and put into the user's words.

mod system;
mod tls;

pub(super) use self::system::want_files;

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
            Self::NoRoute => Words::new(
                format!("no way leads from this machine to {host}: {detail}"),
                format!(
                    "give this machine or container a network and a route to {host} (`ip route get`, VPN, IPv6), or set HTTPS_PROXY where only a proxy leads out; or correct the address ({ADDRESS})"
                ),
            ),
            Self::Forbidden => Words::new(
                format!("this machine does not let this program connect to {host}: {detail}"),
                format!(
                    "allow outgoing connections to {host} (firewall, network policy, SELinux or AppArmor, seccomp, IPAddressDeny= of a systemd unit)"
                ),
            ),
            Self::Files | Self::FilesOfAll | Self::Threads | Self::Memory | Self::Ports => {
                Words::new(
                    format!("{}, so {host} can not be reached: {detail}", self.used_up()),
                    self.machine_fix(),
                )
            }
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
            Self::Revoked => Words::new(
                format!("the certificate of {host} was revoked: {detail}"),
                "the endpoint (or the proxy before it) needs a new certificate",
            ),
            Self::UnknownName => Words::new(
                format!("{host} is not served where that name leads to: {detail}"),
                format!(
                    "correct the host in the address ({ADDRESS}), or give the server there (or the proxy before it) a certificate and a site of that name"
                ),
            ),
            Self::ClientCertificate => Words::new(
                format!("{host} wants a certificate of this program, which has none: {detail}"),
                format!(
                    "let the endpoint take records without a client certificate, or send them by way of a proxy on this machine that has one; or correct the address ({ADDRESS})"
                ),
            ),
            Self::NoCommonTls => Words::new(
                format!("{host} and this program have no kind of TLS in common: {detail}"),
                "let the endpoint, or the proxy before it, offer TLS 1.2 or 1.3 with ciphers of today; some servers also say so where they want a client certificate or know no such host",
            ),
            Self::TlsBroken => Words::new(
                format!("TLS with {host} broke off: {detail}"),
                "nothing to do unless it lasts; then see the log of the endpoint, or of what inspects TLS before it (a proxy, a firewall)",
            ),
            Self::OtherProtocol => Words::new(
                format!("{host} speaks TLS, but neither HTTP/2 nor HTTP/1.1: {detail}"),
                format!(
                    "correct host and port of the address ({ADDRESS}), for another service answers there; or let the proxy before the endpoint offer h2 or http/1.1 (ALPN)"
                ),
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
                match place.url.scheme() {
                    "http" => format!(
                        "write https:// in the address ({ADDRESS}) if this port speaks TLS, or correct the port"
                    ),
                    _ => format!(
                        "correct host and port of the address ({ADDRESS}), for something else than an HTTP server answers there"
                    ),
                },
            ),
            Self::Http2 => Words::new(
                format!("{host} and this program do not understand each other by HTTP/2: {detail}"),
                "nothing to do unless it lasts; then see the log of the proxy or load balancer before the endpoint, bring it up to date, or switch its HTTP/2 off",
            ),
            Self::OnlyHttp1 => Words::new(
                format!("{host} offers HTTP/2 and takes no records by it: {detail}"),
                "switch HTTP/2 off at the endpoint or the proxy before it, so that HTTP/1.1 is agreed on",
            ),
            Self::TooMany => Words::new(
                format!("{host} asks for fewer requests: {detail}"),
                "raise flush_interval, or the limit of requests at the endpoint or the proxy before it",
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

    /// This machine, or this process, has used something up. Neither the endpoint nor a proxy is at fault.
    pub(crate) fn is_of_machine(self) -> bool {
        matches!(
            self,
            Self::Files | Self::FilesOfAll | Self::Threads | Self::Memory | Self::Ports
        )
    }

    /// What this machine or process has no more of.
    pub(crate) fn used_up(self) -> &'static str {
        match self {
            Self::Files => "this process may open no more files and connections",
            Self::FilesOfAll => "this machine may open no more files and connections",
            Self::Threads => "this process may start no more threads",
            Self::Memory => "this machine has no memory left for it",
            Self::Ports => "this machine has no local address or port left to connect from",
            _ => "the system refuses it",
        }
    }

    /// What gives it more.
    pub(crate) fn machine_fix(self) -> &'static str {
        match self {
            Self::Files => {
                "raise the limit of open files (ulimit -n, LimitNOFILE= of a systemd unit, --ulimit nofile= of a container), or see what this process leaves open (`lsof -p`)"
            }
            Self::FilesOfAll => {
                "raise the machine's limit of open files (`sysctl fs.file-max`), or see which process leaves them open (`lsof`)"
            }
            Self::Threads => {
                "raise the limit of threads (ulimit -u, TasksMax= of a systemd unit, --pids-limit of a container), or see what starts so many"
            }
            Self::Memory => {
                "free memory, or raise what this process may use (ulimit -v, MemoryMax= of a systemd unit, --memory of a container; `sysctl net.ipv4.tcp_mem` for connections)"
            }
            Self::Ports => {
                "see which connections use the ports up (`ss -s`, `sysctl net.ipv4.ip_local_port_range`), and whether this machine has an address of the kind that the host has (IPv4, IPv6)"
            }
            _ => "raise the limits of this process (ulimit, cgroup)",
        }
    }
}

#[cfg(test)]
mod tests;
