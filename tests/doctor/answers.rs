//! What the endpoint answers: every status, header and body that has a diagnosis of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axiom_layer::doctor::{Problem, State, Step};
use axiom_layer::{Endpoint, Format};
use axiom_local::{Fault, Server};
use serde_json::json;

use crate::common::{SHORT, TOKEN, answering, assert_wrong, builder, diagnose};

const LONG: Duration = Duration::from_secs(10);

fn in_seconds(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now.as_secs() + seconds).to_string()
}

#[test]
fn each_answer_has_its_diagnosis_and_its_fix() {
    let server = Server::start().unwrap();
    let messages = json!([{"priority": "warn", "code": "schema_rules_drop:message", "count": 1, "msg": "locked"}]);
    for (fault, problem, what, fix) in [
        (
            Fault::status(401),
            Problem::Unauthorized,
            "may not ingest into logs",
            "AXIOM_TOKEN",
        ),
        (
            Fault::status(403),
            Problem::Unauthorized,
            "HTTP 403",
            "allow the token to ingest",
        ),
        (
            Fault::status(403).body("<html>blocked</html>"),
            Problem::Unauthorized,
            "blocked",
            "may come from a proxy",
        ),
        (
            Fault::status(404),
            Problem::NotFound,
            "/v1/datasets/logs/ingest",
            "AXIOM_DATASET",
        ),
        (
            Fault::status(405),
            Problem::NotFound,
            "HTTP 405",
            "the address",
        ),
        (
            Fault::status(400),
            Problem::BadRequest,
            "does not understand",
            "field limit",
        ),
        (
            Fault::status(422),
            Problem::BadRequest,
            "HTTP 422",
            "ingest endpoint",
        ),
        (
            Fault::status(413),
            Problem::TooLarge,
            "HTTP 413",
            "raise the limit of the endpoint or of the proxy",
        ),
        (
            Fault::status(429).header("X-RateLimit-Reset", in_seconds(50)),
            Problem::RateLimited,
            "it may be tried again in ",
            "flush_interval",
        ),
        (
            Fault::status(429),
            Problem::RateLimited,
            "fewer requests",
            "higher limit",
        ),
        (
            Fault::status(430).header("X-IngestLimit-Reset", in_seconds(864_030)),
            Problem::Quota,
            "it may be tried again in 10 days",
            "allowance",
        ),
        (
            Fault::status(407),
            Problem::Proxy,
            "HTTP 407",
            "HTTPS_PROXY",
        ),
        (
            Fault::status(500),
            Problem::ServerError,
            "is in trouble",
            "status page",
        ),
        (
            Fault::status(503),
            Problem::ServerError,
            "HTTP 503",
            "nothing to do unless it lasts",
        ),
        (
            Fault::status(302).header("Location", "https://login.example/"),
            Problem::Redirect,
            "a redirect to https://login.example/",
            "a login page",
        ),
        (
            Fault::garbage("<html><title>Log in</title></html>"),
            Problem::NotAxiom,
            "Log in",
            "a login page",
        ),
        (
            Fault::garbage(""),
            Problem::NotAxiom,
            "an empty body",
            "AXIOM_GATEWAY=true",
        ),
        (
            Fault::status(204).body(""),
            Problem::NotAxiom,
            "does not say whether it stored",
            "AXIOM_URL",
        ),
        (Fault::status(402), Problem::Payment, "paid for", "Billing"),
        (Fault::status(421), Problem::NotFound, "421", "the address"),
        (
            Fault::status(425),
            Problem::ServerError,
            "425",
            "nothing to do",
        ),
        (
            Fault::status(431),
            Problem::HeadersTooLarge,
            "headers",
            "tags_in_records",
        ),
        (
            Fault::garbage("{\"ok\":true}"),
            Problem::NotAxiom,
            "ok",
            "AXIOM_URL",
        ),
        (
            Fault::fail_events(1),
            Problem::Rejected,
            "refused records for logs",
            "a dataset at its field limit",
        ),
        (
            Fault::messages(messages),
            Problem::Warning,
            "schema_rules_drop:message: locked",
            "schema",
        ),
        (
            Fault::reset(),
            Problem::ConnectionClosed,
            "ended the connection",
            "firewall",
        ),
        (
            Fault::close_before_answer(),
            Problem::ConnectionClosed,
            "ended the connection",
            "proxy",
        ),
        (
            Fault::cut_body(),
            Problem::ConnectionClosed,
            "ended the connection",
            "proxy",
        ),
    ] {
        server.fault(fault);
        let diagnosis = diagnose(&builder(server.url()), LONG);
        assert_wrong(&diagnosis, Step::Probe, problem, what, fix);
    }
    assert_eq!(server.violations(), []);
}

#[test]
fn a_full_dataset_is_told_from_other_refusals() {
    let server = Server::builder().max_fields(1).start().unwrap();
    let diagnosis = diagnose(&builder(server.url()), LONG);
    assert_wrong(
        &diagnosis,
        Step::Probe,
        Problem::Rejected,
        "field",
        "fewer fields",
    );
}

#[test]
fn an_answer_that_never_comes_or_never_ends_is_waited_for_no_longer_than_stated() {
    let server = Server::start().unwrap();
    for fault in [Fault::hang(), Fault::trickle(1)] {
        server.fault(fault);
        let diagnosis = diagnose(&builder(server.url()), SHORT);
        assert_wrong(
            &diagnosis,
            Step::Probe,
            Problem::NoAnswer,
            "connected and silent: no answer within ",
            "request_timeout",
        );
    }
    server.fault(Fault::hang());
    let impatient = builder(server.url()).request_timeout(Duration::from_millis(100));
    let diagnosis = diagnose(&impatient, LONG);
    assert_wrong(
        &diagnosis,
        Step::Probe,
        Problem::NoAnswer,
        "within 0.1 s",
        "raise request_timeout",
    );
}

#[test]
fn what_is_no_http_is_no_axiom() {
    let address = answering("220 mail.example ESMTP\r\n");
    let diagnosis = diagnose(&builder(&format!("http://{address}")), LONG);
    assert_wrong(
        &diagnosis,
        Step::Probe,
        Problem::NotAxiom,
        "nor with HTTP",
        "https://",
    );
}

#[test]
fn a_clock_that_is_minutes_off_is_a_finding_even_if_all_else_is_well() {
    let server = Server::start().unwrap();
    for (date, what) in [
        ("Mon, 01 Jan 2001 00:00:00 GMT", "ahead of the server's"),
        ("Thu, 01 Jan 2099 00:00:00 GMT", "behind the server's"),
    ] {
        server.fault(Fault::delay(Duration::ZERO).header("Date", date));
        let diagnosis = diagnose(&builder(server.url()), LONG);
        assert_wrong(&diagnosis, Step::Clock, Problem::Clock, what, "NTP");
    }
    // The first trouble is the diagnosis; the clock only shows.
    server.fault(Fault::status(404).header("Date", "Mon, 01 Jan 2001 00:00:00 GMT"));
    let diagnosis = diagnose(&builder(server.url()), LONG);
    assert_eq!(diagnosis.cause(), Some(Problem::NotFound));
    let clock = diagnosis.checks().last().unwrap();
    assert_eq!((clock.step(), clock.state()), (Step::Clock, State::Failed));
    // Without a date there is nothing to compare.
    let address = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 25\r\nConnection: close\r\n\r\n{\"ingested\":1,\"failed\":0}",
    );
    let diagnosis = diagnose(&builder(&format!("http://{address}")), LONG);
    assert!(diagnosis.is_healthy(), "{diagnosis}");
    assert_eq!(diagnosis.checks().last().unwrap().state(), State::NotNeeded);
}

#[test]
fn a_server_that_quotes_the_token_does_not_bring_it_into_the_report() {
    let server = Server::start().unwrap();
    for fault in [
        Fault::status(403).body(format!("{{\"message\":\"what is {TOKEN}?\"}}")),
        Fault::status(302).header("Location", format!("/login?token={TOKEN}")),
        Fault::garbage(TOKEN),
        Fault::messages(json!([{"code": TOKEN, "msg": TOKEN}])),
    ] {
        server.fault(fault);
        // It asserts.
        let diagnosis = diagnose(&builder(server.url()), LONG);
        assert!(!diagnosis.is_healthy());
    }
    // Set where it does not belong.
    let diagnosis = diagnose(&builder(server.url()).dataset(TOKEN), LONG);
    assert_eq!(diagnosis.cause(), Some(Problem::Configuration));
    let elsewhere = format!("{}/{TOKEN}", server.url());
    assert!(!diagnose(&builder(&elsewhere), LONG).is_healthy());
    let diagnosis = diagnose(&builder(server.url()).dataset(format!("{TOKEN}\n")), LONG);
    assert_eq!(diagnosis.cause(), Some(Problem::Configuration));
}

#[test]
fn when_all_is_well_the_report_says_what_arrived_where() {
    let server = Server::start().unwrap();
    let diagnosis = diagnose(&builder(server.url()).tag("env", "test"), LONG);
    assert!(diagnosis.is_healthy(), "{diagnosis}");
    assert_eq!((diagnosis.cause(), diagnosis.fix()), (None, None));
    let states: Vec<_> = diagnosis
        .checks()
        .iter()
        .map(|check| (check.step(), check.state()))
        .collect();
    assert_eq!(
        states,
        [
            (Step::Configuration, State::Passed),
            (Step::Name, State::NotNeeded),
            (Step::Connection, State::Passed),
            (Step::Tls, State::NotNeeded),
            (Step::Probe, State::Passed),
            (Step::Clock, State::Passed),
        ]
    );
    let events = server.events("logs");
    assert_eq!(events.len(), 1);
    let probe = &events[0];
    for (field, value) in [
        ("message", "axiom-layer doctor probe"),
        ("level", "info"),
        ("target", "axiom_layer::doctor"),
        ("service.name", "doctor-test"),
        ("env", "test"),
    ] {
        assert_eq!(probe.get(field).unwrap(), value);
    }
    let trace = probe.get("trace_id").unwrap();
    let trace = trace.as_str().unwrap();
    assert!(diagnosis.what().contains(trace) && diagnosis.what().contains("logs"));
    let query = format!("['logs'] | where trace_id == \"{trace}\"");
    assert_eq!(diagnosis.query(), Some(&*query));
    assert!(diagnosis.to_string().contains(&query));
    assert_eq!(server.violations(), []);
}

#[test]
fn a_dataset_for_spans_gets_a_span_of_the_same_trace() {
    let server = Server::builder()
        .datasets(["logs", "traces"])
        .start()
        .unwrap();
    let diagnosis = diagnose(&builder(server.url()).traces_dataset("traces"), LONG);
    assert!(diagnosis.is_healthy(), "{diagnosis}");
    assert!(diagnosis.what().contains("logs and traces"), "{diagnosis}");
    let (event, span) = (&server.events("logs")[0], &server.events("traces")[0]);
    for id in ["trace_id", "span_id"] {
        assert_eq!(event.get(id).unwrap(), span.get(id).unwrap());
    }
    assert_eq!(span.get("name").unwrap(), "axiom-layer doctor probe");
    assert_eq!(server.violations(), []);

    let diagnosis = diagnose(&builder(server.url()).traces_dataset("tarces"), LONG);
    assert_eq!(diagnosis.cause(), Some(Problem::NotFound), "{diagnosis}");
    assert!(
        diagnosis.fix().unwrap().contains("AXIOM_TRACES_DATASET"),
        "{diagnosis}"
    );
}

#[test]
fn the_probe_arrives_by_every_endpoint_and_in_every_format() {
    let server = Server::start().unwrap();
    for endpoint in [
        Endpoint::Edge,
        Endpoint::Datasets,
        Endpoint::ApiDatasets,
        Endpoint::ApiIngest,
    ] {
        for format in [Format::Ndjson, Format::JsonArray, Format::Csv] {
            for in_records in [false, true] {
                let builder = builder(server.url())
                    .endpoint(endpoint)
                    .format(format)
                    .tags_in_records(in_records);
                let diagnosis = diagnose(&builder, LONG);
                assert!(
                    diagnosis.is_healthy(),
                    "{endpoint:?} {format:?}\n{diagnosis}"
                );
            }
        }
    }
    assert_eq!(server.all_events().len(), 24);
    assert_eq!(server.violations(), []);
}
