//! A panic as a record: one ERROR event, in the span that the thread is in.
//!
//! Runs in the panic hook. It goes to our layers alone and by their own door: through `tracing`, an event would reach layers
//! that are at work on this thread, and wait for themselves.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use tracing_core::callsite::Callsite;
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::{Interest, Level, Metadata, dispatcher, identify_callsite};
use tracing_subscriber::Registry;

use super::callsite::NAME_BYTES;
use super::current;
use super::home::address;
use super::scratch;
use super::thread;
use super::tracer::all as tracers;
use super::tracer::{Made, Tracer};
use super::visit::EXCEPTION_BYTES;
use crate::process::fence;
use crate::record::clock;
use crate::record::json::{self, Ansi};

/// With the fields of the spans around it and the labels, a line stays below 1,000,000 bytes.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Hundreds of frames: few programs have more.
const STACKTRACE_BYTES: usize = 128 * 1024;

struct PanicCallsite;

static CALLSITE: PanicCallsite = PanicCallsite;

/// Which target the code that panicked would have used is not known.
static METADATA: Metadata<'static> = Metadata::new(
    "panic",
    "panic",
    Level::ERROR,
    None,
    None,
    None,
    FieldSet::new(&[], identify_callsite!(&CALLSITE)),
    Kind::EVENT,
);

impl Callsite for PanicCallsite {
    /// Nobody registers it.
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}

/// Records the panic in every layer that wants it and lives where the thread records.
pub(crate) fn record(info: &PanicHookInfo<'_>) {
    let mut all = tracers::all();
    all.retain(|tracer| tracer.panics);
    if all.is_empty() {
        return;
    }
    let here =
        || dispatcher::get_default(|dispatch| dispatch.downcast_ref::<Registry>().map(address));
    // What is current on a thread of ours says nothing.
    match here().filter(|_| !fence::is_raised()) {
        Some(here) => {
            // One that does not know its registry may be in none yet.
            if all.iter().any(|tracer| tracer.home.is(here)) {
                all.retain(|tracer| tracer.home.is(here));
            } else {
                all.retain(|tracer| tracer.may_live_in(here));
            }
        }
        // No subscriber, or it is at work on this thread.
        None => {
            if all.iter().any(|tracer| tracer.current().is_some()) {
                all.retain(|tracer| tracer.current().is_some());
            }
        }
    }
    for tracer in all {
        let panic = Panic::new(info, tracer.callsites.of(&METADATA).ansi);
        current::set_panic(&panic.message);
        panic.put(&tracer);
    }
}

/// What is known of a panic, as JSON.
struct Panic {
    message: Vec<u8>,
    /// `,"code.file.path":…` and so on.
    place: Vec<u8>,
    /// `"exception.message":…,` and so on.
    exception: Vec<u8>,
    incomplete: u32,
}

impl Panic {
    fn new(info: &PanicHookInfo<'_>, ansi: Ansi) -> Self {
        let payload = info.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic whose payload is no text");
        let mut panic = Self {
            message: Vec::new(),
            place: Vec::new(),
            exception: Vec::new(),
            incomplete: 0,
        };
        if !json::put_text(&mut panic.message, text, MESSAGE_BYTES, ansi) {
            panic.incomplete += 1;
        }
        panic.put_place(info);
        panic.put_exception();
        panic
    }

    fn put_place(&mut self, info: &PanicHookInfo<'_>) {
        let out = &mut self.place;
        if let Some(location) = info.location() {
            out.extend_from_slice(b",\"code.file.path\":");
            json::put_str(out, location.file(), NAME_BYTES);
            out.extend_from_slice(b",\"code.line.number\":");
            json::put_u64(out, u64::from(location.line()));
        }
        thread::with_members(true, |members| out.extend_from_slice(members));
    }

    fn put_exception(&mut self) {
        let out = &mut self.exception;
        out.extend_from_slice(b"\"exception.message\":");
        json::put_shortened(out, &self.message, EXCEPTION_BYTES);
        out.extend_from_slice(b",\"exception.type\":\"panic\",");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            out.extend_from_slice(b"\"exception.stacktrace\":");
            match json::put_fmt(
                out,
                format_args!("{backtrace}"),
                STACKTRACE_BYTES,
                Ansi::Keep,
            ) {
                Ok(true) => {}
                Ok(false) | Err(_) => self.incomplete += 1,
            }
            out.push(b',');
        }
    }

    fn put(&self, tracer: &Tracer) {
        let around = tracer.current();
        // However deep a value's `Debug` is in others: nothing of the application's runs here.
        scratch::lend(|scratch| {
            let made = Made {
                time: clock::wall_clock(),
                callsite: tracer.callsites.of(&METADATA),
                around,
                fails_span: true,
            };
            let ids = around.map(|around| around.span.ids());
            tracer.begin_event(scratch, &made, ids.as_ref(), &self.place);
            let line = scratch.fields.begin_message();
            line.extend_from_slice(&self.message);
            scratch.fields.end_message();
            let (exception, _) = scratch.special.exception();
            exception.clone_from(&self.exception);
            tracer.put_event(scratch, made, self.incomplete);
        });
    }
}
