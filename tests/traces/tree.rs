//! Any tree of spans, however it came about, is reconstructed exactly from the records.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use proptest::prelude::*;
use proptest::sample::Index;
use tracing::field::Empty;
use tracing::span::{EnteredSpan, Id};
use tracing::{Instrument, Span, info, info_span};

use crate::*;

/// A value of a span's or an event's field.
#[derive(Debug, Clone)]
enum Field {
    Int(i64),
    Float(f64),
    Flag(bool),
    Text(String),
}

impl Field {
    /// Each type has a name of its own: in a dataset a field never changes its type.
    fn name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Flag(_) => "flag",
            Self::Text(_) => "text",
        }
    }

    fn record(&self, span: &Span) {
        match self {
            Self::Int(value) => span.record("int", value),
            Self::Float(value) => span.record("float", value),
            Self::Flag(value) => span.record("flag", value),
            Self::Text(value) => span.record("text", value.as_str()),
        };
    }

    fn json(&self) -> Value {
        match self {
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Flag(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
        }
    }
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        any::<i64>().prop_map(Field::Int),
        proptest::num::f64::NORMAL.prop_map(Field::Float),
        any::<bool>().prop_map(Field::Flag),
        any::<String>().prop_map(Field::Text),
    ]
}

/// What the records must say.
#[derive(Debug, Default)]
struct Expected {
    spans: Vec<ExpectedSpan>,
    /// The span of each event, which its message numbers.
    events: Vec<Option<usize>>,
}

#[derive(Debug)]
struct ExpectedSpan {
    parent: Option<usize>,
    fields: Map<String, Value>,
}

impl Expected {
    fn open(&mut self, parent: Option<usize>) -> usize {
        let number = self.spans.len();
        let fields = Map::from_iter([("number".to_owned(), number.into())]);
        self.spans.push(ExpectedSpan { parent, fields });
        number
    }

    fn record(&mut self, span: usize, field: &Field) {
        let fields = &mut self.spans[span].fields;
        fields.insert(field.name().to_owned(), field.json());
    }

    fn event(&mut self, span: Option<usize>) -> usize {
        self.events.push(span);
        self.events.len() - 1
    }

    fn root(&self, span: usize) -> usize {
        self.spans[span]
            .parent
            .map_or(span, |parent| self.root(parent))
    }

    fn check(&self, records: &Records) {
        assert_eq!(records.spans().count(), self.spans.len());
        assert_eq!(records.events().count(), self.events.len());
        let spans: HashMap<usize, &Event> = records
            .spans()
            .map(|span| (number(span, "attributes.number") as usize, span))
            .collect();
        let numbers: HashMap<&str, usize> = spans
            .iter()
            .map(|(number, span)| (text(span, "span_id"), *number))
            .collect();
        assert_eq!(numbers.len(), self.spans.len(), "ids are unique");
        let mut traces = HashMap::new();
        for (at, expected) in self.spans.iter().enumerate() {
            let span = spans[&at];
            assert_eq!(text(span, "name"), format!("span {at}"));
            let parent = span
                .get("parent_span_id")
                .map(|_| numbers[text(span, "parent_span_id")]);
            assert_eq!(parent, expected.parent, "parent of {at}");
            assert_eq!(attributes(span), expected.fields, "fields of {at}");
            let root = text(spans[&self.root(at)], "trace_id");
            assert_eq!(text(span, "trace_id"), root, "trace of {at}");
            if expected.parent.is_none() {
                assert_eq!(
                    traces.insert(root, at),
                    None,
                    "each root has a trace of its own"
                );
            }
        }
        for (at, expected) in self.events.iter().enumerate() {
            let event = records.event(&format!("event {at}"));
            let span = event
                .get("span_id")
                .map(|_| numbers[text(event, "span_id")]);
            assert_eq!(span, *expected, "span of event {at}");
            let trace = span
                .map(|span| text(spans[&span], "trace_id"))
                .unwrap_or_default();
            assert_eq!(text(event, "trace_id"), trace);
        }
    }
}

/// `Some(None)` makes it a root, `None` a child of the current span.
fn open(parent: Option<Option<Id>>, number: usize) -> Span {
    let name = format!("span {number}");
    macro_rules! open {
        ($($parent:tt)*) => {
            info_span!(
                $($parent)* "static",
                otel.name = name,
                number,
                int = Empty,
                float = Empty,
                flag = Empty,
                text = Empty
            )
        };
    }
    match parent {
        None => open!(),
        Some(parent) => open!(parent: parent,),
    }
}

// Threads: a script of operations, each on one of a few threads, in any order.

const THREADS: usize = 3;

#[derive(Debug, Clone)]
enum Parentage {
    Current,
    None,
    Of(Index),
}

#[derive(Debug, Clone)]
enum Operation {
    Open(Parentage),
    Enter(Index),
    /// Not only the innermost.
    Exit(Index),
    Event(Parentage),
    Record(Index, Field),
    /// Lets go of the handle; whoever is inside, and children, keep the span open.
    Close(Index),
}

fn operation() -> impl Strategy<Value = Operation> {
    let parentage = || {
        prop_oneof![
            4 => Just(Parentage::Current),
            1 => Just(Parentage::None),
            2 => any::<Index>().prop_map(Parentage::Of),
        ]
    };
    prop_oneof![
        4 => parentage().prop_map(Operation::Open),
        5 => any::<Index>().prop_map(Operation::Enter),
        3 => any::<Index>().prop_map(Operation::Exit),
        3 => parentage().prop_map(Operation::Event),
        2 => (any::<Index>(), field()).prop_map(|(span, field)| Operation::Record(span, field)),
        1 => any::<Index>().prop_map(Operation::Close),
    ]
}

/// An operation that is possible, with spans by number.
#[derive(Debug)]
enum Step {
    Open(Option<Option<usize>>, usize),
    Enter(usize),
    Exit(usize),
    Event(Option<Option<usize>>, usize),
    Record(usize, Field),
    Close(usize),
}

/// Plays the script in the mind: leaves out what is not possible, and notes what must come of it.
#[derive(Default)]
struct Plan {
    expected: Expected,
    handles: Vec<usize>,
    inside: [Vec<usize>; THREADS],
}

impl Plan {
    fn step(&mut self, thread: usize, operation: &Operation) -> Option<Step> {
        let pick = |index: &Index, from: &[usize]| (!from.is_empty()).then(|| *index.get(from));
        let parent = |parentage: &Parentage, handles: &[usize]| match parentage {
            Parentage::Current => Some(None),
            Parentage::None => Some(Some(None)),
            Parentage::Of(index) => Some(Some(Some(pick(index, handles)?))),
        };
        let current = self.inside[thread].last().copied();
        Some(match operation {
            Operation::Open(parentage) => {
                let given = parent(parentage, &self.handles)?;
                let span = self.expected.open(given.unwrap_or(current));
                self.handles.push(span);
                Step::Open(given, span)
            }
            Operation::Enter(index) => {
                let span = pick(index, &self.handles)?;
                // A span that a thread enters twice is current once only; what that means is tracing's affair.
                if self.inside[thread].contains(&span) {
                    return None;
                }
                self.inside[thread].push(span);
                Step::Enter(span)
            }
            Operation::Exit(index) => {
                let span = pick(index, &self.inside[thread])?;
                self.inside[thread].retain(|inside| *inside != span);
                Step::Exit(span)
            }
            Operation::Event(parentage) => {
                let given = parent(parentage, &self.handles)?;
                Step::Event(given, self.expected.event(given.unwrap_or(current)))
            }
            Operation::Record(index, field) => {
                let span = pick(index, &self.handles)?;
                self.expected.record(span, field);
                Step::Record(span, field.clone())
            }
            Operation::Close(index) => {
                let span = pick(index, &self.handles)?;
                self.handles.retain(|handle| *handle != span);
                Step::Close(span)
            }
        })
    }
}

type Handles = Mutex<HashMap<usize, Span>>;

/// One thread: takes steps one at a time, and says when each is done.
fn work(steps: Receiver<Step>, done: Sender<()>, handles: &Handles) {
    let mut inside: Vec<(usize, EnteredSpan)> = Vec::new();
    let handle = |span: usize| handles.lock().unwrap()[&span].clone();
    for step in steps {
        match step {
            Step::Open(given, number) => {
                // Held for as long as its id is in use.
                let parent = given.map(|parent| parent.map(handle));
                let id = parent
                    .as_ref()
                    .map(|parent| parent.as_ref().and_then(Span::id));
                let span = open(id, number);
                handles.lock().unwrap().insert(number, span);
            }
            Step::Enter(span) => inside.push((span, handle(span).entered())),
            Step::Exit(span) => inside.retain(|(inside, _)| *inside != span),
            Step::Event(None, number) => info!("event {number}"),
            Step::Event(Some(parent), number) => {
                info!(parent: parent.map(handle).as_ref().and_then(Span::id), "event {number}");
            }
            Step::Record(span, field) => field.record(&handle(span)),
            Step::Close(span) => {
                let span = handles.lock().unwrap().remove(&span);
                drop(span);
            }
        }
        done.send(()).unwrap();
    }
}

fn play(script: &[(usize, Operation)]) {
    let mut plan = Plan::default();
    let steps: Vec<_> = script
        .iter()
        .filter_map(|(thread, operation)| Some((*thread, plan.step(*thread, operation)?)))
        .collect();
    let records = record(|| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let handles = Handles::default();
        thread::scope(|scope| {
            let (done, all_done) = mpsc::channel();
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let (send, receive) = mpsc::channel();
                    let (done, dispatch, handles) = (done.clone(), &dispatch, &handles);
                    scope.spawn(move || {
                        tracing::dispatcher::with_default(dispatch, || {
                            work(receive, done, handles)
                        });
                    });
                    send
                })
                .collect();
            for (thread, step) in steps {
                workers[thread].send(step).unwrap();
                all_done.recv().unwrap();
            }
        });
    });
    plan.expected.check(&records);
}

// Tasks: a tree that runs itself, wherever the runtime likes.

#[derive(Debug, Clone)]
struct Task {
    /// Runs as a task of its own, else within its parent.
    spawned: bool,
    yields: u8,
    events: u8,
    fields: Vec<Field>,
    children: Vec<Task>,
}

fn task() -> impl Strategy<Value = Task> {
    let node = |children| {
        (
            any::<bool>(),
            0..3_u8,
            0..3_u8,
            prop::collection::vec(field(), 0..3),
            children,
        )
            .prop_map(|(spawned, yields, events, fields, children)| Task {
                spawned,
                yields,
                events,
                fields,
                children,
            })
    };
    node(Just(Vec::new()).boxed()).prop_recursive(4, 24, 4, move |inner| {
        node(prop::collection::vec(inner, 0..4).boxed())
    })
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task and the tree below it, in a span of its own.
fn start(task: Task, expected: &Arc<Mutex<Expected>>, parent: Option<usize>) -> Running {
    let number = expected.lock().unwrap().open(parent);
    let task = run(task, Arc::clone(expected), number);
    Box::pin(task.instrument(open(None, number)))
}

async fn run(task: Task, expected: Arc<Mutex<Expected>>, number: usize) {
    let event = || {
        let event = expected.lock().unwrap().event(Some(number));
        info!("event {event}");
    };
    for field in &task.fields {
        expected.lock().unwrap().record(number, field);
        field.record(&Span::current());
    }
    let mut spawned = Vec::new();
    for child in task.children {
        let is_spawned = child.spawned;
        let child = start(child, &expected, Some(number));
        if is_spawned {
            spawned.push(tokio::spawn(child));
        } else {
            child.await;
        }
        event();
    }
    for _ in 0..task.yields {
        tokio::task::yield_now().await;
        (0..task.events).for_each(|_| event());
    }
    // Those that are not waited for may outlive this span.
    for task in spawned.into_iter().step_by(2) {
        task.await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn spans_entered_and_closed_in_any_order_over_threads_are_reconstructed(
        script in prop::collection::vec((0..THREADS, operation()), 0..120)
    ) {
        play(&script);
    }

    #[test]
    fn spans_of_tasks_are_reconstructed(tasks in prop::collection::vec(task(), 1..4)) {
        let expected = Arc::new(Mutex::new(Expected::default()));
        let compose = |layer| Registry::default().with(no_tokio::filter()).with(layer).into();
        let records = record_under(|builder| builder, compose, || {
            // Not `with_subscriber` on the tasks: when a span closes, the registry lets go of its parent
            // through the thread's default, which a task that has ended no longer sets.
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(3)
                .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
                .build()
                .unwrap();
            let roots: Vec<_> = tasks
                .into_iter()
                .map(|task| runtime.spawn(start(task, &expected, None)))
                .collect();
            for root in roots {
                runtime.block_on(root).unwrap();
            }
            // Runs what was not waited for to its end, or drops it there: either way its spans close.
            drop(runtime);
        });
        expected.lock().unwrap().check(&records);
    }
}
