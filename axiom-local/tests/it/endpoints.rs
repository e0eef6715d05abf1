//! Each endpoint, layout and encoding: what is sent arrives, and the answer is as Axiom's.

use std::io::Write;

use axiom_local::{DEFAULT_DATASET, Rule, Server, Style};
use serde_json::{Value, json};

use crate::common::{TIME, broken, gzip, one, post, read_answer, zstd};

fn event(n: u32) -> String {
    format!(r#"{{"_time":"{TIME}","n":{n},"nested":{{"deep":"x"}}}}"#)
}

fn numbers(server: &Server, dataset: &str) -> Vec<Value> {
    server
        .events(dataset)
        .iter()
        .map(|event| event.get("n").unwrap().clone())
        .collect()
}

#[test]
fn every_endpoint_stores_and_answers_alike() {
    for (path, style) in [
        ("/v1/ingest/logs", Style::Edge),
        ("/v1/datasets/logs/ingest", Style::Datasets),
        ("/api/v1/datasets/logs/ingest", Style::ApiDatasets),
    ] {
        let server = Server::start().unwrap();
        let body = format!("[{},{}]", event(1), event(2));
        let answer = post(path, &body).send(server.addr());
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json(),
            json!({
                "ingested": 2, "failed": 0, "failures": [], "processedBytes": body.len(), "blocksCreated": 1, "walLength": 2,
            })
        );
        assert_eq!(answer.headers["x-axiom-trace-id"].len(), 32);
        assert_eq!(numbers(&server, "logs"), [1, 2]);
        assert_eq!(server.violations(), []);
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].style, Some(style));
        assert_eq!((requests[0].events, requests[0].status), (2, Some(200)));
        assert_eq!(requests[0].wire_bytes, body.len());
        assert_eq!(requests[0].headers["authorization"], "Bearer xaat-…");
    }
}

#[test]
fn groups_become_events_of_the_default_dataset() {
    for path in ["/api/v1/ingest", "/api/v1/ingest/"] {
        let server = Server::start().unwrap();
        let body = json!([{"tags": {"host": "h"}, "events": [
            {"timestamp": TIME, "attributes": {"a": 1, "b": {"c": 2}}},
            {"timestamp": TIME},
        ]}]);
        let answer = post(path, body.to_string()).send(server.addr());
        assert_eq!(answer.json()["ingested"], 2);
        let events = server.events(DEFAULT_DATASET);
        assert_eq!(
            Value::from(events[0].clone()),
            json!({"_time": TIME, "host": "h", "a": 1, "b": {"c": 2}})
        );
        assert_eq!(
            Value::from(events[1].clone()),
            json!({"_time": TIME, "host": "h"})
        );
        assert_eq!(server.violations(), []);
    }
}

#[test]
fn every_layout_and_encoding_arrives() {
    let array = format!("[{},{}]", event(1), event(2));
    let lines = format!("{}\n{}\n", event(1), event(2));
    let csv = format!("_time,n\n{TIME},1\n{TIME},2\n");
    for (content_type, body) in [
        ("application/json", &array),
        ("application/json; charset=utf-8", &array),
        ("application/json", &lines),
        ("application/x-ndjson", &lines),
        ("application/nd-json", &lines),
        ("text/csv", &csv),
    ] {
        for (encoding, bytes) in [
            (None, body.as_bytes().to_vec()),
            (Some("identity"), body.as_bytes().to_vec()),
            (Some("gzip"), gzip(body.as_bytes())),
            (Some("zstd"), zstd(body.as_bytes())),
        ] {
            let server = Server::start().unwrap();
            let mut request = post("/v1/ingest/logs", bytes).header("Content-Type", content_type);
            if let Some(encoding) = encoding {
                request = request.header("Content-Encoding", encoding);
            }
            let answer = request.send(server.addr());
            assert_eq!(
                answer.json()["processedBytes"],
                body.len(),
                "{content_type} {encoding:?}"
            );
            assert_eq!(
                numbers(&server, "logs"),
                [1, 2],
                "{content_type} {encoding:?}"
            );
            assert_eq!(server.violations(), []);
            assert_eq!(server.requests()[0].decoded_bytes, body.len());
        }
    }
}

#[test]
fn options_of_the_query_and_the_headers_are_followed() {
    let server = Server::start().unwrap();
    let timed = post(
        "/v1/ingest/timed?timestamp-field=at",
        format!(r#"[{{"at":"{TIME}","n":1}}]"#),
    );
    assert_eq!(timed.send(server.addr()).status, 200);
    assert_eq!(
        Value::from(server.events("timed")[0].clone()),
        json!({"_time": TIME, "at": TIME, "n": 1})
    );
    let rows = post(
        "/v1/ingest/rows?csv-delimiter=%3B",
        format!("{TIME};x y;7\n"),
    )
    .header("Content-Type", "text/csv")
    .header("X-Axiom-CSV-Fields", "_time, text, n");
    assert_eq!(rows.send(server.addr()).status, 200);
    assert_eq!(
        Value::from(server.events("rows")[0].clone()),
        json!({"_time": TIME, "text": "x y", "n": 7})
    );
    assert_eq!(server.violations(), []);
}

#[test]
fn labels_join_every_event_and_are_counted_once() {
    let server = Server::start().unwrap();
    let labels = r#"{"service.name":"shop","resource":{"host":{"name":"h"}}}"#;
    let body = format!("[{},{}]", event(1), event(2));
    let answer = post("/v1/ingest/logs", &body)
        .header("X-Axiom-Event-Labels", labels)
        .send(server.addr());
    assert_eq!(answer.json()["processedBytes"], body.len() + labels.len());
    for event in server.events("logs") {
        assert_eq!(event.get("service.name").unwrap(), "shop");
        assert_eq!(event.get("resource.host.name").unwrap(), "h");
        assert_eq!(event.get("nested.deep").unwrap(), "x");
    }
    assert_eq!(server.requests()[0].labels["service.name"], "shop");
    assert_eq!(server.violations(), []);
}

#[test]
fn headers_that_clients_get_wrong_are_noted_and_tolerated_where_they_can_be() {
    for (request, rule, status) in [
        (
            one("\"n\":1").without("User-Agent"),
            Rule::MissingUserAgent,
            200,
        ),
        (
            one("\"n\":1").without("Content-Type"),
            Rule::UnknownContentType,
            200,
        ),
        (
            one("\"n\":1").header("Content-Type", "text/plain"),
            Rule::UnknownContentType,
            200,
        ),
        (
            one("\"n\":1").header("Content-Encoding", ""),
            Rule::EmptyContentEncoding,
            200,
        ),
        (
            one("\"n\":1").header("Content-Encoding", "1"),
            Rule::UnknownContentEncoding,
            200,
        ),
        (
            one("\"n\":1").header("Content-Encoding", "br"),
            Rule::UnknownContentEncoding,
            415,
        ),
        (post("/v1/ingest/logs", ""), Rule::EmptyBody, 200),
        (
            one("\"n\":1").header("Content-Encoding", "gzip"),
            Rule::BodyNotUnderstood,
            400,
        ),
        (post("/v1/ingest/logs", "[{]"), Rule::BodyNotUnderstood, 400),
        (post("/v1/ingest/logs", "[1]"), Rule::BodyNotUnderstood, 400),
        (
            post("/v1/ingest/logs", b"[\"\xff\"]"),
            Rule::BodyNotUnderstood,
            400,
        ),
        (
            one("\"n\":1").header("X-Axiom-Event-Labels", "[1]"),
            Rule::LabelsMalformed,
            400,
        ),
    ] {
        let server = Server::start().unwrap();
        let answer = request.send(server.addr());
        assert_eq!(broken(&server), [rule]);
        assert_eq!(answer.status, status, "{rule}");
        let stored = u64::from(status == 200 && rule != Rule::EmptyBody);
        assert_eq!(server.ingested(), stored, "{rule}");
    }
    let server = Server::start().unwrap();
    let browser = one("\"n\":1")
        .without("User-Agent")
        .header("X-Axiom-Client", "axiom-js/2.0.0");
    browser.send(server.addr());
    assert_eq!(server.violations(), []);
}

#[test]
fn one_connection_carries_many_requests_and_a_chunked_body() {
    let server = Server::start().unwrap();
    let mut stream = one("\"n\":1").start(server.addr());
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    assert_eq!(one("\"n\":2").send_on(&mut stream).status, 200);
    let chunked = one("\"n\":3");
    let (first, second) = chunked.body.split_at(7);
    let head = chunked.head();
    let (before, _) = head.split_once("Content-Length").unwrap();
    let mut bytes = format!("{before}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in [first, second, b""] {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    stream.write_all(&bytes).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    assert_eq!(numbers(&server, "logs"), [1, 2, 3]);
}
