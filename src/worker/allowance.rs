//! When to come back, and how much of the rate limit is left: read off an answer's headers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::answer::Answer;

/// No hint of the server's is followed for longer. Axiom's rate limits are counted by the minute
/// (docs, "API limits"), so a reset further away is a mistake or a clock that is wrong.
pub(crate) const HINT_CAP: Duration = Duration::from_secs(300);

/// The window of the rate limit.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(60);

/// Our clock is trusted to compute a wait until it differs by more than this from the server's.
const TRUSTED_SKEW: Duration = Duration::from_secs(2);

/// When the server wants to hear from us again: `Retry-After`, else the first of these headers that
/// names a time to come (epoch seconds, as Axiom documents them).
pub(super) fn hint<const N: usize>(
    answer: &Answer,
    now: SystemTime,
    resets: [&str; N],
    capped: bool,
) -> Option<Duration> {
    let now = server_time(&answer.headers, now);
    let read = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::trim);
    let until = |seconds: u64| Duration::from_secs(seconds).checked_sub(now);
    let retry_after = read(RETRY_AFTER.as_str()).and_then(|text| match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => until(http_date(text)?),
    });
    let wait = retry_after.or_else(|| {
        resets
            .iter()
            .find_map(|name| until(read(name)?.parse().ok()?))
    })?;
    Some(if capped { wait.min(HINT_CAP) } else { wait }).filter(|wait| !wait.is_zero())
}

/// What an answer says of the rate limit, which its token shares with others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Allowance {
    /// Requests in one window, which is a minute.
    pub(crate) limit: f64,
    /// Those that are left of it.
    pub(crate) remaining: f64,
    /// The time that is left of the window.
    pub(crate) resets: Duration,
}

/// Reads the three `X-RateLimit` headers. `None` unless all are there and make sense together: somebody else's headers
/// of that name may mean another thing.
pub(crate) fn read(answer: &Answer, now: SystemTime) -> Option<Allowance> {
    let number = |name: &str| -> Option<u64> {
        let value = answer.headers.get(name)?;
        value.to_str().ok()?.trim().parse().ok()
    };
    let limit = number("x-ratelimit-limit").filter(|limit| *limit > 0)?;
    Some(Allowance {
        limit: limit as f64,
        remaining: number("x-ratelimit-remaining")?.min(limit) as f64,
        resets: window_left(answer, now)?,
    })
}

/// What a 429 says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateRefusal {
    /// When the next request is welcome.
    pub(crate) after: Option<Duration>,
    /// The time that is left of the window.
    pub(crate) resets: Option<Duration>,
    /// All that is known of the limit.
    pub(crate) allowance: Option<Allowance>,
}

/// Reads a 429 whose [`outcome`](super::response::outcome) is to be retried `after` this time.
pub(crate) fn refusal(answer: &Answer, now: SystemTime, after: Option<Duration>) -> RateRefusal {
    RateRefusal {
        after,
        resets: window_left(answer, now),
        allowance: read(answer, now),
    }
}

/// How much of the rate limit's window is left, if the answer says when it ends and that is no more than a minute away.
fn window_left(answer: &Answer, now: SystemTime) -> Option<Duration> {
    let ends = answer.headers.get("x-ratelimit-reset")?;
    let ends = Duration::from_secs(ends.to_str().ok()?.trim().parse().ok()?);
    let left = ends.checked_sub(server_time(&answer.headers, now))?;
    (!left.is_zero() && left <= RATE_WINDOW + TRUSTED_SKEW).then(|| left.min(RATE_WINDOW))
}

/// Time since 1970 by our clock, or by the server's if ours is plainly wrong.
fn server_time(headers: &HeaderMap, now: SystemTime) -> Duration {
    let ours = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    date(headers)
        .filter(|theirs| theirs.abs_diff(ours) > TRUSTED_SKEW)
        .unwrap_or(ours)
}

/// How far our clock, which says `now`, is from the server's, and whether it is ahead.
pub(crate) fn clock_skew(headers: &HeaderMap, now: SystemTime) -> Option<(bool, Duration)> {
    let ours = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let theirs = date(headers)?;
    Some((ours > theirs, ours.abs_diff(theirs)))
}

/// When the server says it answered, since 1970.
fn date(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(DATE)?.to_str().ok()?;
    http_date(text).map(Duration::from_secs)
}

fn http_date(text: &str) -> Option<u64> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    u64::try_from(date.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn answer(headers: &[(&'static str, &str)]) -> Answer {
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        };
        Answer {
            status: 200,
            headers: headers.iter().map(header).collect(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn what_is_left_of_the_rate_limit_is_read_if_it_makes_sense() {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let read = |limit: &str, remaining: &str, reset: &str| {
            let headers = [
                ("x-ratelimit-limit", limit),
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", reset),
            ];
            let given: Vec<_> = headers
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .collect();
            super::read(&answer(&given), now)
        };
        let soon = (NOW + 20).to_string();
        let known = |remaining| {
            Some(Allowance {
                limit: 600.0,
                remaining,
                resets: Duration::from_secs(20),
            })
        };
        assert_eq!(read("600", "150", &soon), known(150.0));
        assert_eq!(read("600", "9999999", &soon), known(600.0));
        let (past, far) = ((NOW - 1).to_string(), (NOW + 100).to_string());
        for (limit, remaining, reset) in [
            ("0", "0", soon.as_str()),
            ("600", "", &soon),
            ("", "10", &soon),
            ("600", "10", ""),
            ("600", "-1", &soon),
            ("600", "10", &past),
            // Not a window of a minute, so the numbers are of another kind.
            ("600", "10", &far),
            ("600", "10", "20"),
        ] {
            assert_eq!(
                read(limit, remaining, reset),
                None,
                "{limit} {remaining} {reset}"
            );
        }
    }
}
