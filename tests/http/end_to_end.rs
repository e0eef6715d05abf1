//! Two services, each with its own layer, through real HTTP.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use axiom_layer::http::{ClientMiddleware, ServerLayer};
use axiom_local::{Event, Server};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http::StatusCode;
use reqwest_middleware::ClientBuilder;
use tokio::sync::oneshot;
use tracing::{error, info};

use crate::support::{
    CALLER_ID, PATIENCE, TRACE_ID, TRACEPARENT, attribute, reqwest_client, service, summary, text,
};

/// A service on a thread of its own, with a subscriber of its own.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(server: &Server, name: &'static str, app: Router) -> Self {
        let (dispatch, guard) = service(server, name);
        let (stop, stopped) = oneshot::channel::<()>();
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            let _default = tracing::dispatcher::set_default(&dispatch);
            let runtime = runtime();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                let app = app.layer(ServerLayer::new());
                axum::serve(
                    listener,
                    app.into_make_service_with_connect_info::<SocketAddr>(),
                )
                .with_graceful_shutdown(async { stopped.await.unwrap_or_default() })
                .await
                .unwrap();
            });
            guard.shutdown(PATIENCE).unwrap();
        });
        let address = receive.recv_timeout(PATIENCE).unwrap();
        Self {
            address,
            stop,
            thread,
        }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn back() -> Router {
    Router::new().route(
        "/stock/{item}",
        get(async |Path(item): Path<String>| {
            info!(item, "looked up");
            match item.as_str() {
                "tea" => StatusCode::OK,
                _ => {
                    error!(item, "the shelf is gone");
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            }
        }),
    )
}

fn front(back: SocketAddr) -> Router {
    let client = ClientBuilder::new(reqwest_client())
        .with(ClientMiddleware::new())
        .build();
    Router::new().route(
        "/orders/{item}",
        get(async move |Path(item): Path<String>| {
            let url = format!("http://{back}/stock/{item}");
            match client.get(url).send().await.unwrap().status().is_success() {
                true => StatusCode::OK,
                false => StatusCode::BAD_GATEWAY,
            }
        }),
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn request(front: SocketAddr, item: &str, traceparent: Option<&str>) -> u16 {
    let runtime = runtime();
    let mut request = reqwest_client().get(format!("http://{front}/orders/{item}"));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
}

fn of_trace<'a>(rows: &'a [Event], trace: &str) -> Vec<&'a Event> {
    rows.iter()
        .filter(|row| text(row, "trace_id") == trace)
        .collect()
}

#[test]
fn two_services_and_their_caller_are_one_tree() {
    let server = Server::start().unwrap();
    let back = Running::start(&server, "back", back());
    let front = Running::start(&server, "front", front(back.address));
    assert_eq!(request(front.address, "tea", Some(TRACEPARENT)), 200);
    assert_eq!(request(front.address, "coffee", None), 502);
    let front_port = front.address.port();
    front.stop();
    back.stop();

    assert_eq!(server.violations(), []);
    let (spans, events) = (server.events("traces"), server.events("logs"));
    assert_eq!(spans.len(), 6, "{spans:?}");
    let find = |spans: &[&Event], service: &str, kind: &str| {
        let mut found = spans
            .iter()
            .filter(|span| text(span, "service.name") == service && text(span, "kind") == kind);
        let span = (*found.next().unwrap()).clone();
        assert!(found.next().is_none());
        span
    };

    let of_caller = of_trace(&spans, TRACE_ID);
    let entry = find(&of_caller, "front", "server");
    let call = find(&of_caller, "front", "client");
    let answer = find(&of_caller, "back", "server");
    assert_eq!(text(&entry, "parent_span_id"), CALLER_ID);
    assert_eq!(text(&call, "parent_span_id"), text(&entry, "span_id"));
    assert_eq!(text(&answer, "parent_span_id"), text(&call, "span_id"));
    assert_eq!(summary(&entry), "GET /orders/{item} server false - -");
    assert_eq!(summary(&answer), "GET /stock/{item} server false - -");
    assert_eq!(attribute(&entry, "client.address").unwrap(), "127.0.0.1");
    assert_eq!(attribute(&entry, "server.port").unwrap(), front_port);
    let event = of_trace(&events, TRACE_ID)[0];
    assert_eq!(text(event, "span_id"), text(&answer, "span_id"));

    let other = spans.iter().find(|span| text(span, "trace_id") != TRACE_ID);
    let of_other = of_trace(&spans, text(other.unwrap(), "trace_id"));
    let entry = find(&of_other, "front", "server");
    let call = find(&of_other, "front", "client");
    let answer = find(&of_other, "back", "server");
    assert_eq!(entry.get("parent_span_id"), None, "a trace of its own");
    assert_eq!(text(&call, "parent_span_id"), text(&entry, "span_id"));
    assert_eq!(text(&answer, "parent_span_id"), text(&call, "span_id"));
    assert_eq!(summary(&entry), "GET /orders/{item} server true 502 ERROR");
    assert_eq!(summary(&call), "GET client true 500 ERROR");
    assert_eq!(summary(&answer), "GET /stock/{item} server true 500 ERROR");
    assert_eq!(text(&answer, "status.message"), "the shelf is gone");
}

#[test]
fn a_client_that_hangs_up_leaves_a_cancelled_request() {
    let server = Server::start().unwrap();
    let (begun, is_begun) = mpsc::channel();
    let app = Router::new().route(
        "/slow",
        get(async move || {
            begun.send(()).unwrap();
            std::future::pending::<StatusCode>().await
        }),
    );
    let slow = Running::start(&server, "slow", app);
    let mut connection = TcpStream::connect(slow.address).unwrap();
    write!(connection, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    is_begun.recv_timeout(PATIENCE).unwrap();
    drop(connection);

    assert!(server.wait_until(PATIENCE, |server| server.ingested_in("traces") == 1));
    let span = &server.events("traces")[0];
    assert_eq!(summary(span), "GET /slow server true cancelled ERROR");
    slow.stop();
    assert_eq!(server.violations(), []);
}
