//! Resource and tags: the fields that every record has, checked and rendered once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::endpoint::Endpoint;
use super::resource::{self, SERVICE_NAME};
use crate::error::{BuildError, Origin};
use crate::frontend::json::{self, Ansi};
use crate::schema;

/// Axiom's limit for a field name (docs/limits).
const NAME_BYTES: usize = 200;
/// A longer text is shortened. As JSON, before non-ASCII characters are escaped.
const VALUE_BYTES: usize = 4 * 1024;
/// Servers and proxies commonly refuse a request with more than 8 KiB of headers.
const HEADER_BYTES: usize = 4 * 1024;
/// Everything together. It may travel in every record, which has a limit of its own.
const TOTAL_BYTES: usize = 64 * 1024;

/// The value of a tag or a resource attribute: a text, an integer, a float or a boolean.
///
/// A text of more than 4 KiB is shortened and then ends in `…`. An integer beyond 64 bits with a sign
/// is sent as the nearest float, because Axiom has no such integer: give a text to keep all digits. A float must be
/// finite.
#[derive(Debug, Clone, PartialEq)]
pub struct TagValue(Value);

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Bool(bool),
}

impl From<String> for TagValue {
    fn from(text: String) -> Self {
        Self(Value::Text(text))
    }
}

impl From<&str> for TagValue {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for TagValue {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<Cow<'_, str>> for TagValue {
    fn from(text: Cow<'_, str>) -> Self {
        text.into_owned().into()
    }
}

impl From<bool> for TagValue {
    fn from(value: bool) -> Self {
        Self(Value::Bool(value))
    }
}

impl From<f32> for TagValue {
    fn from(value: f32) -> Self {
        // The shortest digits: 0.1 rather than 0.10000000149, which is the same number with the digits of an `f64`.
        let shortest = value.to_string().parse();
        shortest.unwrap_or(f64::from(value)).into()
    }
}

impl From<f64> for TagValue {
    fn from(value: f64) -> Self {
        Self(Value::Float(value))
    }
}

macro_rules! from_integers {
    ($($integer:ty),*) => {
        $(impl From<$integer> for TagValue {
            fn from(value: $integer) -> Self {
                Self(Value::Integer(value as i128))
            }
        })*
    };
}
from_integers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, usize);

impl TagValue {
    /// Appends it as JSON, a text with at most `cap` bytes. Returns whether it is whole.
    pub(crate) fn put(&self, out: &mut Vec<u8>, cap: usize) -> bool {
        self.0.put(out, cap)
    }

    /// Appends it as text, whatever it is.
    pub(crate) fn put_text(&self, out: &mut Vec<u8>, cap: usize, ansi: Ansi) -> bool {
        match &self.0 {
            Value::Text(text) => json::put_text(out, text, cap, ansi),
            Value::Integer(value) => json::put_str(out, &value.to_string(), cap),
            Value::Float(value) => json::put_str(out, &value.to_string(), cap),
            Value::Bool(value) => json::put_str(out, &value.to_string(), cap),
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.0, Value::Text(_))
    }
}

impl Value {
    fn put(&self, out: &mut Vec<u8>, cap: usize) -> bool {
        match self {
            Self::Text(text) => return json::put_str(out, text, cap),
            Self::Integer(value) => json::put_i128(out, *value),
            Self::Float(value) => json::put_f64(out, *value),
            Self::Bool(value) => json::put_bool(out, *value),
        }
        true
    }
}

/// One tag or attribute as it was set.
#[derive(Clone)]
pub(crate) struct Label {
    origin: Origin,
    /// Tags keep their name; attributes are sent under [`resource::field_name`].
    is_tag: bool,
    /// Nobody set it. It gives way where it can not be beside what was set.
    is_default: bool,
    name: String,
    value: TagValue,
}

impl Label {
    pub(crate) fn tag(name: String, value: TagValue) -> Self {
        Self {
            origin: Origin::setter("tag"),
            is_tag: true,
            is_default: false,
            name,
            value,
        }
    }

    pub(crate) fn resource(origin: Origin, name: &str, value: impl Into<TagValue>) -> Self {
        Self {
            origin,
            is_tag: false,
            is_default: false,
            name: name.to_owned(),
            value: value.into(),
        }
    }

    /// An attribute that nobody set.
    pub(crate) fn default(name: &str, value: impl Into<TagValue>) -> Self {
        let mut label = Self::resource(Origin::setter("resource"), name, value);
        label.is_default = true;
        label
    }

    pub(crate) fn is_empty_service_name(&self) -> bool {
        self.name == SERVICE_NAME && matches!(&self.value.0, Value::Text(text) if text.is_empty())
    }

    fn field(&self) -> String {
        if self.is_tag {
            self.name.clone()
        } else {
            resource::field_name(&self.name)
        }
    }

    /// A complaint about this label, by its name unless the setter says it all.
    fn wrong(&self, problem: impl Into<Cow<'static, str>>) -> BuildError {
        let error = BuildError::new(self.origin, problem);
        if matches!(self.origin.setter, "tag" | "resource") {
            error.name(&self.name)
        } else {
            error
        }
    }

    fn check(&self, field: &str) -> Result<(), BuildError> {
        let rename = "choose another name";
        if self.name.is_empty() {
            return Err(self.wrong("has no name").fix("give it one"));
        }
        if field.len() > NAME_BYTES {
            return Err(self
                .wrong(format!(
                    "has a name of {} bytes, but Axiom takes at most {NAME_BYTES}",
                    field.len()
                ))
                .fix("choose a shorter name"));
        }
        if self.is_tag {
            if self.name.starts_with('_') {
                return Err(self
                    .wrong("begins with `_`, as only Axiom's own fields may")
                    .fix(rename));
            }
            if let Some(first) = schema::taken(&self.name) {
                return Err(self
                    .wrong("would collide with the field of every record called")
                    .other(first)
                    .fix(rename));
            }
            if schema::RESOURCE_GROUPS.contains(&self.name.as_str()) {
                return Err(self
                    .wrong("is where the resource's attributes are")
                    .fix(rename));
            }
        }
        match &self.value.0 {
            Value::Float(value) if !value.is_finite() => Err(self
                .wrong(format!("is {value}, which JSON can not carry"))
                .fix("set a finite number")),
            Value::Text(text) if field == SERVICE_NAME && !text.trim().is_empty() => Ok(()),
            _ if field == SERVICE_NAME => Err(self
                .wrong("is the service's name, but not a text or empty")
                .fix("set a name, or leave it out to use the program's")),
            _ => Ok(()),
        }
    }
}

/// Where the labels travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Once a request, in `X-Axiom-Event-Labels`: Axiom bills them once.
    Header,
    /// In each record.
    Records,
    /// Once a request, in the body that only [`Endpoint::ApiIngest`] has.
    Body,
}

/// The checked labels as one flat JSON object, ASCII only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Labels {
    object: String,
    /// The fields' names.
    names: Box<[String]>,
    /// `,"service.name":"x",…` when they travel in the records.
    members: Box<[u8]>,
    place: Place,
}

/// Without the values, which are the user's.
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labels")
            .field("place", &self.place)
            .field("bytes", &self.object.len())
            .finish_non_exhaustive()
    }
}

impl Labels {
    /// Of two labels for one field the later wins.
    pub(crate) fn new(
        labels: Vec<Label>,
        in_records: bool,
        endpoint: Option<Endpoint>,
    ) -> Result<Self, BuildError> {
        let mut fields: BTreeMap<String, Label> = BTreeMap::new();
        for label in labels {
            let field = label.field();
            label.check(&field)?;
            fields.insert(field, label);
        }
        let crowded: Vec<String> = fields
            .iter()
            .filter(|(field, label)| label.is_default && is_beside_its_group(&fields, field))
            .map(|(field, _)| field.clone())
            .collect();
        fields.retain(|field, _| !crowded.contains(field));
        check_groups(&fields)?;
        let mut object = render(&fields);
        let is_header = !in_records && endpoint != Some(Endpoint::ApiIngest);
        if object.len() > if is_header { HEADER_BYTES } else { TOTAL_BYTES } {
            // What nobody set neither drives the others out of the header nor fails the build.
            let set: BTreeMap<_, _> = fields
                .iter()
                .filter(|(_, label)| !label.is_default)
                .map(|(field, label)| (field.clone(), label.clone()))
                .collect();
            let smaller = render(&set);
            if smaller.len() <= HEADER_BYTES || object.len() > TOTAL_BYTES {
                (fields, object) = (set, smaller);
            }
        }
        if object.len() > TOTAL_BYTES {
            return Err(BuildError::new(
                Origin::setter("tag"),
                format!(
                    "tags and resource attributes take {} bytes of JSON together, but at most {TOTAL_BYTES} (64 KiB)",
                    object.len()
                ),
            )
            .fix("set fewer or shorter ones, also in OTEL_RESOURCE_ATTRIBUTES"));
        }
        let place = if in_records {
            Place::Records
        } else if endpoint == Some(Endpoint::ApiIngest) {
            Place::Body
        } else if object.len() > HEADER_BYTES {
            Place::Records
        } else {
            Place::Header
        };
        let members = match object
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(members) if place == Place::Records && !members.is_empty() => {
                format!(",{members}").into_bytes()
            }
            _ => Vec::new(),
        };
        Ok(Self {
            object,
            names: fields.into_keys().collect(),
            members: members.into(),
            place,
        })
    }

    /// The fields that every record has from labels.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The value of `X-Axiom-Event-Labels`, at most 4 KiB.
    pub(crate) fn header(&self) -> Option<&str> {
        (self.place == Place::Header).then_some(&*self.object)
    }

    /// `,"service.name":"x",…` to paste into each record before its closing brace; else empty.
    pub(crate) fn members(&self) -> &[u8] {
        &self.members
    }

    /// The object for `tags` in the body of [`Endpoint::ApiIngest`].
    pub(crate) fn tags(&self) -> Option<&str> {
        (self.place == Place::Body).then_some(&*self.object)
    }
}

/// Whether another field is the group that this one lies in, or lies in this one.
fn is_beside_its_group(fields: &BTreeMap<String, Label>, field: &str) -> bool {
    let lies_in = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    let mut others = fields.keys();
    others.any(|other| lies_in(field, other) || lies_in(other, field))
}

/// A field is either a value or a group of fields. Attributes may break this among themselves, as
/// OpenTelemetry's old `deployment.environment` beside `deployment.environment.name` does.
fn check_groups(fields: &BTreeMap<String, Label>) -> Result<(), BuildError> {
    for (field, label) in fields {
        for (dot, _) in field.match_indices('.') {
            let Some(parent) = fields.get(&field[..dot]) else {
                continue;
            };
            let (tag, other) = match (label.is_tag, parent.is_tag) {
                (true, _) => (label, &field[..dot]),
                (false, true) => (parent, field.as_str()),
                (false, false) => continue,
            };
            return Err(tag
                .wrong("can not be beside the tag or resource attribute")
                .other(other)
                .fix(
                    "rename one: what stands before a dot is a group and has no value of its own",
                ));
        }
    }
    Ok(())
}

/// `service.name` first, then by name.
fn render(fields: &BTreeMap<String, Label>) -> String {
    let mut out = Vec::new();
    let first = fields.get_key_value(SERVICE_NAME);
    let rest = fields.iter().filter(|(field, _)| *field != SERVICE_NAME);
    for (field, label) in first.into_iter().chain(rest) {
        out.push(if out.is_empty() { b'{' } else { b',' });
        json::put_str(&mut out, field, usize::MAX);
        out.push(b':');
        label.value.put(&mut out, VALUE_BYTES);
    }
    if out.is_empty() {
        out.push(b'{');
    }
    out.push(b'}');
    let mut object = String::with_capacity(out.len());
    // Outside its strings JSON is ASCII, so that everything else can be escaped blindly. DEL is ASCII,
    // but no header may hold it.
    for char in String::from_utf8_lossy(&out).chars() {
        if char.is_ascii() && char != '\u{7f}' {
            object.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                object.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    object
}

#[cfg(test)]
mod tests;
