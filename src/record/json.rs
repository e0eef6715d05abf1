//! Appends JSON to a byte buffer. Knows nothing of records.

use std::fmt::{self, Write};
use std::io;

use super::ansi::{ESC, Stripper};

/// Bytes that never change. Short ones are appended in a few moves, where a copy of any length is a call.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The bytes, if there is room for them, and spaces behind.
    short: [u8; SHORT],
    /// All of them, if there is not.
    long: Box<[u8]>,
    len: usize,
}

/// Most keys are shorter, with their quotes and colon.
const SHORT: usize = 2 * BLOCK;

impl Piece {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut short = [b' '; SHORT];
        let mut long = Box::default();
        match short.get_mut(..bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => long = bytes.into(),
        }
        Self {
            short,
            long,
            len: bytes.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if self.len <= SHORT {
            let end = out.len() + self.len;
            out.extend_from_slice(&self.short);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.long);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.len <= SHORT {
            &self.short[..self.len]
        } else {
            &self.long
        }
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
        // A value may go on after it was told to stop; what would still fit is no continuation.
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

#[inline]
fn is_plain_block(block: &[u8; BLOCK]) -> bool {
    let (words, _) = block.as_chunks();
    are_plain([0, 1].map(|at: usize| u64::from_le_bytes(words[at])))
}

/// Eight times the same byte.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Whether no byte needs an escape. Eight of them at a time, by what a subtraction borrows: a byte that is less borrows its
/// highest bit, which it had not itself (Bit Twiddling Hacks, "Determine if a word has a byte less than n"). XOR turns the
/// byte that is looked for into zero, which is less than one.
#[inline]
fn are_plain(words: [u64; 2]) -> bool {
    let found = words.map(|word| {
        let control = word.wrapping_sub(each(0x20));
        let quote = (word ^ each(b'"')).wrapping_sub(each(1));
        let backslash = (word ^ each(b'\\')).wrapping_sub(each(1));
        (control | quote | backslash) & !word
    });
    (found[0] | found[1]) & each(0x80) == 0
}

/// Fewer bytes than a block has, and spaces behind them. Read in pieces that may overlap, for a copy of any length is a call.
#[inline]
fn padded(bytes: &[u8]) -> [u64; 2] {
    const SPACES: u64 = each(b' ');
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let rest = len - 8;
        // In two steps, since there may be none of these eight bytes left.
        let last = u64::from_le_bytes(*last) >> 8 >> (8 * (7 - rest));
        return [u64::from_le_bytes(*first), last | SPACES << (8 * rest)];
    }
    let word = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
        first | last << (8 * (len - 4))
    } else if let ([first, ..], [.., last]) = (bytes, bytes) {
        let (first, middle, last) = (*first, bytes[len / 2], *last);
        u64::from(first) | u64::from(middle) << (8 * (len / 2)) | u64::from(last) << (8 * (len - 1))
    } else {
        0
    };
    [word | SPACES << (8 * len), SPACES]
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

/// An integer, or the nearest float where it needs more than 64 bits with a sign: Axiom's integers have no more
/// (docs/scalar-types), and it turns a field of integers into one of floats, but not into one of texts.
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        Err(_) => put_f64(out, value as f64),
    }
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_decimal(out, value.unsigned_abs());
}

/// Appends the digits of a number, eight at a time.
fn put_decimal(out: &mut Vec<u8>, value: u64) {
    const EIGHT_DIGITS: u64 = 100_000_000;
    if value < EIGHT_DIGITS {
        let digits = eight_digits(value);
        // The first digit is the lowest byte. One stays, also of zero.
        let zeros = (digits.trailing_zeros() / 8).min(7);
        let end = out.len() + 8 - zeros as usize;
        let text = (digits >> (8 * zeros)) + each(b'0');
        out.extend_from_slice(&text.to_le_bytes());
        out.truncate(end);
    } else {
        put_decimal(out, value / EIGHT_DIGITS);
        let text = eight_digits(value % EIGHT_DIGITS) + each(b'0');
        out.extend_from_slice(&text.to_le_bytes());
    }
}

/// The eight digits of a number below 100,000,000, each in a byte of its own, the first one in the lowest.
///
/// Each step divides all parts at once: two of four digits, four of two, eight of one. A multiplication and a shift
/// divide exactly by 100 what is below 10,000, and by 10 what is below 100.
#[inline]
fn eight_digits(value: u64) -> u64 {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007F_0000_007F;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = (twos * 103) >> 10 & 0x000F_000F_000F_000F;
    tens | (twos - 10 * tens) << 8
}

/// Appends bytes that most often fit into a block, as the digits of a number do.
#[inline]
pub(crate) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() < BLOCK {
        let end = out.len() + bytes.len();
        out.extend_from_slice(padded(bytes).map(u64::to_le_bytes).as_flattened());
        out.truncate(end);
    } else {
        out.extend_from_slice(bytes);
    }
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
pub(crate) fn put_digits(out: &mut Vec<u8>, value: impl fmt::Display) {
    out.push(b'"');
    // A buffer takes whatever is written to it.
    io::Write::write_fmt(out, format_args!("{value}")).ok();
    out.push(b'"');
}

/// By a fraction or an exponent it is a float to whoever reads it. NaN and the infinities are `null`, as Axiom stores
/// them (docs/limits).
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        put_short(out, zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// With as many digits as tell it from other floats of its size, which are fewer than the same number has as `f64`.
#[cfg(all(tracing_unstable, feature = "valuable"))]
pub(crate) fn put_f32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        put_short(out, zmij::Buffer::new().format_finite(value).as_bytes());
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
