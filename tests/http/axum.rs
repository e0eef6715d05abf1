//! The server's span inside axum's routers.

use axiom_layer::http::ServerLayer;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use tower::ServiceExt;

use crate::support::{Recorder, attribute, text};

fn app() -> Router {
    let items = Router::new().route("/items/{id}", get(async || "item"));
    let orders = Router::new()
        .route(
            "/{id}",
            get(async || "order").post(async || StatusCode::BAD_GATEWAY),
        )
        .nest("/{order}", items);
    Router::new()
        .route("/", get(async || "home"))
        .nest("/orders", orders)
        .layer(ServerLayer::new())
}

/// Name, route and path of the span of one request.
async fn seen(method: &str, path: &str) -> (String, Option<String>, String) {
    let recorder = Recorder::start();
    let request = Request::builder().method(method).uri(path);
    app()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let span = recorder.finish_with_one_span();
    let route = attribute(&span, "http.route").map(|route| route.as_str().unwrap().to_owned());
    let path = text(&span, "attributes.url.path").to_owned();
    (text(&span, "name").to_owned(), route, path)
}

#[tokio::test]
async fn the_route_is_what_the_router_matched_nested_or_not() {
    for (method, path, route) in [
        ("GET", "/", "/"),
        ("GET", "/orders/7", "/orders/{id}"),
        ("POST", "/orders/7", "/orders/{id}"),
        ("GET", "/orders/7/items/9", "/orders/{order}/items/{id}"),
    ] {
        let name = format!("{method} {route}");
        let expected = (name, Some(route.to_owned()), path.to_owned());
        assert_eq!(seen(method, path).await, expected);
    }
}

#[tokio::test]
async fn a_path_that_no_route_matches_is_in_no_name() {
    for path in ["/wp-admin.php", "/orders", "/orders/7/8/9"] {
        let expected = ("GET".to_owned(), None, path.to_owned());
        assert_eq!(seen("GET", path).await, expected);
    }
}

#[tokio::test]
async fn a_layer_inside_a_nested_router_sees_the_whole_path() {
    let recorder = Recorder::start();
    let inner = Router::new()
        .route("/{id}", get(async || "order"))
        .layer(ServerLayer::new());
    let app = Router::new().nest("/orders", inner);
    let request = Request::get("/orders/7?page=2")
        .body(Body::empty())
        .unwrap();
    app.oneshot(request).await.unwrap();
    let span = recorder.finish_with_one_span();
    assert_eq!(text(&span, "name"), "GET /orders/{id}");
    assert_eq!(attribute(&span, "url.path").unwrap(), "/orders/7");
    assert_eq!(attribute(&span, "url.query").unwrap(), "page=2");
}
