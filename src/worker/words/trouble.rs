//! Why a request got no answer, in the user's words.

use super::{ADDRESS, Place, Words};
use crate::worker::trouble::Trouble;

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

    /// What this machine or process has no more of.
    pub(super) fn used_up(self) -> &'static str {
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
    pub(super) fn machine_fix(self) -> &'static str {
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
