//! Where records go: the forms of ingest address, and the rules by which one is chosen.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::environment::{Environment, Given, given};
use super::secret::no_token;
use crate::report::{BuildError, Origin};

const DEFAULT_URL: &str = "https://api.axiom.co";
/// Today's limit for a new dataset (Axiom's docs/datasets). Its other rules changed over time, so
/// nothing else is held against a name that fits into an address.
const DATASET_CHARS: usize = 128;

/// A form of ingest address.
///
/// Without [`Builder::endpoint`](crate::Builder::endpoint) it follows from the URL that is set: an edge
/// domain or edge URL means [`Edge`](Self::Edge), anything else [`Datasets`](Self::Datasets).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /v1/ingest/{dataset}`: Axiom's current one, at the domain of an edge deployment. Takes API
    /// tokens (`xaat-`) only.
    Edge,
    /// `POST /v1/datasets/{dataset}/ingest`: the one at `https://api.axiom.co`, which stores in US East 1.
    Datasets,
    /// `POST /api/v1/datasets/{dataset}/ingest`: the early product's.
    ApiDatasets,
    /// `POST /api/v1/ingest/`: the early product's, with the tags of a batch in its body. The address
    /// names no dataset, so the setting is optional and there can be no other one for traces.
    ApiIngest,
}

/// One address that records are posted to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// `None` where the address alone decides.
    pub(crate) dataset: Option<String>,
    pub(crate) url: Url,
    /// `None`: the user gave the full address.
    pub(crate) endpoint: Option<Endpoint>,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        // A full address may carry a key there.
        url.set_query(None);
        f.debug_struct("Destination")
            .field("dataset", &self.dataset)
            .field("url", &url.as_str())
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

/// The explicit settings that decide the address.
#[derive(Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) url: Option<String>,
    pub(crate) edge: Option<String>,
    pub(crate) edge_url: Option<String>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) allow_plain_http: bool,
}

/// An address that lacks no more than the dataset.
#[derive(Debug)]
pub(crate) struct Target {
    base: Url,
    /// `None`: `base` is used as it is.
    pub(crate) endpoint: Option<Endpoint>,
}

impl Target {
    pub(crate) fn resolve(
        wanted: Wanted,
        environment: Environment<'_>,
    ) -> Result<Self, BuildError> {
        let Wanted {
            mut url,
            mut edge,
            mut edge_url,
            ..
        } = wanted;
        let explicit = url.is_some() || edge.is_some() || edge_url.is_some();
        let read = |text: &mut Option<String>, setter, variable| {
            let given = match text.take() {
                Some(text) => Some(given(text, setter)?),
                None if explicit => None,
                None => environment.variable(setter, variable)?,
            };
            given.map(Given::unquoted).transpose()
        };
        let (base, style, given) = if let Some(given) =
            read(&mut edge_url, "edge_url", "AXIOM_EDGE_URL")?
        {
            let base = parse(&given)?;
            let style = matches!(base.path(), "" | "/").then_some(Endpoint::Edge);
            if style.is_none() && wanted.endpoint.is_some() {
                return Err(shown(&given, "has a path and is therefore used as it is, so that .endpoint(..) can not apply")
                    .fix("leave one of them out, or give the URL before the endpoint's path to .url(..)"));
            }
            (base, style, given)
        } else if let Some(given) = read(&mut edge, "edge", "AXIOM_EDGE")? {
            (parse_domain(&given)?, Some(Endpoint::Edge), given)
        } else {
            let given = read(&mut url, "url", "AXIOM_URL")?.unwrap_or_else(|| Given {
                text: DEFAULT_URL.to_owned(),
                origin: Origin::setter("url"),
            });
            (parse(&given)?, Some(Endpoint::Datasets), given)
        };
        let target = Self {
            base,
            endpoint: wanted.endpoint.or(style),
        };
        if target.endpoint.is_some() && target.base.query().is_some() {
            return Err(shown(
                &given,
                "has a query, but the endpoint's path is appended to it",
            )
            .fix("leave out everything from the `?` on"));
        }
        if target.base.scheme() == "http" && !target.is_loopback() && !wanted.allow_plain_http {
            return Err(shown(
                &given,
                "would send the token unencrypted to another machine",
            )
            .fix(
                "use https, or call .allow_plain_http(true) if the network in between is trusted",
            ));
        }
        Ok(target)
    }

    /// Whether records for different datasets go to different addresses.
    pub(crate) fn names_dataset(&self) -> bool {
        !matches!(self.endpoint, None | Some(Endpoint::ApiIngest))
    }

    pub(crate) fn destination(&self, dataset: Option<&str>) -> Destination {
        let mut url = self.base.clone();
        let name = dataset.unwrap_or_default();
        let path: &[&str] = match self.endpoint {
            None => &[],
            Some(Endpoint::Edge) => &["v1", "ingest", name],
            Some(Endpoint::Datasets) => &["v1", "datasets", name, "ingest"],
            Some(Endpoint::ApiDatasets) => &["api", "v1", "datasets", name, "ingest"],
            Some(Endpoint::ApiIngest) => &["api", "v1", "ingest", ""],
        };
        // Only a URL without a host has no path to append to, and `parse` took none of these.
        if !path.is_empty()
            && let Ok(mut segments) = url.path_segments_mut()
        {
            segments.pop_if_empty().extend(path);
        }
        Destination {
            dataset: dataset.map(str::to_owned),
            url,
            endpoint: self.endpoint,
        }
    }

    /// 127.0.0.0/8, `::1` or `localhost`: nothing leaves the machine, and no proxy is asked.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || address
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn is_axiom(&self) -> bool {
        is_under(self.host(), "axiom.co")
    }

    /// Axiom's edge endpoint, by its path or by its domain.
    pub(crate) fn is_edge(&self) -> bool {
        self.endpoint == Some(Endpoint::Edge) || is_under(self.host(), "edge.axiom.co")
    }

    /// In lower case; an IPv6 address in brackets.
    fn host(&self) -> &str {
        let host = self.base.host_str().unwrap_or_default();
        host.strip_suffix('.').unwrap_or(host)
    }
}

fn is_under(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// An error that shows the URL, unless a password may be in it.
fn shown(given: &Given, problem: &'static str) -> BuildError {
    let error = BuildError::new(given.origin, problem);
    if given.text.contains('@') {
        return error;
    }
    match given.text.find(['?', '#']) {
        Some(at) => error.text(&format!("{}…", &given.text[..at])),
        None => error.text(&given.text),
    }
}

fn parse(given: &Given) -> Result<Url, BuildError> {
    let example = "write it like https://api.axiom.co";
    let url = Url::parse(&given.text)
        .map_err(|error| shown(given, "is not a URL").fix(example).caused_by(error))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(shown(given, "is neither https nor http").fix(example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(shown(
            given,
            "holds a user name or a password, which is never sent",
        )
        .fix("leave out everything before the host, up to the `@`"));
    }
    if url.fragment().is_some() {
        return Err(shown(given, "has a fragment, which is never sent")
            .fix("leave out everything from the `#` on"));
    }
    Ok(url)
}

fn parse_domain(given: &Given) -> Result<Url, BuildError> {
    let domain = given.text.trim();
    if domain.contains(['/', '\\', '?', '#', '@']) {
        return Err(shown(given, "is more than a bare domain").fix(
            "write it like eu-central-1.aws.edge.axiom.co, or give a whole URL to AXIOM_EDGE_URL or .edge_url(..)",
        ));
    }
    Url::parse(&format!("https://{domain}")).map_err(|error| {
        shown(given, "is not a domain")
            .fix("write it like eu-central-1.aws.edge.axiom.co")
            .caused_by(error)
    })
}

/// A dataset's name without the white space around it, unless it can not be one segment of a path.
pub(crate) fn dataset(given: Given) -> Result<String, BuildError> {
    let Given { text, origin } = no_token(given.unquoted()?)?;
    let text = text.trim();
    let problem = if matches!(text, "." | "..") {
        "can not be part of a URL"
    } else if text.chars().any(char::is_control) {
        "holds control characters"
    } else if text.chars().count() > DATASET_CHARS {
        "is longer than 128 characters"
    } else {
        return Ok(text.to_owned());
    };
    Err(BuildError::new(origin, problem)
        .text(text)
        .fix("use the dataset's name as the Axiom console shows it"))
}

#[cfg(test)]
mod tests;
