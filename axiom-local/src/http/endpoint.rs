//! Reads the head of a request: its endpoint and dataset, whether it is admitted, and the format, encoding and options of its
//! body.

use std::collections::BTreeMap;
use std::time::Instant;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Method, Version};
use serde_json::Map;

use crate::ingest::decode::Encoding;
use crate::ingest::split::Format;
use crate::request::{Request, Style};
use crate::state::Settings;
use crate::violation::Rule;

/// The dataset of events that arrive by `POST /api/v1/ingest/`, whose URL names none.
pub const DEFAULT_DATASET: &str = "default";

/// Finds the endpoint of a path, and its dataset.
fn route(path: &str) -> Option<(Style, String)> {
    let (style, dataset) = if let Some(dataset) = path.strip_prefix("/v1/ingest/") {
        (Style::Edge, dataset)
    } else if let Some(rest) = path.strip_prefix("/v1/datasets/") {
        (Style::Datasets, rest.strip_suffix("/ingest")?)
    } else if let Some(rest) = path.strip_prefix("/api/v1/datasets/") {
        (Style::ApiDatasets, rest.strip_suffix("/ingest")?)
    } else if matches!(path, "/api/v1/ingest" | "/api/v1/ingest/") {
        (Style::ApiGroups, DEFAULT_DATASET)
    } else {
        return None;
    };
    let dataset = percent_decoded(dataset, false);
    (!dataset.is_empty() && !path_has_slash(style, path)).then_some((style, dataset))
}

/// True if the path has more segments than its endpoint, so that the dataset would be several segments.
fn path_has_slash(style: Style, path: &str) -> bool {
    let expected = match style {
        Style::Edge => 3,
        Style::Datasets => 4,
        Style::ApiDatasets => 5,
        Style::ApiGroups => return false,
    };
    path.matches('/').count() != expected
}

fn percent_decoded(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) if plus_is_space => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first notes about a request.
pub(crate) fn request(head: &Parts) -> Request {
    let routed = route(head.uri.path());
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &head.headers {
        let text = if name == AUTHORIZATION {
            redacted(&String::from_utf8_lossy(value.as_bytes()))
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&text);
            })
            .or_insert(text);
    }
    Request {
        index: 0,
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(|| head.uri.path().to_owned(), ToString::to_string),
        style: routed.as_ref().map(|(style, _)| *style),
        dataset: routed.map(|(_, dataset)| dataset),
        http2: head.version == Version::HTTP_2,
        connection: 0,
        content_type: headers.get(CONTENT_TYPE.as_str()).cloned(),
        content_encoding: headers.get(CONTENT_ENCODING.as_str()).cloned(),
        headers,
        labels: Map::new(),
        wire_bytes: 0,
        decoded_bytes: 0,
        events: 0,
        ingested: 0,
        status: None,
        fault: None,
        received_at: Instant::now(),
    }
}

/// Replaces the secret in the value of `Authorization`, and keeps the scheme and the kind of token.
fn redacted(authorization: &str) -> String {
    let (scheme, token) = authorization.split_once(' ').unwrap_or(("", authorization));
    let kind = ["xaat-", "xapt-", "xait-"]
        .into_iter()
        .find(|kind| token.starts_with(kind));
    format!("{scheme} {}…", kind.unwrap_or(""))
        .trim_start()
        .to_owned()
}

/// What the head says about the body.
#[derive(Debug)]
pub(crate) struct Instructions {
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    pub(crate) time_field: String,
}

/// Why a request is refused: the status of the answer, and the reason.
pub(crate) type Refusal = (u16, String);

/// Checks the headers that every request should have, also one that is refused.
pub(crate) fn check_headers(headers: &HeaderMap, broken: &mut impl FnMut(Rule, String)) {
    let says = |name: &str| headers.get(name).is_some_and(|value| !value.is_empty());
    if !says(USER_AGENT.as_str()) && !says("x-axiom-client") {
        broken(Rule::MissingUserAgent, "no User-Agent".into());
    }
}

/// Decides whether the request may enter.
pub(crate) fn admit(
    head: &Parts,
    request: &Request,
    settings: &Settings,
    broken: &mut impl FnMut(Rule, String),
) -> Result<(), Refusal> {
    let (Some(style), Some(dataset)) = (request.style, request.dataset.as_deref()) else {
        return Err((404, format!("no such path: {}", head.uri.path())));
    };
    if head.method != Method::POST {
        return Err((405, "only POST is allowed".into()));
    }
    let authorization = head
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let token = match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    if token.is_empty() {
        return Err((401, "no bearer token".into()));
    }
    if settings
        .token
        .as_ref()
        .is_some_and(|right| !right.is(token))
    {
        return Err((403, "the token is not valid".into()));
    }
    if token.starts_with("xapt-") {
        let reason = match style {
            Style::Edge => Some("personal tokens are not accepted by the edge endpoint"),
            _ if head.headers.contains_key("x-axiom-org-id") => None,
            _ => Some("personal tokens need X-Axiom-Org-Id"),
        };
        if let Some(reason) = reason {
            broken(Rule::PersonalToken, reason.into());
            return Err((403, reason.into()));
        }
    }
    if settings
        .datasets
        .as_ref()
        .is_some_and(|known| !known.contains(dataset))
    {
        return Err((404, format!("no such dataset: {dataset}")));
    }
    Ok(())
}

/// Reads what the head says about the body.
pub(crate) fn instructions(
    head: &Parts,
    style: Style,
    broken: &mut impl FnMut(Rule, String),
) -> Result<Instructions, Refusal> {
    let mut time_field = "_time".to_owned();
    let mut delimiter = b',';
    for pair in head.uri.query().unwrap_or("").split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decoded(value, true);
        match name {
            "timestamp-field" if !value.is_empty() => time_field = value,
            "csv-delimiter" if !value.is_empty() => match value.as_bytes() {
                [byte] => delimiter = *byte,
                _ => return Err((400, format!("csv-delimiter is not one byte: {value:?}"))),
            },
            _ => {}
        }
    }
    let encoding = encoding(&head.headers, broken)?;
    let content_type = text(&head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let mime = content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let format = match mime.as_str() {
        _ if style == Style::ApiGroups => Format::Groups,
        "application/json" => Format::Json,
        "application/x-ndjson" | "application/nd-json" => Format::Ndjson,
        "text/csv" => Format::Csv {
            delimiter,
            names: csv_names(&head.headers),
        },
        _ => {
            broken(
                Rule::UnknownContentType,
                format!("Content-Type is {content_type:?}"),
            );
            Format::Json
        }
    };
    Ok(Instructions {
        format,
        encoding,
        time_field,
    })
}

fn encoding(
    headers: &HeaderMap,
    broken: &mut impl FnMut(Rule, String),
) -> Result<Encoding, Refusal> {
    let Some(name) = text(headers, CONTENT_ENCODING.as_str()) else {
        return Ok(Encoding::Identity);
    };
    match name.trim().to_ascii_lowercase().as_str() {
        "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        "" => {
            broken(
                Rule::EmptyContentEncoding,
                "Content-Encoding is there but empty".into(),
            );
            Ok(Encoding::Identity)
        }
        // axiom-py sends this for a body that is not encoded.
        "1" => {
            broken(
                Rule::UnknownContentEncoding,
                "Content-Encoding is \"1\"".into(),
            );
            Ok(Encoding::Identity)
        }
        other => {
            let reason = format!("Content-Encoding is {other:?}");
            broken(Rule::UnknownContentEncoding, reason.clone());
            Err((415, reason))
        }
    }
}

fn csv_names(headers: &HeaderMap) -> Option<Vec<String>> {
    let names = text(headers, "x-axiom-csv-fields")?;
    Some(
        names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
    )
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_endpoints_are_told_apart() {
        for (path, expected) in [
            ("/v1/ingest/logs", Some((Style::Edge, "logs"))),
            ("/v1/ingest/a%2Fb", Some((Style::Edge, "a/b"))),
            ("/v1/datasets/logs/ingest", Some((Style::Datasets, "logs"))),
            (
                "/api/v1/datasets/logs/ingest",
                Some((Style::ApiDatasets, "logs")),
            ),
            ("/api/v1/ingest", Some((Style::ApiGroups, "default"))),
            ("/api/v1/ingest/", Some((Style::ApiGroups, "default"))),
            ("/v1/ingest/", None),
            ("/v1/ingest/a/b", None),
            ("/v1/datasets//ingest", None),
            ("/v1/datasets/logs", None),
            ("/", None),
        ] {
            let expected = expected.map(|(style, dataset)| (style, dataset.to_owned()));
            assert_eq!(route(path), expected, "{path}");
        }
    }

    #[test]
    fn no_part_of_a_secret_is_kept() {
        assert_eq!(redacted("Bearer xaat-0123"), "Bearer xaat-…");
        assert_eq!(redacted("Bearer secret"), "Bearer …");
        assert_eq!(redacted("secret"), "…");
    }
}
