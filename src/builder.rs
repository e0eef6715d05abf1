//! The options of the layer. Setters only note what they are given; `config` judges it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::{
    self, Compression, Config, Endpoint, Format, Label, Secret, Settings, TagValue,
};
use crate::diag::{Cause, Diag, Diagnostic, Hook, Sink};
use crate::doctor::{self, Diagnosis};
use crate::error::{BuildError, Origin};
use crate::frontend::{AxiomLayer, FieldPlacement};
use crate::guard::Guard;
use crate::pipeline;
use crate::queue::Overflow;

/// Starts to configure a layer: every option has a default or an environment variable.
///
/// # Examples
/// ```
/// let builder = axiom_layer::builder()
///     .dataset("shop-logs")
///     .service_name("checkout")
///     .tag("env", "prod");
/// # let _: axiom_layer::Builder = builder;
/// ```
pub fn builder() -> Builder {
    Builder::default()
}

/// Options of the layer.
///
/// Setters never fail and may be called in any order; a second call replaces the first. Everything is
/// checked when the layer is built, and the first problem found is a [`BuildError`] that names the
/// setting and what fixes it.
///
/// An option that has an environment variable is read from it unless its setter was called. An empty
/// variable counts as unset; one that is not UTF-8 is an error. An empty text given to a setter is an error. So are
/// quotes around a token, a dataset, an organization's id or an address: they would be taken as part of it.
///
/// | Setter | Variable |
/// |---|---|
/// | [`token`](Self::token) | `AXIOM_TOKEN` |
/// | [`token_file`](Self::token_file) | `AXIOM_TOKEN_FILE` |
/// | [`dataset`](Self::dataset) | `AXIOM_DATASET` |
/// | [`traces_dataset`](Self::traces_dataset) | `AXIOM_TRACES_DATASET` |
/// | [`org_id`](Self::org_id) | `AXIOM_ORG_ID` |
/// | [`edge_url`](Self::edge_url) | `AXIOM_EDGE_URL` |
/// | [`edge`](Self::edge) | `AXIOM_EDGE` |
/// | [`url`](Self::url) | `AXIOM_URL` |
/// | [`gateway`](Self::gateway) | `AXIOM_GATEWAY` |
/// | [`service_name`](Self::service_name) | `OTEL_SERVICE_NAME` |
/// | [`resource`](Self::resource) | `OTEL_RESOURCE_ATTRIBUTES` |
///
/// # Where records go
/// The first of these that is set decides: the edge URL, the edge domain, the URL, and else
/// `https://api.axiom.co`. When any of the three setters was called, none of the three variables is read.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until the layer is built"]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    /// The API token that records are sent with, from the Axiom console under Settings > API tokens. It
    /// needs to be allowed to ingest into the dataset and nothing else. No default; variable
    /// `AXIOM_TOKEN`.
    ///
    /// White space around it is ignored. [`token_file`](Self::token_file) reads it from a file. It appears in no `Debug`, error or diagnostic.
    ///
    /// # Errors
    /// When it is missing; when it holds anything but visible ASCII; when it is a personal token (`xapt-`)
    /// and there is no [`org_id`](Self::org_id) or the endpoint is an edge one, which takes none; when it is
    /// one of the early product (`xait-`) and the endpoint is not; when the host is Axiom's and it
    /// is none of these and no API token (`xaat-`). Other hosts may have tokens of any form.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// A file that holds the token and nothing else, as Docker and Kubernetes mount secrets. Default: none; variable
    /// `AXIOM_TOKEN_FILE`.
    ///
    /// The token is taken from the first of these that is set: [`token`](Self::token), `token_file`, `AXIOM_TOKEN`,
    /// `AXIOM_TOKEN_FILE`.
    ///
    /// The file is read when the layer is built, and again when the endpoint refuses the token (401, 403), at each
    /// later probe, and when the guard flushes or shuts down meanwhile. A token that was replaced is used at
    /// once, so that a rotated secret needs no restart.
    ///
    /// # Errors
    /// When there is no such file, or it can not be read, is no regular file, is empty, or holds anything but a token
    /// ([`token`](Self::token) says which are taken).
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.token_file = Some(path.into());
        self
    }

    /// Without a token, builds a layer that does nothing, instead of an error: the same program then runs in tests and
    /// on laptops. Off by default.
    ///
    /// It applies when there is no token at all: neither [`token`](Self::token) nor
    /// [`token_file`](Self::token_file) was called, and `AXIOM_TOKEN` and `AXIOM_TOKEN_FILE` are unset or empty. A token that is
    /// wrong and a file that is missing are errors as ever. The layer then records nothing, and no thread
    /// is started; the guard's ledger stays empty, and its flush and shutdown succeed at once. How to enable the layer
    /// is said once, on stderr or to the [hook](Self::on_diagnostic), with the cause
    /// [`NoToken`](crate::Cause::NoToken).
    ///
    /// # Errors
    /// When another setter was given something that can not be used. Variables are not looked at without a token.
    pub fn if_token_present(mut self) -> Self {
        self.settings.if_token_present = true;
        self
    }

    /// The dataset for events, and for spans unless [`traces_dataset`](Self::traces_dataset) is set. No
    /// default; variable `AXIOM_DATASET`.
    ///
    /// White space around it is ignored.
    ///
    /// # Errors
    /// When it is missing, unless the address alone decides where records go; when it is longer than 128
    /// characters, holds control characters, is `.` or `..`, or begins as a token does (`xaat-`).
    pub fn dataset(mut self, dataset: impl Into<String>) -> Self {
        self.settings.dataset = Some(dataset.into());
        self
    }

    /// Another dataset for spans: Axiom recommends to keep traces and logs apart. Default: the same as for
    /// events; variable `AXIOM_TRACES_DATASET`.
    ///
    /// Events and spans then have a queue each, of half of [`queue_max_bytes`](Self::queue_max_bytes).
    ///
    /// # Errors
    /// As for [`dataset`](Self::dataset), and when the address names no dataset
    /// ([`Endpoint::ApiIngest`], or an edge URL with a path) and so can not keep two apart.
    pub fn traces_dataset(mut self, dataset: impl Into<String>) -> Self {
        self.settings.traces_dataset = Some(dataset.into());
        self
    }

    /// The organization's id, which a personal token needs and an API token does not. Default: none is
    /// sent; variable `AXIOM_ORG_ID`.
    ///
    /// # Errors
    /// When it holds anything but visible ASCII.
    pub fn org_id(mut self, org_id: impl Into<String>) -> Self {
        self.settings.org_id = Some(org_id.into());
        self
    }

    /// The base URL of the API; the path of the [`endpoint`](Self::endpoint), by default
    /// [`Endpoint::Datasets`], is appended to its own. Default `https://api.axiom.co`; variable `AXIOM_URL`.
    ///
    /// # Errors
    /// When it is no `https` URL, or no `http` URL of this machine (`localhost`, `127.0.0.0/8`, `[::1]`;
    /// see [`allow_plain_http`](Self::allow_plain_http)); when it has a user name, a password, a query
    /// or a fragment.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.settings.address.url = Some(url.into());
        self
    }

    /// The domain of the edge deployment that holds the datasets, such as
    /// `eu-central-1.aws.edge.axiom.co`, always by `https`. The endpoint is by default [`Endpoint::Edge`]. No default;
    /// variable `AXIOM_EDGE`.
    ///
    /// # Errors
    /// When it is more than a domain and a port: a whole URL goes to [`edge_url`](Self::edge_url).
    pub fn edge(mut self, domain: impl Into<String>) -> Self {
        self.settings.address.edge = Some(domain.into());
        self
    }

    /// The URL of an edge deployment. Without a path, that of the [`endpoint`](Self::endpoint), by default
    /// [`Endpoint::Edge`], is appended. With a path it is used exactly as it is: no dataset is added, so
    /// that [`dataset`](Self::dataset) is optional. No default; variable `AXIOM_EDGE_URL`.
    ///
    /// # Errors
    /// As for [`url`](Self::url), though with a path there may be a query; and when there is a path and
    /// [`endpoint`](Self::endpoint) is set too.
    pub fn edge_url(mut self, url: impl Into<String>) -> Self {
        self.settings.address.edge_url = Some(url.into());
        self
    }

    /// The form of the address, when it is not the one that follows from the URL that is set.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.settings.address.endpoint = Some(endpoint);
        self
    }

    /// Whether the token may be sent unencrypted to another machine: only where the network in between is
    /// trusted. Default `false`; to this machine `http` is always allowed.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.settings.address.allow_plain_http = allow;
        self
    }

    /// The address is that of a gateway which passes the records on to Axiom, such as Vector or Fluent Bit. Off by
    /// default; variable `AXIOM_GATEWAY` (`true` or `false`).
    ///
    /// Axiom answers how many records it took. A gateway answers with a status and no body (200, 201, 202, 204), which then
    /// counts as a success for all of them. Without this option such an answer is a refusal: the records wait, one
    /// request is made in 30 seconds, and the diagnostics say once how to mend it.
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

    /// The service's name, sent as `service.name`. Default: the variable `OTEL_SERVICE_NAME`, else
    /// `service.name` in `OTEL_RESOURCE_ATTRIBUTES`, else `unknown_service:` and the name of the program.
    ///
    /// # Errors
    /// When it is empty.
    pub fn service_name(self, name: impl Into<String>) -> Self {
        self.attribute("service_name", "service.name", name.into().into())
    }

    /// The service's version, sent as `service.version`. Default: none, or what
    /// `OTEL_RESOURCE_ATTRIBUTES` says.
    pub fn service_version(self, version: impl Into<String>) -> Self {
        self.attribute("service_version", "service.version", version.into().into())
    }

    /// The deployment environment, such as `production`: OpenTelemetry's `deployment.environment.name`,
    /// sent as `resource.deployment.environment.name` (see [`resource`](Self::resource)). Default: none, or what
    /// `OTEL_RESOURCE_ATTRIBUTES` says.
    pub fn environment_name(self, name: impl Into<String>) -> Self {
        self.attribute(
            "environment_name",
            "deployment.environment.name",
            name.into().into(),
        )
    }

    /// An attribute of OpenTelemetry's resource: what produces the records, such as `k8s.pod.name`. Every
    /// record has it. Variable `OTEL_RESOURCE_ATTRIBUTES` (`key=value,key=value`,
    /// percent-encoded), of which an attribute that is also set here is overridden.
    ///
    /// By default records have, besides `service.name`, the attributes `service.instance.id` (a random UUID for each
    /// process), `host.name` (on Linux and Windows) and `process.pid`: of the process that built the layer, also in a child that
    /// was forked from it later. To set one of them replaces it. They are left out where they have no room: beside a tag or attribute
    /// that is a group of theirs, or where the tags and attributes that were set no longer fit into the header because of them
    /// (see [`tag`](Self::tag)).
    ///
    /// Fields are named as Axiom names them for OpenTelemetry's own exporters, so that a dataset can be
    /// shared with these: `service.name`, `service.version`, `service.namespace`,
    /// `service.instance.id` and `telemetry.*` as they are, anything else below `resource.`:
    /// `resource.host.name`, `resource.deployment.environment.name`.
    ///
    /// # Errors
    /// When the name is empty or its field longer than 200 bytes, a float is not finite, the variable is not
    /// of the form above, or tags and attributes together exceed 64 KiB of JSON.
    pub fn resource(self, name: impl AsRef<str>, value: impl Into<TagValue>) -> Self {
        self.attribute("resource", name.as_ref(), value.into())
    }

    fn attribute(mut self, setter: &'static str, name: &str, value: TagValue) -> Self {
        let label = Label::resource(Origin::setter(setter), name, value);
        self.settings.labels.push(label);
        self
    }

    /// A field of your own that every record has, at the top level and under this name. Default: none.
    ///
    /// The value is a text, an integer, a float or a boolean; see [`TagValue`] for what is shortened. Where
    /// a tag and a resource attribute would be the same field, the one that was set last is sent.
    ///
    /// Tags and resource travel once a request, in the header `X-Axiom-Event-Labels`, and are billed
    /// once. Beyond 4 KiB of JSON, or with [`tags_in_records`](Self::tags_in_records), they are in each record.
    ///
    /// # Errors
    /// When the name is empty, longer than 200 bytes or begins with `_`; when it is a field that records
    /// have already, such as `level` or `error`, or lies below one; when it is the group of another tag or
    /// attribute, as `a` is of `a.b`; when a float is not finite; when tags and attributes
    /// together exceed 64 KiB of JSON.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<TagValue>) -> Self {
        self.settings
            .labels
            .push(Label::tag(name.into(), value.into()));
        self
    }

    /// Whether tags and resource are written into each record rather than into a header: for an endpoint
    /// that does not know the header. They are then billed with each record. Default `false`.
    pub fn tags_in_records(mut self, in_records: bool) -> Self {
        self.settings.tags_in_records = in_records;
        self
    }

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

    /// How long nothing is sent after a refusal that somebody has to mend (401, 403, 404): 30 s. For tests, which can not wait as long.
    #[doc(hidden)]
    pub fn refused_pause(mut self, pause: Duration) -> Self {
        self.settings.limits.refused_pause = pause;
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

    /// Whether records say where in the source they come from, as `code.file.path` and
    /// `code.line.number`. Default `false`.
    pub fn source_location(mut self, wanted: bool) -> Self {
        self.settings.source_location = wanted;
        self
    }

    /// Whether events say which thread they come from, as `thread.name` and `thread.id`. Default `false`.
    pub fn thread_names(mut self, wanted: bool) -> Self {
        self.settings.thread_names = wanted;
        self
    }

    /// Where the fields of events and spans go: into the object `attributes`, by default.
    pub fn field_placement(mut self, placement: FieldPlacement) -> Self {
        self.settings.field_placement = placement;
        self
    }

    /// Fields whose values are always text, whatever their type, in events and in spans. Default: none.
    ///
    /// Name the fields that hold ids or hashes. An integer is sent as a number, and one that needs more than 64 bits with
    /// a sign, such as most `u64` hashes, as the nearest float, which has 53 bits: its last digits are lost. As text it keeps every
    /// digit. Decide before the first record is sent, because a field of a dataset has one type.
    ///
    /// Floats and booleans become text too: `"0.5"`, `"NaN"`, `"true"`. The names are compared as a whole. Members of nested
    /// values can not be named.
    ///
    /// # Examples
    /// ```
    /// let builder = axiom_layer::builder().text_fields(["hash", "user_id"]);
    /// # let _: axiom_layer::Builder = builder;
    /// ```
    pub fn text_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.text_fields = names.into_iter().map(Into::into).collect();
        self
    }

    /// Whether messages and text fields keep the escape sequences that colour a terminal. Default `false`: the
    /// sequences are removed, and the text between them stays.
    ///
    /// Removed are the sequences of ECMA-48: those that begin with `ESC [` (colours, the cursor) and with `ESC ]` (links, titles),
    /// and the shorter ones. A sequence that the text ends in is removed as well, and so is an `ESC` with which none
    /// begins. A string such as a title, which nobody ended, reaches to the end of its line. The forms that
    /// need no `ESC` (U+009B and others) are kept, because no terminal in use takes them from UTF-8 text.
    pub fn keep_ansi(mut self, keep: bool) -> Self {
        self.settings.keep_ansi = keep;
        self
    }

    /// Gives events the fields of the spans around them, too; of two with one name the nearest wins.
    ///
    /// Off by default: the fields are on the spans' own records, and `trace_id` leads there.
    pub fn span_fields_on_events(mut self, on_events: bool) -> Self {
        self.settings.span_fields = on_events;
        self
    }

    /// Also lists events in `events` of the span around them, where Axiom's waterfall shows them.
    ///
    /// Each event still has a record of its own. At most 128 events and 64 KiB for each span; what is
    /// beyond is counted in `events_dropped` of the span. Off by default.
    pub fn events_on_spans(mut self, on_spans: bool) -> Self {
        self.settings.span_events = on_spans;
        self
    }

    /// Whether an ERROR event fails the span around it: `error` is true, and the event's message is the span's
    /// `status.message`. Default `true`.
    ///
    /// Off for programs whose ERROR events do not mean that the operation failed. Then only a panic, an error recorded among
    /// the span's own fields, and the field `otel.status_code` do.
    pub fn error_events_fail_spans(mut self, fail: bool) -> Self {
        self.settings.errors_fail_spans = fail;
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

    /// Records each panic as an ERROR event: `message` is what the panic says, `code.file.path`, `code.line.number`, `thread.id`
    /// and `thread.name` where it was, `attributes` has `exception.type` = `panic`, `exception.message` and, if `RUST_BACKTRACE` or
    /// `RUST_LIB_BACKTRACE` asks for a backtrace, `exception.stacktrace`. Its name and target are `panic`. Off by default; on with
    /// [`init()`](crate::init()).
    ///
    /// The event belongs to the innermost span that the thread is in, and fails it with the panic's message; so do the spans
    /// that the panic then unwinds through. A panic that is caught is recorded too: the hook cannot know. Filters do not apply.
    ///
    /// The panic hook that was set before runs first; one that is set later replaces ours, unless it calls the one before it.
    /// The event goes to the layers of the subscriber that the thread records to, or if it has none, to all that ask for panics.
    /// Of the layer's own threads one panic a minute is recorded.
    ///
    /// Whether the event leaves the process is up to the end of it: a panic in `main` unwinds and drops the guard; where panics
    /// abort, [`exit_hooks`](Self::exit_hooks) deliver.
    pub fn panics(mut self, recorded: bool) -> Self {
        self.settings.panics = recorded;
        self
    }

    /// Records the ledger at this interval, as an event `ledger` with the target `axiom_layer`: recorded, delivered,
    /// dropped by reason, pending. A monitor in Axiom can then tell a silent program from one that loses records.
    ///
    /// Off by default. It is itself a record, and counted as such. While it is on, the worker wakes at every interval.
    ///
    /// # Errors
    /// Less than 1 s or more than 24 h.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.limits.heartbeat = Some(interval);
        self
    }

    /// Checks every setting and starts the worker.
    ///
    /// Takes well under 5 ms and never waits for the network: whether the token is right or the dataset
    /// exists shows when the first records are sent, and is then reported as a [`Diagnostic`].
    ///
    /// With `OTEL_SDK_DISABLED=true` in the environment, in any case of letters, the layer is inert and nothing is
    /// checked or said: it records nothing and starts no thread. [`doctor`](Self::doctor) tells of it.
    ///
    /// # Errors
    /// A setting is missing or wrong, in the environment or in a setter; the message names it and what
    /// fixes it. Or the system gives no thread.
    ///
    /// # Examples
    /// ```no_run
    /// use tracing_subscriber::prelude::*;
    ///
    /// let (axiom, guard) = axiom_layer::builder().service_name("checkout").build()?;
    /// tracing_subscriber::registry().with(axiom).init();
    /// tracing::info!(items = 3, "order placed");
    /// drop(guard);
    /// # Ok::<(), axiom_layer::BuildError>(())
    /// ```
    pub fn build(self) -> Result<(AxiomLayer, Guard), BuildError> {
        let environment = |name: &str| std::env::var_os(name);
        if config::is_switched_off(&environment) {
            return Ok(pipeline::inert());
        }
        if self.settings.if_token_present && !self.settings.has_token(&environment) {
            let has_dataset = self.settings.has_dataset(&environment);
            let sink = Sink::new(
                self.settings.on_diagnostic.as_ref(),
                self.settings.diagnostics,
            );
            self.settings.check()?;
            say_how_to_enable(sink, has_dataset);
            return Ok(pipeline::inert());
        }
        pipeline::start(self.into_config(environment)?)
    }

    /// Finds out why records do not arrive with these settings, or that they do, in at most 10 seconds.
    ///
    /// Like [`doctor`](crate::doctor()), which says what is done.
    pub fn doctor(&self) -> Diagnosis {
        self.doctor_within(doctor::TIMEOUT)
    }

    /// As [`doctor`](Self::doctor), in at most this time instead of 10 seconds.
    ///
    /// Of it, 4 tenths are for the host's name and 3 tenths for the connection at the most. What takes longer is taken for broken.
    pub fn doctor_within(&self, timeout: Duration) -> Diagnosis {
        let environment = |name: &str| std::env::var_os(name);
        let config = if config::is_switched_off(&environment) {
            Err(BuildError::plain(
                "OTEL_SDK_DISABLED=true switches the layer off, so that it records nothing",
            )
            .fix("remove this variable, or set it to false"))
        } else {
            self.clone().into_config(environment)
        };
        doctor::diagnose(config, timeout)
    }

    /// Checks everything. `environment` is asked only for what was not set.
    pub(crate) fn into_config(
        self,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Config, BuildError> {
        let defaults = config::of_this_process(&environment)?;
        Config::new(self.settings, &environment, defaults)
    }

    /// As [`into_config`](Self::into_config), but what is not set is not known: the same in every process.
    #[cfg(test)]
    pub(crate) fn into_config_without_defaults(
        self,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Config, BuildError> {
        Config::new(self.settings, &environment, Vec::new())
    }
}

/// A program may build many layers; standard error hears of it once.
fn say_how_to_enable(sink: Sink, has_dataset: bool) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if matches!(sink, Sink::Stderr) && SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let fix = if has_dataset {
        "to enable it, set AXIOM_TOKEN or AXIOM_TOKEN_FILE"
    } else {
        "to enable it, set AXIOM_TOKEN or AXIOM_TOKEN_FILE, and AXIOM_DATASET"
    };
    let diagnostic = Diagnostic::new(
        Cause::NoToken,
        "no token is set, so the layer for Axiom is off",
        "nothing is sent",
        fix,
    );
    Diag::new(sink).report("", Instant::now(), diagnostic);
}

/// Without the token, and without a URL that holds a user name or a password.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        let token = settings.token.as_deref().map(Secret::new);
        let token_file = settings.token_file.as_ref();
        let token_file = token_file.map(|path| path.display().to_string());
        let no_token = Secret::new("");
        let shown = |text: &Option<String>| {
            let text = text.as_deref()?;
            let token = token.as_ref().unwrap_or(&no_token);
            let hidden = text.contains(['@', '?']) || token.is_in(text);
            Some(if hidden { "(hidden)" } else { text }.to_owned())
        };
        f.debug_struct("Builder")
            .field("token", &token)
            .field("token_file", &shown(&token_file))
            .field("dataset", &shown(&settings.dataset))
            .field("traces_dataset", &shown(&settings.traces_dataset))
            .field("org_id", &shown(&settings.org_id))
            .field("url", &shown(&settings.address.url))
            .field("edge", &shown(&settings.address.edge))
            .field("edge_url", &shown(&settings.address.edge_url))
            .field("endpoint", &settings.address.endpoint)
            .field("limits", &settings.limits)
            .finish_non_exhaustive()
    }
}
