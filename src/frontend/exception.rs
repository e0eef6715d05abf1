//! What an error says of itself: its text with that of its causes, and its type as far as it tells one.
//!
//! Runs code of the application's, under the care of the visitor.

use std::error::Error;
use std::fmt;

use super::callsite::NAME_BYTES;
use super::survive::survive;

/// Causes of an error that are followed; the chain may be a circle.
const ERROR_CAUSES: usize = 32;

/// Appends the type of an error, or of the first of its causes that tells one.
///
/// A `dyn Error` does not tell its type, but what a derived `Debug` begins with does: the name of a struct, or of an
/// enum's variant. An `anyhow::Error` shows a message or `Error { context: …, source: … }` instead, and what it wraps is
/// among its causes.
pub(super) fn put_type(out: &mut Vec<u8>, error: &(dyn Error + 'static)) {
    out.push(b'"');
    let start = out.len();
    let found = survive(|| {
        let mut next = Some(error);
        for _ in 0..=ERROR_CAUSES {
            let Some(error) = next else { break };
            if put_type_of(out, error) {
                return;
            }
            next = error.source();
        }
        out.extend_from_slice(NO_TYPE);
    });
    if found.is_none() {
        out.truncate(start);
        out.extend_from_slice(NO_TYPE);
    }
    out.push(b'"');
}

/// Stands for the type of an error that does not tell it. As a name it tells nothing either, so a cause's is preferred.
const NO_TYPE: &[u8] = b"Error";

/// Appends the type that the error's own `Debug` tells. `false`: it tells none, and nothing was appended.
fn put_type_of(out: &mut Vec<u8>, error: &(dyn Error + 'static)) -> bool {
    let start = out.len();
    let mut beginning = Beginning {
        out,
        left: NAME_BYTES,
    };
    // A value whose own code fails ends there.
    let is_all = fmt::write(&mut beginning, format_args!("{error:?}")).is_ok();
    let debug = &out[start..];
    let name = type_name(debug);
    let behind = debug.get(name.len()).copied();
    // Some show their message by `Debug` as well, and a message may begin like a type.
    let is_message = || match behind {
        Some(_) => Compared::with(&debug[..=name.len()], error).is_beginning(),
        None => Compared::with(name, error).is_all(),
    };
    let is_whole = behind.is_some() || is_all;
    let is_type = !name.is_empty() && is_whole && name != NO_TYPE && !is_message();
    let end = start + if is_type { name.len() } else { 0 };
    out.truncate(end);
    is_type
}

/// The name of a type that `debug` begins with, and that its fields or nothing follow; else empty.
fn type_name(debug: &[u8]) -> &[u8] {
    let is_of_path = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let end = debug.iter().position(|byte| !is_of_path(byte));
    let (path, behind) = debug.split_at(end.unwrap_or(debug.len()));
    let is_end = behind.is_empty()
        || [" {", "(", "{"]
            .iter()
            .any(|open| behind.starts_with(open.as_bytes()));
    let mut last = path;
    let mut rest = path;
    while let Some(colons) = rest.windows(2).position(|pair| pair == b"::") {
        rest = &rest[colons + 2..];
        last = rest;
    }
    // Some write a path, as in `reqwest::Error { … }`.
    let is_path = !path.starts_with(b":") && !last.contains(&b':');
    let is_type = last.first().is_some_and(u8::is_ascii_uppercase);
    if is_end && is_path && is_type {
        path
    } else {
        b""
    }
}

/// Takes the beginning of a text, and then ends the formatting by an error.
struct Beginning<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl fmt::Write for Beginning<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.len().min(self.left);
        self.out.extend_from_slice(&text.as_bytes()[..fits]);
        self.left -= fits;
        if fits < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

/// Compares the text that a value formats to with a beginning, as far as needed.
struct Compared<'a> {
    left: &'a [u8],
    is_same: bool,
    goes_on: bool,
}

impl<'a> Compared<'a> {
    fn with(beginning: &'a [u8], error: &dyn Error) -> Self {
        let mut compared = Self {
            left: beginning,
            is_same: true,
            goes_on: false,
        };
        fmt::write(&mut compared, format_args!("{error}")).ok();
        compared
    }

    fn is_beginning(&self) -> bool {
        self.is_same && self.left.is_empty()
    }

    fn is_all(&self) -> bool {
        self.is_beginning() && !self.goes_on
    }
}

impl fmt::Write for Compared<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (now, later) = self.left.split_at(self.left.len().min(text.len()));
        self.is_same &= text.as_bytes().starts_with(now);
        self.left = later;
        self.goes_on |= now.len() < text.len();
        if self.is_same && !self.goes_on {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

/// An error and its causes, joined by `: `.
pub(super) struct Chain<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        for _ in 0..ERROR_CAUSES {
            let Some(error) = cause else { break };
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The causes of an error, a line each.
pub(super) struct Causes<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause = self.0.source();
        let mut line_end = "";
        for _ in 0..ERROR_CAUSES {
            let Some(error) = cause else { break };
            write!(f, "{line_end}caused by: {error}")?;
            line_end = "\n";
            cause = error.source();
        }
        Ok(())
    }
}
