//! Numbers and booleans.

use std::{fmt, io};

use super::block::{each, put_short};

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
