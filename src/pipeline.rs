//! Puts the parts together: queues, worker, layer and guard, from one validated configuration.

use std::sync::Arc;

use reqwest::header::HeaderValue;

use crate::config::{Config, Destination, Endpoint};
use crate::diag::{Diag, Sink};
use crate::error::BuildError;
use crate::frontend::{AxiomLayer, Options};
use crate::guard::Guard;
use crate::queue::{Queue, Signal};
use crate::stats::Counters;
use crate::worker::{self, Credentials, Encoder, Layout, Shared, Source};

/// Starts the worker. Opens no connection and reads no file: the worker does, on its own thread.
pub(crate) fn start(config: Config) -> Result<(AxiomLayer, Guard), BuildError> {
    let limits = config.limits;
    let signal = Arc::new(Signal::default());
    let counters = Arc::new(Counters::default());
    let destinations: Vec<Destination> =
        std::iter::once(config.events).chain(config.spans).collect();
    let queues: Vec<Arc<Queue>> = destinations
        .iter()
        .map(|_| {
            Queue::new(
                // One dataset must not starve the other.
                limits.queue_max_bytes / destinations.len(),
                limits.overflow,
                limits.batch_max_bytes,
                Arc::clone(&signal),
                Arc::clone(&counters),
            )
        })
        .collect();
    let layer = AxiomLayer::new(
        Arc::clone(&queues[0]),
        Arc::clone(&queues[queues.len() - 1]),
        Arc::clone(&counters),
        Options {
            source_location: config.source_location,
            thread_names: config.thread_names,
            resource: config.labels.members().into(),
        },
    );
    let endpoint = destinations[0].endpoint;
    let layout = match (endpoint, config.labels.tags()) {
        (Some(Endpoint::ApiIngest), tags) => Layout::Groups {
            tags: tags.unwrap_or("{}").into(),
        },
        _ => Layout::of(config.format),
    };
    let transport = worker::TransportSettings {
        credentials: Credentials {
            authorization: secret_header(&format!("Bearer {}", config.token.expose()))?,
            org_id: config.org_id.as_deref().map(header).transpose()?,
            labels: config.labels.header().map(header).transpose()?,
        },
        content_type: layout.content_type(),
        request_timeout: limits.request_timeout,
        is_loopback: config.loopback,
        is_https: destinations
            .iter()
            .any(|destination| destination.url.scheme() == "https"),
    };
    let encoder = Encoder::new(layout, config.compression)
        .map_err(|error| BuildError::system("the compressor can not be set up", error))?;
    let settings = worker::Settings {
        flush_interval: limits.flush_interval,
        retry_timeout: limits.retry_timeout,
        transport,
        encoder,
    };
    let sources = destinations
        .into_iter()
        .zip(&queues)
        .map(|(destination, queue)| Source {
            name: destination
                .dataset
                .unwrap_or_else(|| worker::shown(&destination.url)),
            url: destination.url,
            queue: Arc::clone(queue),
            limits: worker::Limits {
                max_events: u32::try_from(limits.batch_max_events).unwrap_or(u32::MAX),
                max_bytes: limits.batch_max_bytes,
            },
        })
        .collect();
    let sink = match (config.on_diagnostic, config.diagnostics) {
        (Some(hook), _) => Sink::Hook(hook),
        (None, true) => Sink::Stderr,
        (None, false) => Sink::Off,
    };
    let shared = Arc::new(Shared {
        queues,
        signal,
        counters,
        diag: Diag::new(sink),
    });
    let (commands, thread) = worker::spawn(settings, sources, Arc::clone(&shared))
        .map_err(|error| BuildError::system("the worker's thread can not be started", error))?;
    let guard = Guard::new(shared, commands, thread, limits.shutdown_timeout);
    Ok((layer, guard))
}

/// The configuration has checked every character, so this can not fail.
fn header(text: &str) -> Result<HeaderValue, BuildError> {
    HeaderValue::from_str(text)
        .map_err(|error| BuildError::system("a setting can not be sent as a header", error))
}

fn secret_header(text: &str) -> Result<HeaderValue, BuildError> {
    let mut value = header(text)?;
    value.set_sensitive(true);
    Ok(value)
}
