//! A rate limit that the answers speak of before it is reached.

use std::time::{Duration, Instant};

use axiom_local::{Fault, Server};

use crate::common::{LONG, Program, server, unix_now};

const INTERVAL: Duration = Duration::from_millis(50);

/// An endpoint whose answers say that nothing is left of this minute, which ends soon, and a program that has met one.
fn used_up(resets_in: u64) -> (Server, Program) {
    let server = server();
    let told = Fault::delay(Duration::ZERO)
        .header("x-ratelimit-limit", "600")
        .header("x-ratelimit-remaining", "0")
        .header("x-ratelimit-reset", (unix_now() + resets_in).to_string());
    server.fault(told);
    let program = Program::with(server.url(), |builder| builder.flush_interval(INTERVAL));
    program.record(0..1);
    assert!(server.wait_until(LONG, |server| server.ingested() == 1));
    (server, program)
}

#[test]
fn once_nothing_is_left_of_the_limit_the_next_request_waits_for_the_reset_and_meets_no_429() {
    let (server, program) = used_up(3);
    let ends = Instant::now() + Duration::from_secs(2);
    program.record(1..2);
    assert!(server.wait_until(LONG, |server| server.ingested() == 2));
    // The reset has whole seconds: 3 s from now are 2 to 3.
    let now = Instant::now();
    assert!(now + Duration::from_millis(250) >= ends, "{:?}", ends - now);
    assert_eq!(program.said.causes(), []);
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn a_flush_does_not_wait_for_the_reset() {
    // Longer than a flush takes here.
    let (server, program) = used_up(50);
    program.record(1..2);
    program.flush().unwrap();
    assert_eq!(program.finish(&server).lost(), 0);
}

#[test]
fn a_shutdown_does_not_wait_for_the_reset() {
    let (server, program) = used_up(50);
    program.record(1..2);
    let stats = program.guard.shutdown(LONG).unwrap();
    assert_eq!(stats.delivered(), 2);
    program.audit(&[&server]);
}
