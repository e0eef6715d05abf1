//! What a callsite never changes, rendered once and then copied.

use once_cell::race::OnceBox;
use std::collections::HashMap;
use tracing_core::{Level, Metadata};

use super::status::KINDS;
use crate::record::Placement;
use crate::record::json::{self, Ansi, Piece};

/// Axiom's limit for a field name is 200 bytes (docs/limits); ours may live under `attributes.custom.`.
pub(crate) const KEY_BYTES: usize = 200 - "attributes.custom.".len();
/// Targets, span names and file names come from the source code: longer ones are generated nonsense.
pub(crate) const NAME_BYTES: usize = 1024;

const BUCKETS: usize = 1024;

/// What a field means to the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Attribute,
    Message,
    OtelName,
    OtelKind,
    OtelStatusCode,
    OtelStatusDescription,
    /// Of a record made through the `log` crate, as `tracing-log` passes it on.
    LogTarget,
    LogModule,
    LogFile,
    LogLine,
    /// Beyond the fields that are told apart.
    Excess,
}

#[derive(Debug)]
pub(crate) struct FieldPlan {
    /// The escaped key with its quotes and colon.
    pub(crate) key: Piece,
    pub(crate) role: Role,
    /// The first field of the same key: fields that share a slot are one on the wire.
    pub(crate) slot: u8,
    /// The key was longer than Axiom allows.
    pub(crate) shortened: bool,
    /// Not in `attributes` itself.
    pub(crate) is_outer: bool,
    /// Its values are text, whatever their type.
    pub(crate) is_text: bool,
    /// An attribute with a whole key, a slot below 64, and values that keep their type: it needs no second look.
    pub(crate) is_plain: bool,
}

#[derive(Debug)]
pub(crate) struct Callsite {
    /// `,"level":…,"target":…`, the event's name if it has one and, on request, where in the source. Of a `log` record
    /// only the level.
    pub(crate) event: Box<[u8]>,
    /// `"level":…,"target":…,` for an entry in a span's `events`, where they are attributes. One of the same name as a field of the
    /// event is left out.
    pub(crate) entry: Box<[u8]>,
    /// `,"scope.name":…` and, on request, where in the source.
    pub(crate) scope: Box<[u8]>,
    /// The same of a span that says no more of itself, with its name and kind before it.
    pub(crate) span: Box<[u8]>,
    /// The span's name as a JSON string.
    pub(crate) name: Box<[u8]>,
    pub(crate) fields: Box<[FieldPlan]>,
    pub(crate) is_error: bool,
    /// The target and the place are among the fields.
    pub(crate) is_log: bool,
    /// Two of its fields have one key, so that the later value replaces the earlier.
    pub(crate) repeats_keys: bool,
    /// The application describes exceptions itself.
    pub(crate) has_exception: bool,
    /// Of texts that are recorded here.
    pub(crate) ansi: Ansi,
}

impl Callsite {
    fn new(metadata: &'static Metadata<'static>, options: &CallsiteOptions) -> Self {
        let mut location = Vec::new();
        if options.source_location {
            if let Some(file) = metadata.file() {
                location.extend_from_slice(b",\"code.file.path\":");
                json::put_str(&mut location, file, NAME_BYTES);
            }
            if let Some(line) = metadata.line() {
                location.extend_from_slice(b",\"code.line.number\":");
                json::put_u64(&mut location, u64::from(line));
            }
        }
        let mut event = Vec::new();
        event.extend_from_slice(b",\"level\":");
        json::put_str(&mut event, level(*metadata.level()), NAME_BYTES);
        let is_log = metadata.target() == "log" && metadata.fields().field("log.target").is_some();
        if !is_log {
            event.extend_from_slice(b",\"target\":");
            json::put_str(&mut event, metadata.target(), NAME_BYTES);
            if let Some(name) = event_name(metadata) {
                event.extend_from_slice(b",\"event.name\":");
                json::put_str(&mut event, name, NAME_BYTES);
            }
            event.extend_from_slice(&location);
        }
        let entry = entry(metadata, &event);
        let mut scope = Vec::new();
        scope.extend_from_slice(b",\"scope.name\":");
        json::put_str(&mut scope, metadata.target(), NAME_BYTES);
        scope.extend_from_slice(&location);
        let mut name = Vec::new();
        json::put_str(&mut name, span_name(metadata), NAME_BYTES);
        let mut span = Vec::new();
        put_what(&mut span, &name, KINDS[0]);
        span.extend_from_slice(&scope);
        let fields = plan_fields(metadata, is_log, options);
        Self {
            event: event.into(),
            entry: entry.into(),
            scope: scope.into(),
            span: span.into(),
            name: name.into(),
            repeats_keys: fields
                .iter()
                .enumerate()
                .any(|(index, plan)| plan.role != Role::Excess && usize::from(plan.slot) != index),
            fields,
            is_error: *metadata.level() == Level::ERROR,
            is_log,
            has_exception: metadata
                .fields()
                .iter()
                .any(|field| field_name(&field).starts_with("exception.")),
            ansi: options.ansi,
        }
    }
}

/// What a span is called, and its kind.
pub(super) fn put_what(line: &mut Vec<u8>, name: &[u8], kind: &str) {
    line.extend_from_slice(b",\"name\":");
    line.extend_from_slice(name);
    line.extend_from_slice(b",\"kind\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.push(b'"');
}

/// A span without a name, which Axiom's trace views need, is called as its target.
fn span_name<'a>(metadata: &'a Metadata<'_>) -> &'a str {
    [metadata.name(), metadata.target()]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or("span")
}

/// The name that the application gave an event. A macro makes up `event src/main.rs:12` for those without.
fn event_name<'a>(metadata: &'a Metadata<'_>) -> Option<&'a str> {
    let name = metadata.name();
    let place = name
        .strip_prefix("event ")
        .and_then(|place| place.rsplit_once(':'));
    let is_made_up = place.is_some_and(|(file, line)| {
        metadata.file() == Some(file) && line.parse().ok() == metadata.line()
    });
    (metadata.is_event() && !is_made_up && !name.is_empty()).then_some(name)
}

/// The members of `event` that an entry in a span's `events` has as attributes: all but those whose name a field of the event has.
fn entry(metadata: &Metadata<'_>, event: &[u8]) -> Vec<u8> {
    let mut entry = Vec::new();
    let mut rest = event.get(1..).unwrap_or_default();
    while !rest.is_empty() {
        let (member, after) = rest.split_at(json::value_len(rest));
        let is_own = |name: &str| {
            member.get(1..).is_some_and(|key| {
                key.starts_with(name.as_bytes()) && key[name.len()..].starts_with(b"\":")
            })
        };
        if !metadata
            .fields()
            .iter()
            .any(|field| is_own(field_name(&field)))
        {
            entry.extend_from_slice(member);
            entry.push(b',');
        }
        rest = after.get(1..).unwrap_or_default();
    }
    entry
}

/// The name of a field as it is written in a record: without what makes a keyword of Rust's a name.
fn field_name(field: &tracing_core::Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

fn plan_fields(
    metadata: &Metadata<'_>,
    is_log: bool,
    options: &CallsiteOptions,
) -> Box<[FieldPlan]> {
    let mut slots = HashMap::new();
    let plan = |(index, field): (usize, tracing_core::Field)| {
        let name = field_name(&field);
        let kept = &name[..json::floor_char_boundary(name, KEY_BYTES)];
        let slot = u8::try_from(*slots.entry(kept.to_owned()).or_insert(index));
        let role = match name {
            _ if slot.is_err() => Role::Excess,
            "message" if metadata.is_event() => Role::Message,
            "log.target" if is_log => Role::LogTarget,
            "log.module_path" if is_log => Role::LogModule,
            "log.file" if is_log => Role::LogFile,
            "log.line" if is_log => Role::LogLine,
            name => Some(name)
                .filter(|_| metadata.is_span())
                .and_then(role_in_span)
                .unwrap_or(Role::Attribute),
        };
        let mut key = Vec::with_capacity(kept.len() + 3);
        json::put_str(&mut key, kept, usize::MAX);
        key.push(b':');
        let slot = slot.unwrap_or_default();
        let shortened = kept.len() < name.len();
        let is_outer = options.placement.is_outer(kept);
        let is_text = match role {
            Role::Attribute => options.is_text(name),
            // What has a meaning of its own is text; only a line's number is one.
            role => role != Role::LogLine,
        };
        FieldPlan {
            slot,
            key: Piece::new(&key),
            role,
            shortened,
            is_outer,
            is_text,
            is_plain: role == Role::Attribute
                && !(shortened || is_outer || is_text)
                && u32::from(slot) < u64::BITS,
        }
    };
    metadata.fields().iter().enumerate().map(plan).collect()
}

/// The fields of a span that mean what they mean to tracing-opentelemetry.
pub(crate) fn role_in_span(name: &str) -> Option<Role> {
    match name {
        "otel.name" => Some(Role::OtelName),
        "otel.kind" => Some(Role::OtelKind),
        "otel.status_code" => Some(Role::OtelStatusCode),
        // The second is what tracing-opentelemetry called it once.
        "otel.status_description" | "otel.status_message" => Some(Role::OtelStatusDescription),
        _ => None,
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}

/// What the rendering of a callsite depends on.
#[derive(Debug, Default)]
pub(crate) struct CallsiteOptions {
    /// `code.file.path` and `code.line.number`
    pub(crate) source_location: bool,
    pub(crate) placement: Placement,
    /// Fields that are text, whatever the type of their values.
    pub(crate) text_fields: Box<[String]>,
    pub(crate) ansi: Ansi,
}

impl CallsiteOptions {
    /// Whether the field of this name is text, whatever its values are.
    pub(crate) fn is_text(&self, name: &str) -> bool {
        self.text_fields.iter().any(|text| text == name)
    }
}

/// Every callsite seen so far: buckets of chains that only grow.
///
/// Never locked, not even while a callsite is rendered. Two threads may then render the same one, and the first is
/// kept; but nobody waits, least of all a forked child for a thread that only its parent has.
pub(crate) struct Callsites {
    buckets: Box<[OnceBox<Node>]>,
    options: CallsiteOptions,
}

struct Node {
    address: usize,
    callsite: Callsite,
    next: OnceBox<Node>,
}

impl Callsites {
    pub(crate) fn new(options: CallsiteOptions) -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| OnceBox::new()).collect(),
            options,
        }
    }

    pub(crate) fn options(&self) -> &CallsiteOptions {
        &self.options
    }

    /// Renders the callsite unless that was done before.
    pub(crate) fn of(&self, metadata: &'static Metadata<'static>) -> &Callsite {
        // Metadata is static, so its address names it for good.
        let address = std::ptr::from_ref(metadata).addr();
        let mut link = &self.buckets[(address >> 3).wrapping_mul(0x9E37_79B9) >> 8 & (BUCKETS - 1)];
        loop {
            let node = link.get_or_init(|| {
                Box::new(Node {
                    address,
                    callsite: Callsite::new(metadata, &self.options),
                    next: OnceBox::new(),
                })
            });
            if node.address == address {
                return &node.callsite;
            }
            link = &node.next;
        }
    }
}
