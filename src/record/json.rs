//! Appends JSON to a byte buffer. Knows nothing of records.

mod block;
mod number;

use std::fmt::{self, Write};

use self::block::{BLOCK, are_plain, is_plain_block, padded};
pub(crate) use self::block::{Piece, put_short};
#[cfg(all(tracing_unstable, feature = "valuable"))]
pub(crate) use self::number::put_f32;
pub(crate) use self::number::{
    put_bool, put_digits, put_f64, put_f64_text, put_i64, put_i128, put_u64, put_u128,
};
use super::ansi::{ESC, Stripper};

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
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str, cap: usize, ansi: Ansi) -> bool {
    out.push(b'"');
    let is_whole = put_plain(out, text, cap) || put_with_care(out, text, cap, ansi);
    out.push(b'"');
    is_whole
}

/// Appends a text that has a byte to escape, or does not fit.
#[cold]
fn put_with_care(out: &mut Vec<u8>, text: &str, cap: usize, ansi: Ansi) -> bool {
    let is_whole = match ansi {
        Ansi::Keep => put_escaped(out, text, cap) != Put::Cut,
        Ansi::Strip => put_stripped(out, text, cap, &mut Stripper::default()),
    };
    if !is_whole {
        out.extend_from_slice(ELLIPSIS.as_bytes());
    }
    is_whole
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
        // A value may go on writing after it was told to stop. What would still fit does not continue the text, so it is refused.
        if self.full {
            return Err(fmt::Error);
        }
        let cap = self.end.saturating_sub(self.out.len());
        let is_outside = self.stripper.as_ref().is_none_or(Stripper::is_outside);
        if is_outside && put_plain(self.out, text, cap) {
            return Ok(());
        }
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

/// Appends a text of which no byte needs an escape, as in nearly every one. `false`: it is another one, or too long, and
/// nothing was appended.
#[inline]
fn put_plain(out: &mut Vec<u8>, text: &str, cap: usize) -> bool {
    let (bytes, start) = (text.as_bytes(), out.len());
    if bytes.len() > cap {
        return false;
    }
    let is_plain = match bytes.last_chunk::<BLOCK>() {
        // Each block is looked at and copied at once. The last one may overlap the one before it: to copy some bytes twice
        // costs less than a loop over the rest.
        Some(last) => {
            let (blocks, _) = bytes.as_chunks::<BLOCK>();
            let mut is_plain = is_plain_block(last);
            for block in blocks {
                is_plain &= is_plain_block(block);
                out.extend_from_slice(block);
            }
            out.truncate(start + bytes.len() - BLOCK);
            out.extend_from_slice(last);
            is_plain
        }
        None => {
            let words = padded(bytes);
            out.extend_from_slice(words.map(u64::to_le_bytes).as_flattened());
            are_plain(words)
        }
    };
    out.truncate(if is_plain { start + bytes.len() } else { start });
    is_plain
}

/// Copies plain blocks whole and goes through the others byte by byte. Returns whether there was an ESC.
fn put_blocks(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let mut has_esc = false;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        if is_plain_block(block) {
            out.extend_from_slice(block);
        } else {
            has_esc |= put_bytewise(out, block);
        }
    }
    has_esc | put_bytewise(out, rest)
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

/// Ends an object whose members each have a comma behind them.
pub(crate) fn close(line: &mut [u8]) {
    if let Some(last) = line.last_mut() {
        *last = b'}';
    }
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
