//! The faults of HTTP/2, as a client sees them.

use std::future::poll_fn;

use axiom_local::{Fault, Server, StreamError};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason, SendStream};
use hyper::Request;

use crate::common::{PATIENCE, TIME};

/// A client with one connection, without TLS.
struct Client {
    requests: SendRequest<bytes::Bytes>,
    pings: PingPong,
}

impl Client {
    async fn to(server: &Server) -> Self {
        let stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (requests, mut connection) = h2::client::handshake(stream).await.unwrap();
        let pings = connection.ping_pong().unwrap();
        tokio::spawn(connection);
        Self { requests, pings }
    }

    async fn head(&mut self) -> (ResponseFuture, SendStream<bytes::Bytes>) {
        poll_fn(|cx| self.requests.poll_ready(cx)).await.unwrap();
        let request = Request::post("http://localhost/v1/ingest/logs")
            .header("authorization", "Bearer xaat-any")
            .header("user-agent", "axiom-local-tests/1")
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        self.requests.send_request(request, false).unwrap()
    }

    /// Sends a request with one event, and returns its answer to come.
    async fn post(&mut self) -> ResponseFuture {
        let (answer, mut body) = self.head().await;
        let event = format!(r#"[{{"_time":"{TIME}","n":1}}]"#);
        body.send_data(event.into(), true).unwrap();
        answer
    }

    async fn status(&mut self) -> u16 {
        self.post().await.await.unwrap().status().as_u16()
    }

    /// Makes a round trip. Afterwards everything that the server sent before it has arrived.
    async fn round_trip(&mut self) {
        self.pings.ping(Ping::opaque()).await.unwrap();
    }
}

/// Waits until the server has seen this many requests. The wait blocks a thread, so the runtime is told: it also runs the client.
async fn seen(server: &Server, requests: u64) {
    tokio::task::block_in_place(|| {
        assert!(server.wait_until(PATIENCE, |server| server.requests_seen() == requests));
    });
}

fn start() -> Server {
    Server::start().unwrap()
}

fn faults(server: &Server) -> Vec<Option<String>> {
    server.requests().into_iter().map(|one| one.fault).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goaway_at_once_ends_this_request_and_later_ones_and_lets_earlier_ones_finish() {
    let server = start();
    let earlier = Fault::delay(std::time::Duration::from_millis(200));
    server.faults([Some(earlier), Some(Fault::go_away())]);
    let mut client = Client::to(&server).await;
    let (earlier, this) = (client.post().await, client.post().await);
    let later = client.post().await;
    for unprocessed in [this, later] {
        let error = unprocessed.await.unwrap_err();
        assert!(error.is_go_away() && error.is_remote(), "{error:?}");
        assert_eq!(error.reason(), Some(Reason::NO_ERROR));
    }
    assert_eq!(earlier.await.unwrap().status(), 200);
    assert_eq!(server.ingested(), 1);
    // The server does not remember the requests that it did not process.
    assert_eq!(faults(&server)[1..], [Some("go_away".to_owned())]);
    assert_eq!(Client::to(&server).await.status().await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_goaway_serves_everything_under_way_and_ends_the_connection() {
    let server = start();
    let earlier = Fault::delay(std::time::Duration::from_millis(200));
    server.faults([Some(earlier), Some(Fault::go_away_gracefully())]);
    let mut client = Client::to(&server).await;
    let (earlier, this) = (client.post().await, client.post().await);
    assert_eq!(this.await.unwrap().status(), 200);
    assert_eq!(earlier.await.unwrap().status(), 200);
    let error = poll_fn(|cx| client.requests.poll_ready(cx)).await;
    assert!(error.unwrap_err().is_go_away());
    assert_eq!(server.ingested(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_reset_for_the_reason_given_and_the_connection_goes_on() {
    let server = start();
    let mut client = Client::to(&server).await;
    let cases = [
        (StreamError::Refused, Reason::REFUSED_STREAM, "refused", 0),
        (StreamError::Cancel, Reason::CANCEL, "cancel", 1),
        (StreamError::Internal, Reason::INTERNAL_ERROR, "internal", 1),
        (
            StreamError::EnhanceYourCalm,
            Reason::ENHANCE_YOUR_CALM,
            "enhance_your_calm",
            1,
        ),
    ];
    for (why, reason, name, read) in cases {
        server.fault(Fault::reset_stream(why));
        let error = client.post().await.await.unwrap_err();
        assert!(error.is_reset() && error.is_remote(), "{error:?}");
        assert_eq!(error.reason(), Some(reason));
        let requests = server.requests();
        let last = requests.last().unwrap();
        assert_eq!(last.fault, Some(format!("reset_stream {name}")));
        assert_eq!((last.events, last.ingested, last.status), (read, 0, None));
    }
    assert_eq!(client.status().await, 200);
    assert_eq!(server.ingested(), 1);
    assert!(server.requests().iter().all(|one| one.connection == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_shut_lets_no_body_through_and_answers_pings() {
    let server = start();
    server.fault(Fault::shut_window());
    let mut client = Client::to(&server).await;
    let _first = client.head().await;
    seen(&server, 1).await;
    // The server shuts the window in a task of its own, and the client takes the new one some round trips later.
    let mut is_shut = false;
    for requests in 2..1_000 {
        let (_answer, mut body) = client.head().await;
        body.reserve_capacity(1);
        seen(&server, requests).await;
        client.round_trip().await;
        is_shut = body.capacity() == 0;
        if is_shut {
            break;
        }
    }
    assert!(is_shut);
    assert_eq!(Client::to(&server).await.status().await, 200);
    assert_eq!(server.ingested(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_that_are_ignored_leave_the_other_requests_alone() {
    let server = start();
    let mut client = Client::to(&server).await;
    client.round_trip().await;
    server.fault(Fault::ignore_pings());
    let hanging = tokio::spawn(client.post().await);
    seen(&server, 1).await;
    let mut pings = client.pings;
    let ping = tokio::spawn(async move { pings.ping(Ping::opaque()).await });
    client.pings = Client::to(&server).await.pings;
    for _ in 0..10 {
        assert_eq!(client.status().await, 200);
    }
    assert!(!ping.is_finished() && !hanging.is_finished());
    assert_eq!(server.ingested(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_after_two_requests_swallows_all_that_follows() {
    let server = start();
    server.faults([None, None, Some(Fault::black_hole())]);
    let mut client = Client::to(&server).await;
    assert_eq!((client.status().await, client.status().await), (200, 200));
    let swallowed = tokio::spawn(client.post().await);
    seen(&server, 3).await;
    let later = tokio::spawn(client.post().await);
    assert_eq!(Client::to(&server).await.status().await, 200);
    assert!(!swallowed.is_finished() && !later.is_finished());
    assert_eq!((server.requests_seen(), server.ingested()), (4, 3));
    let connections: Vec<_> = server.requests().iter().map(|one| one.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_at_a_time_is_announced_and_kept() {
    let server = Server::builder().max_streams(1).start().unwrap();
    let mut client = Client::to(&server).await;
    assert_eq!(client.status().await, 200);
    assert_eq!(client.requests.current_max_send_streams(), 1);
    server.fault(Fault::hang());
    let hanging = client.post().await;
    let waiting = tokio::spawn(client.post().await);
    seen(&server, 2).await;
    client.round_trip().await;
    assert_eq!(server.requests_seen(), 2);
    drop(hanging);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

/// HTTP/1.1 has no such frames, so these faults do what comes nearest.
#[test]
fn over_http_1_they_hang_or_close() {
    use crate::common::{one, read_answer, read_to_end};
    let server = start();
    for fault in [Fault::go_away(), Fault::reset_stream(StreamError::Refused)] {
        server.fault(fault);
        let mut stream = one("\"n\":1").start(server.addr());
        assert_eq!(read_to_end(&mut stream).unwrap(), b"");
    }
    server.fault(Fault::go_away_gracefully());
    let mut stream = one("\"n\":1").start(server.addr());
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!(
        (answer.status, &*answer.headers["connection"]),
        (200, "close")
    );
    assert_eq!(server.ingested(), 1);
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;

    async fn connect(
        server: &Server,
        name: &'static str,
        alpn: &[&[u8]],
    ) -> TlsStream<tokio::net::TcpStream> {
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(server.ca_file().unwrap()).unwrap();
        roots
            .add(CertificateDer::from_pem_slice(&pem).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
        let name = ServerName::try_from(name).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.unwrap()
    }

    fn with_tls() -> Server {
        Server::builder().tls(true).start().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn http_2_is_spoken_over_tls_where_the_client_offers_it_with_its_faults() {
        let server = with_tls();
        assert!(server.url().starts_with("https://127.0.0.1:"));
        let stream = connect(&server, "127.0.0.1", &[b"h2", b"http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (requests, mut connection) = h2::client::handshake(stream).await.unwrap();
        let pings = connection.ping_pong().unwrap();
        tokio::spawn(connection);
        let mut client = Client { requests, pings };
        assert_eq!(client.status().await, 200);
        server.fault(Fault::go_away());
        let error = client.post().await.await.unwrap_err();
        assert!(error.is_go_away(), "{error:?}");
        assert!(server.requests().iter().all(|one| one.http2));
        assert_eq!((server.ingested(), server.violations()), (1, vec![]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn http_1_is_spoken_over_tls_where_the_client_offers_nothing_else() {
        let server = with_tls();
        let mut stream = connect(&server, "localhost", &[]).await;
        let request = crate::common::one("\"n\":1");
        let bytes = [request.head().as_bytes(), &request.body].concat();
        stream.write_all(&bytes).await.unwrap();
        let mut status = [0; 15];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
        assert!(!server.requests()[0].http2);
    }

    #[test]
    fn the_authority_is_that_of_the_process_and_its_file_goes_with_the_server_unless_it_was_named()
    {
        let (first, second) = (with_tls(), with_tls());
        assert_eq!(first.ca_pem(), second.ca_pem());
        assert!(
            first
                .ca_pem()
                .unwrap()
                .starts_with("-----BEGIN CERTIFICATE")
        );
        let temporary = first.ca_file().unwrap().to_owned();
        assert_ne!(Some(&*temporary), second.ca_file());
        drop(first);
        assert!(!temporary.exists());
        let named = std::env::temp_dir().join(format!("axiom-local-it-{}.pem", std::process::id()));
        let third = Server::builder().tls(true).ca_file(&named).start().unwrap();
        assert_eq!(third.ca_file(), Some(&*named));
        drop(third);
        assert_eq!(
            Some(&*std::fs::read_to_string(&named).unwrap()),
            second.ca_pem()
        );
        std::fs::remove_file(named).unwrap();
        let plain = start();
        assert_eq!((plain.ca_file(), plain.ca_pem()), (None, None));
    }

    #[test]
    fn a_file_that_can_not_be_written_is_named_in_the_error() {
        let nowhere = std::env::temp_dir()
            .join("axiom-local-no-such-folder")
            .join("ca.pem");
        let error = Server::builder()
            .tls(true)
            .ca_file(&nowhere)
            .start()
            .unwrap_err();
        assert!(
            error.to_string().contains("axiom-local-no-such-folder"),
            "{error}"
        );
    }
}
