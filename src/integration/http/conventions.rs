//! OpenTelemetry's words for HTTP: what the spans of servers and clients have in common.
//!
//! Of the [stable conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/); their notes are named
//! where they are followed.

use std::borrow::Cow;
use std::sync::OnceLock;

use http::{Method, Version};

/// The target of all spans of the integration.
pub(super) const TARGET: &str = "axiom_layer::http";

/// What a value is replaced by that must not be recorded ("url.full").
const REDACTED: &str = "REDACTED";

/// The methods of RFC 9110, with PATCH (RFC 5789) and QUERY ("http.request.method").
const KNOWN_METHODS: [&str; 10] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
];
/// Replaces the list above.
const KNOWN_METHODS_VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

/// Parameters whose values are secrets. The first line is the conventions'; the others sign URLs or
/// authorize in the same way. Compared without regard to case.
const SECRET_PARAMETERS: [&str; 15] = [
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "access_token",
    "api_key",
    "apikey",
    "client_secret",
    "id_token",
    "password",
    "refresh_token",
    "token",
];

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

/// The query without the values of its secrets; the names stay.
pub(super) fn redact_query(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let mut redacted = String::with_capacity(query.len());
    for (index, parameter) in query.split('&').enumerate() {
        if index > 0 {
            redacted.push('&');
        }
        if is_secret(parameter) {
            let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
            redacted.push_str(name);
            redacted.push('=');
            redacted.push_str(REDACTED);
        } else {
            redacted.push_str(parameter);
        }
    }
    Cow::Owned(redacted)
}

fn is_secret(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        !value.is_empty()
            && SECRET_PARAMETERS
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret))
    })
}

/// `url.full` ("url.full": the credentials' places are kept, and the fragment).
#[cfg(feature = "reqwest-middleware")]
pub(super) fn full_url(url: &reqwest::Url) -> Cow<'_, str> {
    let query = url.query().map(redact_query);
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if !has_credentials && !matches!(query, Some(Cow::Owned(_))) {
        return Cow::Borrowed(url.as_str());
    }
    let query = query.map(Cow::into_owned);
    let mut url = url.clone();
    url.set_query(query.as_deref());
    if has_credentials {
        // A URL that has credentials can have others.
        let hidden = url.set_username(REDACTED).is_ok() && url.set_password(Some(REDACTED)).is_ok();
        if !hidden {
            return Cow::Borrowed(REDACTED);
        }
    }
    Cow::Owned(url.into())
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

    #[test]
    fn secrets_in_queries_are_redacted_and_nothing_else_changes() {
        for (query, redacted) in [
            ("", ""),
            ("q=OpenTelemetry&page=2", "q=OpenTelemetry&page=2"),
            ("color=blue&sig=abc", "color=blue&sig=REDACTED"),
            ("SIGNATURE=a=b&&x", "SIGNATURE=REDACTED&&x"),
            ("token=&sig", "token=&sig"),
            ("signal=1&design=2", "signal=1&design=2"),
            (
                "access_token=1&token=2",
                "access_token=REDACTED&token=REDACTED",
            ),
        ] {
            assert_eq!(redact_query(query), redacted);
        }
    }

    #[cfg(feature = "reqwest-middleware")]
    #[test]
    fn a_full_url_has_no_credentials() {
        for (url, full) in [
            (
                "https://example.com/a?q=1#top",
                "https://example.com/a?q=1#top",
            ),
            (
                "https://tea:pot@example.com/",
                "https://REDACTED:REDACTED@example.com/",
            ),
            (
                "https://tea@example.com/",
                "https://REDACTED:REDACTED@example.com/",
            ),
            (
                "http://:pot@example.com:81/?sig=1&b",
                "http://REDACTED:REDACTED@example.com:81/?sig=REDACTED&b",
            ),
        ] {
            assert_eq!(full_url(&reqwest::Url::parse(url).unwrap()), full);
        }
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
