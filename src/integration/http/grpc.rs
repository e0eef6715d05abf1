//! What a span says of a gRPC call: what the head of the response and its trailers tell.

use std::fmt;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;

use super::exchange::{Exchange, Side};

const OK: u16 = 0;
/// gRPC's status UNIMPLEMENTED: there is no such method.
const UNIMPLEMENTED: u16 = 12;
/// The statuses that are the server's fault; a client takes each but OK for an error: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
/// UNAVAILABLE, DATA_LOSS (<https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>, "gRPC Status").
const SERVER_ERRORS: [u16; 6] = [2, 4, UNIMPLEMENTED, 13, 14, 15];

/// A method of a service, as the path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call<'a> {
    pub(super) service: &'a str,
    pub(super) method: &'a str,
}

impl<'a> Call<'a> {
    /// The call that a request makes, if it is one of gRPC.
    pub(super) fn of(request: &'a Parts) -> Option<Self> {
        if !is_grpc(&request.headers) {
            return None;
        }
        let path = request.uri.path().strip_prefix('/')?;
        let (service, method) = path.split_once('/')?;
        Some(Self { service, method })
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.method)
    }
}

/// Whether these headers are of gRPC, as a request or as a response.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|content_type| content_type.starts_with(b"application/grpc"))
}

/// Records what the head of a response to `call` tells.
///
/// The head has the status only if there is no message, which is how nearly every call answers that fails at once.
pub(super) fn record_head(exchange: &mut Exchange, call: &str, headers: &HeaderMap) {
    let is_known = is_grpc(headers) && status(headers) != Some(UNIMPLEMENTED);
    if exchange.side == Side::Server && is_known {
        // Named only now, as the service knows the method: else a stranger could invent names.
        exchange.span.record("otel.name", call);
    }
    record_status(exchange, headers);
}

/// Records what the trailers of a response tell.
pub(super) fn record_trailers(exchange: &mut Exchange, trailers: &HeaderMap) {
    if exchange.side == Side::Server && status(trailers) == Some(UNIMPLEMENTED) {
        // There is no such method after all, so the name is that of any other request of gRPC.
        exchange.span.record("otel.name", "POST");
    }
    record_status(exchange, trailers);
}

fn record_status(exchange: &mut Exchange, headers: &HeaderMap) {
    let Some(status) = status(headers) else {
        return;
    };
    exchange.span.record("rpc.grpc.status_code", status);
    let is_error = match exchange.side {
        Side::Client => status != OK,
        Side::Server => SERVER_ERRORS.contains(&status),
    };
    if is_error {
        match message(headers) {
            Some(message) => exchange.fail_with(&status.to_string(), &message),
            None => drop(exchange.fail(&status.to_string())),
        }
    }
}

fn status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The message beside the status, which is UTF-8 with percent-encoding
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, "Responses").
fn message(headers: &HeaderMap) -> Option<String> {
    let encoded = headers.get("grpc-message")?.as_bytes();
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, after @ ..] = rest {
        // What is not encoded rightly stays as it is, as the protocol asks.
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high * 16 + low, after),
                _ => (*first, &rest[1..]),
            },
            _ => (*first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    let message = String::from_utf8_lossy(&decoded);
    (!message.is_empty()).then(|| message.into_owned())
}

fn digit(hex: u8) -> Option<u8> {
    let digit = char::from(hex).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_decoded_and_what_is_not_encoded_rightly_stays() {
        for (encoded, decoded) in [
            ("out of tea", Some("out of tea")),
            ("100%25 %C3%BCber%0Aall", Some("100% über\nall")),
            ("5% or %zz or %", Some("5% or %zz or %")),
            ("%FF", Some("\u{fffd}")),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-message", HeaderValue::from_static(encoded));
            assert_eq!(message(&headers).as_deref(), decoded);
        }
        assert_eq!(message(&HeaderMap::new()), None);
    }
}
