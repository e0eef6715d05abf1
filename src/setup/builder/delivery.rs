//! How records are delivered, and what is done when that fails or the program ends.

use std::sync::Arc;
use std::time::Duration;

use super::Builder;
use crate::config::{Compression, Format};
use crate::queue::Overflow;
use crate::report::{Diagnostic, Hook};

/// # How records are delivered
impl Builder {
    /// How a batch is written. Default [`Format::Ndjson`].
    pub fn format(mut self, format: Format) -> Self {
        self.settings.format = format;
        self
    }

    /// How a batch is compressed. Default [`Compression::Zstd`]; without the feature `zstd`, [`Compression::Gzip`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.settings.compression = compression;
        self
    }

    /// The address is that of a gateway which passes the records on to Axiom, such as Vector or Fluent Bit. Off by
    /// default; variable `AXIOM_GATEWAY` (`true` or `false`).
    ///
    /// Axiom answers how many records it took. A gateway answers with a status of success (200, 201, 202, 204), and with no body or one of
    /// its own, which then counts as a success for all of them; Axiom's own counts are believed where a gateway passes
    /// them on. Without this option such an answer is none: the records wait, one request is made in 30 seconds if there was no
    /// body, or after a backoff if there was another than Axiom's, and the diagnostics say once how to mend it.
    ///
    /// Tags and the resource then travel in the records ([`tags_in_records`](Self::tags_in_records)): a gateway does not pass
    /// on the header that they travel in otherwise. What becomes of a record behind the gateway, the layer does not learn;
    /// the ledger's `delivered` means taken by the gateway. `docs/gateways.md` has configurations for both.
    ///
    /// # Errors
    /// When the variable is neither `true` nor `false`.
    pub fn gateway(mut self, gateway: bool) -> Self {
        self.settings.gateway = Some(gateway);
        self
    }

    /// The bytes that records waiting for delivery may take; beyond, [`overflow`](Self::overflow) decides.
    /// Default 64 MiB.
    ///
    /// The queue consists of chunks of 64 KiB, made as they are needed and then kept; the number is
    /// rounded down to whole chunks. A record longer than a chunk takes several, the longest sixteen. With
    /// a [`traces_dataset`](Self::traces_dataset) events and spans have half of the bytes each.
    ///
    /// # Errors
    /// Below 2 MiB or above 1 GiB.
    pub fn queue_max_bytes(mut self, bytes: usize) -> Self {
        self.settings.limits.queue_max_bytes = bytes;
        self
    }

    /// What happens to a record when the queue is full. Default [`Overflow::DropNewest`]. Every record lost
    /// is counted.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.limits.overflow = overflow;
        self
    }

    /// The records of one request at most. Default 10,000, which is also Axiom's limit.
    ///
    /// # Errors
    /// 0, or above 10,000.
    pub fn batch_max_events(mut self, events: usize) -> Self {
        self.settings.limits.batch_max_events = events;
        self
    }

    /// The bytes of one request's body at most, before compression. Default 4 MiB.
    ///
    /// # Errors
    /// Below 64 KiB or above 16 MiB.
    pub fn batch_max_bytes(mut self, bytes: usize) -> Self {
        self.settings.limits.batch_max_bytes = bytes;
        self
    }

    /// How long a record may wait for its batch to fill before it is sent anyway. Default 1 s.
    ///
    /// # Errors
    /// Below 1 ms or above 1 h.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.settings.limits.flush_interval = interval;
        self
    }

    /// How long one request may take, from connecting to the end of the answer; then it counts as failed
    /// and is retried. Default 30 s. More than a year means a year.
    ///
    /// The next attempt uses another connection, for this one may be at fault. An HTTP/2 connection that gives no sign of life is
    /// left after three quarters of this time, at the latest after 20 s.
    ///
    /// # Errors
    /// Zero.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.request_timeout = timeout;
        self
    }

    /// How long one batch is retried before it is dropped and counted. Default: for as long as the program
    /// runs, while the queue bounds what waits behind it. More than a year means a year.
    ///
    /// # Errors
    /// Zero.
    pub fn retry_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.retry_timeout = Some(timeout);
        self
    }

    /// How long dropping the guard may take to deliver what is left. Default 5 s. More than a year means a
    /// year.
    ///
    /// It takes no longer than is of use. Where the endpoint refuses the token or the dataset, it ends at once. Where nothing
    /// listens, so that every connection is refused, it ends after a second: an endpoint that comes
    /// up within that second gets everything. The same holds for the [exit hooks](Self::exit_hooks).
    ///
    /// When half of it is over, requests without an answer are sent once more, on another connection. An endpoint that is merely slow
    /// may then store their records twice.
    ///
    /// # Errors
    /// Zero.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.shutdown_timeout = timeout;
        self
    }

    /// Delivers what was recorded when the process ends without dropping the guard. Off by default.
    ///
    /// On: when `main` returns or the program calls `process::exit`, with the guard forgotten or in a static;
    /// on SIGTERM and SIGINT; on a panic that ends the process (`panic = "abort"`); and on `abort()`, by which stack
    /// overflows and failed allocations end too. Each takes at most [`shutdown_timeout`](Self::shutdown_timeout),
    /// however many layers there are. A panic that unwinds only asks for delivery, at most once a
    /// second, and waits for nothing.
    ///
    /// The hooks stand beside the application's own. A panic hook that was set before runs first; one that is set
    /// later replaces ours, unless it calls the one before it. A signal that the application handles or ignores, be
    /// it from before or only later, is left to it: what it then leaves undelivered is delivered when it exits. A
    /// signal that nobody handles ends the process as ever, after delivery; the second one at once. So does SIGABRT,
    /// and a core dump shows the thread that aborted. As the first process of a container (PID 1), which no signal ends by
    /// default, it exits with 128 + the signal's number: 143 for SIGTERM, 130 for SIGINT, 134 for SIGABRT.
    ///
    /// All of this holds in a forked child too, from its first record on; before that, signals end it as ever.
    ///
    /// Not covered: `kill -9`, `_exit`, and signals such as SIGSEGV of memory that is not there; on Windows no signal
    /// and no `abort()`.
    pub fn exit_hooks(mut self, on: bool) -> Self {
        self.settings.exit_hooks = on;
        self
    }

    /// Hears of the layer's own trouble, such as a refused token or dropped records, instead of the line on
    /// stderr. Default: none.
    ///
    /// It is called on a thread of the layer's own, most often the one that delivers, which does not meanwhile: it must not wait.
    /// At the end of the process it may be called on the thread that ends it, and of a token that is not set
    /// ([`if_token_present`](Self::if_token_present)) it hears on the thread that builds the layer. What it records with `tracing` is not
    /// delivered by this layer.
    ///
    /// # Examples
    /// ```
    /// let builder = axiom_layer::builder().on_diagnostic(|diagnostic| eprintln!("axiom: {diagnostic}"));
    /// # let _: axiom_layer::Builder = builder;
    /// ```
    pub fn on_diagnostic(mut self, hook: impl Fn(&Diagnostic) + Send + Sync + 'static) -> Self {
        self.settings.on_diagnostic = Some(Hook(Arc::new(hook)));
        self
    }

    /// Whether the layer's own trouble is written to stderr, a line for each kind and not for each time,
    /// when there is no [`on_diagnostic`](Self::on_diagnostic). Default `true`.
    pub fn diagnostics(mut self, wanted: bool) -> Self {
        self.settings.diagnostics = wanted;
        self
    }
}
