//! The ledger as a record in the dataset, at an interval: what a monitor in Axiom can watch.

use std::time::{Duration, Instant};

use crate::record::clock::{put_start, wall_clock};
use crate::record::json;
use crate::report::Stats;

/// When the next one is due, and what all of them have in common.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: Duration,
    due: Instant,
    /// Members that each record carries because they do not travel in the labels header.
    labels: Box<[u8]>,
}

impl Heartbeat {
    pub(crate) fn new(interval: Duration, labels: &[u8]) -> Self {
        Self {
            interval,
            due: Instant::now() + interval,
            labels: labels.into(),
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// The record. The next one is due an interval from now.
    pub(super) fn beat(&mut self, now: Instant, stats: &Stats) -> Vec<u8> {
        self.due = now + self.interval;
        let mut line = Vec::new();
        put_start(&mut line, wall_clock());
        line.extend_from_slice(
            b",\"level\":\"info\",\"target\":\"axiom_layer\",\"message\":\"ledger\",\"attributes\":{",
        );
        let counts = [
            ("recorded", stats.recorded()),
            ("delivered", stats.delivered()),
            ("dropped", stats.dropped()),
            ("pending", stats.pending()),
            ("retried", stats.retried()),
            ("incomplete", stats.incomplete()),
        ];
        for (name, count) in counts {
            put_member(&mut line, name, count);
        }
        line.extend_from_slice(b"\"dropped_by_reason\":{");
        for (reason, records) in stats.dropped_by_reason() {
            put_member(&mut line, reason.as_str(), records);
        }
        close(&mut line);
        line.push(b'}');
        line.extend_from_slice(&self.labels);
        line.extend_from_slice(b"}\n");
        line
    }
}

fn put_member(line: &mut Vec<u8>, name: &str, count: u64) {
    json::put_str(line, name, usize::MAX);
    line.push(b':');
    json::put_u64(line, count);
    line.push(b',');
}

/// Ends an object, which may be empty.
fn close(line: &mut Vec<u8>) {
    if line.last() == Some(&b',') {
        line.pop();
    }
    line.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Counters, DropReason};

    #[test]
    fn the_ledger_is_recorded_once_an_interval() {
        let minute = Duration::from_secs(60);
        let mut heartbeat = Heartbeat::new(minute, b",\"service.name\":\"s\"");
        let start = heartbeat.due();
        let counters = Counters::default();
        counters.add_dropped(DropReason::QueueFull, 2);
        counters.add_delivered(5);
        let stats = counters.snapshot(|| 10);
        assert!(!heartbeat.is_due(start - Duration::from_nanos(1)) && heartbeat.is_due(start));
        let line = heartbeat.beat(start, &stats);
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            record["attributes"],
            serde_json::json!({"recorded": 12, "delivered": 5, "dropped": 2, "pending": 5,
                "retried": 0, "incomplete": 0, "dropped_by_reason": {"queue_full": 2}})
        );
        assert_eq!(record["service.name"], "s");
        assert!(line.ends_with(b"}\n"));
        assert!(!heartbeat.is_due(start + minute / 2) && heartbeat.is_due(start + minute));
    }
}
