//! Clock readings as RFC 3339 bytes.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Timelike};

/// 9999-12-31T23:59:59Z: beyond it a year has five digits, which RFC 3339 does not know.
const LAST_SECOND: u64 = 253_402_300_799;

thread_local! {
    /// The last second rendered on this thread, and its text up to the point.
    static SECOND: Cell<(u64, [u8; 20])> = const { Cell::new((0, *b"1970-01-01T00:00:00.")) };
}

/// Nanoseconds since 1970; a clock set before 1970 reads 0.
pub(crate) fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, nanoseconds)
}

/// A duration as integer nanoseconds; 584 years and more saturate.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Appends RFC 3339 in UTC with nine digits.
pub(crate) fn put_timestamp(out: &mut Vec<u8>, nanos: u64) {
    let second = (nanos / 1_000_000_000).min(LAST_SECOND);
    let cached = SECOND.try_with(Cell::get).ok();
    let text = match cached {
        Some((at, text)) if at == second => text,
        _ => {
            let text = render_second(second);
            // A thread that is ending renders each time.
            SECOND.try_with(|cell| cell.set((second, text))).ok();
            text
        }
    };
    // Nine digits as one, two, two, two and two: a division each, and no loop over single digits.
    let rest = (nanos % 1_000_000_000) as u32;
    let (high, low) = (rest / 10_000, rest % 10_000);
    let mut line = [0; 30];
    line[..20].copy_from_slice(&text);
    line[20] = b'0' + (high / 10_000) as u8;
    line[21..23].copy_from_slice(&PAIRS[(high / 100 % 100) as usize]);
    line[23..25].copy_from_slice(&PAIRS[(high % 100) as usize]);
    line[25..27].copy_from_slice(&PAIRS[(low / 100) as usize]);
    line[27..29].copy_from_slice(&PAIRS[(low % 100) as usize]);
    line[29] = b'Z';
    out.extend_from_slice(&line);
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

fn render_second(second: u64) -> [u8; 20] {
    let time = i64::try_from(second)
        .ok()
        .and_then(|second| DateTime::from_timestamp(second, 0))
        .unwrap_or_default();
    let mut text = *b"0000-00-00T00:00:00.";
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
    text
}

/// Both clocks, read together: what turns a monotonic reading into wall time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    wall: u64,
    monotonic: Instant,
}

/// How long spans go on using the anchor of their root.
const ANCHOR_AGE: Duration = Duration::from_secs(60);

impl Anchor {
    pub(crate) fn new() -> Self {
        Self {
            wall: wall_clock(),
            monotonic: Instant::now(),
        }
    }

    /// The parent's anchor while it is young, so that a trace has one time line.
    pub(crate) fn inherit(parent: Option<Self>, now: Instant) -> Self {
        parent
            .filter(|anchor| now.saturating_duration_since(anchor.monotonic) < ANCHOR_AGE)
            .unwrap_or_else(Self::new)
    }

    pub(crate) fn wall_at(&self, now: Instant) -> u64 {
        let since = nanoseconds(now.saturating_duration_since(self.monotonic));
        self.wall.saturating_add(since)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(nanos: u64) -> String {
        let mut out = Vec::new();
        put_timestamp(&mut out, nanos);
        String::from_utf8(out).unwrap()
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

    #[test]
    fn a_child_starts_no_earlier_than_its_parent() {
        let parent = Anchor::new();
        let first = parent.wall_at(Instant::now());
        let child = Anchor::inherit(Some(parent), Instant::now());
        assert!(child.wall_at(Instant::now()) >= first);
    }
}
