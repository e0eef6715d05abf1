//! What is kept of an open span beside its ids and times, and how it becomes a record.

use std::sync::Arc;

use tracing_core::Metadata;

use super::OpenSpan;
use crate::frontend::callsite::{Callsite, FieldPlan, Role};
use crate::frontend::entry::put_link;
use crate::frontend::list::List;
use crate::frontend::members::Fields;
use crate::frontend::record::{Frame, SpanRecord};
use crate::frontend::status::{Status, kind_from_field};
use crate::frontend::times::Times;
use crate::frontend::visit::{STATUS_MESSAGE_BYTES, Special};
use crate::record::json;
use crate::trace::{SpanId, SpanIds, TraceContext};

/// Buffers that grew beyond this for one span are given back.
const KEPT_BYTES: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) metadata: Option<&'static Metadata<'static>>,
    /// The registry's id of the nearest span around it that the layer sees.
    pub(crate) around: Option<u64>,
    pub(crate) parent: Option<SpanId>,
    /// The caller's context if the trace came from another process: its flags and `tracestate` travel on.
    pub(crate) remote: Option<Arc<TraceContext>>,
    kind: Option<&'static str>,
    pub(crate) fields: Fields,
    incomplete: u32,
    /// How many of those inside entered while they were unwinding already: when they leave, it says nothing.
    inside_unwinding: u32,
    rare: Option<Box<Rare>>,
}

/// What most spans have not.
#[derive(Debug, Default)]
struct Rare {
    /// `otel.name`, the status description and the exception, as JSON; empty when absent.
    name: Vec<u8>,
    status_message: Vec<u8>,
    exception: Vec<u8>,
    events: List,
    links: List,
}

impl Content {
    /// Makes it ready for the next span, which finds buffers of some capacity.
    pub(crate) fn clear(&mut self) {
        let Self {
            metadata,
            around,
            parent,
            remote,
            kind,
            fields,
            incomplete,
            inside_unwinding,
            rare,
        } = self;
        if fields.capacity() > KEPT_BYTES {
            *fields = Fields::default();
        } else {
            fields.clear();
        }
        (*metadata, *around, *parent, *kind) = (None, None, None, None);
        (*remote, *rare) = (None, None);
        (*incomplete, *inside_unwinding) = (0, 0);
    }

    /// Takes over fields that were encoded without a lock on the span.
    pub(crate) fn record(
        &mut self,
        span: &OpenSpan,
        fields: &Fields,
        special: &Special,
        incomplete: u32,
    ) {
        self.incomplete += incomplete;
        if self.fields.is_empty() {
            self.fields.copy_from(fields);
        } else {
            self.fields.merge(fields, &mut self.incomplete);
        }
        self.record_special(span, special);
    }

    pub(crate) fn record_special(&mut self, span: &OpenSpan, special: &Special) {
        if special.is_empty() {
            return;
        }
        // A span must have a name.
        if special.name != b"\"\"" {
            self.replace(&special.name, |rare| &mut rare.name);
        }
        self.replace(&special.exception, |rare| &mut rare.exception);
        self.replace(&special.status_message, |rare| &mut rare.status_message);
        if let Some(kind) = kind_from_field(&special.kind) {
            self.kind = Some(kind);
        }
        if let Some(status) = Status::from_field(&special.status_code) {
            span.set_status(status);
        } else if !special.status_message.is_empty() || !special.error.is_empty() {
            // OpenTelemetry knows a description only of an error, and an error among the fields is one.
            self.fail(span, &special.error);
        }
    }

    fn replace(&mut self, new: &[u8], own: impl FnOnce(&mut Rare) -> &mut Vec<u8>) {
        if !new.is_empty() {
            let own = own(self.rare.get_or_insert_default());
            own.clear();
            own.extend_from_slice(new);
        }
    }

    /// Sets an attribute: one more, or a new value for the field of that key.
    pub(crate) fn set_attribute(
        &mut self,
        callsite: &Callsite,
        is_outer: bool,
        key: &[u8],
        value: &[u8],
    ) {
        let is_it = |plan: &&FieldPlan| plan.role == Role::Attribute && plan.key.bytes() == key;
        let plan = callsite.fields.iter().find(is_it);
        let incomplete = &mut self.incomplete;
        self.fields.set(plan, is_outer, key, value, incomplete);
    }

    /// Something failed inside. The first message stays, and so does a status set by the application.
    pub(crate) fn fail(&mut self, span: &OpenSpan, message: &[u8]) {
        if !span.fail() || message.is_empty() {
            return;
        }
        let own = &mut self.rare.get_or_insert_default().status_message;
        if own.is_empty() {
            json::put_shortened(own, message, STATUS_MESSAGE_BYTES);
        }
    }

    /// A thread that is unwinding enters.
    pub(crate) fn enter_unwinding(&mut self) {
        self.inside_unwinding += 1;
    }

    /// A thread that is unwinding leaves: the panic comes from inside, unless the thread entered after it. Of one thread, the
    /// last to enter is the first to leave.
    pub(crate) fn exit_unwinding(&mut self, span: &OpenSpan, message: &[u8]) {
        match self.inside_unwinding.checked_sub(1) {
            Some(others) => self.inside_unwinding = others,
            None => self.fail(span, message),
        }
        if !span.is_inside() {
            self.inside_unwinding = 0;
        }
    }

    // Context and links.

    /// Makes the span a child of one in another process. What was recorded in it before stays as it was.
    pub(crate) fn set_parent(&mut self, span: &OpenSpan, context: &TraceContext) {
        let ids = span.ids();
        // A span cannot be its own parent.
        if context.span() == ids.span {
            return;
        }
        self.parent = Some(context.span());
        self.continue_trace(span, context);
    }

    /// Gives the span the trace, the flags and the `tracestate` of a context, and leaves its parent.
    pub(crate) fn continue_trace(&mut self, span: &OpenSpan, context: &TraceContext) {
        self.remote = Some(Arc::new(context.clone()));
        let ids = SpanIds {
            trace: context.trace(),
            ..span.ids()
        };
        span.change_ids(self, &ids);
    }

    /// Links the span to another. One to itself would say nothing.
    pub(crate) fn add_link(&mut self, span: &OpenSpan, ids: &SpanIds) {
        if span.ids().span == ids.span {
            return;
        }
        let rare = self.rare.get_or_insert_default();
        rare.links.add(|out| put_link(out, ids));
    }

    /// Adds what `write` appends to the span's `events`.
    pub(crate) fn add_event(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.rare.get_or_insert_default().events.add(write);
    }

    /// Appends the finished span. Returns how many of its values were shortened, left out or unreadable.
    pub(crate) fn put(
        &self,
        line: &mut Vec<u8>,
        span: &OpenSpan,
        times: Times,
        callsite: &Callsite,
        frame: &Frame,
    ) -> u32 {
        let rare = self.rare.as_deref();
        let of_rare = |text: fn(&Rare) -> &[u8]| rare.map(text).unwrap_or_default();
        let exception = of_rare(|rare| &rare.exception);
        let incomplete = self.incomplete + span.lost();
        let record = SpanRecord {
            times,
            name: Some(of_rare(|rare| &rare.name)).filter(|name| !name.is_empty()),
            ids: span.ids(),
            parent: self.parent,
            kind: self.kind,
            status: span.status(),
            status_message: of_rare(|rare| &rare.status_message),
            // Else a key would be there twice.
            exception: if !exception.is_empty() && self.fields.describe_exception() {
                b""
            } else {
                exception
            },
            callsite,
            fields: &self.fields,
            lists: rare.map(|rare| (&rare.events, &rare.links)),
            incomplete,
            frame,
        };
        record.put(line);
        incomplete
    }
}
