//! Where a trace stands at the edge of a process: W3C Trace Context, read and written.
//!
//! Runs on the application's threads, once for each request that enters or leaves. Sections are those
//! of [Trace Context Level 2](https://www.w3.org/TR/trace-context-2/); where level 1 differs, it says so.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{SpanId, TraceId, state};

/// Characters of a version 00 `traceparent`, and of the part of any later one that we may read
/// ("Versioning of traceparent").
const LENGTH: usize = 55;

/// Where the fields stand ("traceparent Header Field Values"). A dash is between each two.
const VERSION: Range<usize> = 0..2;
const TRACE_ID: Range<usize> = 3..35;
const SPAN_ID: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..LENGTH;
const DASHES: [usize; 3] = [2, 35, 52];

/// The two flags that are defined, both in the last hex digit ("trace-flags").
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// The trace and the span that a request belongs to, as [W3C Trace Context] carries them between processes.
///
/// It is read from a request that arrives, so that spans here continue the caller's trace, and written
/// into a request that leaves. It holds the `traceparent` header (trace id, span id of the
/// caller, flags) and the `tracestate` header, which belongs to other tracing systems and is carried on
/// without being interpreted.
///
/// Input that breaks the specification means "no context", never an error or a panic: the
/// specification then asks for a new trace. A broken `tracestate` costs only the `tracestate`.
///
/// What is read is written back the same, except for what the specification asks to change: a
/// later version becomes version 00, undefined flags are cleared, and `tracestate` loses its
/// empty members, its optional white space and, above 512 characters, some of its members.
///
/// A clone copies 55 bytes and shares the rest.
///
/// # Examples
/// ```
/// use axiom_layer::TraceContext;
///
/// let context = TraceContext::from_headers(
///     ["00-5a0f8e3c21d94b7786a1c0de5eed1234-00c0ffee0ddba115-01"],
///     ["congo=t61rcWkgMzE", "rojo=1"],
/// )
/// .ok_or("no trace context")?;
/// assert_eq!(context.trace_id(), "5a0f8e3c21d94b7786a1c0de5eed1234");
/// assert_eq!(context.span_id(), "00c0ffee0ddba115");
/// assert!(context.is_sampled());
///
/// // The values of the two headers of a request that leaves:
/// assert_eq!(
///     context.traceparent(),
///     "00-5a0f8e3c21d94b7786a1c0de5eed1234-00c0ffee0ddba115-01"
/// );
/// assert_eq!(context.tracestate(), "congo=t61rcWkgMzE,rojo=1");
/// # Ok::<(), &str>(())
/// ```
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context-2/
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// A valid version 00 header: the accessors are slices of it, and writing it costs nothing.
    traceparent: [u8; LENGTH],
    /// Valid, at most `state::MAX_LENGTH` characters, and never empty.
    tracestate: Option<Arc<str>>,
}

impl TraceContext {
    /// Makes a context from ids that are already text, for tests and for bridges from another tracing system.
    ///
    /// The trace id is 32 and the span id 16 lower-case hex digits, neither all zero; anything else is
    /// `None`. They are text and not integers because they are text wherever one meets them: in headers,
    /// in logs, and in Axiom.
    ///
    /// The sampled flag is set, for whoever hands on ids has most likely recorded them; the random flag is not, for
    /// nothing is known of how the trace id was made ("Random Trace ID Flag"). There is no `tracestate`.
    /// A bridge that knows flags and `tracestate` formats them as headers for [`from_headers`](Self::from_headers).
    ///
    /// # Examples
    /// ```
    /// use axiom_layer::TraceContext;
    ///
    /// let context = TraceContext::new("5a0f8e3c21d94b7786a1c0de5eed1234", "00c0ffee0ddba115");
    /// assert!(context.is_some_and(|context| context.is_sampled()));
    /// assert!(TraceContext::new("5A0F", "1").is_none());
    /// ```
    #[must_use]
    pub fn new(trace_id: &str, span_id: &str) -> Option<Self> {
        let (trace, span) = (id(trace_id.as_bytes())?, id(span_id.as_bytes())?);
        Some(Self::from_parts(&trace, &span, SAMPLED))
    }

    /// Reads the value of a `traceparent` header; there is no `tracestate`.
    ///
    /// Follows "traceparent Header Field Values" and "Versioning of traceparent". Spaces and tabs
    /// around the value are ignored. Version 00 has exactly 55 characters. Of a later version the
    /// first 55 are read and the rest, which must begin with a dash, is ignored; version `ff` is invalid.
    /// Upper-case hex digits and ids that are all zero are invalid. Whatever is invalid is `None`.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        Self::from_traceparent(traceparent.as_bytes())
    }

    /// Reads all values of a request's `traceparent` and `tracestate` headers, each in the order of arrival.
    ///
    /// Values are `&str`, `&[u8]` or what else lends its bytes, so that `headers.get_all("traceparent")` and
    /// `headers.get_all("tracestate")` of an `http::HeaderMap` fit.
    ///
    /// The result is `None` unless there is exactly one `traceparent` and [`parse`](Self::parse) would take it.
    /// Several `tracestate` values are combined in order ("tracestate Header Field Values"). The
    /// `tracestate` is left out as a whole if any member breaks the grammar of level 2 (which includes
    /// level 1's `tenant@system` keys), or if there are more than 32 members, empty ones not counted. Of
    /// two members with one key the first is kept. Above 512 characters, the number that the specification asks everyone to carry,
    /// whole members are removed until it fits: first those longer than 128 characters, then
    /// any, each time from the right, where the oldest are ("tracestate Limits").
    #[must_use]
    pub fn from_headers<P, S>(traceparent: P, tracestate: S) -> Option<Self>
    where
        P: IntoIterator<Item: AsRef<[u8]>>,
        S: IntoIterator<Item: AsRef<[u8]>>,
    {
        let mut values = traceparent.into_iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        let mut context = Self::from_traceparent(value.as_ref())?;
        // Only now: without a valid traceparent the tracestate must not be looked at ("Tracestate Header").
        let values: Vec<_> = tracestate.into_iter().collect();
        context.tracestate = state::combine(values.iter().map(AsRef::as_ref));
        Some(context)
    }

    /// The value of the `traceparent` header to write: version 00, 55 characters, lower case, nothing allocated.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        text(&self.traceparent)
    }

    /// The value of the `tracestate` header to write, at most 512 characters.
    ///
    /// Empty when there is none; the header should then not be written ("tracestate Header Field Values").
    #[must_use]
    pub fn tracestate(&self) -> &str {
        self.tracestate.as_deref().unwrap_or_default()
    }

    /// The trace: 32 lower-case hex digits, not all zero.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        text(&self.traceparent[TRACE_ID])
    }

    /// The span that made the request (the specification's `parent-id`): 16 lower-case hex digits, not all zero.
    #[must_use]
    pub fn span_id(&self) -> &str {
        text(&self.traceparent[SPAN_ID])
    }

    /// Whether the caller may have recorded the trace ("Sampled flag"). A hint: this layer records either way.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags() & SAMPLED != 0
    }

    /// Whether the caller vouches that the last 7 bytes of the trace id are random ("Random Trace ID
    /// Flag", new in level 2). It is carried on as it came, from later versions too.
    #[must_use]
    pub fn is_random(&self) -> bool {
        self.flags() & RANDOM != 0
    }

    /// The context of a new trace with ids from `random_ids`: recorded, and random.
    pub(crate) fn root(trace: &TraceId, span: &SpanId) -> Self {
        Self::from_parts(trace, span, SAMPLED | RANDOM)
    }

    /// The same trace seen from another of its spans: flags and `tracestate` stay ("Mutating the
    /// traceparent Field", update of `parent-id`).
    pub(crate) fn at_span(&self, span: &SpanId) -> Self {
        let mut context = self.clone();
        context.traceparent[SPAN_ID].copy_from_slice(span);
        context
    }

    /// The trace id as records hold it.
    pub(crate) fn trace(&self) -> TraceId {
        let mut id = [b'0'; 32];
        id.copy_from_slice(&self.traceparent[TRACE_ID]);
        id
    }

    /// The span id as records hold it.
    pub(crate) fn span(&self) -> SpanId {
        let mut id = [b'0'; 16];
        id.copy_from_slice(&self.traceparent[SPAN_ID]);
        id
    }

    fn from_traceparent(value: &[u8]) -> Option<Self> {
        let (head, rest) = state::trim(value).split_first_chunk::<LENGTH>()?;
        let fits = match &head[VERSION] {
            b"00" => rest.is_empty(),
            b"ff" => false,
            version => version.iter().all(is_hex) && (rest.is_empty() || rest[0] == b'-'),
        };
        let flags = &head[FLAGS];
        if !fits || DASHES.iter().any(|at| head[*at] != b'-') || !flags.iter().all(is_hex) {
            return None;
        }
        let (trace, span) = (id(&head[TRACE_ID])?, id(&head[SPAN_ID])?);
        Some(Self::from_parts(&trace, &span, low_bits(flags[1])))
    }

    /// Writes the flags that are defined and no others ("Other Flags").
    fn from_parts(trace: &TraceId, span: &SpanId, flags: u8) -> Self {
        let mut traceparent = *b"00-00000000000000000000000000000000-0000000000000000-00";
        traceparent[TRACE_ID].copy_from_slice(trace);
        traceparent[SPAN_ID].copy_from_slice(span);
        traceparent[LENGTH - 1] = b'0' + (flags & (SAMPLED | RANDOM));
        Self {
            traceparent,
            tracestate: None,
        }
    }

    fn flags(&self) -> u8 {
        low_bits(self.traceparent[LENGTH - 1])
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContext")
            .field("traceparent", &self.traceparent())
            .field("tracestate", &self.tracestate())
            .finish()
    }
}

/// Bytes that were checked to be ASCII when the context was made.
fn text(ascii: &[u8]) -> &str {
    std::str::from_utf8(ascii).unwrap_or_default()
}

/// `HEXDIGLC`: upper case is invalid.
fn is_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The value of one lower-case hex digit.
fn low_bits(digit: u8) -> u8 {
    match digit {
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit & 15,
    }
}

/// An id of its exact length, in lower-case hex and not all zero ("trace-id", "parent-id").
fn id<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let id: [u8; N] = digits.try_into().ok()?;
    let valid = id.iter().all(is_hex) && id.iter().any(|digit| *digit != b'0');
    valid.then_some(id)
}

#[cfg(test)]
mod tests;
