//! Any fields and any tree of spans arrive as they were recorded.

use std::collections::HashMap;

use axiom_local::{Event, Server};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use tracing::subscriber::with_default;
use tracing::{Span, info, info_span};
use tracing_subscriber::{prelude::*, registry};

use crate::common::{LONG, Run, attributes, number, text};
use crate::made::{self, doing};

/// A value and what it is to arrive as.
#[derive(Debug, Clone)]
enum Given {
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Bool(bool),
    Str(String),
    Debug(String),
    Bytes(Vec<u8>),
}

impl Given {
    fn value(&self) -> Box<dyn tracing::Value + '_> {
        match self {
            Self::I64(value) => Box::new(*value),
            Self::U64(value) => Box::new(*value),
            Self::I128(value) => Box::new(*value),
            Self::U128(value) => Box::new(*value),
            Self::F64(value) => Box::new(*value),
            Self::Bool(value) => Box::new(*value),
            Self::Str(text) => Box::new(text.as_str()),
            // In pieces, as formatting comes.
            Self::Debug(text) => Box::new(tracing::field::debug(doing(move |f| {
                text.chars().try_for_each(|char| write!(f, "{char}"))
            }))),
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
        }
    }

    fn expected(&self) -> Value {
        match self {
            Self::I64(value) => json!(value),
            Self::U64(value) => integer(i128::from(*value)),
            Self::I128(value) => integer(*value),
            Self::U128(value) => match i128::try_from(*value) {
                Ok(value) => integer(value),
                Err(_) => json!(*value as f64),
            },
            Self::F64(value) => json!(value),
            Self::Bool(value) => json!(value),
            Self::Str(text) | Self::Debug(text) => json!(text),
            Self::Bytes(bytes) => {
                let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                json!(hex.concat())
            }
        }
    }
}

fn integer(value: i128) -> Value {
    match i64::try_from(value) {
        Ok(value) => json!(value),
        Err(_) => json!(value as f64),
    }
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        any::<i64>().prop_map(Given::I64),
        any::<u64>().prop_map(Given::U64),
        any::<i128>().prop_map(Given::I128),
        (0..9_i128).prop_map(Given::I128),
        any::<u128>().prop_map(Given::U128),
        (prop::num::f64::ANY).prop_map(Given::F64),
        any::<bool>().prop_map(Given::Bool),
        any::<String>().prop_map(Given::Str),
        "[\\PC\\x00-\\x1f\"\\\\{},:]{0,40}".prop_map(Given::Str),
        any::<String>().prop_map(Given::Debug),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Given::Bytes),
    ]
}

/// Names that meet often, names like a programmer's, and any text.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]", "[a-z_]{1,8}(\\.[a-z]{1,8})?", any::<String>()]
        .prop_filter("these have a meaning of their own", |name| {
            name != "message" && !name.starts_with("otel.") && !name.starts_with("r#")
        })
}

fn fields(count: usize) -> impl Strategy<Value = Vec<(String, Given)>> {
    prop::collection::vec((name(), given()), 0..count)
}

fn values(fields: &[(String, Given)]) -> Vec<(String, Box<dyn tracing::Value + '_>)> {
    fields
        .iter()
        .map(|(name, given)| (name.clone(), given.value()))
        .collect()
}

/// Of a name that is given twice, the last value counts.
fn expected(fields: &[(String, Given)]) -> Map<String, Value> {
    fields
        .iter()
        .map(|(name, given)| (name.clone(), given.expected()))
        .collect()
}

/// One layer and one server for all cases: after each, what arrived since.
fn check_all<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value, &dyn Fn(&mut dyn FnMut()) -> Vec<Event>) -> Result<(), TestCaseError>,
) {
    // Types and spellings differ from case to case, so the attributes are a map field.
    let server = Server::builder().map_fields(["attributes"]);
    // An ESC in a text is part of it.
    let (layer, run) = Run::with(server, |builder| builder.keep_ansi(true));
    let subscriber = registry().with(layer);
    with_default(subscriber, || {
        let ship = |record: &mut dyn FnMut()| {
            let seen = run.server.ingested();
            record();
            run.guard.flush(LONG).unwrap();
            run.server.events_from(seen)
        };
        let config = Config {
            failure_persistence: None,
            ..Config::with_cases(cases)
        };
        TestRunner::new(config)
            .run(strategy, |case| check(case, &ship))
            .unwrap();
    });
    let records = run.finish();
    assert_eq!(records.stats.dropped() + records.stats.incomplete(), 0);
}

#[test]
fn any_fields_of_an_event_and_a_span_arrive_as_they_are() {
    check_all(96, &fields(40), |fields, ship| {
        let arrived = ship(&mut || {
            let values = values(&fields);
            made::event(&values);
            drop(made::span("any", &values));
        });
        prop_assert_eq!(arrived.len(), 2);
        for record in &arrived {
            prop_assert_eq!(attributes(record), expected(&fields));
        }
        Ok(())
    });
}

#[test]
fn any_values_recorded_later_are_added_or_replace_the_first() {
    let late = prop::collection::vec((0..70_usize, given()), 0..30);
    check_all(64, &(fields(70), late), |(fields, late), ship| {
        let mut all = fields.clone();
        let arrived = ship(&mut || {
            let span = made::span("late", &values(&fields));
            for (index, given) in &late {
                if let Some((name, _)) = fields.get(*index) {
                    span.record(name.as_str(), given.value());
                    all.push((name.clone(), given.clone()));
                }
            }
        });
        prop_assert_eq!(arrived.len(), 1);
        prop_assert_eq!(attributes(&arrived[0]), expected(&all));
        Ok(())
    });
}

#[test]
fn any_message_name_and_target_arrive_as_they_are() {
    let texts = (any::<String>(), "\\PC{1,40}", any::<String>());
    check_all(64, &texts, |(message, name, target), ship| {
        let arrived = ship(&mut || {
            info!("{message}");
            info!(message = message.as_str());
            drop(made::span_of(&name, &target));
        });
        prop_assert_eq!(arrived.len(), 3);
        prop_assert_eq!(text(&arrived[0], "message"), &message);
        prop_assert_eq!(text(&arrived[1], "message"), &message);
        prop_assert_eq!(text(&arrived[2], "name"), &name);
        prop_assert_eq!(text(&arrived[2], "scope.name"), &target);
        Ok(())
    });
}

/// What a program does with its spans; indices are taken modulo the spans there are.
#[derive(Debug, Clone)]
enum Act {
    Open,
    OpenBelow(usize),
    OpenRoot,
    Enter(usize),
    Exit,
    Close(usize),
    Event,
    EventIn(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Open),
        1 => any::<usize>().prop_map(Act::OpenBelow),
        1 => Just(Act::OpenRoot),
        4 => any::<usize>().prop_map(Act::Enter),
        2 => Just(Act::Exit),
        2 => any::<usize>().prop_map(Act::Close),
        2 => Just(Act::Event),
        1 => any::<usize>().prop_map(Act::EventIn),
    ]
}

/// The parent of each span, and the span of each event, by their numbers.
#[derive(Debug, Default)]
struct Tree {
    parents: Vec<Option<usize>>,
    events: Vec<Option<usize>>,
}

fn perform(acts: &[Act]) -> Tree {
    let mut tree = Tree::default();
    let mut open: Vec<(usize, Span)> = Vec::new();
    let mut inside: Vec<(usize, tracing::span::EnteredSpan)> = Vec::new();
    for act in acts {
        let number = tree.parents.len();
        let current = inside.last().map(|(number, _)| *number);
        let chosen = |index: usize| (!open.is_empty()).then(|| index % open.len());
        match act {
            Act::Open => {
                open.push((number, info_span!("span", number)));
                tree.parents.push(current);
            }
            Act::OpenBelow(index) => {
                let Some(at) = chosen(*index) else { continue };
                let (parent, span) = &open[at];
                tree.parents.push(Some(*parent));
                open.push((number, info_span!(parent: span, "span", number)));
            }
            Act::OpenRoot => {
                open.push((number, info_span!(parent: None, "span", number)));
                tree.parents.push(None);
            }
            Act::Enter(index) => {
                let Some(at) = chosen(*index) else { continue };
                let (number, span) = &open[at];
                // The registry takes a span that is entered twice to be entered once.
                if inside.iter().all(|(other, _)| other != number) {
                    inside.push((*number, span.clone().entered()));
                }
            }
            Act::Exit => drop(inside.pop()),
            Act::Close(index) => {
                let Some(at) = chosen(*index) else { continue };
                drop(open.remove(at));
            }
            Act::Event => {
                info!(event = tree.events.len());
                tree.events.push(current);
            }
            Act::EventIn(index) => {
                let Some(at) = chosen(*index) else { continue };
                let (span_number, span) = &open[at];
                info!(parent: span, event = tree.events.len());
                tree.events.push(Some(*span_number));
            }
        }
    }
    // Innermost first, as scopes end.
    while inside.pop().is_some() {}
    tree
}

#[test]
fn any_tree_of_spans_is_the_tree_that_arrives() {
    let acts = prop::collection::vec(act(), 0..60);
    check_all(96, &acts, |acts, ship| {
        let mut tree = Tree::default();
        let arrived = ship(&mut || tree = perform(&acts));
        prop_assert_eq!(arrived.len(), tree.parents.len() + tree.events.len());
        let is_span = |record: &&Event| record.get("duration").is_some();
        let spans: HashMap<u64, &Event> = arrived
            .iter()
            .filter(is_span)
            .map(|span| (number(span, "attributes.number"), span))
            .collect();
        prop_assert_eq!(spans.len(), tree.parents.len());
        let ids = |number: usize| {
            let span = spans[&(number as u64)];
            (text(span, "span_id"), text(span, "trace_id"))
        };
        for (number, parent) in tree.parents.iter().enumerate() {
            let found = spans[&(number as u64)].get("parent_span_id");
            let expected = parent.map(|parent| json!(ids(parent).0));
            prop_assert_eq!(found, expected.as_ref());
            if let Some(parent) = parent {
                prop_assert_eq!(ids(number).1, ids(*parent).1);
            }
        }
        let roots = tree
            .parents
            .iter()
            .filter(|parent| parent.is_none())
            .count();
        let traces: std::collections::HashSet<_> =
            spans.values().map(|span| text(span, "trace_id")).collect();
        prop_assert_eq!(traces.len(), roots);
        for event in arrived.iter().filter(|record| !is_span(record)) {
            let index = usize::try_from(number(event, "attributes.event")).unwrap();
            let expected = tree.events[index].map(ids).unwrap_or(("", ""));
            prop_assert_eq!((text(event, "span_id"), text(event, "trace_id")), expected);
        }
        Ok(())
    });
}
