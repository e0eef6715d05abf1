//! What is remembered of each request, answered or not.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value};

/// Which of the four ingest endpoints a request used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// `POST /v1/ingest/{dataset}`, the current endpoint of the edge domains.
    Edge,
    /// `POST /v1/datasets/{dataset}/ingest`, the default of the official clients.
    Datasets,
    /// `POST /api/v1/datasets/{dataset}/ingest`, of the self-hosted era.
    ApiDatasets,
    /// `POST /api/v1/ingest/`, groups of tags and events; stored in [`DEFAULT_DATASET`](crate::DEFAULT_DATASET).
    ApiGroups,
}

/// One request as it was seen, whether it was served, refused or given a [`Fault`](crate::Fault).
///
/// It appears when its headers are in; the fields about the body and the answer are filled in later.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// Position in the order of arrival since the server started, from 0.
    pub index: u64,
    /// The method, upper case.
    pub method: String,
    /// The path, with the query if there was one.
    pub path: String,
    /// The endpoint, if the path is one of them.
    pub style: Option<Style>,
    /// The dataset, if the path names one.
    pub dataset: Option<String>,
    /// True if it came over HTTP/2.
    pub http2: bool,
    /// The connection that it came on, counted in the order of arrival from 0.
    pub connection: u64,
    /// Headers by lower-case name. The secret part of `authorization` is replaced.
    pub headers: BTreeMap<String, String>,
    /// The value of `Content-Type`.
    pub content_type: Option<String>,
    /// The value of `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// Labels from `X-Axiom-Event-Labels`.
    pub labels: Map<String, Value>,
    /// Bytes of the body as they came over the wire, as far as they were read.
    pub wire_bytes: usize,
    /// Bytes of the body after decoding; 0 if that failed.
    pub decoded_bytes: usize,
    /// Events found in the body, whether they were stored or not.
    pub events: usize,
    /// Events stored.
    pub ingested: usize,
    /// The status of the answer. None as long as there is no answer, which is for ever if the connection was cut first.
    pub status: Option<u16>,
    /// The name of the fault that the request was given.
    pub fault: Option<String>,
    /// When the headers were in.
    pub received_at: Instant,
}

impl Request {
    /// What the request costs in memory, near enough to bound it. This must not change while the request is remembered. So the
    /// labels, which are filled in later, are counted by their header, which is there from the start.
    pub(crate) fn weight(&self) -> usize {
        const OVERHEAD: usize = 600;
        const PER_HEADER: usize = 100;
        const PER_LABEL_BYTE: usize = 5;
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| PER_HEADER + name.len() + value.len())
            .sum();
        let labels = self
            .headers
            .get("x-axiom-event-labels")
            .map_or(0, |labels| PER_LABEL_BYTE * labels.len());
        OVERHEAD + 2 * self.path.len() + headers + labels
    }
}
