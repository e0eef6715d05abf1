//! Appends JSON to a byte buffer. Knows nothing of records.

use std::fmt::{self, Write};

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

/// Appends `text` as a JSON string. Returns whether it fitted into `cap` bytes of output.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str, cap: usize) -> bool {
    out.push(b'"');
    let whole = put_escaped(out, text, cap);
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
) -> Result<bool, fmt::Error> {
    out.push(b'"');
    let mut escaped = Escaped {
        end: out.len() + cap,
        out,
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
    full: bool,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A value may go on after it was told to stop; what would still fit is no continuation.
        if self.full {
            return Err(fmt::Error);
        }
        let cap = self.end.saturating_sub(self.out.len());
        if put_escaped(self.out, text, cap) {
            Ok(())
        } else {
            self.full = true;
            Err(fmt::Error)
        }
    }
}

/// Bytes looked at together: the inner loop compiles to vector compares.
const BLOCK: usize = 16;

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escaped(out: &mut Vec<u8>, text: &str, cap: usize) -> bool {
    // What does not fit even without an escape need not be looked at.
    let fits = floor_char_boundary(text, cap);
    let bytes = &text.as_bytes()[..fits];
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return fits == text.len();
    }
    let start = out.len();
    put_blocks(out, bytes);
    if out.len() - start > cap {
        // Escapes made it longer than the cap: rare, so redo it with care.
        out.truncate(start);
        put_capped(out, text, cap);
        return false;
    }
    fits == text.len()
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

/// Copies plain blocks whole and goes through the others byte by byte.
fn put_blocks(out: &mut Vec<u8>, bytes: &[u8]) {
    for block in bytes.chunks(BLOCK) {
        if is_plain(block) {
            out.extend_from_slice(block);
        } else {
            put_bytewise(out, block);
        }
    }
}

fn put_bytewise(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if needs_escape(*byte) {
            out.extend_from_slice(&bytes[from..at]);
            put_escape(out, *byte);
            from = at + 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
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

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        // Axiom's integers are signed 64 bit (docs/scalar-types): beyond, text keeps every digit.
        Err(_) => put_quoted(out, itoa::Buffer::new().format(value)),
    }
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(crate) fn put_i128(out: &mut Vec<u8>, value: i128) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        Err(_) => put_quoted(out, itoa::Buffer::new().format(value)),
    }
}

pub(crate) fn put_u128(out: &mut Vec<u8>, value: u128) {
    match i64::try_from(value) {
        Ok(value) => put_i64(out, value),
        Err(_) => put_quoted(out, itoa::Buffer::new().format(value)),
    }
}

/// NaN and the infinities are `null`, as Axiom stores them (docs/limits).
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str, cap: usize) -> (String, bool) {
        let mut out = Vec::new();
        let whole = put_str(&mut out, text, cap);
        (String::from_utf8(out).unwrap(), whole)
    }

    #[test]
    fn a_piece_of_any_length_is_appended_as_it_is() {
        let bytes: Vec<u8> = (0..3 * BLOCK as u8).collect();
        for len in 0..bytes.len() {
            let piece = Piece::new(&bytes[..len]);
            let mut out = b"before".to_vec();
            piece.put(&mut out);
            piece.put(&mut out);
            assert_eq!(out, [b"before", &bytes[..len], &bytes[..len]].concat());
            assert_eq!((piece.bytes(), piece.len()), (&bytes[..len], len));
        }
    }

    #[test]
    fn every_ascii_byte_parses_back() {
        let text: String = (0..128_u8).map(char::from).collect();
        let (json, whole) = string(&text, 10_000);
        assert!(whole);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    proptest! {
        #[test]
        fn any_text_parses_back(text in any::<String>()) {
            let (json, whole) = string(&text, usize::MAX / 2);
            prop_assert!(whole);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn capped_text_is_a_prefix_within_the_cap(text in any::<String>(), cap in 0_usize..80) {
            let (json, whole) = string(&text, cap);
            let back = serde_json::from_str::<String>(&json).unwrap();
            if whole {
                prop_assert_eq!(back, text);
            } else {
                prop_assert!(json.len() <= cap + 2 + ELLIPSIS.len());
                prop_assert!(text.starts_with(back.strip_suffix('…').unwrap()));
            }
        }

        #[test]
        fn formatted_text_equals_the_string(text in any::<String>(), cap in 0_usize..80) {
            let mut out = Vec::new();
            let whole = put_fmt(&mut out, format_args!("{text}"), cap).unwrap();
            prop_assert_eq!((String::from_utf8(out).unwrap(), whole), string(&text, cap));
        }

        #[test]
        fn a_shortened_string_is_a_prefix(text in any::<String>(), cap in 0_usize..80) {
            let (json, _) = string(&text, usize::MAX / 2);
            let mut out = Vec::new();
            put_shortened(&mut out, json.as_bytes(), cap);
            let back: String = serde_json::from_slice(&out).unwrap();
            if json.len() <= cap + 2 {
                prop_assert_eq!(back, text);
            } else {
                prop_assert!(out.len() <= cap + 2 + ELLIPSIS.len());
                prop_assert!(text.starts_with(back.strip_suffix('…').unwrap()));
            }
        }

        #[test]
        fn any_float_parses_back(value in any::<f64>()) {
            let mut out = Vec::new();
            put_f64(&mut out, value);
            let back: Option<f64> = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(back, value.is_finite().then_some(value));
        }

        #[test]
        fn the_length_of_a_value_is_found(text in any::<String>(), tail in any::<String>()) {
            let value = serde_json::json!({ "a": [text, 1.5, null], "b": { "c": tail } }).to_string();
            let rest = format!("{value},\"x\":1");
            prop_assert_eq!(value_len(rest.as_bytes()), value.len());
        }
    }

    #[test]
    fn integers_beyond_64_bits_are_text() {
        let mut out = Vec::new();
        put_u64(&mut out, u64::MAX);
        out.push(b' ');
        put_i128(&mut out, i128::MIN);
        out.push(b' ');
        put_u64(&mut out, 7);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "\"18446744073709551615\" \"-170141183460469231731687303715884105728\" 7"
        );
    }
}
