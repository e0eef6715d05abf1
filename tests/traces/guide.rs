//! `docs/finding-a-failed-request.md` speaks only of what is sent.

use std::collections::BTreeSet;
use std::error::Error;

use axiom_layer::{SpanExt, TraceContext};
use tracing::{error, info_span};

use crate::*;

const GUIDE: &str = include_str!("../../docs/finding-a-failed-request.md");

/// Words of APL in the guide's queries.
const APL: [&str; 17] = [
    "where",
    "project",
    "sort",
    "by",
    "desc",
    "asc",
    "summarize",
    "count",
    "countif",
    "max",
    "and",
    "true",
    "bin_auto",
    "isnotnull",
    "tostring",
    "or",
    "false",
];

/// A request that fails as the guide's does.
fn failed_request() -> Records {
    record_with(
        |builder| builder.traces_dataset("shop-traces"),
        || {
            let caller =
                TraceContext::new("5a0f8e3c21d94b7786a1c0de5eed1234", "00c0ffee0ddba115").unwrap();
            let request = info_span!("request", otel.kind = "server", order = 4711);
            request.set_parent(&caller);
            request.add_link(&caller);
            let _request = request.entered();
            let failure = crate::errors::out_of_stock();
            error!(error = &failure as &(dyn Error + 'static), "payment failed");
        },
    )
}

/// The fields of a query: words that are neither APL, nor text, nor a name that the query gives.
fn fields(query: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let mut rest = query;
    while let Some(at) =
        rest.find(|char: char| char.is_alphabetic() || matches!(char, '_' | '"' | '['))
    {
        rest = &rest[at..];
        let (word, is_name, after) = if let Some(quoted) = rest.strip_prefix("['") {
            let (name, after) = quoted.split_once("']").unwrap();
            (name, true, after)
        } else if let Some(text) = rest.strip_prefix('"') {
            ("", false, text.split_once('"').unwrap().1)
        } else {
            let end = rest
                .find(|char: char| !char.is_alphanumeric() && char != '_')
                .unwrap_or(rest.len());
            (&rest[..end], !APL.contains(&&rest[..end]), &rest[end..])
        };
        if is_name {
            fields.insert(word.to_owned());
        }
        rest = after;
    }
    let given: BTreeSet<_> = fields
        .iter()
        .filter(|field| query.contains(&format!("{field} = ")))
        .cloned()
        .collect();
    &fields - &given
}

#[test]
fn every_field_in_the_guide_is_sent_and_every_query_finds_its_dataset() {
    let records = failed_request();
    let queries: Vec<_> = GUIDE.split("```").skip(1).step_by(2).collect();
    assert_eq!(queries.len(), 6);
    for query in queries {
        let query = query.strip_prefix("kusto\n").unwrap();
        let (dataset, query) = query.split_once('\n').unwrap();
        let dataset = dataset.trim_start_matches("['").trim_end_matches("']");
        let fields = fields(query);
        assert!(fields.len() >= 3, "{fields:?}");
        for field in fields {
            let found = records
                .0
                .iter()
                .find(|record| record.get(&field).is_some() && record.dataset() == dataset);
            assert!(found.is_some(), "{field:?} in {query}");
        }
    }
}

#[test]
fn what_the_guide_compares_with_is_what_is_sent() {
    let records = failed_request();
    let (request, failed) = (records.span("request"), records.event("payment failed"));
    for (record, field, value) in [
        (request, "kind", Value::from("server")),
        (request, "error", true.into()),
        (
            request,
            "trace_id",
            "5a0f8e3c21d94b7786a1c0de5eed1234".into(),
        ),
        (request, "attributes.order", 4711.into()),
        (
            failed,
            "trace_id",
            "5a0f8e3c21d94b7786a1c0de5eed1234".into(),
        ),
        (failed, "level", "error".into()),
    ] {
        assert_eq!(record.get(field), Some(&value), "{field}");
    }
    assert!(request.get("links").is_some());
    assert_eq!(failed.get("span_id"), request.get("span_id"));
}
