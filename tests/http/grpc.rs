//! What headers tell of a gRPC call.

use std::convert::Infallible;

use axiom_layer::http::ServerLayer;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Recorder, attribute, summary, text};

async fn call(path: &str, grpc_status: Option<&'static str>) {
    let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| {
        let mut response = Response::new(Empty::<Bytes>::new());
        let headers = response.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        if let Some(status) = grpc_status {
            headers.insert("grpc-status", status.parse().unwrap());
        }
        Ok::<_, Infallible>(response)
    }));
    let request = Request::post(path).header("content-type", "application/grpc+proto");
    service.oneshot(request.body(()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_call_is_named_by_its_method_and_fails_with_its_own_status() {
    let recorder = Recorder::start();
    call("/shop.Stock/Reserve", None).await;
    call("/shop.Stock/Reserve", Some("5")).await;
    call("/shop.Stock/Reserve", Some("13")).await;
    call("/made/up", Some("12")).await;

    let (spans, _) = recorder.finish();
    let summaries: Vec<_> = spans.iter().map(summary).collect();
    assert_eq!(
        summaries,
        [
            "shop.Stock/Reserve server false - -",
            // NOT_FOUND is the client's error.
            "shop.Stock/Reserve server false - -",
            "shop.Stock/Reserve server true 13 ERROR",
            // A stranger can not invent names.
            "POST server true 12 ERROR",
        ]
    );
    assert_eq!(attribute(&spans[2], "rpc.system").unwrap(), "grpc");
    assert_eq!(attribute(&spans[2], "rpc.service").unwrap(), "shop.Stock");
    assert_eq!(attribute(&spans[2], "rpc.method").unwrap(), "Reserve");
    assert_eq!(attribute(&spans[2], "rpc.grpc.status_code").unwrap(), 13);
    assert_eq!(attribute(&spans[0], "rpc.grpc.status_code"), None);
}

/// A call that is answered with a message, and then with these trailers.
async fn call_with_trailers(trailers: &[(&'static str, &'static str)]) {
    let mut map = HeaderMap::new();
    for (name, value) in trailers {
        map.insert(*name, value.parse().unwrap());
    }
    let service = ServerLayer::new().layer(service_fn(move |_: Request<()>| {
        let trailers = map.clone();
        let body = Full::new(Bytes::from("message"));
        let body = body.with_trailers(async { Some(Ok(trailers)) });
        let response = Response::builder().header("content-type", "application/grpc");
        std::future::ready(Ok::<_, Infallible>(response.body(body).unwrap()))
    }));
    let request = Request::post("/shop.Stock/Reserve").header("content-type", "application/grpc");
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    response.collect().await.unwrap();
}

#[tokio::test]
async fn a_call_that_fails_after_its_first_message_is_an_error_with_its_message() {
    let recorder = Recorder::start();
    call_with_trailers(&[("grpc-status", "0")]).await;
    let message = ("grpc-message", "lost %22http://s/?token=hush%22, 5%25 done");
    call_with_trailers(&[("grpc-status", "13"), message]).await;
    call_with_trailers(&[("grpc-status", "5"), message]).await;
    // Of a method that does not exist after all.
    call_with_trailers(&[("grpc-status", "12")]).await;
    call_with_trailers(&[]).await;

    let (spans, _) = recorder.finish();
    let seen: Vec<_> = spans
        .iter()
        .map(|span| {
            let status = attribute(span, "rpc.grpc.status_code").and_then(|code| code.as_u64());
            (summary(span), status)
        })
        .collect();
    let ok = || "shop.Stock/Reserve server false - -".to_owned();
    assert_eq!(
        seen,
        [
            (ok(), Some(0)),
            (
                "shop.Stock/Reserve server true 13 ERROR".to_owned(),
                Some(13)
            ),
            (ok(), Some(5)),
            ("POST server true 12 ERROR".to_owned(), Some(12)),
            (ok(), None),
        ]
    );
    assert_eq!(
        text(&spans[1], "status.message"),
        "lost \"http://s/?token=REDACTED\", 5% done"
    );
    assert_eq!(spans[2].get("status.message"), None);
}

#[tokio::test]
async fn a_stranger_that_claims_grpc_invents_no_name_at_a_server_of_http() {
    let recorder = Recorder::start();
    let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| {
        let response = Response::builder().status(404);
        Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
    }));
    let request = Request::post("/made/up").header("content-type", "application/grpc");
    service.oneshot(request.body(()).unwrap()).await.unwrap();
    let span = recorder.finish_with_one_span();
    assert_eq!(text(&span, "name"), "POST");
}
