//! Starts a layer: the pipeline, the tracer that records into it, and the guard.

use std::sync::Arc;

use super::guard::Guard;
use super::pipeline::Pipeline;
use super::{exit, running};
use crate::config::Config;
use crate::frontend::{AxiomLayer, CallsiteOptions, OpenSpans, Options, Tracer};
use crate::record::Placement;
use crate::record::json::Ansi;
use crate::report::BuildError;

/// Starts the worker. Opens no connection and loads no certificates: the worker does, on its own thread.
pub(crate) fn start(config: Config) -> Result<(AxiomLayer, Guard), BuildError> {
    let options = Options {
        thread_names: config.thread_names,
        span_fields: config.span_fields,
        span_events: config.span_events,
        errors_fail_spans: config.errors_fail_spans,
        panics: config.panics,
        callsites: CallsiteOptions {
            source_location: config.source_location,
            placement: Placement {
                fields: config.field_placement,
                tags: config.labels.names().into(),
            },
            text_fields: config.text_fields.iter().cloned().collect(),
            ansi: if config.keep_ansi {
                Ansi::Keep
            } else {
                Ansi::Strip
            },
        },
        labels: config.labels.members().into(),
    };
    let spans = Arc::new(OpenSpans::default());
    let pipeline = Pipeline::new(Arc::new(config), Arc::clone(&spans), begin)?;
    let pipeline = Arc::new(pipeline);
    begin(&pipeline);
    if options.panics {
        exit::watch_panics();
    }
    let tracer = Tracer::new(pipeline.outlet(), spans, options);
    Ok((AxiomLayer::new(tracer), Guard::new(pipeline)))
}

/// A layer that records nothing, and a guard with nothing to deliver. No thread is started.
pub(crate) fn inert() -> (AxiomLayer, Guard) {
    (AxiomLayer::inert(), Guard::inert())
}

/// A pipeline begins to work in this process: here, or later in a forked child.
fn begin(pipeline: &Arc<Pipeline>) {
    if pipeline.has_exit_hooks() && pipeline.is_open() {
        exit::install(pipeline.shutdown_timeout());
    }
    running::add(pipeline);
}
