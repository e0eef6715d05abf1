//! Where a field of the user's goes in a record: decided by its name, once for each callsite.

use crate::record::schema;

/// Where the fields of events and spans go.
///
/// Names that Axiom or a record's own schema has taken never leave `attributes`, so a field of the
/// application's can not overwrite `level` or `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum FieldPlacement {
    /// Into one object, `attributes`, which costs one field of the dataset's limit once its owner has made
    /// it a map field. The default.
    #[default]
    Attributes,
    /// At the top level of the record, beside `message` and `level`: shorter queries, but each name is
    /// a field of the dataset. Names that are taken stay in `attributes`.
    TopLevel,
    /// As Axiom stores what arrives by OTLP: names of OpenTelemetry's conventions in `attributes`, all
    /// others in `attributes.custom`, so that a dataset can be shared with OTLP senders. Which
    /// names are conventional is told by their namespace (`http.`, `db.`, `rpc.`, …).
    Otlp,
}

/// First parts of the attribute names in OpenTelemetry's registry of semantic conventions (1.37) that an
/// application records; Axiom knows the same (docs/semantic-conventions).
const CONVENTIONS: [&str; 58] = [
    "android",
    "app",
    "artifact",
    "aws",
    "az",
    "azure",
    "browser",
    "cassandra",
    "cicd",
    "client",
    "cloud",
    "cloudevents",
    "cloudfoundry",
    "code",
    "container",
    "cpu",
    "cpython",
    "db",
    "deployment",
    "destination",
    "device",
    "disk",
    "dns",
    "dotnet",
    "elasticsearch",
    "enduser",
    "error",
    "event",
    "exception",
    "faas",
    "feature_flag",
    "file",
    "gcp",
    "gen_ai",
    "geo",
    "graphql",
    "heroku",
    "host",
    "http",
    "jvm",
    "k8s",
    "log",
    "messaging",
    "network",
    "oci",
    "os",
    "peer",
    "process",
    "rpc",
    "server",
    "session",
    "source",
    "system",
    "test",
    "thread",
    "tls",
    "url",
    "user_agent",
];

/// The placement, with the names that the tags have taken.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    pub(crate) fields: FieldPlacement,
    /// Fields that every record has from labels.
    pub(crate) tags: Box<[String]>,
}

impl Placement {
    /// Whether the field goes beside `attributes` or, in the OTLP split, into `attributes.custom`.
    pub(crate) fn is_outer(&self, name: &str) -> bool {
        match self.fields {
            FieldPlacement::Attributes => false,
            FieldPlacement::TopLevel => !self.is_taken(name),
            FieldPlacement::Otlp => {
                let first = schema::first_part(name);
                first.len() == name.len() || !CONVENTIONS.contains(&first)
            }
        }
    }

    fn is_taken(&self, name: &str) -> bool {
        name.is_empty()
            || name.starts_with('_')
            || schema::taken(name).is_some()
            || schema::RESOURCE_GROUPS.contains(&schema::first_part(name))
            || self.tags.iter().any(|tag| collide(tag, name))
    }
}

/// Two names collide if they are one, or if one is a group that holds the other.
fn collide(one: &str, other: &str) -> bool {
    let is_group = |group: &str, name: &str| {
        name.strip_prefix(group)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    one == other || is_group(one, other) || is_group(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_goes_where_the_placement_says_unless_its_name_is_taken() {
        let placement = |fields| Placement {
            fields,
            tags: ["env".to_owned(), "team.name".to_owned()].into(),
        };
        for (name, top_level, otlp) in [
            ("user_id", true, true),
            ("http.route", true, false),
            ("http", true, true),
            ("shop.http.route", true, true),
            ("level", false, true),
            ("status.code", false, true),
            ("error", false, true),
            ("service.name", false, true),
            ("_cursor", false, true),
            ("env", false, true),
            ("env.name", false, true),
            ("team", false, true),
            ("team.name", false, true),
            ("teams", true, true),
            ("", false, true),
        ] {
            assert!(!placement(FieldPlacement::Attributes).is_outer(name));
            assert_eq!(
                placement(FieldPlacement::TopLevel).is_outer(name),
                top_level,
                "{name}"
            );
            assert_eq!(
                placement(FieldPlacement::Otlp).is_outer(name),
                otlp,
                "{name}"
            );
        }
    }
}
