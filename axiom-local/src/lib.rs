//! A local endpoint that speaks Axiom's ingest contract, to develop and test against without an account.
//!
//! It is a real HTTP server on `127.0.0.1`: any client that ships JSON to Axiom works with it unchanged. It keeps what
//! arrives, answers as Axiom answers, notes every breach of the contract, and fails on demand. Nothing leaves the
//! machine.
//!
//! # In a test
//! ```
//! use std::time::Duration;
//! use axiom_local::Server;
//!
//! let server = Server::start()?; // A free port; stops when dropped.
//! # send_one_event(server.addr())?;
//! // Point the client at server.url(), let it send, then:
//! assert!(server.wait_until(Duration::from_secs(5), |s| s.ingested_in("logs") == 1));
//! let event = &server.events("logs")[0];
//! assert_eq!(event.get("attributes.user.id").unwrap(), 7);
//! assert_eq!(server.violations(), []);
//! # fn send_one_event(addr: std::net::SocketAddr) -> std::io::Result<()> {
//! #     use std::io::{Read, Write};
//! #     let body = r#"{"_time":"2026-01-01T00:00:00.000000000Z","attributes":{"user":{"id":7}}}"#;
//! #     let mut connection = std::net::TcpStream::connect(addr)?;
//! #     write!(
//! #         connection,
//! #         "POST /v1/ingest/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer xaat-x\r\nUser-Agent: doc/1\r\n\
//! #          Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
//! #         body.len(),
//! #     )?;
//! #     connection.read(&mut [0; 1]).map(drop)
//! # }
//! # std::io::Result::Ok(())
//! ```
//! The server runs on threads of its own, so it serves tests with and without an async runtime. [`Server::wait_until`]
//! replaces sleeping: when it wakes, a request's events, violations and numbers are all there.
//!
//! # The endpoints
//! | `POST` | [`Style`] | Used by |
//! |---|---|---|
//! | `/v1/ingest/{dataset}` | [`Edge`](Style::Edge) | Axiom's edge domains |
//! | `/v1/datasets/{dataset}/ingest` | [`Datasets`](Style::Datasets) | the official clients by default |
//! | `/api/v1/datasets/{dataset}/ingest` | [`ApiDatasets`](Style::ApiDatasets) | clients of the self-hosted era |
//! | `/api/v1/ingest/` | [`ApiGroups`](Style::ApiGroups) | the same; groups of tags and events, stored in [`DEFAULT_DATASET`] |
//!
//! Bodies are JSON arrays, JSON objects, NDJSON or CSV, plain or as gzip or zstd, over HTTP/1.1 or HTTP/2. With TLS the client
//! chooses the version by ALPN; without TLS the server recognises HTTP/2 by its first bytes. The query parameters
//! `timestamp-field` and `csv-delimiter` and the headers `X-Axiom-Event-Labels` and `X-Axiom-CSV-Fields` do what Axiom
//! documents. `timestamp-format` is not interpreted.
//!
//! # What is checked
//! This server refuses what Axiom refuses: no token (401), a wrong one (403), an unknown dataset (404), a body that can not be
//! understood or an event of more than 1 MiB (400), an unknown encoding (415), too large a body (413). A dataset that is out
//! of fields counts events as failed inside a 200. It repairs what Axiom repairs: a string over 1 MB is replaced, nesting
//! over 100 levels is cut, a field with a reserved name is renamed, a missing time becomes the time of arrival.
//!
//! Everything else that the contract forbids, or that Axiom's documentation warns of, is accepted and noted as a [`Violation`] of
//! a [`Rule`]: repeated keys, fields that change their type, labels that collide with fields, more than 10,000 events in a
//! request, malformed spans and so on. A client without violations and without failures is a client that Axiom understands.
//!
//! The contract was compiled from Axiom's documentation and from the source of its official clients. Where both are silent
//! (more than 10,000 events, an unreadable time, the largest body) this server is lenient and notes it.
//!
//! # Faults
//! [`Server::fault`] gives a fault to the next request, [`Server::faults`] to a sequence of requests, [`Server::always`] to
//! every request until it is taken back, and [`Server::with_probability`] by chance from a seed. See [`Fault`] for what can
//! happen: any status with any headers, delays, hanging, closing or resetting the connection at each stage, cut, slow and
//! senseless answers, events counted as failed. For HTTP/2 there are also GOAWAY at once and in two phases, streams reset for
//! each reason, windows that stay shut, unanswered pings, and connections on which nothing is read or written any more.
//! [`Builder::max_streams`] can allow one stream at a time. [`Server::max_wire_bytes`] imitates a proxy that refuses large
//! bodies.
//!
//! ```
//! # use axiom_local::{Fault, Server};
//! # let server = Server::start()?;
//! server.faults([Some(Fault::status(503)), Some(Fault::reset()), None]); // None is served normally.
//! # std::io::Result::Ok(())
//! ```
//! The server is built on hyper and h2 rather than on a framework, because resets, cut bodies and GOAWAY frames need access to
//! the connection.
//!
//! # TLS
//! Axiom speaks HTTP/2 over TLS, and so does a server with [`Builder::tls`] (the feature `tls`, on by default). Its certificate
//! is issued by a certificate authority of its own, which the client has to be told to trust:
//! ```
//! # #[cfg(feature = "tls")] {
//! # use axiom_local::Server;
//! let server = Server::builder().tls(true).start()?;
//! let mut client = std::process::Command::new("my-client");
//! client.env("SSL_CERT_FILE", server.ca_file().unwrap()).arg(server.url());
//! # }
//! # std::io::Result::Ok(())
//! ```
//!
//! # The binary
//! `cargo run -p axiom-local` starts the same server for a person: it prints its address, then each trace as a tree and each
//! other event as a line. `--help` lists the options. The binary needs the feature `cli`, which is on by default. A test that
//! needs only the library turns it off with `default-features = false`, and adds `tls` if it needs TLS.
//!
//! # Limits
//! Memory is bounded: the oldest events, requests and violations are forgotten first ([`Builder::max_events_kept`],
//! [`Builder::max_bytes_kept`], [`Server::requests`], [`Server::violations`]); counters and files are not affected. There are
//! no queries, no locked schemas, no rate limits of its own (use [`Fault::status`]), and no OTLP.
//!
//! The server emits no `tracing` events, so that it can serve the tests of a subscriber in the same process. Over HTTP/2 the h2
//! crate does emit some, on threads named `axiom-local`.

mod event;
mod fault;
mod http;
mod ingest;
pub mod render;
mod request;
mod server;
mod state;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod violation;

pub use crate::event::Event;
pub use crate::fault::{Fault, StreamError};
pub use crate::http::DEFAULT_DATASET;
pub use crate::request::{Request, Style};
pub use crate::server::{Builder, Server};
pub use crate::violation::{Rule, Violation};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
