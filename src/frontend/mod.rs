//! What runs on the application's threads: an event or a closed span becomes one NDJSON line.

mod json;
mod time;
