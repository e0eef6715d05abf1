//! How a process ends, and what becomes of its records then: real processes, which exit, panic, fork and are killed.
//!
//! The application is `tests/process/child`, built on demand; this program is its endpoint and sends its signals.

mod app;
mod ends;
#[cfg(target_os = "linux")]
mod first;
#[cfg(unix)]
mod forks;
mod late;
mod panics;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stops;
