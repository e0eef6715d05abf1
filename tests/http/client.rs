//! The client's span, and what goes along with the request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axiom_layer::TraceContext;
use axiom_layer::http::ClientMiddleware;
use axum::Router;
use axum::routing::any;
use http::{Extensions, HeaderMap, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tokio::net::TcpListener;
use tracing::{Instrument, Level, Span, info_span};

use crate::support::{PATIENCE, Recorder, attribute, reqwest_client, summary, text};

/// Answers with the context that arrived, and with the status that the path asks for. Never answers `/never`.
async fn echo() -> SocketAddr {
    async fn answer(uri: http::Uri, headers: HeaderMap) -> (StatusCode, String) {
        let code = uri.path().trim_start_matches('/');
        if code == "never" {
            std::future::pending::<()>().await;
        }
        let context = TraceContext::extract(&headers);
        let text = context.map_or_else(String::new, |context| context.traceparent().to_owned());
        let count = headers.get_all("traceparent").iter().count();
        (code.parse().unwrap_or_default(), format!("{count} {text}"))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(any(answer));
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

fn client() -> ClientWithMiddleware {
    ClientBuilder::new(reqwest_client())
        .with(ClientMiddleware::new())
        .build()
}

#[tokio::test]
async fn the_span_is_below_the_current_one_and_travels_with_the_request() {
    let recorder = Recorder::start();
    let address = echo().await;
    let request = client().get(format!("http://{address}/200?q=tea&sig=secret#top"));
    let seen = async {
        request
            .header("traceparent", "an older one")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }
    .instrument(info_span!("handler"))
    .await;

    let (spans, _) = recorder.finish();
    let [span, handler] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(summary(span), "GET client false - -");
    assert_eq!(text(span, "parent_span_id"), text(handler, "span_id"));
    let (trace, id) = (text(span, "trace_id"), text(span, "span_id"));
    assert_eq!(trace, text(handler, "trace_id"));
    // What the span carried is its own: exactly one header.
    let flags = seen.rsplit_once('-').unwrap().1;
    assert_eq!(seen, format!("1 00-{trace}-{id}-{flags}"));
    assert_eq!(
        *span.get("attributes").unwrap(),
        serde_json::json!({
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.full": format!("http://{address}/200?q=tea&sig=REDACTED#top"),
            "server.address": "127.0.0.1",
            "server.port": address.port(),
            "network.protocol.version": "1.1",
        })
    );
}

#[tokio::test]
async fn both_4xx_and_5xx_are_errors_of_the_client() {
    let recorder = Recorder::start();
    let address = echo().await;
    for code in [204, 404, 503] {
        let response = client()
            .post(format!("http://{address}/{code}"))
            .send()
            .await;
        assert_eq!(response.unwrap().status(), code);
    }
    let (spans, _) = recorder.finish();
    let summaries: Vec<_> = spans.iter().map(summary).collect();
    assert_eq!(
        summaries,
        [
            "POST client false - -",
            "POST client true 404 ERROR",
            "POST client true 503 ERROR",
        ]
    );
}

#[tokio::test]
async fn an_error_of_the_connection_is_an_exception_without_secrets() {
    let recorder = Recorder::start();
    // Bound and not listening any more: refused.
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut url: reqwest::Url = format!("http://{address}/?token=hush").parse().unwrap();
    url.set_password(Some("hush")).unwrap();
    let error = client()
        .execute(Request::new(http::Method::GET, url))
        .await
        .unwrap_err();
    assert!(
        error.url().is_some(),
        "the application gets the error as it was"
    );

    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "GET client true connect ERROR");
    assert_eq!(text(&span, "status.message"), "error sending request");
    assert_eq!(
        attribute(&span, "exception.type").unwrap(),
        "reqwest::Error"
    );
    let causes = attribute(&span, "exception.stacktrace").unwrap();
    assert!(causes.as_str().unwrap().contains("refused"), "{causes}");
    let url = format!("http://REDACTED:REDACTED@{address}/?token=REDACTED");
    assert_eq!(attribute(&span, "url.full").unwrap(), &url);
    assert!(!span.to_string().contains("hush"), "{span}");
}

#[tokio::test]
async fn a_timeout_is_told_from_a_request_given_up() {
    let recorder = Recorder::start();
    let address = echo().await;
    let request = client().get(format!("http://{address}/never"));
    let short = std::time::Duration::from_millis(1);
    request.timeout(short).send().await.unwrap_err();
    let request = client()
        .get(format!("http://{address}/never"))
        .timeout(PATIENCE);
    let task = tokio::spawn(async move { request.send().await.map(drop) });
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());

    let (spans, _) = recorder.finish();
    assert_eq!(summary(&spans[0]), "GET client true timeout ERROR");
    assert_eq!(summary(&spans[1]), "GET client true cancelled ERROR");
}

/// Sends a request twice, as one that retries does.
struct Twice;

#[async_trait::async_trait]
impl Middleware for Twice {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let again = request.try_clone().unwrap();
        next.clone().run(request, extensions).await?;
        next.run(again, extensions).await
    }
}

#[tokio::test]
async fn each_attempt_has_a_span_and_its_number() {
    let recorder = Recorder::start();
    let address = echo().await;
    let client = ClientBuilder::new(reqwest_client())
        .with(Twice)
        .with(ClientMiddleware::new())
        .build();
    client
        .get(format!("http://{address}/500"))
        .send()
        .await
        .unwrap();
    let (spans, _) = recorder.finish();
    let counts: Vec<_> = spans
        .iter()
        .map(|span| attribute(span, "http.request.resend_count").cloned())
        .collect();
    assert_eq!(counts, [None, Some(1.into())]);
}

#[tokio::test]
async fn below_the_filters_level_the_span_around_is_sent() {
    let recorder = Recorder::start();
    let address = echo().await;
    let client = ClientBuilder::new(reqwest_client())
        .with(ClientMiddleware::new().level(Level::DEBUG))
        .build();
    let seen = async {
        client
            .get(format!("http://{address}/200"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }
    .instrument(info_span!("handler"))
    .await;
    let handler = recorder.finish_with_one_span();
    assert!(seen.contains(text(&handler, "span_id")), "{seen}");
}

/// Fails as it was told, after the request, like a middleware that signs or retries.
struct Fails(fn() -> reqwest_middleware::Error);

#[async_trait::async_trait]
impl Middleware for Fails {
    async fn handle(
        &self,
        _: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        Err((self.0)())
    }
}

/// An error with a cause, both of which name a URL.
#[derive(Debug)]
struct Unsigned;

impl std::fmt::Display for Unsigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("can not sign https://tea:hush@a.example/x?sig=hush&q=1")
    }
}

impl std::error::Error for Unsigned {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        static CAUSE: std::sync::OnceLock<std::io::Error> = std::sync::OnceLock::new();
        let cause = || std::io::Error::other("404 for url (https://keys.example/?token=hush)");
        Some(CAUSE.get_or_init(cause))
    }
}

#[tokio::test]
async fn the_errors_of_other_middlewares_and_their_causes_have_no_secrets() {
    let recorder = Recorder::start();
    let client = ClientBuilder::new(reqwest_client())
        .with(ClientMiddleware::new())
        .with(Fails(|| reqwest_middleware::Error::middleware(Unsigned)))
        .build();
    let error = client.get("http://a.example/").send().await.unwrap_err();
    let whole = error.to_string();
    assert!(
        whole.contains("hush"),
        "the application gets all of it: {whole}"
    );

    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "GET client true middleware ERROR");
    let message = "can not sign https://REDACTED:REDACTED@a.example/x?sig=REDACTED&q=1";
    assert_eq!(text(&span, "status.message"), message);
    assert_eq!(attribute(&span, "exception.message").unwrap(), message);
    assert_eq!(attribute(&span, "exception.type").unwrap(), "Unsigned");
    let causes = attribute(&span, "exception.stacktrace").unwrap();
    let cause = "404 for url (https://keys.example/?token=REDACTED)";
    assert!(causes.as_str().unwrap().contains(cause), "{causes}");
    assert!(!span.to_string().contains("hush"), "{span}");
}

#[tokio::test]
async fn a_redirect_that_is_refused_names_no_secret_of_its_target() {
    let recorder = Recorder::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let to_itself = || async { axum::response::Redirect::to("/?token=hush") };
    let app = Router::new().fallback(to_itself);
    tokio::spawn(axum::serve(listener, app).into_future());
    let policy = reqwest::redirect::Policy::custom(|attempt| {
        let error = format!("{} is not to be followed", attempt.url());
        attempt.error(error)
    });
    let client = reqwest::Client::builder().no_proxy().redirect(policy);
    let client = ClientBuilder::new(client.build().unwrap())
        .with(ClientMiddleware::new())
        .build();
    client
        .get(format!("http://{address}/"))
        .send()
        .await
        .unwrap_err();

    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "GET client true redirect ERROR");
    let causes = attribute(&span, "exception.stacktrace").unwrap();
    let cause = format!("http://{address}/?token=REDACTED is not to be followed");
    assert!(causes.as_str().unwrap().contains(&cause), "{causes}");
    assert!(!span.to_string().contains("hush"), "{span}");
}

/// Keeps the span that it was called in, like a connection that a request opened and others use.
#[derive(Clone, Default)]
struct Holds(Arc<Mutex<Option<Span>>>);

#[async_trait::async_trait]
impl Middleware for Holds {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        *self.0.lock().unwrap() = Some(Span::current());
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn the_record_is_sent_with_the_head_whoever_holds_the_span() {
    let recorder = Recorder::start();
    let address = echo().await;
    let holds = Holds::default();
    let client = ClientBuilder::new(reqwest_client())
        .with(ClientMiddleware::new())
        .with(holds.clone())
        .build();
    let url = format!("http://{address}/200");
    client.get(url).send().await.unwrap();
    assert_eq!(recorder.spans().len(), 1);
    drop(holds);
    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "GET client false - -");
}
