//! Timestamps: reading the forms that Axiom accepts for `_time`, and writing the one it prints.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

const NANOS: i64 = 1_000_000_000;

/// Nanoseconds since the epoch of a JSON value, if it is a timestamp.
pub(crate) fn of_value(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => of_text(text),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => of_integer(whole),
            None => number.as_f64().and_then(of_float),
        },
        _ => None,
    }
}

/// Nanoseconds since the epoch of a bare integer, whose unit is guessed by size as Axiom's Grafana plug-in does.
pub(crate) fn of_integer(number: i64) -> Option<i64> {
    let unit = match number {
        ..0 => return None,
        0..100_000_000_000 => NANOS,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(unit)
}

/// Nanoseconds since the epoch of a number with a fraction, whose unit is guessed as in [`of_integer`].
pub(crate) fn of_float(number: f64) -> Option<i64> {
    if !(0.0..9.2e18).contains(&number) {
        return None;
    }
    let unit = match number {
        n if n >= 1e17 => 1,
        n if n >= 1e14 => 1_000,
        n if n >= 1e11 => 1_000_000,
        _ => NANOS,
    };
    let whole = number.trunc();
    (whole as i64)
        .checked_mul(unit)?
        .checked_add(((number - whole) * unit as f64) as i64)
}

/// Nanoseconds since the epoch of RFC 3339, of the ISO 8601 forms near it, or of digits.
pub(crate) fn of_text(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) && bytes.len() >= 9 {
        return of_integer(text.parse().ok()?);
    }
    let mut rest = bytes;
    let year = digits(&mut rest, 4)?;
    literal(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    literal(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let midnight = days_from_epoch(year, month, day) * 86_400;
    if rest.is_empty() {
        return midnight.checked_mul(NANOS);
    }
    literal(&mut rest, b"Tt ")?;
    let hour = digits(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let minute = digits(&mut rest, 2)?;
    let mut second = 0;
    let mut nanos = 0;
    if literal(&mut rest, b":").is_some() {
        second = digits(&mut rest, 2)?;
        if literal(&mut rest, b".,").is_some() {
            nanos = fraction(&mut rest)?;
        }
    }
    // 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = offset(rest)?;
    (midnight + hour * 3_600 + minute * 60 + second - offset)
        .checked_mul(NANOS)?
        .checked_add(nanos)
}

/// Reads a time zone as seconds east of UTC. An absent zone is UTC.
fn offset(mut rest: &[u8]) -> Option<i64> {
    if matches!(rest, b"" | b"Z" | b"z") {
        return Some(0);
    }
    let sign = match literal(&mut rest, b"+-")? {
        b'+' => 1,
        _ => -1,
    };
    let hours = digits(&mut rest, 2)?;
    let minutes = match rest {
        [] => 0,
        _ => {
            let _colon = literal(&mut rest, b":");
            digits(&mut rest, 2)?
        }
    };
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn digits(rest: &mut &[u8], n: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(n)?;
    *rest = tail;
    head.iter().try_fold(0, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + i64::from(byte - b'0'))
    })
}

fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let n = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, tail) = rest.split_at(n);
    *rest = tail;
    if n == 0 {
        return None;
    }
    let nine = head.iter().chain(std::iter::repeat(&b'0')).take(9);
    Some(nine.fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')))
}

fn literal(rest: &mut &[u8], any_of: &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    any_of.contains(first).then(|| {
        *rest = tail;
        *first
    })
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that leap days come last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The present, in nanoseconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with nine digits.
pub(crate) fn rfc3339(nanos: i64) -> String {
    let seconds = nanos.div_euclid(NANOS);
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    // The inverse of `days_from_epoch`.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        nanos.rem_euclid(NANOS),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_read() {
        let expected = Some(1_764_000_000_123_456_789);
        for text in [
            "2025-11-24T16:00:00.123456789Z",
            "2025-11-24T17:00:00.123456789+01:00",
            "2025-11-24 10:30:00.123456789-0530",
            "1764000000123456789",
        ] {
            assert_eq!(of_text(text), expected, "{text}");
        }
        assert_eq!(of_text("2025-11-24"), Some(1_763_942_400 * NANOS));
        for number in ["1764000000.5", "1764000000500", "1764000000500000"] {
            let value: Value = serde_json::from_str(number).unwrap();
            assert_eq!(
                of_value(&value),
                Some(1_764_000_000_500_000_000),
                "{number}"
            );
        }
        assert_eq!(
            of_value(&Value::from(1_764_000_000_123_456_789_i64)),
            expected
        );
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "yesterday",
            "2025-13-01",
            "2025-02-29",
            "2025-11-24T16:00:00+01:00Z",
            "2025-11-24T25:00:00Z",
            "2025-11-24T16:00:00.Z",
            "12",
            "2025-11-24T16:00:00Zx",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
        assert_eq!(of_integer(-1), None);
        assert_eq!(of_float(-1.0), None);
        assert_eq!(of_float(f64::NAN), None);
    }

    #[test]
    fn printing_and_reading_agree() {
        for nanos in [
            0,
            1,
            951_782_400 * NANOS,
            1_764_000_000_123_456_789,
            4_102_444_799 * NANOS + 999_999_999,
        ] {
            assert_eq!(of_text(&rfc3339(nanos)), Some(nanos));
        }
        assert_eq!(
            rfc3339(1_764_000_000_123_456_789),
            "2025-11-24T16:00:00.123456789Z"
        );
    }
}
