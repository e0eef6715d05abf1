//! What the records say of the program, and what they have in them.

use std::time::Duration;

use super::Builder;
use crate::config::{Label, TagValue};
use crate::record::FieldPlacement;
use crate::report::Origin;

/// # What records have in them
impl Builder {
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
}
