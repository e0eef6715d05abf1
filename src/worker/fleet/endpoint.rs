//! The endpoint of the simulation: a limit of requests a minute, counted from each full minute on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};

use super::super::answer::Answer;

/// When the simulation begins: half a minute into a window.
const BEGINS: u64 = 1_790_000_010;

/// What its answers carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Headers {
    /// Limit, remaining and reset on every answer, as Axiom documents it.
    All,
    /// The reset, on a 429 only.
    Reset,
    /// None. A client can only back off.
    None,
}

#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) limit: u64,
    pub(super) headers: Headers,
    /// Between these times it is down: half of the requests get no answer, the others a 503.
    pub(super) outage: Option<(Duration, Duration)>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            limit: 6_000,
            headers: Headers::All,
            outage: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Endpoint {
    rules: Rules,
    window: u64,
    spent: u64,
}

pub(super) fn wall(since_start: Duration) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(BEGINS) + since_start
}

impl Endpoint {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            window: 0,
            spent: 0,
        }
    }

    /// `None`: the connection was refused. `dice` lies in `0.0..1.0`.
    pub(super) fn answer(&mut self, now: Duration, events: u32, dice: f64) -> Option<Answer> {
        if let Some((from, to)) = self.rules.outage
            && (from..to).contains(&now)
        {
            return (dice < 0.5).then(|| answer(503, HeaderMap::new(), String::new()));
        }
        let window = (BEGINS + now.as_secs()) / 60;
        if window != self.window {
            self.window = window;
            self.spent = 0;
        }
        let is_within = self.spent < self.rules.limit;
        self.spent += u64::from(is_within);
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: u64| {
            headers.insert(name, HeaderValue::from(value));
        };
        if self.rules.headers == Headers::All {
            put("x-ratelimit-limit", self.rules.limit);
            put("x-ratelimit-remaining", self.rules.limit - self.spent);
        }
        if self.rules.headers == Headers::All || self.rules.headers == Headers::Reset && !is_within
        {
            put("x-ratelimit-reset", (window + 1) * 60);
        }
        Some(if is_within {
            answer(
                200,
                headers,
                format!("{{\"ingested\":{events},\"failed\":0}}"),
            )
        } else {
            answer(429, headers, "{\"message\":\"slow down\"}".into())
        })
    }
}

fn answer(status: u16, headers: HeaderMap, body: String) -> Answer {
    Answer {
        status,
        headers,
        body: Bytes::from(body),
    }
}
