//! A panic is a record. Each program is a process of its own: a panic hook belongs to all of it, and some end in an abort.

#[path = "common/child.rs"]
mod child;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Output;
use std::time::Duration;

use axiom_layer::{Builder, Guard};
use axiom_local::{Event, Fault, Server};
use serde_json::{Value, json};
use tracing::{Instrument, info, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

const TOKEN: &str = "xaat-00c0ffee-5ec2-e755-ec2e-755ec2e755ec";

fn builder() -> Builder {
    axiom_layer::builder().panics(true).exit_hooks(true)
}

fn start(builder: Builder) -> Guard {
    let (layer, guard) = builder.build().unwrap();
    registry().with(layer).init();
    guard
}

fn caught(panics: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("while formatting")
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("while dropping");
    }
}

extern "C" fn may_not_unwind() {
    panic!("on purpose");
}

/// Not inlined, to be seen in a backtrace.
#[inline(never)]
fn named_in_the_backtrace() {
    panic!("on purpose");
}

fn program(role: &str) {
    std::panic::set_hook(Box::new(|_| eprintln!("the hook before ours")));
    let guard = start(builder());
    match role {
        "in spans" => {
            caught(|| {
                let _outer = info_span!("outer").entered();
                let _inner = info_span!("inner").entered();
                let number = 7;
                panic!("broken {number}");
            });
            caught(|| {
                let _span = info_span!("later").entered();
                // No hook runs for a panic that is only resumed.
                std::panic::resume_unwind(Box::new("resumed"));
            });
            info!("it goes on");
        }
        "task" => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .unwrap();
            let task = async { panic!("in a task") }.instrument(info_span!("task"));
            let ended: Result<(), _> = runtime.block_on(runtime.spawn(task));
            assert!(ended.unwrap_err().is_panic());
        }
        "thread" => {
            let thread = std::thread::Builder::new().name("brewer".into());
            let thread = thread.spawn(|| std::panic::panic_any(42)).unwrap();
            assert!(thread.join().is_err());
        }
        "debug" => {
            let _span = info_span!("span").entered();
            let value = std::mem::ManuallyDrop::new(Panics);
            info!(value = ?*value, "with a value that panics");
        }
        "unheard" => {
            caught(|| {
                let _outer = info_span!("outer").entered();
                info_span!("inner").in_scope(|| caught(|| panic!("in inner")));
                std::panic::resume_unwind(Box::new("resumed"));
            });
            caught(|| {
                let _only = info_span!("only").entered();
                caught(|| panic!("caught"));
                info!("and told");
                std::panic::resume_unwind(Box::new("resumed"));
            });
        }
        "destructors" => {
            struct Catches;
            impl Drop for Catches {
                fn drop(&mut self) {
                    caught(|| panic!("caught in a destructor"));
                }
            }
            struct Formats;
            impl Drop for Formats {
                fn drop(&mut self) {
                    let value = std::mem::ManuallyDrop::new(Panics);
                    info!(value = ?*value, "while unwinding");
                }
            }
            caught(|| {
                let _outer = info_span!("outer").entered();
                let _middle = info_span!("middle").entered();
                let _catches = Catches;
                panic!("unwinds");
            });
            caught(|| {
                let _outer = info_span!("outer of formats").entered();
                let _middle = info_span!("middle of formats").entered();
                let _formats = Formats;
                panic!("unwinds");
            });
        }
        "deep" => {
            /// Records itself as deep as values may be nested, and panics there.
            struct Deep(u32);
            impl fmt::Debug for Deep {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    match self.0 {
                        0 => panic!("deep"),
                        left => info!(value = ?Deep(left - 1), "level"),
                    }
                    f.write_str("value")
                }
            }
            info!(value = ?Deep(7), "level");
        }
        "backtrace" => caught(named_in_the_backtrace),
        "long" => caught(|| panic!("{}", "long ".repeat(100_000))),
        "main" => {
            let _span = info_span!("main").entered();
            panic!("the end");
        }
        "drop" => {
            let _panics = Panics;
            panic!("the end");
        }
        "extern" => may_not_unwind(),
        "ours" => {
            drop(guard);
            let (layer, guard) = builder()
                .on_diagnostic(|_| panic!("in a hook on the worker's thread"))
                .build()
                .unwrap();
            let dispatch = tracing::Dispatch::new(registry().with(layer));
            tracing::dispatcher::with_default(&dispatch, || info!("recorded"));
            guard.flush(Duration::from_secs(30)).unwrap();
            return drop(guard);
        }
        "scoped" => {
            drop(guard);
            return scoped();
        }
        other => panic!("no role {other}"),
    }
    drop(guard);
}

/// Two subscribers, one on each thread: each has its own panics.
fn scoped() {
    let guards = ["one", "two"].map(|dataset| {
        let (layer, guard) = builder().dataset(dataset).build().unwrap();
        let thread = std::thread::spawn(move || {
            tracing::subscriber::with_default(registry().with(layer), || {
                caught(|| panic!("on {dataset}"));
            });
        });
        (thread, guard)
    });
    for (thread, guard) in guards {
        thread.join().unwrap();
        drop(guard);
    }
}

/// The programs that the other tests run.
#[test]
fn programs() {
    if let Some(role) = child::role() {
        program(&role);
    }
}

struct Ran {
    server: Server,
    output: Output,
}

fn server() -> Server {
    Server::builder().token(TOKEN).start().unwrap()
}

fn run(role: &str, environment: &[(&str, &str)]) -> Ran {
    run_with(server(), role, environment)
}

fn run_with(server: Server, role: &str, environment: &[(&str, &str)]) -> Ran {
    let output = child::command("programs", role)
        .env("AXIOM_URL", server.url())
        .env("AXIOM_TOKEN", TOKEN)
        .env("AXIOM_DATASET", "main")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert_eq!(server.violations(), []);
    Ran { server, output }
}

impl Ran {
    fn ended_well(self) -> Self {
        child::succeeded(&self.output);
        self
    }

    /// The messages of all panics, in order.
    fn panics(&self) -> Vec<Event> {
        let mut panics = self.server.all_events();
        panics.retain(|event| event.get("target") == Some(&json!("panic")));
        panics.sort_by_key(|event| event.unix_nanos());
        panics
    }

    fn messages(&self) -> Vec<String> {
        let text = |event: &Event| event.get("message").unwrap().as_str().unwrap().to_owned();
        self.panics().iter().map(text).collect()
    }

    fn span(&self, name: &str) -> Event {
        let mut all = self.server.all_events();
        all.retain(|event| {
            event.get("name") == Some(&json!(name)) && event.get("duration").is_some()
        });
        assert_eq!(all.len(), 1, "{name}");
        all.remove(0)
    }
}

#[test]
fn a_panic_is_an_event_in_its_span_and_fails_all_that_it_unwinds_through() {
    let ran = run("in spans", &[]).ended_well();
    assert_eq!(ran.messages(), ["broken 7"]);
    let (panic, inner) = (ran.panics().remove(0), ran.span("inner"));
    for (field, value) in [
        ("level", json!("error")),
        ("attributes.exception.type", json!("panic")),
        ("attributes.exception.message", json!("broken 7")),
        ("code.file.path", json!("tests/panics.rs")),
        ("trace_id", inner.get("trace_id").unwrap().clone()),
        ("span_id", inner.get("span_id").unwrap().clone()),
    ] {
        assert_eq!(panic.get(field), Some(&value), "{field}");
    }
    assert!(
        panic
            .get("code.line.number")
            .and_then(Value::as_u64)
            .is_some()
    );
    assert!(panic.get("thread.name").is_some());
    assert_eq!(panic.get("attributes.exception.stacktrace"), None);
    for name in ["inner", "outer"] {
        let span = ran.span(name);
        assert_eq!(span.get("error"), Some(&json!(true)), "{name}");
        assert_eq!(
            span.get("status.message"),
            Some(&json!("broken 7")),
            "{name}"
        );
    }
    // A message that is of another panic would be worse than none.
    assert_eq!(
        ran.span("later").get("status.message"),
        Some(&json!("panicked"))
    );
    let (_, said) = child::succeeded(&ran.output);
    assert_eq!(said.matches("the hook before ours").count(), 1, "{said}");
}

#[test]
fn a_panic_that_nobody_heard_is_not_told_as_an_earlier_one() {
    let ran = run("unheard", &[]).ended_well();
    for (name, message) in [("inner", "in inner"), ("outer", "panicked")] {
        let span = ran.span(name);
        assert_eq!(span.get("status.message"), Some(&json!(message)), "{name}");
    }
    // It was in this span that the first one was.
    let only = ran.span("only");
    assert_eq!(only.get("status.message"), Some(&json!("caught")));
}

#[test]
fn a_panic_that_a_destructor_catches_is_not_told_as_the_one_that_unwinds() {
    let ran = run("destructors", &[]).ended_well();
    for (name, message) in [
        ("middle", "unwinds"),
        ("outer", "panicked"),
        ("middle of formats", "unwinds"),
        ("outer of formats", "unwinds"),
    ] {
        let span = ran.span(name);
        assert_eq!(span.get("status.message"), Some(&json!(message)), "{name}");
    }
}

#[test]
fn a_panic_is_told_however_deep_in_values_it_is() {
    let ran = run("deep", &[]).ended_well();
    assert_eq!(ran.messages(), ["deep"]);
    let levels = ran.server.all_events().len() - 1;
    assert_eq!(levels, 8);
}

#[test]
fn a_panic_in_a_task_is_in_the_tasks_span() {
    let ran = run("task", &[]).ended_well();
    assert_eq!(ran.messages(), ["in a task"]);
    let span = ran.span("task");
    assert_eq!(ran.panics()[0].get("span_id"), span.get("span_id"));
    assert_eq!(span.get("status.message"), Some(&json!("in a task")));
}

#[test]
fn a_panic_on_a_thread_without_a_span_says_which_thread() {
    let ran = run("thread", &[]).ended_well();
    let panic = ran.panics().remove(0);
    assert_eq!(panic.get("thread.name"), Some(&json!("brewer")));
    assert_eq!(
        panic.get("message"),
        Some(&json!("a panic whose payload is no text"))
    );
    assert_eq!(panic.get("span_id"), None);
}

#[test]
fn a_panic_while_a_field_is_formatted_is_told_and_spoils_its_own_value_only() {
    let ran = run("debug", &[]).ended_well();
    assert_eq!(ran.messages(), ["while formatting"]);
    let all = ran.server.all_events();
    let event = all
        .iter()
        .find(|event| event.get("message") == Some(&json!("with a value that panics")))
        .unwrap();
    let value = event.get("attributes.value").unwrap();
    assert_eq!(value, "<panicked while formatting>");
    assert_eq!(ran.panics()[0].get("span_id"), event.get("span_id"));
}

#[test]
fn a_backtrace_is_told_when_the_environment_asks_for_one() {
    let ran = run("backtrace", &[("RUST_BACKTRACE", "1")]).ended_well();
    let panic = ran.panics().remove(0);
    let trace = panic.get("attributes.exception.stacktrace").unwrap();
    let trace = trace.as_str().unwrap();
    assert!(trace.contains("named_in_the_backtrace"), "{trace}");
}

#[test]
fn a_long_message_is_shortened_and_marked() {
    let ran = run("long", &[]).ended_well();
    let panic = ran.panics().remove(0);
    let message = panic.get("message").unwrap().as_str().unwrap();
    assert!(message.ends_with('…') && message.len() <= 64 * 1024 + 3);
    assert_eq!(panic.get("incomplete"), Some(&json!(1)));
}

#[test]
fn a_panic_that_ends_the_process_is_delivered() {
    let ran = run("main", &[]);
    assert_eq!(ran.messages(), ["the end"]);
    assert_eq!(
        ran.span("main").get("status.message"),
        Some(&json!("the end"))
    );
}

#[cfg(unix)]
#[test]
fn panics_that_abort_are_delivered_with_the_exit_hooks() {
    use std::os::unix::process::ExitStatusExt;
    for (role, messages) in [
        (
            "drop",
            [
                "the end",
                "while dropping",
                "panic in a destructor during cleanup",
            ]
            .as_slice(),
        ),
        (
            "extern",
            ["on purpose", "panic in a function that cannot unwind"].as_slice(),
        ),
    ] {
        let ran = run(role, &[]);
        assert_eq!(ran.output.status.signal(), Some(6), "{role}");
        assert_eq!(ran.messages(), messages, "{role}");
    }
}

#[test]
fn a_panic_on_the_workers_thread_is_told_and_does_not_feed_itself() {
    // Some requests fail, so that there is something to say to the hook, more than once.
    let server = server();
    let faults = [500, 429, 502].map(|status| Some(Fault::status(status)));
    server.faults(faults);
    let ran = run_with(server, "ours", &[]).ended_well();
    assert_eq!(ran.messages(), ["in a hook on the worker's thread"]);
    let panic = ran.panics().remove(0);
    assert_eq!(panic.get("thread.name"), Some(&json!("axiom-layer")));
}

#[test]
fn a_panic_goes_to_the_subscriber_of_its_thread_alone() {
    let ran = run("scoped", &[]).ended_well();
    let mut seen: Vec<_> = ["one", "two"]
        .map(|dataset| {
            let events = ran.server.events(dataset);
            events
                .iter()
                .map(|event| event.get("message").unwrap().to_string())
                .collect::<Vec<_>>()
        })
        .into();
    seen.sort();
    assert_eq!(
        seen,
        [[json!("on one").to_string()], [json!("on two").to_string()]]
    );
}
