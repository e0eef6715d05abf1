//! Every error that the system, TLS, HTTP/2 and hyper give here, as the client itself wraps it: the real client fails for
//! real where that can be had, else its connector fails with the error that the system or TLS would have given it.

mod http;
mod system;
mod tls;

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
