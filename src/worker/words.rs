//! What an endpoint can do wrong, in the user's words, and what fixes it. The worker's diagnostics and the
//! doctor say the same.

mod trouble;

use std::io;

use reqwest::Url;

use super::trouble::Trouble;
use crate::report::Cause;

/// The settings that an address may come from.
pub(crate) const ADDRESS: &str =
    "AXIOM_URL, AXIOM_EDGE or AXIOM_EDGE_URL, or the setter of that name";

/// How a body without content is called.
pub(super) const EMPTY: &str = "an empty body";

/// Where records go, as messages call it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The dataset, or the URL if that has none.
    pub(crate) name: &'a str,
    pub(crate) url: &'a Url,
    /// The dataset is that of `traces_dataset`.
    pub(crate) is_for_spans: bool,
    /// The proxy, as `host:port`, that may answer in the endpoint's place.
    pub(crate) forwarder: Option<&'a str>,
    /// The file that the token was read from.
    pub(crate) token_file: Option<&'a str>,
}

impl Place<'_> {
    /// Scheme, host and port.
    pub(crate) fn host(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// Host and port.
pub(super) fn address(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A URL without its query, which may hold a secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl Words {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }

    /// The system did not give what this side needs: a thread, an event queue, memory.
    pub(crate) fn of_system(what: String, error: &io::Error) -> Self {
        match Trouble::of_thread(error) {
            Some(trouble) => Self::new(
                format!("{what}, as {}: {error}", trouble.used_up()),
                trouble.machine_fix(),
            ),
            None => Self::new(
                format!("{what}: {error}"),
                "see what limits this process (ulimit, cgroup, seccomp)",
            ),
        }
    }

    /// `cause` as it shows in an answer. `None`: no answer shows it.
    pub(crate) fn for_answer(cause: Cause, place: Place<'_>, detail: &str) -> Option<Self> {
        let (host, name) = (place.host(), place.name);
        let mut words = match cause {
            Cause::ServerError => Self::new(
                format!("{host} is in trouble: {detail}"),
                "nothing to do unless it lasts; Axiom's status page tells more",
            ),
            Cause::RateLimited => Self::new(
                format!("{host} asks for fewer requests: {detail}"),
                "raise flush_interval, or ask Axiom for a higher limit",
            ),
            Cause::Quota => Self::new(
                format!("the ingest allowance of the account is used up: {detail}"),
                "raise the account's allowance or record less",
            ),
            Cause::Payment => Self::new(
                format!("{host} wants the account to be paid for: {detail}"),
                "see the account's plan and payment in the Axiom console (Settings > Billing)",
            ),
            Cause::HeadersTooLarge => Self::new(
                format!("{host} finds the headers of the requests too large: {detail}"),
                "set fewer or shorter tags and resource attributes, which travel in a header, or let them travel in the records (.tags_in_records(true)); or raise the limit of the proxy before the endpoint",
            ),
            Cause::Unauthorized => Self::new(
                format!("the token may not ingest into {name}: {detail}"),
                match place.token_file {
                    None => "allow the token to ingest into this dataset (Axiom console, Settings > API tokens), or set another one (AXIOM_TOKEN or .token(..))".to_owned(),
                    Some(file) => format!(
                        "allow the token to ingest into this dataset (Axiom console, Settings > API tokens), or write another one into {file} (AXIOM_TOKEN_FILE or .token_file(..)), which is read again before each attempt"
                    ),
                },
            ),
            Cause::NotFound => {
                let (variable, setter) = if place.is_for_spans {
                    ("AXIOM_TRACES_DATASET", "traces_dataset")
                } else {
                    ("AXIOM_DATASET", "dataset")
                };
                Self::new(
                    format!("{} takes no records: {detail}", shown(place.url)),
                    format!(
                        "create the dataset, or correct its name ({variable} or .{setter}(..)) or the address ({ADDRESS})"
                    ),
                )
            }
            Cause::BadRequest => Self::new(
                format!("{host} does not understand the records for {name}: {detail}"),
                "check that the address is that of an Axiom ingest endpoint, and the dataset's field limit",
            ),
            Cause::Rejected => Self::new(
                format!("{host} refused records for {name}: {detail}"),
                "see the reason; a dataset at its field limit needs fewer fields or a map field `attributes`",
            ),
            Cause::TooLarge => Self::new(
                format!("{host}: {detail}"),
                "record smaller values, or raise the limit of the endpoint or of the proxy before it",
            ),
            // A status of success, with nothing that says how many records were stored.
            Cause::UnexpectedAnswer if detail.starts_with("HTTP 2") && detail.contains(EMPTY) => {
                Self::new(
                    format!("{host} does not say whether it stored the records: {detail}"),
                    format!(
                        "if a gateway that passes records on to Axiom is meant to answer here, as Vector or Fluent Bit, say so (AXIOM_GATEWAY=true or .gateway(true)); else check the address ({ADDRESS})"
                    ),
                )
            }
            Cause::UnexpectedAnswer => {
                let gateway = if detail.starts_with("HTTP 2") {
                    "; or, if a gateway that passes records on to Axiom is meant to answer here, say so (AXIOM_GATEWAY=true or .gateway(true))"
                } else {
                    ""
                };
                Self::new(
                    format!("{host} does not answer as Axiom does: {detail}"),
                    format!(
                        "check the address ({ADDRESS}), and whether a proxy or a login page stands before it{gateway}"
                    ),
                )
            }
            Cause::Warning => Self::new(
                format!("{name}: {detail}"),
                "see the dataset's schema in Axiom",
            ),
            _ => return None,
        };
        if let Some(proxy) = place.forwarder
            && !matches!(cause, Cause::Rejected | Cause::Warning)
        {
            words.what += &format!(" (by way of the proxy {proxy})");
            words.fix += "; if it is the proxy that answers so, correct HTTP_PROXY or ALL_PROXY, or name the host in NO_PROXY to go without";
        }
        Some(words)
    }
}
