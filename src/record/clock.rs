//! Clock readings, and how every line begins: with one as RFC 3339.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Timelike};

/// 9999-12-31T23:59:59Z: beyond it a year has five digits, which RFC 3339 does not know.
const LAST_SECOND: u64 = 253_402_300_799;

/// What the worker relies on: every line starts with this, the timestamp, and a quote.
pub(crate) const LINE_START: &[u8] = b"{\"_time\":\"";

/// How a line begins: [`LINE_START`], the timestamp with nine digits, and a quote.
type Start = [u8; LINE_START.len() + 31];

/// Where the timestamp's fraction of a second begins.
const FRACTION: usize = LINE_START.len() + 20;

thread_local! {
    /// The last second rendered on this thread, and a line's beginning with it.
    static SECOND: Cell<(u64, Start)> = const {
        Cell::new((0, *b"{\"_time\":\"1970-01-01T00:00:00.000000000Z\""))
    };
}

/// Nanoseconds since 1970; a clock set before 1970 reads 0.
pub(crate) fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, nanoseconds)
}

/// A duration as integer nanoseconds; 584 years and more saturate.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

/// Begins a line with this time, as RFC 3339 in UTC with nine digits.
pub(crate) fn put_start(line: &mut Vec<u8>, nanos: u64) {
    let second = (nanos / 1_000_000_000).min(LAST_SECOND);
    let cached = SECOND.try_with(Cell::get).ok();
    let mut start = match cached {
        Some((at, start)) if at == second => start,
        _ => {
            let start = render_second(second);
            // A thread that is ending renders each time.
            SECOND.try_with(|cell| cell.set((second, start))).ok();
            start
        }
    };
    // Nine digits as one, two, two, two and two: a division each, and no loop over single digits.
    let rest = (nanos % 1_000_000_000) as u32;
    let (high, low) = (rest / 10_000, rest % 10_000);
    start[FRACTION] = b'0' + (high / 10_000) as u8;
    let mut put = |at: usize, pair: u32| {
        start[FRACTION + at..][..2].copy_from_slice(&PAIRS[(pair % 100) as usize]);
    };
    put(1, high / 100);
    put(3, high);
    put(5, low / 100);
    put(7, low);
    line.extend_from_slice(&start);
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

#[cold]
fn render_second(second: u64) -> Start {
    let time = i64::try_from(second)
        .ok()
        .and_then(|second| DateTime::from_timestamp(second, 0))
        .unwrap_or_default();
    let mut start = *b"{\"_time\":\"0000-00-00T00:00:00.000000000Z\"";
    let text = &mut start[LINE_START.len()..];
    let year = time.year().unsigned_abs();
    let mut put = |at: usize, value: u32| {
        text[at] = b'0' + (value / 10 % 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    };
    put(0, year / 100);
    put(2, year % 100);
    put(5, time.month());
    put(8, time.day());
    put(11, time.hour());
    put(14, time.minute());
    put(17, time.second());
    start
}

/// Nanoseconds of the monotonic clock since the first reading in this process, and never 0.
pub(crate) fn monotonic() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = FIRST.get_or_init(Instant::now);
    nanoseconds(first.elapsed()).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(nanos: u64) -> String {
        let mut line = Vec::new();
        put_start(&mut line, nanos);
        let text = line.strip_prefix(LINE_START).unwrap();
        String::from_utf8(text.strip_suffix(b"\"").unwrap().to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn any_time_parses_back(second in 0..=LAST_SECOND / 20, nanos in 0..1_000_000_000_u64) {
            let nanos = second * 1_000_000_000 + nanos;
            let text = rendered(nanos);
            prop_assert_eq!(text.len(), 30);
            let back = DateTime::parse_from_rfc3339(&text).unwrap();
            prop_assert_eq!(back.timestamp_nanos_opt(), i64::try_from(nanos).ok());
        }
    }

    #[test]
    fn the_second_is_rendered_anew_when_it_changes() {
        assert_eq!(rendered(999_999_999), "1970-01-01T00:00:00.999999999Z");
        assert_eq!(rendered(1_000_000_000), "1970-01-01T00:00:01.000000000Z");
        assert_eq!(rendered(0), "1970-01-01T00:00:00.000000000Z");
    }
}
