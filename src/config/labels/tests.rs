//! What every record carries, and what may not be one of these fields.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::super::tests::{complete, config, message};
use super::*;
use crate::setup::Builder;

fn labels(builder: Builder, variables: &[(&str, &str)]) -> Labels {
    config(builder, variables).unwrap().labels
}

/// What the header says.
fn fields(builder: Builder, variables: &[(&str, &str)]) -> Json {
    serde_json::from_str(labels(builder, variables).header().unwrap()).unwrap()
}

#[test]
fn resource_and_tags_are_one_flat_object_with_the_service_first() {
    let builder = complete()
        .tag("env", "prod")
        .tag("build", 7_u8)
        .service_name("shop")
        .service_version("1.2")
        .environment_name("production")
        .resource("host.name", "h1")
        .resource("service.namespace", "acme")
        .resource("telemetry.sdk.name", "x");
    assert_eq!(
        labels(builder, &[]).header().unwrap(),
        concat!(
            r#"{"service.name":"shop","build":7,"env":"prod","resource.deployment.environment.name":"production","#,
            r#""resource.host.name":"h1","service.namespace":"acme","service.version":"1.2","telemetry.sdk.name":"x"}"#
        )
    );
}

#[test]
fn the_service_is_named_by_the_most_explicit_source() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes");
    let variables = [("OTEL_SERVICE_NAME", "variable"), attributes];
    for (builder, variables, name) in [
        (complete().service_name("set"), &variables[..], "set"),
        (
            complete().resource("service.name", "set"),
            &variables[..],
            "set",
        ),
        (complete().tag("service.name", "set"), &variables[..], "set"),
        (complete(), &variables[..], "variable"),
        (
            complete(),
            &[("OTEL_SERVICE_NAME", ""), attributes],
            "attributes",
        ),
    ] {
        assert_eq!(fields(builder, variables)["service.name"], name);
    }
    let unnamed = fields(complete(), &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=")]);
    let name = unnamed["service.name"].as_str().unwrap();
    assert!(name.len() > "unknown_service:".len() && name.starts_with("unknown_service:"));
}

#[test]
fn resource_attributes_from_the_environment_are_decoded_and_overridden() {
    let list = " host.name = h%201 ,, service.version=1,k%2Cey=a=b%25,deployment.environment.name=env,host.name=h2,empty=,";
    let builder = complete().service_name("s").environment_name("set");
    assert_eq!(
        fields(builder, &[("OTEL_RESOURCE_ATTRIBUTES", list)]),
        json!({
            "service.name": "s",
            "resource.host.name": "h2",
            "service.version": "1",
            "resource.k,ey": "a=b%",
            "resource.deployment.environment.name": "set",
            "resource.empty": "",
        })
    );
}

#[test]
fn a_list_of_attributes_that_can_not_be_read_is_an_error() {
    let fix = "write it like key=value,key=value, with `,`, `=` and `%` in keys and values percent-encoded";
    for (list, problem) in [
        (
            "a=1,b",
            "is a list of key=value, but one entry has no `=`: \"b\"",
        ),
        (
            "a=1, =2",
            "is a list of key=value, but one entry has no key: \" =2\"",
        ),
        (
            "a=100%",
            "is percent-encoded, but one entry does not decode to UTF-8: \"a=100%\"",
        ),
        (
            "a=%ff",
            "is percent-encoded, but one entry does not decode to UTF-8: \"a=%ff\"",
        ),
    ] {
        assert_eq!(
            message(complete(), &[("OTEL_RESOURCE_ATTRIBUTES", list)]),
            format!("OTEL_RESOURCE_ATTRIBUTES: {problem}; {fix}")
        );
    }
}

#[test]
fn of_two_settings_of_one_field_the_later_is_sent() {
    let builder = complete()
        .service_name("s")
        .tag("a", 1)
        .tag("a", "two")
        .resource("b", 1)
        .tag("resource.b", 2)
        .tag("service.version", "tag")
        .service_version("set");
    assert_eq!(
        fields(builder, &[]),
        json!({ "service.name": "s", "a": "two", "resource.b": 2, "service.version": "set" })
    );
}

#[test]
fn values_keep_their_types() {
    let builder = complete()
        .service_name("s")
        .tag("text", String::from("x"))
        .tag("small", -1_i8)
        .tag("large", i64::MAX)
        .tag("beyond", u64::MAX)
        .tag("size", 3_usize)
        .tag("float", 0.1_f32)
        .tag("whole", 2.0)
        .tag("bool", true);
    assert_eq!(
        fields(builder, &[]),
        json!({
            "service.name": "s", "text": "x", "small": -1, "large": i64::MAX, "beyond": u64::MAX as f64,
            "size": 3, "float": 0.1, "whole": 2.0, "bool": true,
        })
    );
    for value in [f64::NAN, f64::INFINITY] {
        assert_eq!(
            message(complete().tag("x", value), &[]),
            format!(".tag(\"x\", ..): is {value}, which JSON can not carry; set a finite number")
        );
    }
}

#[test]
fn a_long_text_is_shortened_where_a_reader_sees_it() {
    let builder = |bytes: usize| {
        complete()
            .tag("x", "é".repeat(bytes / 2))
            .tags_in_records(true)
    };
    let value = |builder| {
        let members = labels(builder, &[]).members().to_vec();
        let object = format!("{{\"a\":0{}}}", String::from_utf8(members).unwrap());
        let object: Map<String, Json> = serde_json::from_str(&object).unwrap();
        object["x"].as_str().unwrap().to_owned()
    };
    assert_eq!(value(builder(4096)), "é".repeat(2048));
    assert_eq!(value(builder(4098)), format!("{}…", "é".repeat(2048)));
}

#[test]
fn a_tag_can_not_be_a_field_that_records_have() {
    for name in [
        "level",
        "message",
        "target",
        "trace_id",
        "span_id",
        "parent_span_id",
        "duration",
        "name",
        "kind",
        "error",
        "events",
        "links",
        "busy_ns",
        "idle_ns",
        "incomplete",
        "status",
        "scope",
        "attributes",
        "thread",
        "code",
    ] {
        for tag in [name.to_owned(), format!("{name}.x")] {
            assert_eq!(
                message(complete().tag(&tag, 1), &[]),
                format!(
                    ".tag({tag:?}, ..): would collide with the field of every record called {name:?}; choose another name"
                )
            );
        }
        assert!(config(complete().tag(format!("{name}s1"), 1), &[]).is_ok());
    }
    for name in ["_time", "_x"] {
        assert_eq!(
            message(complete().tag(name, 1), &[]),
            format!(
                ".tag({name:?}, ..): begins with `_`, as only Axiom's own fields may; choose another name"
            )
        );
    }
    for name in ["service", "telemetry", "resource"] {
        assert_eq!(
            message(complete().tag(name, 1), &[]),
            format!(
                ".tag({name:?}, ..): is where the resource's attributes are; choose another name"
            )
        );
    }
}

/// Reads the names out of the source that writes them, so that a new one can not be forgotten here.
#[test]
fn every_name_that_the_frontend_writes_is_reserved() {
    let mut names = 0;
    for source in [
        include_str!("../../frontend/record.rs"),
        include_str!("../../frontend/callsite.rs"),
        include_str!("../../frontend/thread.rs"),
    ] {
        let parts: Vec<_> = source.split("\\\"").collect();
        for pair in parts.windows(2).filter(|pair| pair[1].starts_with(':')) {
            // Within `attributes`.
            if pair[0] == "custom" {
                continue;
            }
            let result = config(complete().tag(pair[0], 1), &[]);
            assert!(result.is_err(), "{}", pair[0]);
            names += 1;
        }
    }
    assert!(names >= 20, "{names} names found");
}

#[test]
fn a_name_is_1_to_200_bytes() {
    let longest = "é".repeat(100);
    assert!(config(complete().tag(&longest, 1), &[]).is_ok());
    let below_resource = &"a".repeat(200 - "resource.".len());
    assert!(config(complete().resource(below_resource, 1), &[]).is_ok());
    let shown = "é".repeat(80);
    assert_eq!(
        message(complete().tag(format!("{longest}a"), 1), &[]),
        format!(
            ".tag(\"{shown}…\", ..): has a name of 201 bytes, but Axiom takes at most 200; choose a shorter name"
        )
    );
    let list = format!("{below_resource}a=1");
    assert!(
        message(complete(), &[("OTEL_RESOURCE_ATTRIBUTES", &list)])
            .starts_with("OTEL_RESOURCE_ATTRIBUTES (\"aaa")
    );
    for builder in [complete().tag("", 1), complete().resource("", 1)] {
        assert!(message(builder, &[]).ends_with(": has no name; give it one"));
    }
    for builder in [complete().service_name(""), complete().service_name("  ")] {
        assert_eq!(
            message(builder, &[]),
            ".service_name(..): is the service's name, but not a text or empty; set a name, or leave it out to use the program's"
        );
    }
    assert!(config(complete().tag("service.name", 5), &[]).is_err());
}

#[test]
fn a_tag_is_a_value_or_a_group_and_not_both() {
    let fix = "rename one: what stands before a dot is a group and has no value of its own";
    let beside = "can not be beside the tag or resource attribute";
    for (builder, expected) in [
        (
            complete().tag("a", 1).tag("a.b", 2),
            format!(".tag(\"a.b\", ..): {beside} \"a\"; {fix}"),
        ),
        (
            complete().tag("a.b.c", 1).tag("a", 2),
            format!(".tag(\"a.b.c\", ..): {beside} \"a\"; {fix}"),
        ),
        (
            complete().tag("service.name.x", 1),
            format!(".tag(\"service.name.x\", ..): {beside} \"service.name\"; {fix}"),
        ),
        (
            complete().resource("a.b", 1).tag("resource.a", 1),
            format!(".tag(\"resource.a\", ..): {beside} \"resource.a.b\"; {fix}"),
        ),
    ] {
        assert_eq!(message(builder, &[]), expected);
    }
    for builder in [
        complete().tag("a", 1).tag("ab.c", 2).tag("a-b", 3),
        complete()
            .resource("deployment.environment", "x")
            .environment_name("x"),
    ] {
        assert!(config(builder, &[]).is_ok());
    }
}

/// A builder whose labels have exactly so many bytes.
fn of_size(bytes: usize) -> Builder {
    let empty = |count: usize| {
        let tags = (0..count)
            .map(|i| format!(",\"t{i:03}\":\"\"").len())
            .sum::<usize>();
        "{\"service.name\":\"s\"}".len() + tags
    };
    let count = bytes.div_ceil(4096);
    let mut left = bytes - empty(count);
    (0..count).fold(complete().service_name("s"), |builder, i| {
        let taken = left.min(4096);
        left -= taken;
        builder.tag(format!("t{i:03}"), "x".repeat(taken))
    })
}

#[test]
fn labels_travel_in_the_header_up_to_4_kib_and_then_in_the_records() {
    let header = labels(of_size(4096), &[]);
    assert_eq!(header.header().map(str::len), Some(4096));
    assert!(header.members().is_empty() && header.tags().is_none());
    let records = labels(of_size(4097), &[]);
    assert_eq!((records.header(), records.tags()), (None, None));
    // A comma instead of two braces.
    assert_eq!(records.members().len(), 4096);
    assert!(
        records
            .members()
            .starts_with(b",\"service.name\":\"s\",\"t000\":\"")
    );
    assert!(records.members().ends_with(b"\""));
}

#[test]
fn labels_can_be_asked_into_the_records_or_go_into_the_early_body() {
    let builder = || complete().service_name("s").tag("a", 1);
    let records = labels(builder().tags_in_records(true), &[]);
    assert_eq!(records.members(), br#","service.name":"s","a":1"#);
    assert_eq!((records.header(), records.tags()), (None, None));
    let early = builder().endpoint(Endpoint::ApiIngest);
    let body = labels(early.clone(), &[]);
    assert_eq!(body.tags(), Some(r#"{"service.name":"s","a":1}"#));
    assert!(body.header().is_none() && body.members().is_empty());
    let both = labels(early.tags_in_records(true), &[]);
    assert_eq!(both.tags(), None);
    assert!(!both.members().is_empty());
}

#[test]
fn what_no_header_may_hold_is_escaped() {
    let builder = complete().service_name("s").tag("x", "\u{7f}\u{1}é😀");
    assert_eq!(
        labels(builder, &[]).header().unwrap(),
        r#"{"service.name":"s","x":"\u007f\u0001\u00e9\ud83d\ude00"}"#
    );
}

#[test]
fn more_than_64_kib_is_an_error() {
    assert!(config(of_size(65_536), &[]).is_ok());
    assert_eq!(
        message(of_size(65_537), &[]),
        ".tag(..): tags and resource attributes take 65537 bytes of JSON together, but at most 65536 (64 KiB); set fewer or shorter ones, also in OTEL_RESOURCE_ATTRIBUTES"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_survives_as_ascii_that_a_header_can_hold(name in any::<String>(), text in any::<String>()) {
        let builder = complete().service_name("s").tag(format!("x{name}"), &text).resource(format!("r{name}"), &text);
        if let Ok(config) = config(builder, &[]) {
            let object = config.labels.object;
            prop_assert!(object.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{object}");
            let back: Json = serde_json::from_str(&object).unwrap();
            prop_assert_eq!(
                back,
                json!({ "service.name": "s", format!("x{name}"): text, format!("resource.r{name}"): text })
            );
        } else {
            let parts: Vec<_> = name.split('.').collect();
            prop_assert!(name.len() > 190, "{parts:?}");
        }
    }
}

/// With what is known of this process without being set.
fn with_defaults(builder: Builder, variables: &[(&str, &str)]) -> Labels {
    let environment = |name: &str| {
        let (_, text) = variables.iter().find(|(variable, _)| *variable == name)?;
        Some(std::ffi::OsString::from(text))
    };
    builder.into_config(environment).unwrap().labels
}

fn value(labels: &Labels, field: &str) -> Option<Json> {
    let object: Json = serde_json::from_str(&labels.object).unwrap();
    object.get(field).cloned()
}

const DEFAULTS: [&str; 3] = [
    "resource.host.name",
    "resource.process.pid",
    "service.instance.id",
];

#[test]
fn instance_host_and_process_are_known_without_being_set() {
    let labels = with_defaults(complete(), &[]);
    assert_eq!(
        value(&labels, "resource.process.pid"),
        Some(json!(std::process::id()))
    );
    let id = value(&labels, "service.instance.id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 36, "{id}");
    let again = with_defaults(complete(), &[]);
    assert_eq!(value(&again, "service.instance.id"), Some(id));
    #[cfg(target_os = "linux")]
    {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = value(&labels, "resource.host.name");
        assert_eq!(host, Some(json!(name.trim())));
    }
}

#[test]
fn what_was_set_replaces_what_is_known() {
    let variables = [(
        "OTEL_RESOURCE_ATTRIBUTES",
        "host.name=h,service.instance.id=i,process.pid=7",
    )];
    let of_variable = with_defaults(complete(), &variables);
    let of_setters = with_defaults(
        complete()
            .resource("host.name", "h")
            .tag("service.instance.id", "i")
            .resource("process.pid", "7"),
        &[],
    );
    for labels in [of_variable, of_setters] {
        let values = DEFAULTS.map(|field| value(&labels, field));
        assert_eq!(values, [json!("h"), json!("7"), json!("i")].map(Some));
    }
}

#[test]
fn what_is_known_without_being_set_gives_way() {
    let (host, pid, id) = (DEFAULTS[0], DEFAULTS[1], DEFAULTS[2]);
    for (tag, gone) in [
        ("resource.host", host),
        ("resource.host.name.x", host),
        ("resource.process", pid),
        ("service.instance", id),
    ] {
        let labels = with_defaults(complete().tag(tag, 1), &[]);
        assert_eq!(value(&labels, tag), Some(json!(1)));
        assert_eq!(value(&labels, gone), None, "{tag}");
    }
    // The ends of the room in the header, and of that in all.
    for (bytes, has_room) in [
        (3_900, true),
        (4_000, false),
        (4_096, false),
        (5_000, true),
        (64 * 1024, false),
    ] {
        let labels = with_defaults(of_size(bytes), &[]);
        assert_eq!(value(&labels, id).is_some(), has_room, "{bytes}");
        assert_eq!(labels.object.len() > bytes, has_room, "{bytes}");
        assert_eq!(labels.header().is_some(), bytes <= 4_096, "{bytes}");
    }
}
