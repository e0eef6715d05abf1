//! The program that both sides run.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::field::Empty;
use tracing::{Instrument, Span, error, info, info_span, instrument, warn};

#[derive(Debug)]
struct SoldOut(TimedOut);

#[derive(Debug)]
struct TimedOut;

impl fmt::Display for SoldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sold out")
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl Error for TimedOut {}

impl Error for SoldOut {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[instrument(err)]
fn reserve() -> Result<(), SoldOut> {
    Err(SoldOut(TimedOut))
}

#[instrument(name = "priced", ret)]
fn price(order: u64, customer: &str) -> i64 {
    19
}

/// What each side has a method of its own for.
pub(crate) trait Bridge {
    fn set_parent(&self, span: &Span, sampled: bool);
    fn add_link(&self, span: &Span);
}

/// Everything that instrumented code does. Each span has a name of its own.
pub(crate) fn program(bridge: &dyn Bridge) {
    let request = info_span!(
        "static name",
        otel.name = "GET /orders",
        otel.kind = "server",
        http.route = "/orders",
        http.response.status_code = Empty
    );
    bridge.set_parent(&request, true);
    let entered = request.clone().entered();
    structure(bridge);
    fields();
    outcomes();
    late(bridge);
    request.record("http.response.status_code", 500);
    drop(entered);

    let unsampled = info_span!(parent: None, "unsampled caller");
    bridge.set_parent(&unsampled, false);
}

fn structure(bridge: &dyn Bridge) {
    let query = info_span!("query", otel.kind = "CLIENT", db.system.name = "postgresql");
    query.in_scope(|| info_span!("decode").in_scope(|| info!("decoded")));
    drop(info_span!(parent: None, "independent"));
    drop(
        info_span!(parent: &query, "adopted", otel.kind = ?opentelemetry::trace::SpanKind::Producer),
    );
    let survivor =
        info_span!("outlived").in_scope(|| info_span!("survivor", otel.kind = "consumer"));
    survivor.in_scope(|| info!("still there"));

    let cause = info_span!("cause");
    let job = info_span!("job", otel.kind = "sideways");
    job.follows_from(&cause);
    bridge.add_link(&job);

    let task = async {
        tokio::task::yield_now().await;
        drop(info_span!("in task"));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(task.instrument(info_span!("task")));
}

fn fields() {
    drop(info_span!(
        "values",
        int = -7,
        unsigned = 7_u64,
        small = 7_u128,
        wide = u128::MAX,
        float = 0.5,
        yes = true,
        text = "a \"b\"",
        bytes = &[0_u8, 255, 16][..],
        shown = %"shown",
        debugged = ?Some("x"),
        none = None::<i64>,
        never = Empty,
    ));
    let repeated = info_span!("repeated", a = 1, a = 2, b = Empty);
    repeated.in_scope(|| repeated.record("b", "x").record("b", "y").record("a", 3));
    price(7, "Ada");
}

fn outcomes() {
    drop(info_span!("ok", otel.status_code = "OK"));
    drop(info_span!("failed", otel.status_code = "error"));
    drop(info_span!(
        "described",
        otel.status_description = "no stock"
    ));
    drop(info_span!("unknown", otel.status_code = "fine"));
    drop(info_span!(
        "ok described",
        otel.status_code = "ok",
        otel.status_description = "done"
    ));
    let mended = info_span!("mended", otel.status_code = "ERROR").entered();
    mended.record("otel.status_code", "OK");
    drop(mended);
    let taken_back = info_span!("taken back", otel.status_code = "OK").entered();
    taken_back.record("otel.status_code", "ERROR");
    drop(taken_back);

    let sold_out = SoldOut(TimedOut);
    let failure = &sold_out as &(dyn Error + 'static);
    drop(info_span!("failing field", error = failure));
    info_span!("failing event").in_scope(|| error!(error = failure, "order failed"));
    info_span!("error event").in_scope(|| error!("no answer"));
    info_span!("error event in ok", otel.status_code = "OK").in_scope(|| error!("no answer"));
    info_span!("warned").in_scope(|| warn!(error = "slow"));
    reserve().unwrap_err();
    let panics = || info_span!("panicked").in_scope(|| panic!("on purpose"));
    catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
}

fn late(bridge: &dyn Bridge) {
    let named = info_span!("named early", otel.name = Empty).entered();
    named.record("otel.name", "named late");
    drop(named);
    let kind = info_span!("kind told inside", otel.kind = Empty).entered();
    kind.record("otel.kind", "client");
    drop(kind);
    let outside = info_span!(parent: None, "parent set before");
    bridge.set_parent(&outside, true);
    let inside = info_span!(parent: None, "parent set inside").entered();
    bridge.set_parent(&inside, true);
}
