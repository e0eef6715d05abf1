//! The options of the layer. Setters only note what they are given; `config` judges it.

mod delivery;
mod records;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::{self, Config, Endpoint, Secret, Settings};
use crate::doctor::{Diagnosis, TIMEOUT, diagnose};
use crate::frontend::AxiomLayer;
use crate::life::{self, Guard};
use crate::report::BuildError;
use crate::report::{Cause, Diag, Diagnostic, Sink};

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

/// Finds out why records do not arrive, or that they do: sends one record and says in plain words what is wrong
/// and what fixes it.
///
/// Configured by the environment alone; [`Builder::doctor`](crate::Builder::doctor) diagnoses explicit settings, too. The
/// `doctor` example of this crate is a program around it.
///
/// It checks in order the configuration, the host's name, the connection, TLS, whether the endpoint takes a record
/// for each dataset, and the clock. The first failure is the diagnosis. On the way it sends a small record, "axiom-layer doctor
/// probe", at level info; to a [`traces_dataset`](crate::Builder::traces_dataset) a span of that name.
///
/// Never takes longer than 10 seconds, and blocks the calling thread for that time at most. Needs no runtime and
/// may be called inside one; there, `spawn_blocking` keeps other tasks going. It prints nothing, panics never, and
/// the token appears nowhere in its result.
///
/// # Examples
/// ```no_run
/// let diagnosis = axiom_layer::doctor();
/// println!("{diagnosis}");
/// assert!(diagnosis.is_healthy());
/// ```
pub fn doctor() -> Diagnosis {
    builder().doctor()
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

    /// How long nothing is sent after a refusal that somebody has to mend (401, 403, 404): 30 s. For tests, which can not wait as long.
    #[doc(hidden)]
    pub fn refused_pause(mut self, pause: Duration) -> Self {
        self.settings.limits.refused_pause = pause;
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
            return Ok(life::inert());
        }
        if self.settings.if_token_present && !self.settings.has_token(&environment) {
            let has_dataset = self.settings.has_dataset(&environment);
            let sink = Sink::new(
                self.settings.on_diagnostic.as_ref(),
                self.settings.diagnostics,
            );
            self.settings.check()?;
            say_how_to_enable(sink, has_dataset);
            return Ok(life::inert());
        }
        life::start(self.into_config(environment)?)
    }

    /// Finds out why records do not arrive with these settings, or that they do, in at most 10 seconds.
    ///
    /// Like [`doctor`](crate::doctor()), which says what is done.
    pub fn doctor(&self) -> Diagnosis {
        self.doctor_within(TIMEOUT)
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
        diagnose(config, timeout)
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
