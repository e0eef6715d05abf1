//! Values of the `valuable` crate, where `tracing` hands them over.

use std::collections::BTreeMap;

use serde_json::json;
use tracing::field::valuable;
use tracing::{Level, event, info, info_span};
use valuable::Valuable;

use crate::*;

#[derive(Valuable)]
struct Order {
    id: u64,
    customer: Customer,
    items: Vec<Item>,
    notes: BTreeMap<String, f64>,
    state: State,
    paid: Option<bool>,
}

#[derive(Valuable)]
struct Customer(String);

#[derive(Valuable)]
struct Item {
    name: &'static str,
    size: (u8, char),
}

#[derive(Valuable)]
enum State {
    Open,
    Failed { code: i32 },
    Sent(u64),
}

fn order(state: State) -> Order {
    Order {
        id: u64::MAX,
        customer: Customer("Ada \"A\"".to_owned()),
        items: vec![
            Item {
                name: "teapot",
                size: (3, 'l'),
            },
            Item {
                name: "cup",
                size: (1, 's'),
            },
        ],
        notes: BTreeMap::from([("a.b".to_owned(), 0.5), ("nan".to_owned(), f64::NAN)]),
        state,
        paid: None,
    }
}

#[test]
fn a_nested_value_is_nested_json() {
    let failed = order(State::Failed { code: 7 });
    let (open, sent) = (State::Open, State::Sent(3));
    let records = record_with(
        |builder| builder.events_on_spans(true).span_fields_on_events(true),
        || {
            let span = info_span!(
                "span",
                order = valuable(&failed),
                open = valuable(&open),
                late = tracing::field::Empty
            );
            span.record("late", valuable(&sent));
            span.in_scope(|| info!(order = valuable(&failed), plain = valuable(&5_u8), "event"));
        },
    );
    let expected = json!({
        "id": u64::MAX as f64,
        "customer": "Ada \"A\"",
        "items": [{ "name": "teapot", "size": [3, "l"] }, { "name": "cup", "size": [1, "s"] }],
        "notes": { "a.b": 0.5, "nan": null },
        "state": { "Failed": { "code": 7 } },
        "paid": null,
    });
    assert_eq!(
        Value::from(attributes(records.span("span"))),
        json!({ "order": expected, "open": "Open", "late": { "Sent": 3 } })
    );
    assert_eq!(
        Value::from(attributes(records.event("event"))),
        json!({ "order": expected, "plain": 5, "open": "Open", "late": { "Sent": 3 } })
    );
}

#[derive(Valuable)]
struct Chain(Option<Box<Chain>>);

#[derive(Valuable)]
struct Link {
    next: Option<Box<Link>>,
}

#[test]
fn nested_values_are_bounded_and_say_so() {
    let large: Vec<String> = (0..1_000).map(|_| "x\"".repeat(1_000)).collect();
    let wide: BTreeMap<String, u32> = (0..300).map(|at| (format!("key {at:03}"), at)).collect();
    let mut chain = Chain(None);
    let mut link = Link { next: None };
    for _ in 0..100 {
        chain = Chain(Some(Box::new(chain)));
        link = Link {
            next: Some(Box::new(link)),
        };
    }
    let long_key = BTreeMap::from([("k".repeat(300), 1), ("short".to_owned(), 2)]);
    let records = record(|| {
        info!(large = valuable(&large), "large");
        info!(wide = valuable(&wide), after = 1, "wide");
        info!(chain = valuable(&chain), link = valuable(&link), "deep");
        info!(long = valuable(&long_key), "long key");
    });
    for message in ["large", "wide", "deep", "long key"] {
        assert!(
            number(records.event(message), "incomplete") > 0,
            "{message}"
        );
    }
    assert!(records.event("large").size() < 300_000);
    let large = records
        .event("large")
        .get("attributes.large")
        .unwrap()
        .as_array()
        .unwrap()
        .len();
    assert!(large > 50, "{large}");
    // Each member is a field of the dataset, of which a record may have 250.
    let wide = attributes(records.event("wide"));
    assert_eq!(wide["wide"].as_object().unwrap().len(), 250);
    assert_eq!(wide.get("after"), None);
    assert_eq!(
        records.event("long key").get("attributes.long"),
        Some(&json!({ "short": 2 }))
    );
}

#[test]
fn a_nested_value_that_panics_or_repeats_a_key_spoils_no_other() {
    struct Rude;
    impl Valuable for Rude {
        fn as_value(&self) -> valuable::Value<'_> {
            valuable::Value::Mappable(self)
        }
        fn visit(&self, visit: &mut dyn valuable::Visit) {
            visit.visit_entry("a".as_value(), 1.as_value());
            panic!("on purpose");
        }
    }
    impl valuable::Mappable for Rude {
        fn size_hint(&self) -> (usize, Option<usize>) {
            (0, None)
        }
    }
    struct Twice;
    impl Valuable for Twice {
        fn as_value(&self) -> valuable::Value<'_> {
            valuable::Value::Mappable(self)
        }
        fn visit(&self, visit: &mut dyn valuable::Visit) {
            visit.visit_entry(1_u8.as_value(), "first".as_value());
            visit.visit_entry("2".as_value(), true.as_value());
            visit.visit_entry("1".as_value(), "second".as_value());
        }
    }
    impl valuable::Mappable for Twice {
        fn size_hint(&self) -> (usize, Option<usize>) {
            (3, Some(3))
        }
    }
    let records = record(|| {
        info!(
            before = 1,
            rude = valuable(&Rude),
            twice = valuable(&Twice),
            after = 2,
            "event"
        );
        event!(Level::INFO, message = valuable(&State::Sent(1)));
    });
    assert_eq!(
        Value::from(attributes(records.event("event"))),
        json!({
            "before": 1,
            "rude": "<panicked while formatting>",
            "twice": { "1": "first", "2": true },
            "after": 2,
        })
    );
    assert_eq!(number(records.event("event"), "incomplete"), 2);
    // A message is text, whatever it is made of.
    assert_eq!(records.events().count(), 2);
    assert!(
        records
            .events()
            .all(|event| !text(event, "message").is_empty())
    );
}
