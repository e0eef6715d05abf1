//! Every error that the system, TLS, HTTP/2 and hyper give here, as the client itself wraps it: the real client fails for
//! real where that can be had, else its connector fails with the error that the system or TLS would have given it.

use std::error::Error;
use std::future::{Ready, ready};
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{NoAnswer, Trouble};
use crate::doctor::Problem;
use crate::worker::words::{Place, Words};

type BoxError = Box<dyn Error + Send + Sync>;

/// In place of the client's connector: it fails.
#[derive(Clone)]
struct Failing(Arc<dyn Fn() -> BoxError + Send + Sync>);

impl<S> tower::Layer<S> for Failing {
    type Service = FailingFor<S>;

    fn layer(&self, connector: S) -> FailingFor<S> {
        FailingFor(self.clone(), connector)
    }
}

#[derive(Clone)]
struct FailingFor<S>(Failing, S);

impl<S: tower::Service<R, Error = BoxError>, R> tower::Service<R> for FailingFor<S> {
    type Response = S::Response;
    type Error = BoxError;
    type Future = Ready<Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Err((self.0.0)()))
    }
}

/// What comes of a request, as the transport puts it.
struct Failed {
    no_answer: NoAnswer,
    url: Url,
}

impl Failed {
    fn of(error: reqwest::Error, is_proxied: bool) -> Self {
        let url = error.url().unwrap().clone();
        let proxy = is_proxied.then(|| ("proxy".to_owned(), 3128));
        Self {
            no_answer: NoAnswer::of(error, proxy),
            url,
        }
    }

    fn words(&self) -> Words {
        let place = Place {
            name: "logs",
            url: &self.url,
            is_for_spans: false,
            forwarder: None,
            token_file: None,
        };
        self.no_answer.trouble.words(place, &self.no_answer.detail)
    }

    /// What is wrong and what mends it hold these words, fit a line, and name the host and the client's own words.
    fn assert(&self, seen: &str, trouble: Trouble, what: &str, fix: &str) {
        let Words {
            what: said,
            fix: mend,
        } = self.words();
        let shown = format!("{seen}: {said}; {mend}");
        println!("{shown}");
        assert_eq!(self.no_answer.trouble, trouble, "{shown}");
        assert!(said.contains(what), "no {what:?} in {shown}");
        assert!(mend.contains(fix), "no {fix:?} in {shown}");
        let host = self.url.host_str().unwrap();
        assert!(said.contains(host), "no host in {shown}");
        assert!(said.contains(&self.no_answer.detail), "{shown}");
        assert!(!self.no_answer.detail.is_empty() && !shown.contains('\n'));
        let is_https = self.url.scheme() == "https";
        assert!(!is_https || !mend.contains("write https://"), "{shown}");
    }
}

fn client() -> reqwest::ClientBuilder {
    // As the transport makes it. Nothing here takes long, unless it hangs.
    let builder = Client::builder()
        .no_proxy()
        .retry(reqwest::retry::never())
        .timeout(Duration::from_secs(10));
    #[cfg(feature = "rustls")]
    let builder = builder.tls_backend_rustls().tls_certs_only([]);
    builder
}

async fn get(client: reqwest::ClientBuilder, url: &str) -> Failed {
    let sent = async {
        let response = client.build()?.get(url).send().await?;
        response.bytes().await.map(drop)
    };
    Failed::of(sent.await.unwrap_err(), false)
}

/// The connector fails.
async fn connecting(
    scheme: &str,
    is_proxied: bool,
    make: impl Fn() -> BoxError + Send + Sync + 'static,
) -> Failed {
    let client = client().connector_layer(Failing(Arc::new(make)));
    let url = format!("{scheme}://axiom.test:8443/");
    let error = client.build().unwrap().get(url).send().await.unwrap_err();
    assert!(error.is_connect());
    Failed::of(error, is_proxied)
}

fn numbered(number: i32) -> impl Fn() -> BoxError + Send + Sync + 'static {
    move || io::Error::from_raw_os_error(number).into()
}

/// A peer that does this with each connection.
async fn peer<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address.to_string()
}

/// A peer that says this, whatever it is asked.
async fn says(answer: &'static [u8]) -> String {
    peer(move |mut stream| async move {
        let mut asked = [0; 8192];
        if stream.read(&mut asked).await.is_ok() {
            stream.write_all(answer).await.ok();
            // So that what was not read does not become a reset.
            stream.shutdown().await.ok();
            while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {}
        }
    })
    .await
}

/// The connection stands, and then fails with this.
async fn established(number: i32) -> Failed {
    let address = says(b"").await;
    let broken = futures_util::stream::iter([Err::<http_body::Frame<Bytes>, _>(
        io::Error::from_raw_os_error(number),
    )]);
    let body = reqwest::Body::wrap(http_body_util::StreamBody::new(broken));
    let request = client().build().unwrap().post(format!("http://{address}"));
    let error = request.body(body).send().await.unwrap_err();
    assert!(!error.is_connect());
    Failed::of(error, false)
}

#[cfg(unix)]
#[tokio::test]
async fn each_error_of_the_system_has_its_cause_and_its_fix() {
    use Trouble::{
        Closed, ConnectTimeout, Files, FilesOfAll, Forbidden, Memory, Network, NoRoute, Ports,
        Refused, Timeout, Tls,
    };
    let connects = [
        (
            "EMFILE",
            libc::EMFILE,
            Files,
            "this process may open no more files",
            "ulimit -n",
        ),
        (
            "ENFILE",
            libc::ENFILE,
            FilesOfAll,
            "this machine may open no more",
            "fs.file-max",
        ),
        (
            "ENOBUFS",
            libc::ENOBUFS,
            Memory,
            "no memory left",
            "free memory",
        ),
        (
            "ENOMEM",
            libc::ENOMEM,
            Memory,
            "no memory left",
            "MemoryMax=",
        ),
        (
            "EADDRNOTAVAIL",
            libc::EADDRNOTAVAIL,
            Ports,
            "no local address or port",
            "ip_local_port_range",
        ),
        (
            "EADDRINUSE",
            libc::EADDRINUSE,
            Ports,
            "no local address or port",
            "ss -s",
        ),
        (
            "EAGAIN",
            libc::EAGAIN,
            Ports,
            "no local address or port",
            "ss -s",
        ),
        (
            "ENETUNREACH",
            libc::ENETUNREACH,
            NoRoute,
            "no way leads",
            "a network and a route",
        ),
        (
            "EHOSTUNREACH",
            libc::EHOSTUNREACH,
            NoRoute,
            "no way leads",
            "ip route get",
        ),
        (
            "ENETDOWN",
            libc::ENETDOWN,
            NoRoute,
            "no way leads",
            "HTTPS_PROXY",
        ),
        (
            "EHOSTDOWN",
            libc::EHOSTDOWN,
            NoRoute,
            "no way leads",
            "AXIOM_URL",
        ),
        (
            "EAFNOSUPPORT",
            libc::EAFNOSUPPORT,
            NoRoute,
            "no way leads",
            "IPv6",
        ),
        (
            "EACCES",
            libc::EACCES,
            Forbidden,
            "does not let this program connect",
            "SELinux",
        ),
        (
            "EPERM",
            libc::EPERM,
            Forbidden,
            "does not let this program connect",
            "firewall",
        ),
        (
            "ECONNREFUSED",
            libc::ECONNREFUSED,
            Refused,
            "the connection was refused",
            "something listens there",
        ),
        (
            "ETIMEDOUT",
            libc::ETIMEDOUT,
            ConnectTimeout,
            "can not be reached",
            "security group",
        ),
        (
            "EINVAL",
            libc::EINVAL,
            Network,
            "can not be reached",
            "this machine's network",
        ),
    ];
    for scheme in ["http", "https"] {
        for (name, number, trouble, what, fix) in connects {
            let failed = connecting(scheme, false, numbered(number)).await;
            failed.assert(name, trouble, what, fix);
            assert!(failed.words().what.contains("os error"), "{name}");
        }
        let (trouble, what, fix) = match scheme {
            "https" => (Tls, "no TLS with", "a firewall"),
            _ => (Closed, "ended the connection", "a firewall"),
        };
        for (name, number) in [
            ("ECONNRESET", libc::ECONNRESET),
            ("ECONNABORTED", libc::ECONNABORTED),
            ("EPIPE", libc::EPIPE),
        ] {
            let failed = connecting(scheme, false, numbered(number)).await;
            failed.assert(name, trouble, what, fix);
        }
    }
    for (name, number, trouble, what, fix) in [
        (
            "ECONNRESET",
            libc::ECONNRESET,
            Closed,
            "ended the connection",
            "nothing to do unless",
        ),
        (
            "EPIPE",
            libc::EPIPE,
            Closed,
            "ended the connection",
            "nothing to do unless",
        ),
        (
            "ECONNABORTED",
            libc::ECONNABORTED,
            Closed,
            "ended the connection",
            "a firewall",
        ),
        (
            "ETIMEDOUT",
            libc::ETIMEDOUT,
            Timeout,
            "os error",
            "swallows requests",
        ),
        (
            "ENETUNREACH",
            libc::ENETUNREACH,
            NoRoute,
            "no way leads",
            "a route",
        ),
        (
            "EHOSTUNREACH",
            libc::EHOSTUNREACH,
            NoRoute,
            "no way leads",
            "a route",
        ),
        (
            "ENOBUFS",
            libc::ENOBUFS,
            Memory,
            "no memory left",
            "tcp_mem",
        ),
        ("ENOMEM", libc::ENOMEM, Memory, "no memory left", "tcp_mem"),
    ] {
        let failed = established(number).await;
        failed.assert(&format!("{name} later"), trouble, what, fix);
    }
}

/// What the machine has used up is no fault of the proxy's; everything else on the way to it is.
#[cfg(unix)]
#[tokio::test]
async fn a_proxy_is_not_blamed_for_what_this_machine_has_used_up() {
    for (number, trouble, fix) in [
        (libc::EMFILE, Trouble::Files, "ulimit -n"),
        (libc::EADDRNOTAVAIL, Trouble::Ports, "ip_local_port_range"),
        (libc::ECONNREFUSED, Trouble::Proxy, "correct HTTPS_PROXY"),
        (libc::EHOSTUNREACH, Trouble::Proxy, "correct HTTPS_PROXY"),
    ] {
        let failed = connecting("https", true, numbered(number)).await;
        failed.assert("by a proxy", trouble, "", fix);
    }
}

#[cfg(unix)]
#[test]
fn each_error_of_a_thread_that_can_not_start_has_its_cause_and_its_fix() {
    for (number, what, fix) in [
        (
            libc::EAGAIN,
            "may start no more threads: ",
            "ulimit -u, TasksMax=",
        ),
        (libc::EMFILE, "may open no more files", "ulimit -n"),
        (libc::ENFILE, "may open no more files", "fs.file-max"),
        (libc::ENOMEM, "no memory left", "free memory"),
        (libc::EPERM, "can not be started: ", "seccomp"),
    ] {
        let error = io::Error::from_raw_os_error(number);
        let words = Words::of_system("the worker can not be started".to_owned(), &error);
        println!("{}; {}", words.what, words.fix);
        assert!(words.what.contains(what), "{words:?}");
        assert!(words.what.contains(&error.to_string()), "{words:?}");
        assert!(words.fix.contains(fix), "{words:?}");
    }
}

/// An alert in answer to the client's first message: TLS parses it, whichever library that is (RFC 8446, appendix B.2).
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn each_tls_alert_has_its_cause_and_its_fix() {
    use Trouble::{ClientCertificate, NoCommonTls, OtherProtocol, Tls, TlsBroken, UnknownName};
    let certificate = (
        ClientCertificate,
        "wants a certificate of this program",
        "without a client certificate",
    );
    let version = (
        NoCommonTls,
        "no kind of TLS in common",
        "offer TLS 1.2 or 1.3",
    );
    let broken = (TlsBroken, "broke off", "see the log of the endpoint");
    for (name, number, (trouble, what, fix)) in [
        ("handshake_failure", 40, version),
        ("protocol_version", 70, version),
        ("insufficient_security", 71, version),
        (
            "unrecognized_name",
            112,
            (
                UnknownName,
                "is not served",
                "correct the host in the address",
            ),
        ),
        (
            "no_application_protocol",
            120,
            (
                OtherProtocol,
                "neither HTTP/2 nor HTTP/1.1",
                "another service answers there",
            ),
        ),
        ("bad_certificate", 42, certificate),
        ("unsupported_certificate", 43, certificate),
        ("certificate_revoked", 44, certificate),
        ("certificate_expired", 45, certificate),
        ("certificate_unknown", 46, certificate),
        ("unknown_ca", 48, certificate),
        ("access_denied", 49, certificate),
        ("certificate_required", 116, certificate),
        ("unexpected_message", 10, broken),
        ("bad_record_mac", 20, broken),
        ("record_overflow", 22, broken),
        ("illegal_parameter", 47, broken),
        ("decode_error", 50, broken),
        ("decrypt_error", 51, broken),
        ("internal_error", 80, broken),
        ("unknown_psk_identity", 115, broken),
        (
            "hangs up",
            0,
            (Tls, "no TLS with", "check that this port speaks TLS"),
        ),
    ] {
        let address = peer(move |mut stream| async move {
            let mut hello = [0; 8192];
            assert!(stream.read(&mut hello).await.unwrap() > 0);
            if number > 0 {
                let alert = [0x15, 3, 3, 0, 2, 2, number];
                stream.write_all(&alert).await.unwrap();
            }
        })
        .await;
        let url = format!("https://{address}/");
        if cfg!(not(feature = "rustls")) && number == 115 {
            // OpenSSL has no word for it.
            continue;
        }
        get(client(), &url).await.assert(name, trouble, what, fix);
    }
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn each_error_of_rustls_has_its_cause_and_its_fix() {
    use rustls::{CertificateError as Certificate, Error as Tls};
    use rustls::{InvalidMessage, PeerIncompatible, PeerMisbehaved};
    type Make = fn() -> Tls;
    let untrusted = (Trouble::Untrusted, "is not trusted", "SSL_CERT_FILE");
    let expired = (
        Trouble::Expired,
        "not valid at this time",
        "set this machine's clock",
    );
    let name = (
        Trouble::WrongName,
        "is not that of",
        "correct the host in the address",
    );
    let version = (
        Trouble::NoCommonTls,
        "no kind of TLS in common",
        "offer TLS 1.2 or 1.3",
    );
    let broken = (
        Trouble::TlsBroken,
        "broke off",
        "see the log of the endpoint",
    );
    let plain = (Trouble::NotTls, "does not speak TLS", "write http://");
    let other = (Trouble::Tls, "no TLS with", "a firewall");
    let table: [(Make, (Trouble, &str, &str)); 20] = [
        (
            || Tls::InvalidCertificate(Certificate::UnknownIssuer),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::BadSignature),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::BadEncoding),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::InvalidPurpose),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::UnknownRevocationStatus),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::ApplicationVerificationFailure),
            untrusted,
        ),
        (|| Tls::NoCertificatesPresented, untrusted),
        (|| Tls::InvalidCertificate(Certificate::Expired), expired),
        (
            || Tls::InvalidCertificate(Certificate::NotValidYet),
            expired,
        ),
        (
            || Tls::InvalidCertificate(Certificate::NotValidForName),
            name,
        ),
        (
            || Tls::InvalidCertificate(Certificate::Revoked),
            (Trouble::Revoked, "was revoked", "needs a new certificate"),
        ),
        (
            || Tls::InvalidMessage(InvalidMessage::InvalidContentType),
            plain,
        ),
        (
            || Tls::NoApplicationProtocol,
            (Trouble::OtherProtocol, "neither HTTP/2", "(ALPN)"),
        ),
        (
            || Tls::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            version,
        ),
        (
            || Tls::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
            broken,
        ),
        (|| Tls::DecryptError, broken),
        (|| Tls::PeerSentOversizedRecord, broken),
        (|| Tls::EncryptError, other),
        (|| Tls::FailedToGetRandomBytes, other),
        (|| Tls::General("for a reason".into()), other),
    ];
    for (make, (trouble, what, fix)) in table {
        // As tokio-rustls passes it on.
        let wrapped = move || io::Error::new(io::ErrorKind::InvalidData, make()).into();
        let failed = connecting("https", false, wrapped).await;
        failed.assert(&format!("{:?}", make()), trouble, what, fix);
    }
}

/// Under native-tls there are words alone, as OpenSSL 1.1 and 3 write them.
#[test]
fn the_words_of_openssl_mean_the_same() {
    use Trouble::{
        ClientCertificate, Expired, NoCommonTls, NotTls, OtherProtocol, Revoked, Tls, TlsBroken,
        UnknownName, Untrusted, WrongName,
    };
    for (words, trouble) in [
        ("sslv3 alert handshake failure", NoCommonTls),
        ("ssl/tls alert handshake failure", NoCommonTls),
        ("tlsv1 alert protocol version", NoCommonTls),
        ("tlsv1 alert insufficient security", NoCommonTls),
        ("unsupported protocol", NoCommonTls),
        ("tlsv1 unrecognized name", UnknownName),
        ("tlsv1 alert no application protocol", OtherProtocol),
        ("sslv3 alert bad certificate", ClientCertificate),
        ("sslv3 alert unsupported certificate", ClientCertificate),
        ("sslv3 alert certificate revoked", ClientCertificate),
        ("sslv3 alert certificate expired", ClientCertificate),
        ("sslv3 alert certificate unknown", ClientCertificate),
        ("tlsv1 alert unknown ca", ClientCertificate),
        ("tlsv1 alert access denied", ClientCertificate),
        ("tlsv13 alert certificate required", ClientCertificate),
        ("sslv3 alert unexpected message", TlsBroken),
        ("sslv3 alert bad record mac", TlsBroken),
        ("tlsv1 alert record overflow", TlsBroken),
        ("sslv3 alert illegal parameter", TlsBroken),
        ("tlsv1 alert decode error", TlsBroken),
        ("tlsv1 alert decrypt error", TlsBroken),
        ("tlsv1 alert internal error", TlsBroken),
        ("wrong version number", NotTls),
        ("packet length too long", NotTls),
        (
            "certificate verify failed: (unable to get local issuer certificate)",
            Untrusted,
        ),
        (
            "certificate verify failed: (certificate has expired)",
            Expired,
        ),
        (
            "certificate verify failed: (certificate is not yet valid)",
            Expired,
        ),
        ("certificate verify failed: (hostname mismatch)", WrongName),
        (
            "certificate verify failed: (IP address mismatch)",
            WrongName,
        ),
        ("certificate verify failed: (certificate revoked)", Revoked),
        ("unexpected eof while reading", Tls),
    ] {
        let line =
            format!("error:0A000410:SSL routines:ssl3_read_bytes:{words}:rec_layer_s3.c:1605:");
        assert_eq!(super::tls::of_words(&line), Some(trouble), "{words}");
    }
    assert_eq!(super::tls::of_words("connection refused"), None);
}

/// How a server ends a stream, or the connection.
#[derive(Debug, Clone, Copy)]
enum End {
    Reset,
    GoAway,
}

/// The types of the frames that are read or written here (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// The bytes of a frame.
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, 0]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Whether a request has come, after the preface of 24 bytes.
fn has_request(read: &[u8]) -> bool {
    let mut rest = read.get(24..).unwrap_or_default();
    while let [high, middle, low, kind, ..] = *rest {
        if kind == HEADERS {
            return true;
        }
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    false
}

/// One request to a server that ends it so, and leaves the connection open.
async fn http2(end: End, reason: h2::Reason) -> Failed {
    let address = peer(move |mut stream| async move {
        stream.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
        let (mut read, mut some) = (Vec::new(), [0; 8192]);
        while !has_request(&read) {
            let length = stream.read(&mut some).await.unwrap();
            assert!(length > 0, "it hung up");
            read.extend(&some[..length]);
        }
        let reason = u32::from(reason).to_be_bytes();
        let last = match end {
            End::Reset => frame(RST_STREAM, 1, &reason),
            // No stream was processed.
            End::GoAway => frame(GOAWAY, 0, &[[0; 4], reason].concat()),
        };
        stream.write_all(&last).await.unwrap();
        while stream.read(&mut some).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let client = client().http2_prior_knowledge();
    get(client, &format!("http://{address}/")).await
}

#[tokio::test]
async fn each_reason_of_http2_has_its_cause_and_its_fix() {
    use h2::Reason;
    let closed = (
        Trouble::Closed,
        "ended the connection",
        "nothing to do unless it lasts",
    );
    let unread = (
        Trouble::Unprocessed,
        "turns requests away unread",
        "is overloaded or restarts",
    );
    let broken = (
        Trouble::Http2,
        "do not understand each other by HTTP/2",
        "proxy or load balancer",
    );
    for (reason, (trouble, what, fix)) in [
        (Reason::REFUSED_STREAM, unread),
        (Reason::CANCEL, closed),
        (Reason::INTERNAL_ERROR, closed),
        (Reason::CONNECT_ERROR, closed),
        (Reason::from(0x4242), closed),
        (Reason::PROTOCOL_ERROR, broken),
        (Reason::FLOW_CONTROL_ERROR, broken),
        (Reason::SETTINGS_TIMEOUT, broken),
        (Reason::STREAM_CLOSED, broken),
        (Reason::FRAME_SIZE_ERROR, broken),
        (Reason::COMPRESSION_ERROR, broken),
        (
            Reason::ENHANCE_YOUR_CALM,
            (
                Trouble::TooMany,
                "asks for fewer requests",
                "raise flush_interval",
            ),
        ),
        (
            Reason::INADEQUATE_SECURITY,
            (
                Trouble::NoCommonTls,
                "no kind of TLS in common",
                "ciphers of today",
            ),
        ),
        (
            Reason::HTTP_1_1_REQUIRED,
            (
                Trouble::OnlyHttp1,
                "takes no records by it",
                "switch HTTP/2 off",
            ),
        ),
    ] {
        for end in [End::Reset, End::GoAway] {
            let failed = http2(end, reason).await;
            // Where the words of the reason say no more than that it ended, GOAWAY says more.
            let (trouble, what, fix) = match (end, trouble) {
                (End::GoAway, Trouble::Closed) => unread,
                _ => (trouble, what, fix),
            };
            let name = format!("{end:?} {reason:?}");
            failed.assert(&name, trouble, what, fix);
            // Whatever the words, such a request goes again at once, unless fewer are wanted.
            let is_unprocessed = matches!(end, End::GoAway) || reason == Reason::REFUSED_STREAM;
            let is_unprocessed = is_unprocessed && trouble != Trouble::TooMany;
            assert_eq!(failed.no_answer.is_unprocessed, is_unprocessed, "{name}");
        }
    }
    let failed = http2(End::GoAway, Reason::NO_ERROR).await;
    failed.assert("GOAWAY without an error", unread.0, unread.1, unread.2);
}

#[tokio::test]
async fn what_is_no_http2_is_said_to_be_none() {
    let address = says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let failed = get(
        client().http2_prior_knowledge(),
        &format!("http://{address}/"),
    )
    .await;
    failed.assert(
        "HTTP/1.1 to HTTP/2",
        Trouble::Http2,
        "do not understand each other by HTTP/2",
        "switch its HTTP/2 off",
    );
    // What is left unread when the connection is closed makes a reset of it.
    let address = peer(|stream| async move { stream.readable().await.unwrap() }).await;
    let failed = get(
        client().http2_prior_knowledge(),
        &format!("http://{address}/"),
    )
    .await;
    failed.assert(
        "reset",
        Trouble::Closed,
        "ended the connection",
        "nothing to do unless it lasts",
    );
}

#[tokio::test]
async fn each_answer_that_hyper_can_not_read_has_its_cause_and_its_fix() {
    let no_http = (Trouble::NotHttp, "nor with HTTP", "write https://");
    let closed = (
        Trouble::Closed,
        "ended the connection",
        "nothing to do unless",
    );
    for (name, answer, (trouble, what, fix)) in [
        (
            "no HTTP at all",
            &b"220 mail.test ESMTP\r\n\r\n"[..],
            no_http,
        ),
        ("no status", b"HTTP/1.1 abc\r\n\r\n", no_http),
        ("no header", b"HTTP/1.1 200 OK\r\n\0\r\n\r\n", no_http),
        (
            "no length",
            b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            no_http,
        ),
        (
            "no chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
            no_http,
        ),
        ("nothing", b"", closed),
        (
            "half an answer",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhell",
            closed,
        ),
    ] {
        let address = says(answer).await;
        let failed = get(client(), &format!("http://{address}/")).await;
        failed.assert(name, trouble, what, fix);
    }
    // Where the address is https already, TLS is not what is missing.
    let words = Trouble::NotHttp.words(
        Place {
            name: "logs",
            url: &Url::parse("https://axiom.test/").unwrap(),
            is_for_spans: false,
            forwarder: None,
            token_file: None,
        },
        "invalid HTTP version parsed",
    );
    assert!(words.fix.contains("correct host and port"), "{words:?}");
}

#[tokio::test]
async fn names_and_time_outs_have_their_cause_and_their_fix() {
    let failed = get(client(), "http://axiom-layer.invalid/").await;
    failed.assert(
        "no such name",
        Trouble::Name,
        "can not be resolved",
        "this machine's DNS",
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let impatient = client().timeout(Duration::from_millis(50));
    let failed = get(impatient, &url).await;
    failed.assert(
        "silence",
        Trouble::Timeout,
        "is connected and silent",
        "raise request_timeout",
    );
}

#[test]
fn the_doctor_names_each_trouble_by_the_same_classes() {
    for (trouble, problem) in [
        (Trouble::Files, Problem::System),
        (Trouble::FilesOfAll, Problem::System),
        (Trouble::Threads, Problem::System),
        (Trouble::Memory, Problem::System),
        (Trouble::Ports, Problem::System),
        (Trouble::NoRoute, Problem::Network),
        (Trouble::Forbidden, Problem::Network),
        (Trouble::Revoked, Problem::CertificateUntrusted),
        (Trouble::UnknownName, Problem::CertificateName),
        (Trouble::ClientCertificate, Problem::Tls),
        (Trouble::NoCommonTls, Problem::Tls),
        (Trouble::TlsBroken, Problem::Tls),
        (Trouble::OtherProtocol, Problem::Tls),
        (Trouble::Closed, Problem::ConnectionClosed),
        (Trouble::NotHttp, Problem::NotAxiom),
        (Trouble::Http2, Problem::NotAxiom),
        (Trouble::OnlyHttp1, Problem::NotAxiom),
        (Trouble::TooMany, Problem::RateLimited),
    ] {
        assert_eq!(Problem::from(trouble), problem, "{trouble:?}");
    }
}
