//! The rules of Axiom's ingest contract, and the record of each breach.
//!
//! A violation by itself never changes an answer: what Axiom tolerates is tolerated here too, and only noted.

use std::fmt;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal,)+) => {
        /// One rule of the ingest contract.
        ///
        /// ```
        /// assert_eq!(axiom_local::Rule::RepeatedKey.id(), "repeated-key");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// Every rule, in the order of the declaration.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)+];

            /// The rule's stable name, for logs and scripts.
            pub fn id(self) -> &'static str {
                match self {
                    $(Rule::$name => $id,)+
                }
            }
        }
    };
}

rules! {
    /// The request names itself in `User-Agent` (or in `X-Axiom-Client`, for clients in browsers).
    MissingUserAgent = "missing-user-agent",
    /// `Content-Type` is JSON, NDJSON or CSV.
    UnknownContentType = "unknown-content-type",
    /// A body without encoding leaves `Content-Encoding` out, rather than sending it empty.
    EmptyContentEncoding = "empty-content-encoding",
    /// `Content-Encoding` is gzip, zstd or identity.
    UnknownContentEncoding = "unknown-content-encoding",
    /// The body of a request is not empty.
    EmptyBody = "empty-body",
    /// The body is what its headers say: decodable, UTF-8, and events as JSON objects or CSV rows.
    BodyNotUnderstood = "body-not-understood",
    /// The decoded body stays within the limit.
    BodyTooLarge = "body-too-large",
    /// Personal tokens are for the `/v1/datasets/` endpoint only, and need `X-Axiom-Org-Id`.
    PersonalToken = "personal-token",
    /// `X-Axiom-Event-Labels` is a JSON object in ASCII.
    LabelsMalformed = "labels-malformed",
    /// `X-Axiom-Event-Labels` has at most 4 KiB.
    LabelsTooLarge = "labels-too-large",
    /// A label and a field of an event never share a name.
    LabelCollision = "label-collision",
    /// A request has at most 10,000 events.
    TooManyEvents = "too-many-events",
    /// An event has at most 1 MB (1,000,000 bytes).
    LineTooLong = "line-too-long",
    /// A string has at most 1 MB (1,000,000 bytes).
    StringTooLong = "string-too-long",
    /// A field's flattened name has at most 200 bytes.
    FieldNameTooLong = "field-name-too-long",
    /// Objects and arrays nest at most 100 deep.
    NestingTooDeep = "nesting-too-deep",
    /// A dataset has a limited number of fields.
    TooManyFields = "too-many-fields",
    /// An object has each key once.
    RepeatedKey = "repeated-key",
    /// Only `_time` may begin with an underscore.
    ReservedName = "reserved-name",
    /// Each event says when it happened.
    TimeMissing = "time-missing",
    /// The time is RFC 3339, ISO 8601 or a Unix epoch.
    TimeUnreadable = "time-unreadable",
    /// A field keeps its JSON type (integers and floats are one; null is always fine).
    TypeChanged = "type-changed",
    /// A field is written either with a dot or nested, never both ways.
    DottedAndNested = "dotted-and-nested",
    /// Integers fit in signed 64 bits.
    IntegerTooLarge = "integer-too-large",
    /// `trace_id` is 32 lower-case hex digits, not all zero.
    TraceId = "trace-id",
    /// `span_id` is 16 lower-case hex digits, not all zero.
    SpanId = "span-id",
    /// `parent_span_id` is 16 lower-case hex digits, or absent.
    ParentSpanId = "parent-span-id",
    /// A span's `name` is a non-empty string.
    SpanName = "span-name",
    /// A span's `kind` is internal, server, client, producer or consumer.
    SpanKind = "span-kind",
    /// A span's `duration` is a non-negative integer, in nanoseconds.
    SpanDuration = "span-duration",
    /// A span's `error` is a bool, or absent.
    SpanError = "span-error",
    /// A span's `status.code` is `OK` or `ERROR`, or absent.
    SpanStatusCode = "span-status-code",
    /// A span has `service.name`, of its own or from a label.
    SpanServiceName = "span-service-name",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// One breach of the contract: which rule, by which request and event, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule that was broken.
    pub rule: Rule,
    /// What was found, in words.
    pub reason: String,
    /// The [`index`](crate::Request::index) of the request.
    pub request: u64,
    /// The dataset that the request named.
    pub dataset: Option<String>,
    /// The position of the event in its request, from 0; none if the request itself was at fault.
    pub event: Option<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} (request {}",
            self.rule, self.reason, self.request
        )?;
        if let Some(event) = self.event {
            write!(f, ", event {event}")?;
        }
        if let Some(dataset) = &self.dataset {
            write!(f, ", dataset {dataset}")?;
        }
        f.write_str(")")
    }
}
