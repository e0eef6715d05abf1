//! Clocks that disagree: ours with the server's. For steps of ours see `tests/clock_steps.rs`.

use std::time::Duration;

use axiom_local::Fault;
use chrono::{DateTime, Utc};

use crate::common::{Program, server, unix_now};

const HOUR: u64 = 3_600;

fn http_date(at: u64) -> String {
    let date: DateTime<Utc> = DateTime::from_timestamp(at as i64, 0).unwrap();
    date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn a_reset_is_read_by_the_servers_clock_when_ours_is_wrong() {
    std::thread::scope(|scope| {
        for servers_clock in [unix_now() - HOUR, unix_now() + 24 * HOUR] {
            scope.spawn(move || {
                let server = server();
                let fault = Fault::status(429)
                    .header("date", http_date(servers_clock))
                    .header("x-ratelimit-reset", (servers_clock + 2).to_string());
                server.fault(fault);
                let program = Program::slow(server.url());
                program.record(0..100);
                program.flush().unwrap();
                let requests = server.requests();
                let gap = requests[1].received_at - requests[0].received_at;
                println!("server's clock {servers_clock}: the next request after {gap:?}");
                assert!(gap >= Duration::from_millis(1_750), "{gap:?}");
                // Up to a second of it is the spread: others were told the same.
                assert!(gap <= Duration::from_millis(3_250), "{gap:?}");
                assert_eq!(program.finish(&server).lost(), 0);
            });
        }
    });
}
