//! OpenTelemetry's words for HTTP: what the spans of servers and clients have in common.
//!
//! Of the [stable conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/); their notes are named
//! where they are followed.

use std::sync::OnceLock;

use http::{Method, Version};

/// The target of all spans of the integration.
pub(super) const TARGET: &str = "axiom_layer::http";

/// The methods of RFC 9110, with PATCH (RFC 5789) and QUERY ("http.request.method").
const KNOWN_METHODS: [&str; 10] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
];
/// Replaces the list above.
const KNOWN_METHODS_VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

/// A request's method as it is recorded: one of few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownMethod<'a> {
    /// `http.request.method`
    pub(super) method: &'a str,
    /// `http.request.method_original`, if the method is not known.
    pub(super) original: Option<&'a str>,
    /// As the span's name begins ("Name").
    pub(super) name: &'a str,
}

impl<'a> KnownMethod<'a> {
    pub(super) fn of(method: &'a Method) -> Self {
        static LIST: OnceLock<Option<String>> = OnceLock::new();
        let list = LIST.get_or_init(|| std::env::var(KNOWN_METHODS_VARIABLE).ok());
        Self::among(list.as_deref(), method.as_str())
    }

    fn among(list: Option<&str>, method: &'a str) -> Self {
        let is_known = match list {
            Some(list) => list.split(',').any(|known| known.trim() == method),
            None => KNOWN_METHODS.contains(&method),
        };
        if is_known {
            Self {
                method,
                original: None,
                name: method,
            }
        } else {
            Self {
                method: "_OTHER",
                original: Some(method),
                name: "HTTP",
            }
        }
    }
}

/// `network.protocol.version`
pub(super) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// Host and port of an authority (`user@host:port`), the brackets of an IPv6 address taken off.
#[cfg(feature = "tower")]
pub(super) fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    (host, port.and_then(|port| port.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_is_not_known_is_other() {
        let put = KnownMethod::among(None, "PUT");
        assert_eq!((put.method, put.original, put.name), ("PUT", None, "PUT"));
        // Methods are case-sensitive.
        for strange in ["PROPFIND", "get", ""] {
            let method = KnownMethod::among(None, strange);
            assert_eq!(
                (method.method, method.original, method.name),
                ("_OTHER", Some(strange), "HTTP")
            );
        }
        let list = Some("GET, PROPFIND");
        assert_eq!(KnownMethod::among(list, "PROPFIND").method, "PROPFIND");
        assert_eq!(KnownMethod::among(list, "PUT").method, "_OTHER");
    }

    #[cfg(feature = "tower")]
    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (authority, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:3000", "::1", Some(3000)),
            ("[::1]", "::1", None),
            ("tea:pot@example.com:1", "example.com", Some(1)),
            ("example.com:", "example.com", None),
            ("example.com:99999", "example.com", None),
        ] {
            assert_eq!(host_and_port(authority), (host, port));
        }
    }
}
