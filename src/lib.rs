//! A `tracing` layer that delivers spans and events to Axiom.
