//! Broken when the program starts, good a while later: name resolution, TLS, the proxy.
//!
//! Each test is a process of its own with its own environment, which names the proxy and the file of certificates.
//! In it an application records before and during the outage, and everything arrives once what was broken is mended.

#[path = "../common/audit.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod audit;
#[path = "../common/tls.rs"]
mod certificates;
#[path = "../common/child.rs"]
mod child;
#[path = "../common/program.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod program;
#[path = "../common/relay.rs"]
#[expect(dead_code, reason = "the other binaries need the rest")]
mod relay;
#[path = "../common/work.rs"]
mod work;

mod front;
#[cfg(target_os = "linux")]
mod names;
mod outage;
mod proxy;
mod tls;
