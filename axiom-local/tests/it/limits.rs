//! The contract's limits, and its rules about times: what is noted, what is changed, what is refused.

use axiom_local::{Rule, Server};
use serde_json::{Value, json};

use crate::common::{Post, TIME, broken, gzip, one, post};

/// Sends one event with these fields. Returns the rules that it broke, and the event as it is stored.
fn stored(fields: &str) -> (Vec<Rule>, Value) {
    let server = Server::start().unwrap();
    let answer = one(fields).send(server.addr());
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    assert_eq!(answer.json()["ingested"], 1);
    let mut event = Value::from(server.events("logs")[0].clone());
    event.as_object_mut().unwrap().remove("_time");
    (broken(&server), event)
}

/// Sends a request. Returns the status of its answer and the rules that it broke. Nothing of it may be stored.
fn refused(server: &Server, request: &Post) -> (u16, Vec<Rule>) {
    let answer = request.send(server.addr());
    assert_eq!(server.ingested(), 0);
    assert!(answer.json()["message"].is_string());
    (answer.status, broken(server))
}

#[test]
fn ten_thousand_events_are_fine_and_one_more_is_noted() {
    for (count, rules) in [(10_000, vec![]), (10_001, vec![Rule::TooManyEvents])] {
        let server = Server::start().unwrap();
        let body = format!("{{\"_time\":\"{TIME}\"}}\n").repeat(count);
        let answer = post("/v1/ingest/logs", gzip(body.as_bytes()))
            .header("Content-Type", "application/x-ndjson")
            .header("Content-Encoding", "gzip")
            .send(server.addr());
        assert_eq!(answer.json()["ingested"], count);
        assert_eq!(server.ingested(), count as u64);
        assert_eq!(broken(&server), rules);
    }
}

#[test]
fn a_string_over_one_megabyte_is_replaced() {
    let (rules, event) = stored(&format!(r#""a":"{}","b":1"#, "x".repeat(1_000_001)));
    assert_eq!(rules, [Rule::LineTooLong, Rule::StringTooLong]);
    assert_eq!(event, json!({"a": "<invalid string: too long>", "b": 1}));
}

#[test]
fn an_event_over_one_megabyte_is_noted_and_over_one_mebibyte_refused() {
    let half = "x".repeat(500_000);
    let (rules, event) = stored(&format!(r#""a":"{half}","b":"{half}""#));
    assert_eq!(rules, [Rule::LineTooLong]);
    assert_eq!(event, json!({"a": half, "b": half}));

    let half = "x".repeat(525_000);
    let server = Server::start().unwrap();
    let body = format!(r#"[{{"_time":"{TIME}"}},{{"_time":"{TIME}","a":"{half}","b":"{half}"}}]"#);
    let outcome = refused(&server, &post("/v1/ingest/logs", body));
    assert_eq!(outcome, (400, vec![Rule::LineTooLong]));
    assert_eq!(server.violations()[0].event, Some(1));
    assert_eq!(server.requests()[0].events, 2);
}

#[test]
fn a_field_name_has_200_bytes_when_flattened() {
    let long = "n".repeat(200);
    assert_eq!(stored(&format!(r#""{long}":1"#)).0, []);
    assert_eq!(
        stored(&format!(r#""{long}n":1"#)).0,
        [Rule::FieldNameTooLong]
    );
    let inner = "n".repeat(199);
    assert_eq!(
        stored(&format!(r#""a":{{"{inner}":1}}"#)).0,
        [Rule::FieldNameTooLong]
    );
}

#[test]
fn nesting_is_cut_at_100_levels() {
    let nested = |levels: usize| format!(r#""a":{}1{}"#, "[".repeat(levels), "]".repeat(levels));
    // The event itself is the first level.
    assert_eq!(stored(&nested(99)).0, []);
    let (rules, event) = stored(&nested(100));
    assert_eq!(rules, [Rule::NestingTooDeep]);
    let mut inner = &event["a"];
    for _ in 0..98 {
        inner = &inner[0];
    }
    assert_eq!(inner, &json!([null]));
    assert_eq!(stored(&nested(50_000)).0, [Rule::NestingTooDeep]);
}

#[test]
fn taken_names_are_renamed_and_other_underscores_noted() {
    let (rules, event) = stored(r#""_source":1,"_cursor":2,"_mine":3,"a":{"_fine":4}"#);
    assert_eq!(rules, [Rule::ReservedName; 3]);
    assert_eq!(
        event,
        json!({"_user_source": 1, "_user_cursor": 2, "_mine": 3, "a": {"_fine": 4}})
    );
}

#[test]
fn a_repeated_key_is_noted_at_any_depth() {
    let (rules, event) = stored(r#""a":1,"b":{"c":1,"c":2},"d":[{"e":1,"e":2}],"a":3"#);
    assert_eq!(rules, [Rule::RepeatedKey; 3]);
    assert_eq!(event, json!({"a": 3, "b": {"c": 2}, "d": [{"e": 2}]}));
    let many: Vec<String> = (0..200).map(|n| format!("\"k{n}\":1")).collect();
    assert_eq!(stored(&many.join(",")).0, []);
    let repeated = format!("{},\"k3\":1,\"k199\":1", many.join(","));
    assert_eq!(stored(&repeated).0, [Rule::RepeatedKey; 2]);
}

#[test]
fn beyond_the_field_cap_events_fail_inside_a_200() {
    let server = Server::builder().max_fields(3).start().unwrap();
    let events = format!(
        r#"[{{"_time":"{TIME}","a":1,"b":{{"c":2}}}},
            {{"_time":"2026-01-02T00:00:00Z","d":1,"e":1}},
            {{"_time":"{TIME}","d":1}},
            {{"_time":"{TIME}","a":5}}]"#
    );
    let answer = post("/v1/ingest/logs", events).send(server.addr()).json();
    assert_eq!(
        (&answer["ingested"], &answer["failed"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(
        answer["failures"][0]["timestamp"],
        "2026-01-02T00:00:00.000000000Z"
    );
    assert!(
        answer["failures"][0]["error"]
            .as_str()
            .unwrap()
            .contains("limit is 3")
    );
    assert_eq!(server.ingested(), 3);
    let request = &server.requests()[0];
    assert_eq!((request.events, request.ingested), (4, 3));
    assert_eq!(broken(&server), [Rule::TooManyFields]);
    // Another dataset has a count of its own, and `clear()` sets all counts to zero.
    let other = post(
        "/v1/ingest/other",
        format!(r#"[{{"_time":"{TIME}","x":1}}]"#),
    );
    assert_eq!(other.send(server.addr()).json()["failed"], 0);
    server.clear();
    assert_eq!(
        one(r#""x":1,"y":1"#).send(server.addr()).json()["failed"],
        0
    );
}

#[test]
fn a_map_field_counts_once_and_labels_count_too() {
    let server = Server::builder()
        .max_fields(2)
        .map_fields(["attributes.custom"])
        .start()
        .unwrap();
    let map = r#""attributes":{"custom":{"a":1,"b":"x","c.d":true}}"#;
    assert_eq!(one(map).send(server.addr()).json()["failed"], 0);
    let other_types = r#""attributes":{"custom":{"a":"y","b":2}}"#;
    assert_eq!(one(other_types).send(server.addr()).json()["failed"], 0);
    assert_eq!(server.violations(), []);
    let labelled = one(map).header("X-Axiom-Event-Labels", r#"{"l":1,"m":2}"#);
    assert_eq!(labelled.send(server.addr()).json()["failed"], 1);
    let labelled = one(map).header("X-Axiom-Event-Labels", r#"{"l":1}"#);
    assert_eq!(labelled.send(server.addr()).json()["failed"], 0);
}

#[test]
fn a_type_change_is_noted_once_for_each_new_type() {
    let server = Server::start().unwrap();
    for (fields, rules) in [
        (r#""a":1,"b":"x","c":null"#, vec![]),
        (r#""a":1.5,"b":null,"c":true"#, vec![]),
        (r#""a":"1""#, vec![Rule::TypeChanged]),
        (r#""a":"2""#, vec![]),
        (r#""b":{"d":1}"#, vec![Rule::TypeChanged]),
        (r#""c":[1]"#, vec![Rule::TypeChanged]),
    ] {
        let seen = server.violations_seen();
        assert_eq!(one(fields).send(server.addr()).status, 200);
        let new: Vec<Rule> = server
            .violations_from(seen)
            .iter()
            .map(|v| v.rule)
            .collect();
        assert_eq!(new, rules, "{fields}");
    }
    assert_eq!(server.ingested(), 6);
}

#[test]
fn a_field_spelled_nested_and_dotted_is_noted() {
    let server = Server::start().unwrap();
    one(r#""a":{"b":1}"#).send(server.addr());
    one(r#""a.b":1"#).send(server.addr());
    assert_eq!(broken(&server), [Rule::DottedAndNested]);
    assert_eq!(stored(r#""a.b":1,"a":{"b":1}"#).0, [Rule::DottedAndNested]);
}

#[test]
fn integers_fit_in_64_signed_bits() {
    assert_eq!(
        stored(r#""a":9223372036854775807,"b":-9223372036854775808"#).0,
        []
    );
    for number in [
        "9223372036854775808",
        "18446744073709551616",
        "-9223372036854775809",
    ] {
        assert_eq!(
            stored(&format!("\"a\":{number}")).0,
            [Rule::IntegerTooLarge]
        );
    }
    assert_eq!(stored(r#""a":1e300,"b":"18446744073709551616""#).0, []);
}

#[test]
fn a_missing_or_unreadable_time_becomes_the_time_of_arrival() {
    for (event, rule) in [
        (r#"{"a":1}"#, Rule::TimeMissing),
        (r#"{"_time":null,"a":1}"#, Rule::TimeMissing),
        (r#"{"_time":"yesterday","a":1}"#, Rule::TimeUnreadable),
        (
            r#"{"_time":"2026-01-01T00:00:00+01:00Z","a":1}"#,
            Rule::TimeUnreadable,
        ),
        (r#"{"_time":true,"a":1}"#, Rule::TimeUnreadable),
        (r#"{"_time":{"t":1},"a":1}"#, Rule::TimeUnreadable),
    ] {
        let server = Server::start().unwrap();
        let before = now();
        assert_eq!(
            post("/v1/ingest/logs", event).send(server.addr()).status,
            200
        );
        assert_eq!(broken(&server), [rule], "{event}");
        let time = server.events("logs")[0].unix_nanos().unwrap();
        assert!((before..=now()).contains(&time), "{event}");
    }
    for time in [
        "1764000000",
        "1764000000000",
        "\"2026-01-01\"",
        "\"2026-01-01T01:00:00+01:00\"",
    ] {
        let server = Server::start().unwrap();
        post("/v1/ingest/logs", format!(r#"{{"_time":{time}}}"#)).send(server.addr());
        assert_eq!(server.violations(), [], "{time}");
        assert!(server.events("logs")[0].unix_nanos().is_some(), "{time}");
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_nanos()).unwrap()
}

#[test]
fn a_label_and_a_field_of_one_name_collide_and_the_field_wins() {
    let server = Server::start().unwrap();
    let labels = r#"{"env":"prod","service":{"name":"shop","version":"1"}}"#;
    one(r#""env":"dev","service.name":"other","service":{"region":"eu"}"#)
        .header("X-Axiom-Event-Labels", labels)
        .send(server.addr());
    assert_eq!(broken(&server), [Rule::LabelCollision; 2]);
    let event = &server.events("logs")[0];
    assert_eq!(event.get("env").unwrap(), "dev");
    assert_eq!(event.get("service.name").unwrap(), "other");
    assert_eq!(event.get("service.region").unwrap(), "eu");
    assert_eq!(event.get("service.version").unwrap(), "1");
    let text = event.to_string();
    assert_eq!(text.matches("\"env\"").count(), 1, "{text}");
}

#[test]
fn a_time_among_the_labels_is_no_second_time() {
    let server = Server::start().unwrap();
    post("/v1/ingest/logs", r#"{"a":1}"#)
        .header("X-Axiom-Event-Labels", &format!(r#"{{"_time":"{TIME}"}}"#))
        .send(server.addr());
    let text = server.events("logs")[0].to_string();
    assert_eq!(text.matches("_time").count(), 1, "{text}");
    assert_eq!(broken(&server), [Rule::TimeMissing]);
}

#[test]
fn labels_over_4_kib_or_beyond_ascii_are_noted_and_used() {
    for (labels, rule) in [
        (
            format!(r#"{{"l":"{}"}}"#, "x".repeat(4_096)),
            Rule::LabelsTooLarge,
        ),
        (r#"{"l":"é"}"#.to_owned(), Rule::LabelsMalformed),
    ] {
        let server = Server::start().unwrap();
        let answer = one("\"a\":1")
            .header("X-Axiom-Event-Labels", &labels)
            .send(server.addr());
        assert_eq!(answer.status, 200);
        assert_eq!(broken(&server), [rule]);
        let labels: Value = serde_json::from_str(&labels).unwrap();
        assert_eq!(server.events("logs")[0].get("l"), Some(&labels["l"]));
    }
}

#[test]
fn a_body_over_the_limit_is_413_on_the_wire_and_decoded() {
    let large = format!("[{{\"_time\":\"{TIME}\",\"a\":\"{}\"}}]", "x".repeat(2_000));
    let plain = post("/v1/ingest/logs", &large);
    let packed = post("/v1/ingest/logs", gzip(large.as_bytes())).header("Content-Encoding", "gzip");
    for request in [plain, packed] {
        let server = Server::builder().max_body_bytes(1_000).start().unwrap();
        assert_eq!(refused(&server, &request), (413, vec![Rule::BodyTooLarge]));
        assert_eq!(server.requests()[0].wire_bytes, request.body.len());
    }
}

#[test]
fn one_bad_line_spoils_the_request() {
    let server = Server::start().unwrap();
    let body = format!("{{\"_time\":\"{TIME}\"}}\n{{\"_time\":\n");
    let request = post("/v1/ingest/logs", body).header("Content-Type", "application/x-ndjson");
    let outcome = refused(&server, &request);
    assert_eq!(outcome, (400, vec![Rule::BodyNotUnderstood]));
    assert_eq!(server.violations()[0].event, Some(1));
}
