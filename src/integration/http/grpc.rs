//! What a server's span says of a gRPC call, as far as headers tell.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;

/// gRPC's status UNIMPLEMENTED: there is no such method.
const UNIMPLEMENTED: u16 = 12;
/// The statuses that are the server's fault: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
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
        let content_type = request.headers.get(CONTENT_TYPE)?.as_bytes();
        if !content_type.starts_with(b"application/grpc") {
            return None;
        }
        let path = request.uri.path().strip_prefix('/')?;
        let (service, method) = path.split_once('/')?;
        Some(Self { service, method })
    }
}

/// The status in the headers of a response without a body: that of nearly every call that fails at once.
pub(super) fn status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Whether the span of a server is an error.
pub(super) fn is_error(status: u16) -> bool {
    SERVER_ERRORS.contains(&status)
}

/// Whether the service knows the method, so that its name is one of few.
pub(super) fn is_known(status: Option<u16>) -> bool {
    status != Some(UNIMPLEMENTED)
}
