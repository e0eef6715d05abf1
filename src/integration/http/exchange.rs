//! The span of one request, from its start until it is known how it went.

#[cfg(feature = "tower")]
use std::time::Instant;

use http::StatusCode;
use tracing::Span;

#[cfg(feature = "tower")]
use super::secrets::Redacted;
use super::secrets::RedactedError;
use crate::integration::SpanExt;

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

/// Which end of the request this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    #[cfg(feature = "tower")]
    Server,
}

impl Side {
    /// Whether a status is an error of the span ("Status": 4xx are errors of the client alone).
    fn is_error(self, status: StatusCode) -> bool {
        match self {
            Self::Client => status.is_client_error() || status.is_server_error(),
            #[cfg(feature = "tower")]
            Self::Server => status.is_server_error(),
        }
    }
}

/// Holds the span open. Dropped before the end was recorded, it marks the span as cancelled, or as panicked.
///
/// A request that nobody waits for any longer has failed for its client, and OpenTelemetry asks for
/// an error then ("Status": "may fail if it was cancelled").
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) span: Span,
    pub(super) side: Side,
    #[cfg(feature = "tower")]
    started: Instant,
    /// Application code runs, so that a drop now means that it panicked.
    is_running: bool,
    has_head: bool,
    has_failed: bool,
    is_over: bool,
}

impl Exchange {
    pub(super) fn new(side: Side, span: Span) -> Self {
        Self {
            span,
            side,
            #[cfg(feature = "tower")]
            started: Instant::now(),
            is_running: false,
            has_head: false,
            has_failed: false,
            is_over: false,
        }
    }

    /// Runs code of the application's inside the span.
    #[cfg(feature = "tower")]
    pub(super) fn run<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let inside = self.span.enter();
        self.is_running = true;
        let value = run();
        self.is_running = false;
        drop(inside);
        value
    }

    /// Records the status of the response.
    pub(super) fn has_status(&mut self, status: StatusCode) {
        self.has_head = true;
        self.span
            .record("http.response.status_code", status.as_u16());
        if self.side.is_error(status) {
            // Without a description: the code says it ("Status").
            self.fail(status.as_str());
        }
    }

    /// Records how long it took until the response's head was there, for a span that goes on after it.
    #[cfg(feature = "tower")]
    pub(super) fn has_head_now(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.span.record("http.response.head_ns", elapsed);
    }

    /// Records an error that is none of the status. The first one stays: what comes after it follows from it.
    pub(super) fn fail(&mut self, error_type: &str) -> bool {
        if self.has_failed {
            return false;
        }
        self.has_failed = true;
        self.span.record("error.type", error_type);
        self.span.record("otel.status_code", "ERROR");
        true
    }

    /// The same with a text, from which secrets in URLs are removed.
    #[cfg(feature = "tower")]
    pub(super) fn fail_with(&mut self, error_type: &str, description: &dyn std::fmt::Display) {
        if self.fail(error_type) {
            let description = tracing::field::display(Redacted(description));
            self.span.record("otel.status_description", description);
        }
    }

    /// The end without a response. The error's text, type and causes become the span's exception.
    pub(super) fn end_with_exception(
        &mut self,
        error_type: &str,
        error: &(dyn std::error::Error + 'static),
    ) {
        if !self.span.is_disabled() {
            let error = RedactedError::of(error);
            self.span
                .record("error", &error as &(dyn std::error::Error + 'static));
        }
        self.fail(error_type);
        self.end();
    }

    /// Sends the span's record now, whatever still holds the span. What happens later in the span is in the trace, but
    /// no longer in the record.
    pub(super) fn end(&mut self) {
        if !self.is_over {
            self.is_over = true;
            self.span.end();
        }
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
        } else if self.fail("cancelled") {
            let description = match self.has_head {
                false => "cancelled before it was answered",
                true => "cancelled before the end of the response",
            };
            self.span.record("otel.status_description", description);
        }
        self.end();
    }
}
