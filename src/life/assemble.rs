//! The parts of a pipeline, each made from the validated configuration.

use std::sync::Arc;

use reqwest::header::{HeaderValue, InvalidHeaderValue};

use crate::config::{Config, Destination, Endpoint};
use crate::queue::{Queue, Signal};
use crate::report::{BuildError, Counters, Diag, Sink};
use crate::worker::{self, Credentials, Encoder, Heartbeat, Inbox, Layout, Peer, Shared, Source};

pub(super) fn shared(config: &Config, inbox: Inbox) -> Arc<Shared> {
    let sink = Sink::new(config.on_diagnostic.as_ref(), config.diagnostics);
    let counters = Arc::new(Counters::default());
    let signal = Arc::new(Signal::default());
    let destinations = destinations(config).len();
    let queue = |_| {
        Queue::new(
            // One dataset must not starve the other.
            config.limits.queue_max_bytes / destinations,
            config.limits.overflow,
            config.limits.batch_max_bytes,
            Arc::clone(&signal),
            Arc::clone(&counters),
        )
    };
    Arc::new(Shared {
        queues: (0..destinations).map(queue).collect(),
        signal: Arc::clone(&signal),
        counters: Arc::clone(&counters),
        diag: Diag::new(sink),
        inbox,
    })
}

pub(super) fn destinations(config: &Config) -> Vec<&Destination> {
    std::iter::once(&config.events)
        .chain(&config.spans)
        .collect()
}

pub(super) fn source(config: &Config, destination: &Destination, queue: &Arc<Queue>) -> Source {
    let url = &destination.url;
    Source {
        name: destination
            .dataset
            .clone()
            .unwrap_or_else(|| worker::shown(url)),
        url: url.clone(),
        queue: Arc::clone(queue),
        limits: worker::Limits {
            max_events: u32::try_from(config.limits.batch_max_events).unwrap_or(u32::MAX),
            max_bytes: config.limits.batch_max_bytes,
        },
    }
}

pub(crate) fn worker_settings(config: &Config) -> Result<worker::Settings, BuildError> {
    let is_https = destinations(config)
        .iter()
        .any(|destination| destination.url.scheme() == "https");
    if cfg!(not(any(feature = "rustls", feature = "native-tls"))) && is_https {
        return Err(BuildError::plain(
            "the endpoint is reached by https, but the crate was built without TLS",
        )
        .fix("enable its feature `rustls` or `native-tls`"));
    }
    let layout = match (config.events.endpoint, config.labels.tags()) {
        (Some(Endpoint::ApiIngest), tags) => Layout::Groups {
            tags: tags.unwrap_or("{}").into(),
        },
        _ => Layout::of(config.format),
    };
    let transport = worker::TransportSettings {
        credentials: Credentials {
            authorization: worker::bearer(config.token.expose()).map_err(unsendable)?,
            org_id: config.org_id.as_deref().map(header).transpose()?,
            labels: config.labels.header().map(header).transpose()?,
        },
        token_file: config.token_file.clone(),
        content_type: layout.content_type(),
        request_timeout: config.limits.request_timeout,
        is_loopback: config.loopback,
        is_https,
    };
    let encoder = Encoder::new(layout, config.compression)
        .map_err(|error| BuildError::system("the compressor can not be set up", error))?;
    Ok(worker::Settings {
        flush_interval: config.limits.flush_interval,
        retry_timeout: config.limits.retry_timeout,
        refused_pause: config.limits.refused_pause,
        transport,
        encoder,
        heartbeat: config
            .limits
            .heartbeat
            .map(|interval| Heartbeat::new(interval, config.labels.members())),
        peer: if config.gateway {
            Peer::Gateway
        } else {
            Peer::Axiom
        },
    })
}

/// The configuration has checked every character, so this can not fail.
fn header(text: &str) -> Result<HeaderValue, BuildError> {
    HeaderValue::from_str(text).map_err(unsendable)
}

fn unsendable(error: InvalidHeaderValue) -> BuildError {
    BuildError::system("a setting can not be sent as a header", error)
}
