//! How a span ended, and what kind of span it is, in the words of OpenTelemetry.

/// `kind` of a span, in the words of OpenTelemetry. The first is that of a span that says nothing.
pub(super) const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    Unset = 0,
    Ok = 1,
    Error = 2,
}

impl Status {
    /// The reverse of `as u8`.
    pub(crate) fn from_u8(byte: u8) -> Self {
        match byte {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// Reads `otel.status_code`; a word that is none of OpenTelemetry's leaves the status as it was.
    pub(crate) fn from_field(json: &[u8]) -> Option<Self> {
        let word = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if word.eq_ignore_ascii_case(b"ok") {
            Some(Self::Ok)
        } else if word.eq_ignore_ascii_case(b"error") {
            Some(Self::Error)
        } else {
            None
        }
    }
}

/// Reads `otel.kind`, in any case, as tracing-opentelemetry does.
pub(crate) fn kind_from_field(json: &[u8]) -> Option<&'static str> {
    let word = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    KINDS
        .into_iter()
        .find(|kind| word.eq_ignore_ascii_case(kind.as_bytes()))
}
