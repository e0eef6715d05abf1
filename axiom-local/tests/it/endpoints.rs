//! Each endpoint, layout and encoding: what is sent arrives, and the answer is Axiom's.

use crate::common::{TIME, gzip, post, zstd};
use axiom_local::{DEFAULT_DATASET, Server, Style};
use serde_json::{Value, json};

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
