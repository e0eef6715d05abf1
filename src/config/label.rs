//! One tag or attribute of the resource: its value, its checks, and the field that it becomes.

use std::borrow::Cow;

use crate::record::json::{self, Ansi};
use crate::record::schema;
use crate::report::{BuildError, Origin};

/// Axiom's limit for a field name (docs/limits).
const NAME_BYTES: usize = 200;

pub(crate) const SERVICE_NAME: &str = "service.name";

/// Attributes that Axiom lifts to the top level when it takes OTLP (the contract's §7): a dataset that
/// both we and an OTLP exporter feed has one field for each.
const LIFTED: [&str; 4] = [
    SERVICE_NAME,
    "service.version",
    "service.namespace",
    "service.instance.id",
];
const LIFTED_GROUP: &str = "telemetry.";

/// The field that a resource attribute is sent as.
pub(crate) fn field_name(attribute: &str) -> String {
    if LIFTED.contains(&attribute) || attribute.starts_with(LIFTED_GROUP) {
        attribute.to_owned()
    } else {
        format!("resource.{attribute}")
    }
}

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
    /// Tags keep their name; attributes are sent under [`field_name`].
    pub(super) is_tag: bool,
    /// Nobody set it. It gives way where it can not be beside what was set.
    pub(super) is_default: bool,
    name: String,
    pub(super) value: TagValue,
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

    pub(super) fn field(&self) -> String {
        if self.is_tag {
            self.name.clone()
        } else {
            field_name(&self.name)
        }
    }

    /// A complaint about this label, by its name unless the setter says it all.
    pub(super) fn wrong(&self, problem: impl Into<Cow<'static, str>>) -> BuildError {
        let error = BuildError::new(self.origin, problem);
        if matches!(self.origin.setter, "tag" | "resource") {
            error.name(&self.name)
        } else {
            error
        }
    }

    pub(super) fn check(&self, field: &str) -> Result<(), BuildError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_axiom_lifts_stays_at_the_top_level() {
        for (attribute, field) in [
            ("service.name", "service.name"),
            ("service.version", "service.version"),
            ("service.namespace", "service.namespace"),
            ("service.instance.id", "service.instance.id"),
            ("telemetry.sdk.name", "telemetry.sdk.name"),
            ("telemetry.distro.version", "telemetry.distro.version"),
            ("service.criticality", "resource.service.criticality"),
            (
                "deployment.environment.name",
                "resource.deployment.environment.name",
            ),
            ("host.name", "resource.host.name"),
            ("telemetry", "resource.telemetry"),
        ] {
            assert_eq!(field_name(attribute), field);
        }
    }
}
