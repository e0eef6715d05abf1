//! A [`tracing`] layer that delivers spans and events to [Axiom](https://axiom.co).
//!
//! ```no_run
//! use tracing_subscriber::filter::LevelFilter;
//! use tracing_subscriber::prelude::*;
//!
//! // AXIOM_TOKEN, AXIOM_DATASET, … unless set here
//! let (axiom, guard) = axiom_layer::builder().service_name("checkout").build()?;
//! tracing_subscriber::registry()
//!     .with(axiom.with_filter(LevelFilter::INFO))
//!     .init();
//!
//! tracing::info!(order = 4711, "order placed");
//!
//! // Delivers what is left, within the shutdown timeout.
//! drop(guard);
//! # Ok::<(), axiom_layer::BuildError>(())
//! ```
//!
//! Existing instrumentation needs no change. The layer composes like any other: with filters, boxed, in an
//! `Option`, behind `reload`, or twice in one registry. It has no filter of its own: without one, everything down to
//! TRACE is sent, what dependencies record included. [`init()`] is the one line for a program that wants
//! nothing else.
//!
//! # What is promised
//!
//! **Latency.** A record is encoded on the calling thread into the bytes that Axiom parses and copied into a
//! queue. The call does no I/O, waits for nothing (unless [`Overflow::Block`] asks for it), and does not panic, whatever a
//! `Debug` does. Once warm, neither an event nor a span allocates beyond what the registry does.
//!
//! It takes no lock that another thread may hold, with one exception: the fields, links and error text of a span are changed
//! by one thread at a time. So `record()`, an ERROR event, and an event with
//! [`span_fields_on_events`](Builder::span_fields_on_events) or [`events_on_spans`](Builder::events_on_spans) may
//! meet another thread's in the same span. It is held for copying bytes, never while code of the application's runs; a thread that
//! does not get it within some milliseconds goes on without, and the record says so in `incomplete`.
//!
//! Other layers do not matter: nothing is kept in the registry's extensions, which they lock and may leave poisoned.
//!
//! **Loss.** At any quiet moment, exactly: `recorded = delivered + dropped (by reason) + pending`; see [`Stats`].
//! What can not be delivered yet waits in memory, at most [`queue_max_bytes`](Builder::queue_max_bytes) of it; what does not
//! fit is dropped as [`Overflow`] says, and counted. A request whose answer was lost is sent again, so
//! in rare cases a record arrives twice: Axiom's ingest knows no request id.
//!
//! **Order.** Records of one thread are sent about in their order, but batches travel side by side: `_time` is what orders.
//!
//! **Memory.** The queue's budget, and less than 8 MiB for what is under way, answers included; with two datasets and without compression up
//! to 11 MiB, and more if [`batch_max_bytes`](Builder::batch_max_bytes) is raised.
//!
//! **Threads.** One, named `axiom-layer`, with a runtime of its own (and short-lived ones, for name resolution and to
//! tell of records after the guard). Nothing runs
//! on the application's runtime, and what the HTTP client logs on these threads is never ingested. Nor does it reach the
//! other layers, unless this layer has a filter to itself (`with_filter`): then a console at DEBUG shows some lines for
//! each request. To hide them there, filter the targets `hyper_util`, `h2`, `reqwest` and `rustls`, as in
//! `RUST_LOG=debug,hyper_util=info,h2=info,reqwest=info,rustls=info`.
//!
//! # Where there is no token
//!
//! [`if_token_present`](Builder::if_token_present) makes the same program run in tests and on laptops: without a token the layer does nothing
//! and says once how to enable it. [`init()`] does so by itself. `OTEL_SDK_DISABLED=true` switches the layer off whatever is set.
//!
//! # Shutdown
//!
//! Dropping the [`Guard`] delivers what was recorded, from any thread, inside or outside any runtime, within
//! [`shutdown_timeout`](Builder::shutdown_timeout). [`Guard::flush`] and [`Guard::shutdown`] return the ledger as a receipt.
//! [`exit_hooks`](Builder::exit_hooks) cover a forgotten guard, `process::exit`, SIGTERM, SIGINT, and panics and
//! other failures that abort. `kill -9` loses what is in memory.
//!
//! # When records do not arrive
//!
//! The layer says so on standard error, or to [`on_diagnostic`](Builder::on_diagnostic), with the fix. [`doctor()`] finds out
//! before there is a record: it checks the settings, name, connection, TLS, token, dataset and clock, and returns one
//! [`Diagnosis`](doctor::Diagnosis).
//!
//! # Traces
//!
//! Spans get random 128-bit trace ids and 64-bit span ids. [`SpanExt`] continues a caller's trace, reads the context to send
//! to others ([`TraceContext`]) and adds links. The fields `otel.name`, `otel.kind`, `otel.status_code` and
//! `otel.status_description` mean what they mean to `tracing-opentelemetry`. A span that was ever entered ends when it was left
//! last, as there: a task or a handle that outlives the work does not make it longer. [`SpanExt::end`] says when it ends
//! otherwise, and [`SpanExt::set_attribute`] adds what its callsite did not declare. An ERROR event marks its span, and so
//! do a panic and an error among the span's fields that is recorded as one, `&dyn Error`; one that is recorded by `%` or `?` is
//! mere text.
//!
//! # Panics
//!
//! With [`panics`](Builder::panics), which [`init()`] sets, a panic is a record of its own: an ERROR event with its message and
//! place, in the span that the thread is in.
//!
//! # Values
//!
//! Fields keep their types, and go into `attributes` unless [`field_placement`](Builder::field_placement) says otherwise.
//! NaN and infinities are null; bytes are hex; what is recorded by `%` or `?` is text; a `None` and a field that stays
//! `Empty` are absent. An `f32` reads with the digits of an `f64`, 0.10000000149011612 for 0.1, since tracing makes one of it.
//!
//! An integer is always a number, because a field of a dataset has one type. Axiom's integers have 64 bits with a sign. A larger one (a
//! `u64` from 2⁶³ on, too) is sent as the nearest float, and Axiom turns a field of integers into one of floats when the
//! first float arrives. A float has 53 bits, so the last digits of such a number are lost: 18446744073709551615
//! reads 18446744073709552000. Where every digit counts, as in hashes and ids, name the fields in
//! [`text_fields`](Builder::text_fields): their values are always text.
//!
//! ANSI escape sequences, by which terminals are told colours, are removed from messages and texts, unless
//! [`keep_ansi`](Builder::keep_ansi) is set.
//!
//! An error recorded as `&dyn Error` is its text and that of its causes, with OpenTelemetry's `exception.message`,
//! `exception.type` and, if it has causes, `exception.stacktrace` beside it. The type is the name of the struct or of the enum's
//! variant, read off a derived `Debug`. Where that tells none, as with the messages and contexts of `anyhow`, it is the type of
//! the first cause that has one, and `Error` if none has. An error whose `Debug` reads as its message does is taken for a
//! mere message.
//!
//! An event that the application named, as in `info!(name: "order.placed", …)`, has that name as `event.name`. The names that
//! macros make up for all other events, such as `event src/main.rs:12`, are not sent.
//!
//! A value is shortened to 256 KiB, and a record has at most 250 fields and 1,000,000 bytes. A record that lost something to a limit,
//! or to a `Debug` that panicked, has the field `incomplete`: how many of its values this befell.
//!
//! # Features
//!
//! - `init` (default): [`init()`], with `EnvFilter` and the console layer of `tracing-subscriber`, and its feature
//!   `tracing-log`: `init` methods of `tracing-subscriber` then take over the records of the `log` crate, too.
//! - `rustls` (default): TLS by rustls and the system's certificates.
//! - `native-tls`: TLS by the system's library. With both, rustls is used.
//! - `zstd` (default): bodies compressed with Zstandard; without it, gzip.
//!
//! Between services. Each of these features is off by default and then adds nothing, neither code nor dependencies:
//!
//! - `http`: the trace context in the headers of any client or server, `TraceContext::extract` and `inject`.
//! - `tower`: a span for each request that a tower service (axum, hyper, tonic) answers, `http::ServerLayer`, and for each that a tower
//!   client (tonic, hyper) sends, `http::ClientLayer`.
//! - `axum`: the same, which knows axum's routes.
//! - `reqwest-middleware`: a span for each request that a reqwest client sends, `http::ClientMiddleware`.

// Of library code only: examples, tests and benches may.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

mod config;
pub mod doctor;
mod frontend;
mod integration;
mod life;
mod process;
mod queue;
mod record;
mod report;
mod setup;
mod sync;
mod trace;
mod worker;

pub use crate::config::{Compression, Endpoint, Format, TagValue};
pub use crate::frontend::AxiomLayer;
pub use crate::integration::SpanExt;
#[cfg(feature = "http")]
pub use crate::integration::http;
pub use crate::life::Guard;
pub use crate::queue::Overflow;
pub use crate::record::FieldPlacement;
pub use crate::report::{BuildError, Cause, Diagnostic, DropReason, FlushError, Stats};
#[cfg(feature = "init")]
pub use crate::setup::init;
pub use crate::setup::{Builder, builder, doctor};
pub use crate::trace::TraceContext;

/// Makes the examples of the README doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
