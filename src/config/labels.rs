//! Resource and tags: the fields that every record has, checked and rendered once.

use std::collections::BTreeMap;
use std::fmt;

use super::endpoint::Endpoint;
use super::label::{Label, SERVICE_NAME};
use crate::record::json;
use crate::report::{BuildError, Origin};

/// A longer text is shortened. As JSON, before non-ASCII characters are escaped.
const VALUE_BYTES: usize = 4 * 1024;
/// Servers and proxies commonly refuse a request with more than 8 KiB of headers.
const HEADER_BYTES: usize = 4 * 1024;
/// Everything together. It may travel in every record, which has a limit of its own.
const TOTAL_BYTES: usize = 64 * 1024;

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
