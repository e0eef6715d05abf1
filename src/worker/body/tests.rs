use std::io::Read;
use std::sync::Arc;

use super::*;
use crate::queue::{Overflow, Queue, Signal};
use crate::report::Counters;
use crate::worker::batch::{Batcher, Limits};

const LINES: [&str; 3] = [
    r#"{"_time":"2026-01-01T00:00:00.000000001Z","level":"info","attributes":{"a":1,"t":"x, \"y\"\nz"}}"#,
    r#"{"_time":"2026-01-01T00:00:00.000000002Z","level":"warn"}"#,
    r#"{"_time":"2026-01-01T00:00:00.000000003Z","attributes":{"b":[1,2],"c":null,"d":true}}"#,
];

fn batch(lines: &[&str]) -> Batch {
    let queue = Queue::new(
        4 << 20,
        Overflow::DropNewest,
        1 << 20,
        Arc::new(Signal::default()),
        Arc::new(Counters::default()),
    );
    for line in lines {
        queue.push(format!("{line}\n").as_bytes());
    }
    queue.collect_open();
    let limits = Limits {
        max_events: 10_000,
        max_bytes: 4 << 20,
    };
    Batcher::default().next(&queue, limits).unwrap()
}

fn plain(layout: Layout, batch: Batch) -> String {
    let body = Encoder::new(layout, Compression::None)
        .unwrap()
        .encode(&batch)
        .unwrap();
    batch.delivered_except(0);
    assert_eq!(body.encoding, None);
    String::from_utf8(body.bytes.to_vec()).unwrap()
}

#[test]
fn ndjson_is_the_lines_themselves() {
    let expected = format!("{}\n", LINES.join("\n"));
    assert_eq!(plain(Layout::Ndjson, batch(&LINES)), expected);
}

#[test]
fn an_array_holds_the_same_records() {
    assert_eq!(
        plain(Layout::JsonArray, batch(&LINES)),
        format!("[{}]", LINES.join(","))
    );
}

#[test]
fn groups_rename_the_time_and_wrap_the_rest() {
    let layout = Layout::Groups {
        tags: r#"{"env":"prod"}"#.into(),
    };
    let body: serde_json::Value = serde_json::from_str(&plain(layout, batch(&LINES[..2]))).unwrap();
    assert_eq!(
        body,
        serde_json::json!([{"tags": {"env": "prod"}, "events": [
            {"timestamp": "2026-01-01T00:00:00.000000001Z",
             "attributes": {"level": "info", "attributes": {"a": 1, "t": "x, \"y\"\nz"}}},
            {"timestamp": "2026-01-01T00:00:00.000000002Z", "attributes": {"level": "warn"}},
        ]}])
    );
}

#[test]
fn csv_has_a_column_for_each_flattened_field() {
    assert_eq!(
        plain(Layout::Csv, batch(&LINES)),
        "_time,attributes.a,attributes.t,level,attributes.b,attributes.d\n\
         2026-01-01T00:00:00.000000001Z,1,\"x, \"\"y\"\"\nz\",info,,\n\
         2026-01-01T00:00:00.000000002Z,,,warn,,\n\
         2026-01-01T00:00:00.000000003Z,,,,\"[1,2]\",true\n"
    );
}

#[test]
fn compressed_bodies_decode_to_the_plain_one_time_after_time() {
    let long = format!(
        r#"{{"_time":"2026-01-01T00:00:00.000000001Z","attributes":{{"long":"{}"}}}}"#,
        "0123456789abcdef".repeat(20_000)
    );
    let lines: Vec<&str> = LINES.into_iter().chain([long.as_str()]).collect();
    let expected = plain(Layout::JsonArray, batch(&lines));
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut encoder = Encoder::new(Layout::JsonArray, compression).unwrap();
        for _ in 0..3 {
            let batch = batch(&lines);
            let body = encoder.encode(&batch).unwrap();
            batch.delivered_except(0);
            assert!(body.bytes.len() < expected.len() / 5);
            let mut decoded = String::new();
            match body.encoding {
                Some("gzip") => flate2::read::GzDecoder::new(&body.bytes[..])
                    .read_to_string(&mut decoded)
                    .unwrap(),
                Some("zstd") => ::zstd::stream::read::Decoder::new(&body.bytes[..])
                    .unwrap()
                    .read_to_string(&mut decoded)
                    .unwrap(),
                other => panic!("{other:?}"),
            };
            assert!(decoded == expected);
        }
    }
}

#[test]
fn csv_of_many_different_records_takes_little_more_memory_than_its_body() {
    // As of an application with 400 callsites that have four fields of their own each.
    let lines: Vec<String> = (0..4_000)
        .map(|seq| {
            let callsite = seq % 400;
            let fields: Vec<String> = (0..4)
                .map(|field| format!("\"field_{callsite}_{field}\":{seq}"))
                .collect();
            format!(
                r#"{{"_time":"2026-01-01T00:00:00.000000001Z","attributes":{{{}}}}}"#,
                fields.join(",")
            )
        })
        .collect();
    let batch = batch(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut encoder = Encoder::new(Layout::Csv, Compression::Zstd).unwrap();
    let peak = allocation_counter::measure(|| drop(encoder.encode(&batch).unwrap())).bytes_max;
    batch.delivered_except(0);
    assert!(peak < 4 << 20, "{peak} bytes");
}
