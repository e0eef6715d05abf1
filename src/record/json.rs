//! Appends JSON to a byte buffer. Knows nothing of records.

use std::fmt::{self, Write};

use super::ansi::{ESC, Stripper};

/// Bytes that never change, appended in whole blocks: a few moves each, where a copy of any length is a call.
#[derive(Debug)]
pub(crate) struct Piece {
    blocks: Box<[[u8; BLOCK]]>,
    len: usize,
}

impl Piece {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let pad = |bytes: &[u8]| {
            let mut block = [b' '; BLOCK];
            block[..bytes.len()].copy_from_slice(bytes);
            block
        };
        Self {
            blocks: bytes.chunks(BLOCK).map(pad).collect(),
            len: bytes.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len;
        for block in &self.blocks {
            out.extend_from_slice(block);
        }
        out.truncate(end);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.blocks.as_flattened()[..self.len]
    }
}

/// What stands at the end of a text that was shortened.
pub(crate) const ELLIPSIS: &str = "…";

/// What becomes of the ANSI escape sequences in a text, by which terminals are told colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ansi {
    #[default]
    Strip,
    Keep,
}

/// Appends `text` as a JSON string, escape sequences included. Returns whether it fitted into `cap` bytes of output.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str, cap: usize) -> bool {
    put_text(out, text, cap, Ansi::Keep)
}

/// Appends a text of the application's as a JSON string. Returns whether it fitted into `cap` bytes of output.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str, cap: usize, ansi: Ansi) -> bool {
    out.push(b'"');
    let whole = match ansi {
        Ansi::Keep => put_escaped(out, text, cap) != Put::Cut,
        Ansi::Strip => put_stripped(out, text, cap, &mut Stripper::default()),
    };
    if !whole {
        out.extend_from_slice(ELLIPSIS.as_bytes());
    }
    out.push(b'"');
    whole
}

/// Appends what `value` formats to as a JSON string. Formatting stops at `cap` bytes of output.
///
/// # Errors
/// When the value's own implementation fails; what it wrote until then is kept, and the string is closed.
pub(crate) fn put_fmt(
    out: &mut Vec<u8>,
    value: fmt::Arguments<'_>,
    cap: usize,
    ansi: Ansi,
) -> Result<bool, fmt::Error> {
    out.push(b'"');
    let mut escaped = Escaped {
        end: out.len() + cap,
        out,
        stripper: (ansi == Ansi::Strip).then(Stripper::default),
        full: false,
    };
    let written = escaped.write_fmt(value);
    let full = escaped.full;
    if full {
        out.extend_from_slice(ELLIPSIS.as_bytes());
    }
    out.push(b'"');
    match written {
        Err(error) if !full => Err(error),
        _ => Ok(!full),
    }
}

/// A `fmt::Write` that escapes and refuses to go on once it is full.
struct Escaped<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
    /// Knows whether the last piece ended within a sequence. `None`: sequences are kept.
    stripper: Option<Stripper>,
    full: bool,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A value may go on after it was told to stop; what would still fit is no continuation.
        if self.full {
            return Err(fmt::Error);
        }
        let cap = self.end.saturating_sub(self.out.len());
        let whole = match &mut self.stripper {
            None => put_escaped(self.out, text, cap) != Put::Cut,
            Some(stripper) => put_stripped(self.out, text, cap, stripper),
        };
        if whole {
            Ok(())
        } else {
            self.full = true;
            Err(fmt::Error)
        }
    }
}

/// Appends what is left of a text without its escape sequences. Returns whether that fitted.
///
/// Only where an escape is met, or the text is longer than the cap, are sequences looked for.
fn put_stripped(out: &mut Vec<u8>, text: &str, cap: usize, stripper: &mut Stripper) -> bool {
    let start = out.len();
    if stripper.is_outside() && put_escaped(out, text, cap) == Put::Whole {
        return true;
    }
    out.truncate(start);
    put_between(out, text, cap, stripper)
}

/// Appends what stands between escape sequences.
#[cold]
fn put_between(out: &mut Vec<u8>, text: &str, cap: usize, stripper: &mut Stripper) -> bool {
    let end = out.len() + cap;
    let mut rest = text;
    loop {
        rest = stripper.skip(rest);
        if rest.is_empty() {
            return true;
        }
        let left = end.saturating_sub(out.len());
        // What is longer does not fit, whatever comes behind it.
        let window = rest.len().min(left + 1);
        let plain = rest.as_bytes()[..window]
            .iter()
            .position(|byte| *byte == ESC);
        let (now, later) = rest.split_at(plain.unwrap_or(rest.len()));
        if put_escaped(out, now, left) == Put::Cut {
            return false;
        }
        rest = later;
    }
}

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Whole,
    /// It is there, and has an ESC in it.
    WithEsc,
    /// Only its beginning is there.
    Cut,
}

/// Bytes looked at together: the inner loop compiles to vector compares.
const BLOCK: usize = 16;

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escaped(out: &mut Vec<u8>, text: &str, cap: usize) -> Put {
    // What does not fit even without an escape need not be looked at.
    let fits = floor_char_boundary(text, cap);
    let bytes = &text.as_bytes()[..fits];
    let end = if fits == text.len() {
        Put::Whole
    } else {
        Put::Cut
    };
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return end;
    }
    let start = out.len();
    let has_esc = put_blocks(out, bytes);
    if out.len() - start > cap {
        // Escapes made it longer than the cap: rare, so redo it with care.
        out.truncate(start);
        put_capped(out, text, cap);
        return Put::Cut;
    }
    match end {
        Put::Whole if has_esc => Put::WithEsc,
        end => end,
    }
}

/// Whether no byte needs an escape, as in nearly every text.
fn is_plain(bytes: &[u8]) -> bool {
    let is_plain = |block: &[u8; BLOCK]| {
        !block
            .iter()
            .fold(false, |any, byte| any | needs_escape(*byte))
    };
    if let Some(last) = bytes.last_chunk::<BLOCK>() {
        // The last block may overlap the one before it: to look twice costs less than a loop over the rest.
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        return blocks.iter().all(is_plain) && is_plain(last);
    }
    let mut block = [b' '; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    is_plain(&block)
}

/// Copies plain blocks whole and goes through the others byte by byte. Returns whether there was an ESC.
fn put_blocks(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let mut has_esc = false;
    for block in bytes.chunks(BLOCK) {
        if is_plain(block) {
            out.extend_from_slice(block);
        } else {
            has_esc |= put_bytewise(out, block);
        }
    }
    has_esc
}

fn put_bytewise(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let (mut from, mut has_esc) = (0, false);
    for (at, byte) in bytes.iter().enumerate() {
        if needs_escape(*byte) {
            has_esc |= *byte == ESC;
            out.extend_from_slice(&bytes[from..at]);
            put_escape(out, *byte);
            from = at + 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
    has_esc
}

fn put_capped(out: &mut Vec<u8>, text: &str, cap: usize) {
    let start = out.len();
    for char in text.chars() {
        let before = out.len();
        put_bytewise(out, char.encode_utf8(&mut [0; 4]).as_bytes());
        if out.len() - start > cap {
            return out.truncate(before);
        }
    }
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    }
}

/// The largest index up to `at` that does not cut a character.
pub(crate) fn floor_char_boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at)
        .rev()
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(0)
}

/// Appends a JSON string that was written before, of its text at most `cap` bytes.
pub(crate) fn put_shortened(out: &mut Vec<u8>, string: &[u8], cap: usize) {
    let text = &string[1..string.len() - 1];
    if text.len() <= cap {
        return out.extend_from_slice(string);
    }
    let mut end = 0;
    loop {
        // No cut within an escape or a character.
        let len = match text[end..] {
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            [0xF0..=0xFF, ..] => 4,
            [0xE0..=0xEF, ..] => 3,
            [0xC0..=0xDF, ..] => 2,
            _ => 1,
        };
        if end + len > cap {
            break;
        }
        end += len;
    }
    out.push(b'"');
    out.extend_from_slice(&text[..end]);
    out.extend_from_slice(ELLIPSIS.as_bytes());
    out.push(b'"');
}

/// Lower-case hex, in quotes.
pub(crate) fn put_hex(out: &mut Vec<u8>, bytes: &[u8], cap: usize) -> bool {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let shown = bytes.len().min(cap / 2);
    out.push(b'"');
    for byte in &bytes[..shown] {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    if shown < bytes.len() {
        out.extend_from_slice(ELLIPSIS.as_bytes());
    }
    out.push(b'"');
    shown == bytes.len()
}

/// An integer, or the nearest float where it needs more than 64 bits with a sign: Axiom's integers have no more
/// (docs/scalar-types), and it turns a field of integers into one of floats, but not into one of texts.
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        Err(_) => put_f64(out, value as f64),
    }
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(crate) fn put_i128(out: &mut Vec<u8>, value: i128) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        Err(_) => put_f64(out, value as f64),
    }
}

pub(crate) fn put_u128(out: &mut Vec<u8>, value: u128) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        Err(_) => put_f64(out, value as f64),
    }
}

/// Every digit of an integer, as text.
pub(crate) fn put_digits(out: &mut Vec<u8>, value: impl itoa::Integer) {
    put_quoted(out, itoa::Buffer::new().format(value));
}

/// By a fraction or an exponent it is a float to whoever reads it. NaN and the infinities are `null`, as Axiom stores
/// them (docs/limits).
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// With as many digits as tell it from other floats of its size, which are fewer than the same number has as `f64`.
#[cfg(all(tracing_unstable, feature = "valuable"))]
pub(crate) fn put_f32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// A float as text, `NaN`, `inf` and `-inf` too.
pub(crate) fn put_f64_text(out: &mut Vec<u8>, value: f64) {
    put_quoted(out, zmij::Buffer::new().format(value));
}

pub(crate) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn put_quoted(out: &mut Vec<u8>, digits: &str) {
    out.push(b'"');
    out.extend_from_slice(digits.as_bytes());
    out.push(b'"');
}

/// The length of the JSON value at the start of `bytes`, which we wrote ourselves.
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests;
