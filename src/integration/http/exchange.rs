//! The span of one request, from its start until it is known how it went.

use tracing::Span;

/// Opens a span of the integration at a level that is known only now: a callsite for each.
macro_rules! span_at {
    ($level:expr, parent: None, $($span:tt)*) => {
        match $level {
            Level::ERROR => tracing::span!(target: TARGET, parent: None, Level::ERROR, $($span)*),
            Level::WARN => tracing::span!(target: TARGET, parent: None, Level::WARN, $($span)*),
            Level::INFO => tracing::span!(target: TARGET, parent: None, Level::INFO, $($span)*),
            Level::DEBUG => tracing::span!(target: TARGET, parent: None, Level::DEBUG, $($span)*),
            Level::TRACE => tracing::span!(target: TARGET, parent: None, Level::TRACE, $($span)*),
        }
    };
    ($level:expr, $($span:tt)*) => {
        match $level {
            Level::ERROR => tracing::span!(target: TARGET, Level::ERROR, $($span)*),
            Level::WARN => tracing::span!(target: TARGET, Level::WARN, $($span)*),
            Level::INFO => tracing::span!(target: TARGET, Level::INFO, $($span)*),
            Level::DEBUG => tracing::span!(target: TARGET, Level::DEBUG, $($span)*),
            Level::TRACE => tracing::span!(target: TARGET, Level::TRACE, $($span)*),
        }
    };
}
pub(super) use span_at;

/// Holds the span open. Dropped before the end was recorded, it marks the span as cancelled, or as panicked.
///
/// A request that nobody waits for any longer has failed for its client, and OpenTelemetry asks for
/// an error then ("Status": "may fail if it was cancelled").
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) span: Span,
    /// Application code runs, so that a drop now means that it panicked.
    pub(super) is_running: bool,
    is_over: bool,
}

impl Exchange {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            is_running: false,
            is_over: false,
        }
    }

    /// The end, with a status that is an error on this side or none.
    pub(super) fn end_with_status(mut self, status: http::StatusCode, is_error: bool) {
        self.is_over = true;
        self.span
            .record("http.response.status_code", status.as_u16());
        if is_error {
            // Without a description: the code says it ("Status").
            self.fail(status.as_str());
        }
    }

    /// The end, without an answer.
    #[cfg(feature = "tower")]
    pub(super) fn end_with_error(mut self, error_type: &str, description: &dyn std::fmt::Display) {
        self.is_over = true;
        self.fail(error_type);
        self.span.record(
            "otel.status_description",
            tracing::field::display(description),
        );
    }

    /// The end, without an answer. The error's text, type and causes become the span's exception.
    #[cfg(feature = "reqwest-middleware")]
    pub(super) fn end_with_exception(
        mut self,
        error_type: &str,
        error: &(dyn std::error::Error + 'static),
    ) {
        self.is_over = true;
        self.span.record("error", error);
        self.fail(error_type);
    }

    pub(super) fn fail(&self, error_type: &str) {
        self.span.record("error.type", error_type);
        self.span.record("otel.status_code", "ERROR");
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if self.is_running {
            // The layer has said already that the span panicked.
            self.fail("panic");
        } else {
            self.fail("cancelled");
            self.span.record(
                "otel.status_description",
                "cancelled before it was answered",
            );
        }
    }
}
