//! What headers tell of a gRPC call.

use std::convert::Infallible;

use axiom_layer::http::ServerLayer;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Recorder, attribute, summary};

async fn call(path: &str, grpc_status: Option<&'static str>) {
    let service = ServerLayer::new().layer(service_fn(async |_: Request<()>| {
        let mut response = Response::new(());
        if let Some(status) = grpc_status {
            response
                .headers_mut()
                .insert("grpc-status", status.parse().unwrap());
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
