//! The server's span, around services of any kind.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use axiom_layer::http::ServerLayer;
use axiom_layer::{SpanExt, TraceContext};
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::Empty;
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::{Instrument, Level, Span, info, info_span};

use crate::support::{
    CALLER_ID, Recorder, TRACE_ID, TRACEPARENT, attribute, duration, summary, text,
};

/// No response has a body, so that the span ends with the head.
type Answer<E = Infallible> = Result<Response<Empty<Bytes>>, E>;

fn request(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

fn status(status: u16) -> Answer {
    let response = Response::builder().status(status);
    Ok(response.body(Empty::new()).unwrap())
}

#[tokio::test]
async fn the_callers_trace_is_continued_by_everything_inside() {
    let recorder = Recorder::start();
    let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| {
        info!("inside");
        info_span!("child").in_scope(|| info!("deeper"));
        let context = TraceContext::current().unwrap();
        assert_eq!(context.tracestate(), "congo=t61rcWkgMzE");
        status(200)
    }));
    let mut request = request("/");
    let headers = request.headers_mut();
    headers.insert("traceparent", TRACEPARENT.parse().unwrap());
    headers.insert("tracestate", "congo=t61rcWkgMzE".parse().unwrap());
    service.oneshot(request).await.unwrap();

    let (spans, events) = recorder.finish();
    let [child, server] = &spans[..] else {
        panic!("{spans:?}")
    };
    for row in spans.iter().chain(&events) {
        assert_eq!(text(row, "trace_id"), TRACE_ID);
    }
    assert_eq!(text(server, "parent_span_id"), CALLER_ID);
    assert_eq!(text(child, "parent_span_id"), text(server, "span_id"));
    assert_eq!(text(&events[0], "span_id"), text(server, "span_id"));
    assert_eq!(text(&events[1], "span_id"), text(child, "span_id"));
}

#[tokio::test]
async fn without_a_valid_context_a_request_starts_a_trace_whatever_is_around() {
    for header in [None, Some("00-5A0F-00c0ffee0ddba115-01"), Some("ff")] {
        let recorder = Recorder::start();
        let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| status(200)));
        let mut request = request("/");
        if let Some(header) = header {
            request
                .headers_mut()
                .insert("traceparent", header.parse().unwrap());
        }
        let listening = info_span!("listening");
        let mut response = pin!(listening.in_scope(|| service.oneshot(request)));
        let done =
            std::future::poll_fn(|context| listening.in_scope(|| response.as_mut().poll(context)));
        done.await.unwrap();

        drop(listening);
        let (spans, _) = recorder.finish();
        assert_eq!(text(&spans[0], "name"), "GET");
        assert_eq!(spans[0].get("parent_span_id"), None);
        assert_ne!(text(&spans[0], "trace_id"), text(&spans[1], "trace_id"));
    }
}

#[tokio::test]
async fn a_5xx_is_an_error_and_a_4xx_is_not() {
    let recorder = Recorder::start();
    for code in [200, 304, 404, 499, 500, 503] {
        let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| status(code)));
        let response = service.oneshot(request("/")).await.unwrap();
        assert_eq!(response.status(), code);
    }
    let (spans, _) = recorder.finish();
    for (span, (code, expected)) in spans.iter().zip([
        (200, "GET server false - -"),
        (304, "GET server false - -"),
        (404, "GET server false - -"),
        (499, "GET server false - -"),
        (500, "GET server true 500 ERROR"),
        (503, "GET server true 503 ERROR"),
    ]) {
        assert_eq!(summary(span), expected);
        assert_eq!(attribute(span, "http.response.status_code").unwrap(), code);
        // The code says it all.
        assert_eq!(span.get("status.message"), None);
    }
    assert_eq!(spans.len(), 6);
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tea machine is broken")
    }
}

#[tokio::test]
async fn a_services_own_error_is_an_error_of_its_type() {
    let recorder = Recorder::start();
    let broken = ServerLayer::new().layer(service_fn(async |_: Request<()>| Answer::Err(Broken)));
    broken.oneshot(request("/")).await.unwrap_err();
    let boxed = ServerLayer::new().layer(service_fn(async |_: Request<()>| {
        Answer::<tower::BoxError>::Err("no water".into())
    }));
    boxed.oneshot(request("/")).await.unwrap_err();

    let (spans, _) = recorder.finish();
    assert_eq!(
        summary(&spans[0]),
        "GET server true http::server::Broken ERROR"
    );
    assert_eq!(
        text(&spans[0], "status.message"),
        "the tea machine is broken"
    );
    assert_eq!(attribute(&spans[0], "http.response.status_code"), None);
    assert_eq!(summary(&spans[1]), "GET server true _OTHER ERROR");
    assert_eq!(text(&spans[1], "status.message"), "no water");
}

#[tokio::test]
async fn the_conventional_attributes_are_there() {
    let recorder = Recorder::start();
    let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| status(200)));
    let plain = Request::post("/a%20b/7?q=1&sig=secret")
        .header("host", "tea.example:8080")
        .header("user-agent", "Kettle/1.0")
        .body(())
        .unwrap();
    service.clone().oneshot(plain).await.unwrap();
    let absolute = Request::get("https://[::1]/x").version(Version::HTTP_2);
    service
        .oneshot(absolute.header("host", "other").body(()).unwrap())
        .await
        .unwrap();

    let (spans, _) = recorder.finish();
    let attributes = |index: usize| {
        let attributes = spans[index].get("attributes").unwrap();
        let mut attributes = attributes.as_object().unwrap().clone();
        let head = attributes.remove("http.response.head_ns").unwrap();
        assert!(head.as_u64().unwrap() <= duration(&spans[index]));
        serde_json::Value::from(attributes)
    };
    assert_eq!(
        attributes(0),
        serde_json::json!({
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "url.path": "/a%20b/7",
            "url.query": "q=1&sig=REDACTED",
            "url.scheme": "http",
            "server.address": "tea.example",
            "server.port": 8080,
            "user_agent.original": "Kettle/1.0",
            "network.protocol.version": "1.1",
        })
    );
    assert_eq!(
        attributes(1),
        serde_json::json!({
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.path": "/x",
            "url.scheme": "https",
            "server.address": "::1",
            "network.protocol.version": "2",
        })
    );
    assert_eq!(text(&spans[0], "scope.name"), "axiom_layer::http");
}

#[tokio::test]
async fn the_name_is_the_method_and_the_route_and_never_the_path() {
    let layer = ServerLayer::new().route(|request| {
        request
            .uri
            .path()
            .starts_with("/orders/")
            .then_some("/orders/{id}")
    });
    let recorder = Recorder::start();
    for (method, path) in [
        ("GET", "/orders/7"),
        ("DELETE", "/x/7"),
        ("BREW", "/orders/7"),
    ] {
        let service = layer.layer(service_fn(async |_: Request<()>| status(200)));
        let mut request = request(path);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        service.oneshot(request).await.unwrap();
    }
    let (spans, _) = recorder.finish();
    let names: Vec<_> = spans.iter().map(|span| text(span, "name")).collect();
    assert_eq!(names, ["GET /orders/{id}", "DELETE", "HTTP /orders/{id}"]);
    assert_eq!(attribute(&spans[0], "http.route").unwrap(), "/orders/{id}");
    assert_eq!(attribute(&spans[1], "http.route"), None);
    assert_eq!(
        attribute(&spans[2], "http.request.method").unwrap(),
        "_OTHER"
    );
    assert_eq!(
        attribute(&spans[2], "http.request.method_original").unwrap(),
        "BREW"
    );
}

/// Records when it is dropped, as a guard of the application's may.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        info!("farewell");
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_cancelled() {
    let recorder = Recorder::start();
    let mut service = ServerLayer::new().layer(service_fn(async |_: Request<()>| {
        let _farewell = Farewell;
        pending::<Answer>().await
    }));
    let mut response = Box::pin(service.call(request("/")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(response.as_mut().poll(&mut context).is_pending());
    drop(response);
    // Not even begun.
    drop(service.call(request("/")));

    let (spans, events) = recorder.finish();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(summary(span), "GET server true cancelled ERROR");
        assert_eq!(
            text(span, "status.message"),
            "cancelled before it was answered"
        );
    }
    // What ends with the request ends inside its span.
    assert_eq!(text(&events[0], "span_id"), text(&spans[0], "span_id"));
}

#[tokio::test]
async fn a_panic_is_told_from_a_cancelled_request() {
    let recorder = Recorder::start();
    let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| -> Answer {
        panic!("out of tea")
    }));
    let task = tokio::spawn({
        let response = service.oneshot(request("/"));
        async move { response.await.unwrap().status() }
    });
    assert!(task.await.unwrap_err().is_panic());
    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "GET server true panic ERROR");
    assert_eq!(text(&span, "status.message"), "panicked");
}

/// Holds a span for as long as it is there, also when it is done.
struct Holder {
    _inner: Span,
}

impl Future for Holder {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        Poll::Ready(status(200))
    }
}

#[tokio::test]
async fn the_span_closes_with_the_response_and_after_what_is_inside() {
    let recorder = Recorder::start();
    let mut service = ServerLayer::new().layer(service_fn(|_: Request<()>| Holder {
        _inner: info_span!("inner"),
    }));
    let mut response = Box::pin(service.call(request("/")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(response.as_mut().poll(&mut context).is_ready());
    // Polled once more it does nothing, rather than panic.
    assert!(response.as_mut().poll(&mut context).is_pending());
    // The future is still there, the spans are not.
    let (spans, _) = recorder.finish();
    let names: Vec<_> = spans.iter().map(|span| text(span, "name")).collect();
    assert_eq!(names, ["inner", "GET"]);
    drop(response);
}

#[tokio::test]
async fn a_span_below_the_filters_level_costs_only_itself() {
    let recorder = Recorder::start();
    let layer = ServerLayer::new().level(Level::DEBUG);
    let service = layer.layer(service_fn(async |_: Request<()>| {
        info!("served");
        status(500)
    }));
    service.oneshot(request("/")).await.unwrap();
    let (spans, events) = recorder.finish();
    assert!(spans.is_empty());
    assert_eq!(text(&events[0], "message"), "served");
}

#[tokio::test]
async fn an_error_of_the_service_has_no_secrets_of_the_urls_in_it() {
    let recorder = Recorder::start();
    let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| {
        let error =
            "no answer from https://tea:pot@stock.example/items?token=hush&item=7 (timed out)";
        Answer::<tower::BoxError>::Err(error.into())
    }));
    service.oneshot(request("/")).await.unwrap_err();
    assert_eq!(
        text(&recorder.finish_with_one_span(), "status.message"),
        "no answer from https://REDACTED:REDACTED@stock.example/items?token=REDACTED&item=7 (timed out)"
    );
}

#[tokio::test]
async fn the_scheme_is_what_the_layer_was_told_and_never_what_a_client_claims() {
    let recorder = Recorder::start();
    let answer = service_fn(async |_: Request<()>| status(200));
    let told = ServerLayer::new().scheme("https");
    for layer in [ServerLayer::new(), told] {
        for uri in ["/", "http://tea.example/"] {
            let request = Request::get(uri).header("x-forwarded-proto", "gopher");
            let service = layer.layer(answer);
            service.oneshot(request.body(()).unwrap()).await.unwrap();
        }
    }
    let (spans, _) = recorder.finish();
    let schemes: Vec<_> = spans
        .iter()
        .map(|span| attribute(span, "url.scheme").unwrap())
        .collect();
    assert_eq!(schemes, ["http", "http", "https", "https"]);
}

#[tokio::test]
async fn the_applications_own_attributes_are_on_the_requests_span() {
    let recorder = Recorder::start();
    let layer = ServerLayer::new().attributes(|request, span| {
        let tenant = request.headers.get("x-tenant").unwrap();
        span.set_attribute("tenant", tenant.to_str().unwrap());
        info!("in the span");
    });
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Span::current().set_attribute("customer", 42);
        status(200)
    }));
    let request = Request::get("/").header("x-tenant", "teahouse");
    service.oneshot(request.body(()).unwrap()).await.unwrap();

    let (spans, events) = recorder.finish();
    assert_eq!(text(&events[0], "span_id"), text(&spans[0], "span_id"));
    assert_eq!(attribute(&spans[0], "tenant").unwrap(), "teahouse");
    assert_eq!(attribute(&spans[0], "customer").unwrap(), 42);
}

#[tokio::test]
async fn a_skipped_request_has_no_span_and_leaves_the_one_around_current() {
    let recorder = Recorder::start();
    let layer = ServerLayer::new().skip(|request| request.uri.path() == "/health");
    let service = layer.layer(service_fn(async |_: Request<()>| {
        info!("served");
        status(503)
    }));
    let around = info_span!("around");
    for path in ["/health", "/"] {
        let mut request = request(path);
        let headers = request.headers_mut();
        headers.insert("traceparent", TRACEPARENT.parse().unwrap());
        let response = service.clone().oneshot(request).instrument(around.clone());
        assert_eq!(response.await.unwrap().status(), 503);
    }
    drop(around);
    let (spans, events) = recorder.finish();
    let names: Vec<_> = spans.iter().map(|span| text(span, "name")).collect();
    assert_eq!(names, ["GET", "around"]);
    assert_eq!(text(&events[0], "span_id"), text(&spans[1], "span_id"));
    assert_ne!(text(&events[0], "trace_id"), TRACE_ID);
    assert_eq!(text(&events[1], "span_id"), text(&spans[0], "span_id"));
}
