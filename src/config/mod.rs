//! One validated value out of what was set and what the environment says, or one error. No network, no
//! clock, and the environment is a function; of files, only the token's is read. Runs on the thread that builds the layer.

mod endpoint;
mod environment;
mod label;
mod labels;
mod limits;
mod resource;
mod secret;
mod token;
mod token_file;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use self::endpoint::Endpoint;
pub(crate) use self::endpoint::{Destination, Wanted};
use self::endpoint::{Target, dataset};
pub(crate) use self::environment::Environment;
use self::environment::Given;
pub(crate) use self::label::Label;
use self::label::SERVICE_NAME;
pub use self::label::TagValue;
pub(crate) use self::labels::Labels;
pub(crate) use self::limits::{Limits, REFUSED_PAUSE};
pub(crate) use self::resource::of_this_process;
use self::secret::is_visible_ascii;
pub(crate) use self::secret::{HIDDEN, SHORTEST_TOKEN, Secret};
use self::token::Token;
pub(crate) use self::token_file::TokenFile;
use crate::record::FieldPlacement;
use crate::report::Hook;
use crate::report::{BuildError, Origin};

/// How a batch of records is written.
///
/// Not used by [`Endpoint::ApiIngest`], whose body has a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// One JSON object a line (`application/x-ndjson`). The default.
    #[default]
    Ndjson,
    /// One JSON array (`application/json`).
    JsonArray,
    /// A table (`text/csv`). Types are lost: a table has no numbers, booleans or nested values, only text.
    Csv,
}

/// How a batch is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Zstandard: the smallest for the least CPU. The default. Needs the feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
    /// gzip, for a proxy that looks into bodies and does not know Zstandard. The default without the
    /// feature `zstd`.
    Gzip,
    /// None at all.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        #[cfg(feature = "zstd")]
        let compression = Self::Zstd;
        #[cfg(not(feature = "zstd"))]
        let compression = Self::Gzip;
        compression
    }
}

/// What was set explicitly.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) token: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    /// Without a token there is to be an inert layer, and no error.
    pub(crate) if_token_present: bool,
    pub(crate) dataset: Option<String>,
    pub(crate) traces_dataset: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) address: Wanted,
    pub(crate) labels: Vec<Label>,
    pub(crate) tags_in_records: bool,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    /// `None`: the environment says.
    pub(crate) gateway: Option<bool>,
    pub(crate) limits: Limits,
    pub(crate) source_location: bool,
    pub(crate) thread_names: bool,
    pub(crate) field_placement: FieldPlacement,
    pub(crate) text_fields: Vec<String>,
    pub(crate) keep_ansi: bool,
    pub(crate) span_fields: bool,
    pub(crate) span_events: bool,
    pub(crate) errors_fail_spans: bool,
    pub(crate) exit_hooks: bool,
    pub(crate) panics: bool,
    pub(crate) on_diagnostic: Option<Hook>,
    pub(crate) diagnostics: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: None,
            token_file: None,
            if_token_present: false,
            dataset: None,
            traces_dataset: None,
            org_id: None,
            address: Wanted::default(),
            labels: Vec::new(),
            tags_in_records: false,
            format: Format::default(),
            compression: Compression::default(),
            gateway: None,
            limits: Limits::default(),
            source_location: false,
            thread_names: false,
            field_placement: FieldPlacement::default(),
            text_fields: Vec::new(),
            keep_ansi: false,
            span_fields: false,
            span_events: false,
            errors_fail_spans: true,
            exit_hooks: false,
            panics: false,
            on_diagnostic: None,
            diagnostics: true,
        }
    }
}

impl Settings {
    /// Whether a token was set or is in the environment, be it right or wrong.
    pub(crate) fn has_token(&self, environment: &dyn Fn(&str) -> Option<OsString>) -> bool {
        is_token_given(self, Environment(environment))
    }

    /// Whether it is known which dataset records go to.
    pub(crate) fn has_dataset(&self, environment: &dyn Fn(&str) -> Option<OsString>) -> bool {
        self.dataset.is_some() || Environment(environment).is_set("AXIOM_DATASET")
    }

    /// Checks what was set, without a token and without the environment: nothing needs to be there, but what is there has
    /// to be right.
    pub(crate) fn check(mut self) -> Result<(), BuildError> {
        self.dataset.get_or_insert_with(|| "any".to_owned());
        let nothing = |_: &str| None;
        Config::with_token(
            self,
            Token::stand_in(),
            None,
            Environment(&nothing),
            Vec::new(),
        )
        .map(drop)
        .map_err(|error| error.hiding(|text| Secret::new("").is_in(text)))
    }
}

/// OpenTelemetry's switch for all that it does. `true` in any case turns it off, and nothing else does.
pub(crate) fn is_switched_off(environment: &dyn Fn(&str) -> Option<OsString>) -> bool {
    environment("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Everything that the parts need to know, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) events: Destination,
    /// Only when spans go elsewhere than events.
    pub(crate) spans: Option<Destination>,
    pub(crate) token: Secret,
    /// Where the token comes from, if that is a file.
    pub(crate) token_file: Option<TokenFile>,
    /// For `X-Axiom-Org-Id`. Visible ASCII.
    pub(crate) org_id: Option<String>,
    /// All destinations are on this machine: no proxy is to be used.
    pub(crate) loopback: bool,
    pub(crate) labels: Labels,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    /// A gateway passes the records on to Axiom, and answers in its place.
    pub(crate) gateway: bool,
    pub(crate) limits: Limits,
    pub(crate) source_location: bool,
    pub(crate) thread_names: bool,
    pub(crate) field_placement: FieldPlacement,
    pub(crate) text_fields: Vec<String>,
    pub(crate) keep_ansi: bool,
    pub(crate) span_fields: bool,
    pub(crate) span_events: bool,
    pub(crate) errors_fail_spans: bool,
    pub(crate) exit_hooks: bool,
    pub(crate) panics: bool,
    pub(crate) on_diagnostic: Option<Hook>,
    /// Whether trouble is written to stderr when there is no hook.
    pub(crate) diagnostics: bool,
}

impl Config {
    /// `defaults`: the attributes of the resource that are known of this process without being set.
    pub(crate) fn new(
        mut settings: Settings,
        environment: &dyn Fn(&str) -> Option<OsString>,
        defaults: Vec<Label>,
    ) -> Result<Self, BuildError> {
        let environment = Environment(environment);
        let (token, file) = find_token(
            settings.token.take(),
            settings.token_file.as_deref(),
            environment,
        )?
        .ok_or_else(Token::missing)?;
        let secret = token.secret.clone();
        Self::with_token(settings, token, file, environment, defaults)
            .map_err(|error| error.hiding(|text| secret.is_in(text)))
    }

    fn with_token(
        settings: Settings,
        token: Token,
        token_file: Option<TokenFile>,
        environment: Environment<'_>,
        defaults: Vec<Label>,
    ) -> Result<Self, BuildError> {
        let target = Target::resolve(settings.address, environment)?;
        let events = environment
            .setting(settings.dataset, "dataset", "AXIOM_DATASET")?
            .map(dataset)
            .transpose()?;
        if events.is_none() && target.names_dataset() {
            return Err(BuildError::missing("dataset", "AXIOM_DATASET")
                .fix("create one in the Axiom console and give its name"));
        }
        let org_id = environment
            .setting(settings.org_id, "org_id", "AXIOM_ORG_ID")?
            .map(org_id)
            .transpose()?;
        token.check(&target, org_id.as_deref())?;
        let spans = environment.setting(
            settings.traces_dataset,
            "traces_dataset",
            "AXIOM_TRACES_DATASET",
        )?;
        let spans = traces_dataset(spans, events.as_deref(), &target)?;
        let limits = settings.limits.checked()?;
        let gateway = match settings.gateway {
            Some(gateway) => gateway,
            None => environment.flag("gateway", "AXIOM_GATEWAY")?,
        };
        // From the least to the most wanted: the last one wins.
        let program = resource::unknown_service(resource::program());
        let mut labels = vec![Label::resource(
            Origin::setter("service_name"),
            SERVICE_NAME,
            program,
        )];
        labels.extend(defaults);
        labels.extend(resource::from_environment(environment)?);
        labels.extend(settings.labels);
        Ok(Self {
            events: target.destination(events.as_deref()),
            spans: spans.map(|dataset| target.destination(Some(&dataset))),
            token: token.secret,
            token_file,
            org_id,
            loopback: target.is_loopback(),
            // A gateway does not pass the header on.
            labels: Labels::new(labels, settings.tags_in_records || gateway, target.endpoint)?,
            format: settings.format,
            compression: settings.compression,
            gateway,
            limits,
            source_location: settings.source_location,
            thread_names: settings.thread_names,
            field_placement: settings.field_placement,
            text_fields: settings.text_fields,
            keep_ansi: settings.keep_ansi,
            span_fields: settings.span_fields,
            span_events: settings.span_events,
            errors_fail_spans: settings.errors_fail_spans,
            exit_hooks: settings.exit_hooks,
            panics: settings.panics,
            on_diagnostic: settings.on_diagnostic,
            diagnostics: settings.diagnostics,
        })
    }
}

fn org_id(given: Given) -> Result<String, BuildError> {
    let given = given.unquoted()?;
    let text = given.text.trim();
    if text.is_empty() || !is_visible_ascii(text) {
        return Err(BuildError::new(
            given.origin,
            "is empty or holds white space, control characters or characters that are not ASCII",
        )
        .text(&given.text)
        .fix("copy the organization's id again from the Settings of the Axiom console"));
    }
    Ok(text.to_owned())
}

/// The dataset for spans, if it is another one than that for events.
fn traces_dataset(
    given: Option<Given>,
    events: Option<&str>,
    target: &Target,
) -> Result<Option<String>, BuildError> {
    let Some(given) = given else {
        return Ok(None);
    };
    let origin = given.origin;
    let name = dataset(given)?;
    if Some(name.as_str()) == events {
        return Ok(None);
    }
    if !target.names_dataset() {
        return Err(BuildError::new(
            origin,
            "can not be kept apart, as the address that is set names no dataset, and so all records go to one place",
        )
        .text(&name)
        .fix("leave it out, or give the URL before the endpoint's path to .url(..)"));
    }
    Ok(Some(name))
}

/// The token that was given first: by a setter, by `AXIOM_TOKEN`, by the file that `AXIOM_TOKEN_FILE` names. `None`:
/// there is none of these.
///
/// With the file that it was read from, if it was one.
fn find_token(
    explicit: Option<String>,
    explicit_file: Option<&Path>,
    environment: Environment<'_>,
) -> Result<Option<(Token, Option<TokenFile>)>, BuildError> {
    if let Some(text) = explicit {
        let token = Token::read(environment::given(text, "token")?)?;
        return Ok(Some((token, None)));
    }
    let file = match explicit_file {
        Some(path) => Some(TokenFile::explicit(path)?),
        None => match environment.variable("token", token::VARIABLE)? {
            Some(given) => return Ok(Some((Token::read(given)?, None))),
            None => TokenFile::of_environment(environment)?,
        },
    };
    match file {
        Some(file) => Ok(Some((file.read()?, Some(file)))),
        None => Ok(None),
    }
}

/// Whether [`find_token`] would look at a token, be it right or wrong.
fn is_token_given(settings: &Settings, environment: Environment<'_>) -> bool {
    settings.token.is_some()
        || settings.token_file.is_some()
        || environment.is_set(token::VARIABLE)
        || environment.is_set(token_file::VARIABLE)
}

#[cfg(test)]
mod tests;
