//! The trace context in a header map, read and written.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::trace::TraceContext;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// In the headers of the `http` crate, with the feature `http`.
impl TraceContext {
    /// Reads the context of the caller from a request that arrived.
    ///
    /// `None` when there is none or it is invalid, as [`from_headers`](Self::from_headers) has it: the request
    /// then starts a new trace.
    ///
    /// # Examples
    /// ```
    /// use axiom_layer::{SpanExt, TraceContext};
    ///
    /// fn answer(request: &http::Request<()>) {
    ///     let span = tracing::info_span!("request", otel.kind = "server");
    ///     if let Some(caller) = TraceContext::extract(request.headers()) {
    ///         span.set_parent(&caller);
    ///     }
    /// }
    /// # answer(&http::Request::new(()));
    /// ```
    #[must_use]
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        Self::from_headers(headers.get_all(TRACEPARENT), headers.get_all(TRACESTATE))
    }

    /// Writes the context into a request that is to be sent.
    ///
    /// Replaces whatever `traceparent` and `tracestate` were there; without a `tracestate` none is left.
    ///
    /// # Examples
    /// ```
    /// use axiom_layer::TraceContext;
    ///
    /// let mut request = http::Request::new(());
    /// if let Some(context) = TraceContext::current() {
    ///     context.inject(request.headers_mut());
    /// }
    /// ```
    pub fn inject(&self, headers: &mut HeaderMap) {
        put(headers, TRACEPARENT, self.traceparent());
        put(headers, TRACESTATE, self.tracestate());
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // A context is visible ASCII and spaces, so it always is a header's value.
    match HeaderValue::from_str(value) {
        Ok(value) if !value.is_empty() => drop(headers.insert(name, value)),
        _ => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-5a0f8e3c21d94b7786a1c0de5eed1234-00c0ffee0ddba115-01";

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_is_injected_is_extracted() {
        let arrived = headers(&[
            (TRACEPARENT, PARENT),
            (TRACESTATE, "a=1"),
            (TRACESTATE, "b=2"),
        ]);
        let context = TraceContext::extract(&arrived).unwrap();
        assert_eq!(context.tracestate(), "a=1,b=2");
        let mut sent = HeaderMap::new();
        context.inject(&mut sent);
        assert_eq!(
            sent,
            headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1,b=2")])
        );
        assert_eq!(TraceContext::extract(&sent), Some(context));
    }

    #[test]
    fn injecting_replaces_the_headers_of_another_trace() {
        let mut sent = headers(&[
            (TRACEPARENT, "one"),
            (TRACEPARENT, "two"),
            (TRACESTATE, "a=1"),
            (TRACESTATE, "b=2"),
        ]);
        TraceContext::parse(PARENT).unwrap().inject(&mut sent);
        assert_eq!(sent, headers(&[(TRACEPARENT, PARENT)]));
    }

    #[test]
    fn no_context_or_two_or_a_bad_one_is_none() {
        for pairs in [
            vec![],
            vec![(TRACESTATE, "a=1")],
            vec![(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)],
            vec![(TRACEPARENT, "00-0-0-00")],
        ] {
            assert_eq!(TraceContext::extract(&headers(&pairs)), None, "{pairs:?}");
        }
    }
}
