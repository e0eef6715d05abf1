//! The handle: starts the server's threads, answers questions about what arrived, and stops the threads.
//!
//! The threads of the caller run this file. [`Builder::start`] starts the thread on which `http` serves, and dropping the
//! [`Server`] ends it. What both sides share is in `state`.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
#[cfg(feature = "tls")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::event::Event;
use crate::fault::Fault;
use crate::http;
use crate::ingest::Ingest;
use crate::request::Request;
use crate::state::{Settings, Shared, Token};
use crate::store::Store;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::violation::Violation;

/// How long dropping the server waits for its thread.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The options of a server, before it starts.
///
/// ```
/// let server = axiom_local::Server::builder()
///     .token("xaat-secret")
///     .datasets(["logs", "traces"])
///     .max_body_bytes(1024 * 1024)
///     .start()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    token: Option<Token>,
    port: u16,
    dir: Option<PathBuf>,
    datasets: Option<HashSet<String>>,
    max_events_kept: usize,
    max_bytes_kept: usize,
    max_body_bytes: usize,
    max_fields: usize,
    map_fields: Vec<String>,
    max_streams: u32,
    #[cfg(feature = "tls")]
    tls: bool,
    #[cfg(feature = "tls")]
    ca_file: Option<PathBuf>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            token: None,
            port: 0,
            dir: None,
            datasets: None,
            max_events_kept: 1_000_000,
            max_bytes_kept: 256 * 1024 * 1024,
            max_body_bytes: 64 * 1024 * 1024,
            max_fields: 1024,
            map_fields: Vec::new(),
            max_streams: 200,
            #[cfg(feature = "tls")]
            tls: false,
            #[cfg(feature = "tls")]
            ca_file: None,
        }
    }
}

impl Builder {
    /// The only token that is accepted; any other is answered with 403. By default any bearer token is accepted.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token::new(token));
        self
    }

    /// The port on 127.0.0.1. The default, 0, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// A directory, which is created, in which events are also appended to `<dataset>.ndjson`. By default events are in memory
    /// only.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The datasets that exist; any other is answered with 404. By default every dataset exists. The endpoint without a
    /// dataset in its path needs [`DEFAULT_DATASET`](crate::DEFAULT_DATASET) to be one of them.
    pub fn datasets<I, S>(mut self, datasets: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.datasets = Some(datasets.into_iter().map(Into::into).collect());
        self
    }

    /// How many events are kept in memory, over all datasets: 1,000,000 by default. The oldest go first.
    pub fn max_events_kept(mut self, n: usize) -> Self {
        self.max_events_kept = n;
        self
    }

    /// How much memory the kept events may take, roughly: 256 MiB by default. The oldest go first, and an event that is
    /// larger than this is counted but not kept.
    pub fn max_bytes_kept(mut self, n: usize) -> Self {
        self.max_bytes_kept = n;
        self
    }

    /// The largest body, encoded or decoded; 64 MiB by default. A larger one is answered with 413.
    pub fn max_body_bytes(mut self, n: usize) -> Self {
        self.max_body_bytes = n;
        self
    }

    /// How many fields a dataset may have beside `_time`; 1,024 by default. Events that would add more are counted as failed.
    pub fn max_fields(mut self, n: usize) -> Self {
        self.max_fields = n;
        self
    }

    /// Flattened names of objects that are map fields in every dataset: one field each, whatever they hold. None by default.
    pub fn map_fields<I, S>(mut self, names: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.map_fields = names.into_iter().map(Into::into).collect();
        self
    }

    /// How many requests a client may have under way on one HTTP/2 connection; 200 by default. With 1, one stream at a time.
    pub fn max_streams(mut self, n: u32) -> Self {
        self.max_streams = n;
        self
    }

    /// Speaks TLS, with HTTP/2 or HTTP/1.1 as the client chooses (ALPN). The certificate is for `localhost`, `127.0.0.1` and
    /// `::1`. A certificate authority that lives as long as this process issues it. The client has to trust the file
    /// [`Server::ca_file`], for instance by `SSL_CERT_FILE`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Where the certificate of the authority is written. This file stays when the server stops. The default is a temporary file,
    /// which is removed when the server stops. Without [`tls`](Builder::tls) it has no effect.
    #[cfg(feature = "tls")]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Binds the port and starts the server. When this returns, connections are accepted.
    ///
    /// # Errors
    /// The port is taken, the directory can not be created, the file of the certificate authority can not be written, or the
    /// threads can not be started.
    pub fn start(self) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).map_err(|error| {
            let message = format!("port {} can not be listened on: {error}", self.port);
            io::Error::new(error.kind(), message)
        })?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        #[cfg(feature = "tls")]
        let tls = match self.tls {
            true => Some(Tls::new(self.ca_file, addr.port())?),
            false => None,
        };
        #[cfg(feature = "tls")]
        let scheme = if tls.is_some() { "https" } else { "http" };
        #[cfg(not(feature = "tls"))]
        let scheme = "http";
        let store = Store::new(self.max_events_kept, self.max_bytes_kept);
        let ingest = Ingest::new(self.dir.as_deref(), self.max_fields, self.map_fields)?;
        let settings = Settings {
            token: self.token,
            datasets: self.datasets,
            max_body_bytes: self.max_body_bytes,
            max_streams: self.max_streams,
            #[cfg(feature = "tls")]
            tls,
        };
        let shared = Arc::new(Shared::new(store, ingest, settings));
        // The server has its own runtime, because the caller may have none, or may block its own while it waits for the server.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("axiom-local")
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (ended, end) = mpsc::channel::<()>();
        let served = Arc::clone(&shared);
        thread::Builder::new()
            .name("axiom-local".into())
            .spawn(move || {
                runtime.block_on(http::serve(listener, served, stopped));
                // Ends the requests that still hang. A request blocks its thread only while one body is judged.
                runtime.shutdown_timeout(STOP_TIMEOUT / 2);
                drop(ended);
            })?;
        Ok(Server {
            url: format!("{scheme}://{addr}"),
            addr,
            shared,
            stop: Some(stop),
            end: Mutex::new(end),
        })
    }
}

/// A running server. Dropping it stops it, whatever its connections do.
///
/// It runs on threads of its own, so it can be used from plain and from async code alike.
///
/// ```
/// use std::io::{Read, Write};
/// use std::time::Duration;
///
/// let server = axiom_local::Server::start()?;
/// let body = r#"[{"_time":"2026-01-01T00:00:00.000000000Z","message":"hello"}]"#;
/// let mut connection = std::net::TcpStream::connect(server.addr())?;
/// write!(
///     connection,
///     "POST /v1/ingest/logs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer xaat-any\r\nUser-Agent: doc/1\r\n\
///      Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
///     body.len(),
/// )?;
/// assert!(server.wait_until(Duration::from_secs(5), |s| s.ingested() == 1));
/// assert_eq!(server.events("logs")[0].get("message").unwrap(), "hello");
/// assert!(server.violations().is_empty());
/// # std::io::Result::Ok(())
/// ```
#[must_use = "dropping the server stops it"]
pub struct Server {
    url: String,
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    end: Mutex<mpsc::Receiver<()>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server with every default: a free port, any bearer token, any dataset, nothing on disk.
    ///
    /// # Errors
    /// No port is free, or the thread can not be started.
    pub fn start() -> io::Result<Server> {
        Server::builder().start()
    }

    /// A server with options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT` or, with TLS, `https://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file of the certificate authority that a client has to trust, as PEM; none without TLS.
    #[cfg(feature = "tls")]
    pub fn ca_file(&self) -> Option<&Path> {
        self.shared.settings.tls.as_ref().map(Tls::file)
    }

    /// The certificate in [`ca_file`](Server::ca_file), as PEM; none without TLS.
    #[cfg(feature = "tls")]
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.settings.tls.as_ref().map(Tls::pem)
    }

    /// The address that the server listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Events stored in all datasets since the start, including those no longer kept.
    pub fn ingested(&self) -> u64 {
        self.shared.store().ingested()
    }

    /// Events stored in this dataset since the start, including those no longer kept.
    pub fn ingested_in(&self, dataset: &str) -> u64 {
        self.shared.store().ingested_in(dataset)
    }

    /// Events no longer kept, because there were too many.
    pub fn evicted(&self) -> u64 {
        self.shared.store().evicted()
    }

    /// The names of all datasets that ever received an event, sorted.
    pub fn datasets(&self) -> Vec<String> {
        self.shared.store().datasets()
    }

    /// The kept events of a dataset, in order of arrival.
    pub fn events(&self, dataset: &str) -> Vec<Event> {
        self.shared
            .store()
            .events()
            .iter()
            .filter(|event| event.dataset() == dataset)
            .cloned()
            .collect()
    }

    /// The kept events of all datasets, in order of arrival.
    pub fn all_events(&self) -> Vec<Event> {
        self.events_from(0)
    }

    /// The kept events whose [`sequence`](Event::sequence) is this or a later one. It serves to follow along as events arrive.
    pub fn events_from(&self, sequence: u64) -> Vec<Event> {
        self.shared.store().events_from(sequence)
    }

    /// Every request seen, also those that were refused or given a fault, in order of arrival. The latest are kept: at most
    /// 100,000, and at most what fits in about 128 MiB.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.store().requests().iter().cloned().collect()
    }

    /// How many requests there were since the start, including those no longer kept.
    pub fn requests_seen(&self) -> u64 {
        self.shared.store().requests_seen()
    }

    /// Every breach of the contract seen; the latest 10,000 of them.
    pub fn violations(&self) -> Vec<Violation> {
        self.violations_from(0)
    }

    /// The kept breaches without the first `seen` of all since the start. Together with
    /// [`violations_seen`](Server::violations_seen) it serves to follow along.
    pub fn violations_from(&self, seen: u64) -> Vec<Violation> {
        self.shared.store().violations_from(seen)
    }

    /// How many breaches there were since the start, including those no longer kept.
    pub fn violations_seen(&self) -> u64 {
        self.shared.store().violations_seen()
    }

    /// Forgets events, requests, violations, and which fields the datasets have. Counters, faults and files stay.
    pub fn clear(&self) {
        self.shared.ingest().forget();
        self.shared.store().clear();
        self.shared.notify();
    }

    /// Waits until the condition holds, and says whether it did before the timeout.
    ///
    /// The condition is checked at once, and again whenever a request has arrived or has been dealt with. The events, the
    /// violations and the numbers of a request appear together, before the client gets the answer.
    pub fn wait_until(&self, timeout: Duration, condition: impl Fn(&Server) -> bool) -> bool {
        self.shared.wait_until(timeout, || condition(self))
    }

    /// Gives a fault to one request: the next one for which nothing is queued yet.
    pub fn fault(&self, fault: Fault) {
        self.shared.store().plan.push(Some(fault));
    }

    /// Queues one entry for each of the next requests. With `None` the request is served normally.
    pub fn faults(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        let mut store = self.shared.store();
        faults.into_iter().for_each(|fault| store.plan.push(fault));
    }

    /// Gives a fault to every request for which none is queued, until this is called with `None`.
    pub fn always(&self, fault: Option<Fault>) {
        self.shared.store().plan.set_always(fault);
    }

    /// Adds a fault that happens by chance, to requests that would get no other. The same seed gives the same choices,
    /// request by request. Another call adds another fault; a request gets the first one whose chance comes up.
    pub fn with_probability(&self, seed: u64, probability: f64, fault: Fault) {
        self.shared
            .store()
            .plan
            .add_chance(seed, probability, fault);
    }

    /// Answers a body of more than this many bytes on the wire with 413, and does not store it. This takes the place of the
    /// request's own fault. `None` removes the limit. It imitates a proxy and not Axiom, so no [`Violation`] is noted.
    pub fn max_wire_bytes(&self, bytes: Option<usize>) {
        self.shared.store().plan.set_max_wire_bytes(bytes);
    }

    /// Removes all faults to come, and the limit of [`max_wire_bytes`](Server::max_wire_bytes). A fault that a request already
    /// has goes on.
    pub fn no_faults(&self) {
        self.shared.store().plan.clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent here. Either the thread ends and drops its end, or it is out of time and is not waited for.
        let _ended_in_time = end
            .recv_timeout(STOP_TIMEOUT)
            .is_err_and(|e| e == mpsc::RecvTimeoutError::Disconnected);
    }
}
