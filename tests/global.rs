//! What only a global subscriber hears: a value that records while it is recorded, and a thread that records while it
//! ends. Below a scoped one `tracing` itself keeps them silent. So these tests share a global one, and take turns.

#[path = "common/mod.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod common;
#[path = "common/no_tokio.rs"]
mod no_tokio;

use std::cell::RefCell;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use axiom_layer::{DropReason, SpanExt, Stats};
use axiom_local::Event;
use serde_json::{Value, json};
use tracing::field::{Empty, debug};
use tracing::{Span, error, info, info_span};
use tracing_subscriber::prelude::*;

use common::{LONG, Run, attributes, text};

static RUN: OnceLock<Run> = OnceLock::new();

/// What one test recorded.
struct Turn {
    records: Vec<Event>,
    dropped: u64,
    stats: Stats,
}

impl Turn {
    fn take(record: impl FnOnce()) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn: MutexGuard<'_, ()> = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let run = RUN.get_or_init(|| {
            let (layer, run) = Run::start();
            tracing_subscriber::registry()
                .with(no_tokio::filter())
                .with(layer)
                .init();
            run
        });
        let (seen, dropped) = (run.server.all_events().len(), run.guard.stats().dropped());
        record();
        // A loss is told by the receipt, and asserted by the test.
        let stats = match run.guard.flush(LONG) {
            Ok(stats) => stats,
            Err(error) => error.stats().clone(),
        };
        assert_eq!(stats.recorded(), stats.delivered() + stats.dropped());
        assert_eq!(stats.delivered(), run.server.ingested());
        assert_eq!(run.server.violations(), []);
        Self {
            records: run.server.all_events().split_off(seen),
            dropped: stats.dropped() - dropped,
            stats,
        }
    }

    fn event(&self, message: &str) -> &Event {
        let event = |event: &&Event| text(event, "message") == message;
        self.records.iter().find(event).unwrap()
    }

    fn span(&self, name: &str) -> &Event {
        let span = |span: &&Event| text(span, "name") == name;
        self.records.iter().find(span).unwrap()
    }
}

/// Its `Debug` does this.
struct Doing<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Debug for Doing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

fn doing<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result>(act: F) -> Doing<F> {
    Doing(act)
}

#[test]
fn a_value_may_record_events_and_spans_while_it_is_formatted() {
    let turn = Turn::take(|| {
        let chatty = doing(|f| {
            let _span = info_span!("nested span", x = "y").entered();
            info!(inner = 1, "nested event");
            f.write_str("said")
        });
        info!(a = "first", ?chatty, z = "last", "chatty");
        drop(info_span!("chatty span", a = "first", ?chatty, z = "last"));
    });
    for outer in [turn.event("chatty"), turn.span("chatty span")] {
        assert_eq!(
            Value::from(attributes(outer)),
            json!({ "a": "first", "chatty": "said", "z": "last" })
        );
    }
    let nested = turn.event("nested event");
    assert_eq!(Value::from(attributes(nested)), json!({ "inner": 1 }));
    let span = turn.span("nested span");
    assert_eq!(text(nested, "span_id"), text(span, "span_id"));
    assert_eq!((turn.records.len(), turn.dropped), (6, 0));
}

#[test]
fn a_value_that_records_itself_without_end_is_stopped_and_counted() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            info!(again = ?Endless, "deeper");
            f.write_str("endless")
        }
    }
    let turn = Turn::take(|| {
        info!(top = ?Endless, "top");
        info!("after");
    });
    assert_eq!(turn.dropped, 1);
    assert!(turn.stats.dropped_for(DropReason::Recursion) > 0);
    assert_eq!(attributes(turn.event("top"))["top"], "endless");
    assert_eq!(turn.event("after").get("attributes"), None);
}

#[test]
fn a_span_whose_values_are_nested_too_deep_ships_marked() {
    /// Handles that live until the nesting is over.
    struct Deep<'a>(u64, &'a RefCell<Vec<Span>>);
    impl fmt::Debug for Deep<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            if self.0 > 0 {
                let span = info_span!("deep", depth = self.0, next = ?Deep(self.0 - 1, self.1));
                self.1.borrow_mut().push(span);
            } else if let Some(outermost) = self.1.borrow().first() {
                outermost.record("late", 1);
            }
            f.write_str("deep")
        }
    }
    let turn = Turn::take(|| {
        let spans = RefCell::new(vec![info_span!("outermost", late = Empty)]);
        let first = info_span!("deep", depth = 20, next = ?Deep(20, &spans));
        drop(first);
        drop(spans);
    });
    assert_eq!(turn.dropped, 0);
    let is_marked = |span: &Event| span.get("incomplete").is_some();
    let (bare, whole): (Vec<_>, Vec<_>) = turn
        .records
        .iter()
        .filter(|span| text(span, "name") == "deep")
        .partition(|span| attributes(span).is_empty());
    assert_eq!((bare.len(), whole.len()), (1, 8));
    assert!(is_marked(bare[0]) && !whole.into_iter().any(is_marked));
}

#[test]
fn values_recorded_later_but_nested_too_deep_leave_a_mark() {
    struct Deep<'a>(u32, &'a Span);
    impl fmt::Debug for Deep<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            if self.0 > 0 {
                self.1.record("value", debug(Deep(self.0 - 1, self.1)));
            }
            write!(f, "{}", self.0)
        }
    }
    let turn = Turn::take(|| {
        let span = info_span!("late", value = Empty);
        span.record("value", debug(Deep(20, &span)));
    });
    let span = turn.span("late");
    assert_eq!(attributes(span)["value"], "20");
    assert!(span.get("incomplete").is_some());
}

#[test]
fn a_thread_that_is_ending_can_still_record() {
    struct AtExit(Option<Span>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            info!(how = ?doing(|f| f.write_str("é")), "from a destructor");
            // Closes it. A new span would be a panic of the registry itself, by then.
            drop(self.0.take());
        }
    }
    thread_local! {
        static AT_EXIT: RefCell<AtExit> = const { RefCell::new(AtExit(None)) };
    }
    let turn = Turn::take(|| {
        for is_first in [true, false] {
            let thread = std::thread::spawn(move || {
                // Destructors run in an order that depends on which value was used first: both are tried.
                if is_first {
                    AT_EXIT.with_borrow(|_| ());
                }
                info!("warm");
                let span = info_span!("outlives");
                AT_EXIT.with_borrow_mut(|at_exit| at_exit.0 = Some(span));
            });
            thread.join().unwrap();
        }
    });
    let mut names: Vec<_> = turn
        .records
        .iter()
        .map(|record| text(record, "message").to_owned() + text(record, "name"))
        .collect();
    names.sort_unstable();
    let expected = ["from a destructor", "outlives", "warm"];
    let twice: Vec<_> = expected.iter().flat_map(|name| [*name; 2]).collect();
    assert_eq!(names, twice);
}

#[test]
fn a_value_may_use_the_very_span_that_it_is_recorded_on() {
    let turn = Turn::take(|| {
        let span = info_span!("self", a = Empty, b = Empty, c = 1);
        let meddles = doing(|f| {
            span.record("b", "from within");
            let _inside = span.enter();
            error!("inside");
            f.write_str("done")
        });
        span.record("a", debug(&meddles));
        span.in_scope(|| info!(x = ?meddles, "event"));
    });
    let span = turn.span("self");
    assert_eq!(
        Value::from(attributes(span)),
        json!({ "a": "done", "b": "from within", "c": 1 })
    );
    assert_eq!(text(span, "status.message"), "inside");
    assert_eq!(turn.records.len(), 4);
    for event in turn
        .records
        .iter()
        .filter(|record| record.get("level").is_some())
    {
        assert_eq!(text(event, "span_id"), text(span, "span_id"));
    }
}

#[test]
fn an_event_is_in_the_span_that_it_was_made_in_though_a_value_closes_it() {
    let turn = Turn::take(|| {
        let closed = info_span!("closed");
        let id = closed.id();
        let (last, next) = (RefCell::new(Some(closed)), RefCell::new(None));
        let closes = doing(|f| {
            drop(last.take());
            // Gets what was kept for the other.
            next.replace(Some(info_span!("next")));
            f.write_str("done")
        });
        error!(parent: id, ?closes, "event");
    });
    let (event, closed) = (turn.event("event"), turn.span("closed"));
    for id in ["trace_id", "span_id"] {
        assert_eq!(text(event, id), text(closed, id));
    }
    assert_eq!(turn.span("next").get("error"), Some(&json!(false)));
}

#[test]
fn a_span_ends_once_however_deep_in_values_that_is() {
    /// Does this below as many levels as values may be nested.
    struct Deep<'a>(u32, &'a dyn Fn());
    impl fmt::Debug for Deep<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0 {
                0 => (self.1)(),
                left => info!(value = ?Deep(left - 1, self.1), "level"),
            }
            f.write_str("deep")
        }
    }
    let turn = Turn::take(|| {
        let (told, ended) = (info_span!("told"), info_span!("ended"));
        ended.end();
        let closed = RefCell::new(vec![ended, info_span!("closed")]);
        info!(value = ?Deep(7, &|| { told.end(); closed.take(); }), "level");
        drop(told);
    });
    assert_eq!(turn.dropped, 0);
    assert_eq!(turn.records.len(), 8 + 3);
    for name in ["told", "ended", "closed"] {
        turn.span(name);
    }
}

#[test]
fn a_panic_hook_may_record_the_panic_of_a_value() {
    let turn = Turn::take(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(|panic| error!(%panic, "panicked")));
        let bad = doing(|_| panic!("on purpose"));
        info!(?bad, ok = 1, "bad");
        std::panic::set_hook(usual);
    });
    let panic = attributes(turn.event("panicked"));
    assert!(panic["panic"].as_str().unwrap().contains("on purpose"));
    assert_eq!(attributes(turn.event("bad"))["ok"], 1);
}

#[test]
fn threads_that_nest_records_do_not_disturb_each_other() {
    let turn = Turn::take(|| {
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                scope.spawn(move || {
                    for seq in 0..50_u64 {
                        let chatty = doing(|f| {
                            info!(thread, seq, "nested");
                            f.write_str("chatty")
                        });
                        info!(thread, seq, ?chatty, "outer");
                    }
                });
            }
        });
    });
    for message in ["nested", "outer"] {
        let mut seen: Vec<_> = turn
            .records
            .iter()
            .filter(|event| text(event, "message") == message)
            .map(|event| ["thread", "seq"].map(|name| attributes(event)[name].as_u64().unwrap()))
            .collect();
        seen.sort_unstable();
        let all: Vec<_> = (0..4)
            .flat_map(|thread| (0..50).map(move |seq| [thread, seq]))
            .collect();
        assert_eq!(seen, all, "{message}");
    }
}
