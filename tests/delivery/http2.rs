//! HTTP/2 over TLS, which is what Axiom speaks: the core of these tests once more, and what can go wrong only there.
//!
//! Each test is a process of its own, for the file of trusted certificates is a process's.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use axiom_layer::Cause;
use axiom_local::{Fault, Server, StreamError};

use crate::audit::Account;
use crate::common::{LONG, OVER_HTTP2, Program, is_over_http2, server, server_options, timed};

/// The tests of this binary that hold over HTTP/2 as they do over HTTP/1.1.
const CORE: [&str; 19] = [
    "answers::a_warning_is_passed_on_once_and_costs_nothing",
    "answers::three_failures_of_1_000_are_counted_with_samples_and_nothing_is_sent_again",
    "guard::flushed_from_several_threads_while_others_record",
    "guard::inside_block_on_of_a_current_thread_runtime",
    "guard::records_that_race_with_the_shutdown_are_delivered_or_counted",
    "layers::two_layers_in_one_registry_serve_two_endpoints",
    "limits::a_430_that_ends_within_a_minute_is_waited_for",
    "limits::a_503_may_say_when_to_come_back_too",
    "overflow::blocking_waits_for_a_slow_endpoint_and_loses_nothing",
    "quiet::one_event_arrives_within_the_flush_interval_and_then_nothing_wakes_up",
    "retry::a_retry_timeout_gives_up_and_says_how_many",
    "retry::an_answer_that_gets_lost_costs_duplicates_and_no_record",
    "retry::an_endpoint_that_is_down_at_the_start_gets_everything_once_it_is_up",
    "retry::an_endpoint_that_restarts_costs_nothing",
    "retry::every_way_to_lose_a_connection_is_survived",
    "retry::half_of_all_requests_failing_loses_nothing_of_100_000",
    "rotated::a_token_that_was_replaced_is_used_at_once_and_nothing_is_lost",
    "slow::an_attempt_ends_at_its_timeout_and_the_next_one_delivers",
    "slow::dropping_the_guard_takes_no_longer_than_the_shutdown_timeout",
];

/// Runs tests of this binary in a process whose endpoints speak HTTP/2 over TLS, and which trusts them.
fn run_over_http2(name: &str, tests: &[&str]) -> String {
    let file = format!("axiom-layer-{}-{name}.pem", std::process::id());
    let trusted: PathBuf = std::env::temp_dir().join(file);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(tests)
        .args(["--exact", "--nocapture"])
        .env(OVER_HTTP2, &trusted)
        .env("SSL_CERT_FILE", &trusted)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    // A test that starts no endpoint does not write it.
    drop(std::fs::remove_file(trusted));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

/// Runs a test over HTTP/2. Every request must have come that way.
fn over_http2(name: &str, test: impl FnOnce()) {
    if is_over_http2() {
        return test();
    }
    let text = run_over_http2(name, &[&format!("http2::{name}")]);
    assert!(text.contains("1 passed"), "there is no test {name}: {text}");
    print!("{text}");
}

#[test]
fn the_core_of_these_tests_holds_over_http2_with_tls() {
    let text = run_over_http2("core", &CORE);
    let all = format!("{} passed", CORE.len());
    assert!(text.contains(&all), "not {all}: {text}");
}

/// A program with a connection, over which records were delivered.
fn connected(server: &Server, request_timeout: Duration) -> Program {
    let program = Program::with(server.url(), |builder| {
        builder
            .flush_interval(LONG)
            .request_timeout(request_timeout)
            .batch_max_events(500)
    });
    program.record(0..500);
    program.flush().unwrap();
    program
}

/// Every record was delivered once.
fn exact(program: Program, server: &Server) -> Account {
    let account = program.finish(server);
    assert_eq!((account.lost(), account.duplicates), (0, 0));
    assert_eq!(account.stats.dropped(), 0, "{}", account.stats);
    account
}

#[test]
fn a_wedged_connection_delays_delivery_by_one_request_timeout_and_loses_nothing() {
    /// What comes after it, a backoff, a connection and a few requests, takes less than as much again.
    const TIMEOUT: Duration = Duration::from_secs(5);
    over_http2(
        "a_wedged_connection_delays_delivery_by_one_request_timeout_and_loses_nothing",
        || {
            let wedged = [
                Fault::hang(),
                Fault::shut_window(),
                Fault::ignore_pings(),
                Fault::black_hole(),
            ];
            thread::scope(|scope| {
                for fault in wedged {
                    scope.spawn(|| {
                        let server = server();
                        let program = connected(&server, TIMEOUT);
                        let name = format!("{fault:?}");
                        server.fault(fault);
                        // More than may be under way: what is not sent yet waits, too.
                        program.record(500..5_500);
                        let (flushed, took) = timed(|| program.flush());
                        println!("{name}: delivered after {took:?}");
                        flushed.unwrap();
                        assert!(took < 2 * TIMEOUT, "{name}: {took:?}");
                        let last = server.requests().pop().unwrap();
                        assert!(last.connection > 0, "{name}");
                        exact(program, &server);
                    });
                }
            });
        },
    );
}

#[test]
fn a_connection_that_answers_no_ping_is_left_before_the_request_ends() {
    const TIMEOUT: Duration = Duration::from_secs(6);
    over_http2(
        "a_connection_that_answers_no_ping_is_left_before_the_request_ends",
        || {
            thread::scope(|scope| {
                for fault in [Fault::ignore_pings(), Fault::black_hole()] {
                    scope.spawn(|| {
                        let server = server();
                        let program = connected(&server, TIMEOUT);
                        let name = format!("{fault:?}");
                        server.fault(fault);
                        program.record(500..1_000);
                        program.flush().unwrap();
                        // The first that was said: nothing of a time-out.
                        let said = program.said.wait_for(Cause::Unreachable);
                        let is_ping = said.what().contains("no answer to a ping");
                        assert!(is_ping, "{name}: {said}");
                        exact(program, &server);
                    });
                }
            });
        },
    );
}

#[test]
fn requests_under_way_on_a_connection_that_is_left_go_on() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    over_http2(
        "requests_under_way_on_a_connection_that_is_left_go_on",
        || {
            let server = server();
            let program = connected(&server, TIMEOUT);
            // The first ends by its timeout, while the third is under way: it began when the second was answered.
            let answered_after = |part| Some(Fault::delay(TIMEOUT.mul_f64(part)));
            server.faults([
                Some(Fault::hang()),
                answered_after(0.5),
                answered_after(0.7),
            ]);
            program.record(500..1_500);
            program.push();
            assert!(server.wait_until(LONG, |server| server.ingested() == 1_000));
            program.record(1_500..2_000);
            program.flush().unwrap();
            let requests = server.requests();
            let ways: Vec<_> = requests
                .iter()
                .map(|one| (one.connection, one.status))
                .collect();
            // One got no answer. Those on its connection did, however many they were, and the next ones went by another.
            let unanswered = ways.iter().filter(|(_, status)| status.is_none());
            assert_eq!(unanswered.count(), 1, "{ways:?}");
            assert!(ways.contains(&(0, None)), "{ways:?}");
            assert!(ways.ends_with(&[(1, Some(200))]), "{ways:?}");
            let on_the_first = ways.iter().filter(|way| **way == (0, Some(200)));
            assert!(on_the_first.count() >= 3, "{ways:?}");
            let account = exact(program, &server);
            assert_eq!(account.stats.retried(), 1);
        },
    );
}

#[test]
fn a_connection_that_is_wedged_when_the_program_ends_costs_no_record() {
    over_http2(
        "a_connection_that_is_wedged_when_the_program_ends_costs_no_record",
        || {
            let server = server();
            // Its requests would last beyond the end.
            let program = connected(&server, LONG);
            server.fault(Fault::shut_window());
            program.record(500..5_500);
            // At half of the time another one is tried, and the rest is enough for it.
            let deadline = Duration::from_secs(6);
            let (ended, took) = timed(|| program.guard.shutdown(deadline));
            println!("shutdown({deadline:?}) took {took:?}");
            ended.unwrap();
            exact(program, &server);
        },
    );
}

#[test]
fn what_the_server_did_not_process_is_sent_again_at_once_and_nothing_is_said() {
    over_http2(
        "what_the_server_did_not_process_is_sent_again_at_once_and_nothing_is_said",
        || {
            let refused = || Fault::reset_stream(StreamError::Refused);
            for (faults, again) in [
                (vec![Some(Fault::go_away())], 1),
                // The first of two under way is answered all the same.
                (
                    vec![
                        Some(Fault::delay(Duration::from_millis(100))),
                        Some(Fault::go_away()),
                    ],
                    1,
                ),
                (vec![Some(refused())], 1),
                (vec![Some(refused()), Some(refused())], 2),
                // Each time by the connection that takes over.
                (vec![Some(Fault::go_away()), Some(Fault::go_away())], 2),
            ] {
                let server = server();
                let program = connected(&server, LONG);
                let name = format!("{faults:?}");
                server.faults(faults);
                program.record(500..1_500);
                let (flushed, took) = timed(|| program.flush());
                flushed.unwrap();
                println!("{name}: delivered after {took:?}");
                assert_eq!(program.said.all(), [""; 0], "{name}");
                let account = exact(program, &server);
                let retried = account.stats.retried();
                // Of two under way at a GOAWAY, it may end both.
                assert!((again..=again + 2).contains(&retried), "{name}: {retried}");
            }
        },
    );
}

#[test]
fn a_server_that_refuses_every_stream_is_asked_ever_more_rarely_and_heals() {
    over_http2(
        "a_server_that_refuses_every_stream_is_asked_ever_more_rarely_and_heals",
        || {
            for fault in [Fault::reset_stream(StreamError::Refused), Fault::go_away()] {
                let server = server();
                let program = connected(&server, LONG);
                server.always(Some(fault.clone()));
                program.record(500..1_000);
                program.push();
                let said = program.said.wait_for(Cause::Unreachable);
                assert!(said.what().contains("turns requests away"), "{said}");
                // Four at once, then one after each wait, of which none is shorter than 20 ms.
                assert!(server.wait_until(LONG, |server| server.requests_seen() >= 4 + 1 + 3));
                let requests = server.requests();
                let took = requests[7].received_at - requests[4].received_at;
                assert!(took >= 3 * Duration::from_millis(20), "{took:?}");
                server.no_faults();
                program.flush().unwrap();
                println!("{fault:?}: {} requests", server.requests_seen());
                assert_eq!(program.said.causes(), [Cause::Unreachable]);
                exact(program, &server);
            }
        },
    );
}

#[test]
fn a_graceful_goaway_is_everyday_and_nothing_is_said() {
    over_http2("a_graceful_goaway_is_everyday_and_nothing_is_said", || {
        let server = server();
        server.with_probability(1, 0.2, Fault::go_away_gracefully());
        let program = Program::with(server.url(), |builder| builder.batch_max_events(100));
        thread::scope(|scope| {
            for thread in 0..4 {
                let program = &program;
                scope.spawn(move || program.record(thread * 5_000..(thread + 1) * 5_000));
            }
        });
        program.flush().unwrap();
        let requests = server.requests();
        let left = requests.iter().filter(|one| one.fault.is_some()).count();
        println!("{} requests, {left} connections left", requests.len());
        assert!(left > 10, "the dice are loaded");
        assert_eq!(program.said.all(), [""; 0]);
        exact(program, &server);
    });
}

#[test]
fn one_stream_at_a_time_is_enough_also_where_the_server_leaves() {
    over_http2(
        "one_stream_at_a_time_is_enough_also_where_the_server_leaves",
        || {
            let server = server_options().max_streams(1).start().unwrap();
            let program = connected(&server, LONG);
            for fault in [Fault::go_away(), Fault::go_away_gracefully()] {
                server.faults([None, None, None, None, None, Some(fault)]);
            }
            program.record(500..20_500);
            program.flush().unwrap();
            let requests = server.requests();
            let connections = requests.iter().map(|one| one.connection);
            let connections = connections.collect::<BTreeSet<_>>().len();
            println!("{} requests, {connections} connections", requests.len());
            assert_eq!(connections, 3);
            assert_eq!(program.said.all(), [""; 0]);
            exact(program, &server);
        },
    );
}

#[test]
fn a_stream_that_is_reset_for_another_reason_is_sent_again_like_any_failure() {
    over_http2(
        "a_stream_that_is_reset_for_another_reason_is_sent_again_like_any_failure",
        || {
            let ended = (Cause::Unreachable, "ended the connection");
            let too_many = (Cause::RateLimited, "asks for fewer requests");
            for (why, (cause, words)) in [
                (StreamError::Cancel, ended),
                (StreamError::Internal, ended),
                (StreamError::EnhanceYourCalm, too_many),
            ] {
                let server = server();
                let program = connected(&server, LONG);
                server.fault(Fault::reset_stream(why));
                program.record(500..1_000);
                program.flush().unwrap();
                let said = program.said.wait_for(cause);
                assert!(said.what().contains(words), "{said}");
                assert_eq!(exact(program, &server).stats.retried(), 1);
            }
        },
    );
}
