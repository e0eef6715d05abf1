//! A local endpoint that speaks Axiom's ingest contract.
