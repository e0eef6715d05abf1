//! A panic marks exactly the spans that it leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread;

use tracing::dispatcher::{get_default, set_default};
use tracing::{Instrument, Span, info_span};

use crate::*;

/// Runs `program` until it panics, and goes on.
fn survive(program: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(program)).unwrap_err();
}

#[track_caller]
fn assert_panicked(records: &Records, name: &str, panicked: bool) {
    let span = records.span(name);
    assert_eq!(span.get("error"), Some(&panicked.into()), "{name}");
    assert_eq!(
        text(span, "status.message"),
        if panicked { "panicked" } else { "" },
        "{name}"
    );
}

#[test]
fn the_spans_between_the_panic_and_where_it_is_caught_are_marked() {
    let records = record(|| {
        let _outer = info_span!("outer").entered();
        survive(|| {
            let _middle = info_span!("middle").entered();
            let _open = info_span!("open but not entered");
            info_span!("done before").in_scope(|| ());
            info_span!("inner").in_scope(|| panic!("on purpose"));
        });
        info_span!("after").in_scope(|| ());
    });
    for (name, panicked) in [
        ("outer", false),
        ("middle", true),
        ("open but not entered", false),
        ("done before", false),
        ("inner", true),
        ("after", false),
    ] {
        assert_panicked(&records, name, panicked);
    }
}

/// Enters a span when it is dropped.
struct Cleanup(Span);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _entered = self.0.enter();
    }
}

#[test]
fn a_span_entered_while_unwinding_is_not_marked() {
    let records = record(|| {
        survive(|| {
            let _failing = info_span!("failing").entered();
            let _cleanup = Cleanup(info_span!("cleanup"));
            panic!("on purpose");
        });
    });
    assert_panicked(&records, "failing", true);
    assert_panicked(&records, "cleanup", false);
}

#[test]
fn a_span_that_is_entered_again_while_unwinding_inside_it_is_not_marked() {
    let records = record(|| {
        let kept = info_span!("kept");
        let _entered = kept.enter();
        survive(|| {
            let _cleanup = Cleanup(kept.clone());
            panic!("on purpose");
        });
    });
    assert_panicked(&records, "kept", false);
}

#[test]
fn a_panic_leaves_a_span_that_was_cleaned_up_in() {
    let records = record(|| {
        let span = info_span!("span");
        survive(|| {
            let _entered = span.enter();
            let _cleanup = Cleanup(span.clone());
            panic!("on purpose");
        });
    });
    assert_panicked(&records, "span", true);
}

#[test]
fn cleaning_up_on_one_thread_does_not_hide_or_feign_a_panic_on_another() {
    // Its drop waits inside the span until the other thread has left it.
    struct Slow(Span, Arc<Barrier>);
    impl Drop for Slow {
        fn drop(&mut self) {
            let _entered = self.0.enter();
            self.1.wait();
            self.1.wait();
        }
    }
    for panics in [false, true] {
        let records = record(|| {
            let span = info_span!("shared");
            let inside = Arc::new(Barrier::new(2));
            thread::scope(|scope| {
                let slow = Slow(span.clone(), Arc::clone(&inside));
                let below = get_default(Clone::clone);
                scope.spawn(move || {
                    let _below = set_default(&below);
                    survive(move || {
                        let _slow = slow;
                        panic!("on purpose");
                    });
                });
                inside.wait();
                let leave = || {
                    let _entered = span.enter();
                    assert!(!panics, "on purpose");
                };
                assert_eq!(catch_unwind(AssertUnwindSafe(leave)).is_err(), panics);
                inside.wait();
            });
        });
        assert_panicked(&records, "shared", panics);
    }
}

#[test]
fn a_task_that_panics_marks_its_span() {
    let records = record(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let task = async {
            let _other = info_span!("other");
            tokio::task::yield_now().await;
            panic!("on purpose")
        };
        let outcome: Result<(), _> = runtime.block_on(async {
            tokio::task::LocalSet::new()
                .run_until(async {
                    tokio::task::spawn_local(task.instrument(info_span!("task"))).await
                })
                .await
        });
        assert!(outcome.unwrap_err().is_panic());
    });
    assert_panicked(&records, "task", true);
    assert_panicked(&records, "other", false);
}
