//! tonic as a server and as a client, unary and streaming.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axiom_layer::http::{ClientLayer, ClientService, ServerLayer};
use axiom_layer::{SpanExt, TraceContext};
use axiom_local::Event;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::oneshot;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;
use tracing::{Instrument, Level, info, info_span};

use crate::support::{Recorder, attribute, summary, text};

type Answers = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

fn serving() -> HealthCheckResponse {
    let status = ServingStatus::Serving.into();
    HealthCheckResponse { status }
}

/// Does what the name of the service that it is asked for says.
struct Named;

#[tonic::async_trait]
impl Health for Named {
    type WatchStream = Answers;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        info!("checking");
        match request.into_inner().service.as_str() {
            "missing" => Err(Status::not_found("no such service")),
            "broken" => Err(Status::internal("see http://stock.example/?token=hush")),
            _ => Ok(Response::new(serving())),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Answers>, Status> {
        let first = stream::iter([Ok(serving())]);
        let rest: Answers = match request.into_inner().service.as_str() {
            "failing" => stream::once(async {
                info!("failing");
                Err(Status::unavailable("the shelf is gone"))
            })
            .boxed(),
            "endless" => stream::pending().boxed(),
            _ => stream::empty().boxed(),
        };
        Ok(Response::new(first.chain(rest).boxed()))
    }
}

/// A server on a port of its own, in this runtime; it ends with the runtime.
async fn server() -> SocketAddr {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = Server::builder()
        .layer(ServerLayer::new())
        .add_service(HealthServer::new(Named))
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    address
}

async fn client() -> HealthClient<ClientService<Channel>> {
    let origin = format!("http://{}", server().await)
        .parse::<http::Uri>()
        .unwrap();
    let channel = Channel::builder(origin.clone()).connect().await.unwrap();
    let channel = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .service(channel);
    HealthClient::with_origin(channel, origin)
}

fn service(name: &str) -> HealthCheckRequest {
    let service = name.to_owned();
    HealthCheckRequest { service }
}

/// The client's span and the server's, of one call.
fn pair(spans: &[Event]) -> (Event, Event) {
    assert_eq!(spans.len(), 2, "{spans:?}");
    let of = |kind| {
        let found = spans.iter().find(|span| text(span, "kind") == kind);
        found.unwrap().clone()
    };
    let (client, server) = (of("client"), of("server"));
    assert_eq!(text(&server, "parent_span_id"), text(&client, "span_id"));
    assert_eq!(text(&server, "trace_id"), text(&client, "trace_id"));
    (client, server)
}

/// Both spans, once both sides have ended.
async fn ended(recorder: Recorder) -> (Event, Event, Vec<Event>) {
    // The server ends when it hears of the client's end.
    recorder.wait_for_spans(2).await;
    let (spans, events) = recorder.finish();
    let (client, server) = pair(&spans);
    (client, server, events)
}

const CHECK: &str = "grpc.health.v1.Health/Check";
const WATCH: &str = "grpc.health.v1.Health/Watch";

#[tokio::test]
async fn a_unary_call_is_one_trace_of_client_and_server_with_its_status() {
    for (name, code, at_client, at_server) in [
        ("fine", 0, "client false - -", "server false - -"),
        // The client's error alone.
        ("missing", 5, "client true 5 ERROR", "server false - -"),
        ("broken", 13, "client true 13 ERROR", "server true 13 ERROR"),
    ] {
        let recorder = Recorder::start();
        let mut client = client().await;
        let answer = client.check(service(name)).await;
        assert_eq!(answer.is_ok(), code == 0);
        let (client, server, events) = ended(recorder).await;
        assert_eq!(summary(&client), format!("{CHECK} {at_client}"));
        assert_eq!(summary(&server), format!("{CHECK} {at_server}"));
        for span in [&client, &server] {
            assert_eq!(attribute(span, "rpc.grpc.status_code").unwrap(), code);
            assert_eq!(attribute(span, "rpc.system").unwrap(), "grpc");
            assert_eq!(attribute(span, "rpc.method").unwrap(), "Check");
            let scheme = attribute(span, "network.protocol.version").unwrap();
            assert_eq!(scheme, "2");
        }
        assert_eq!(attribute(&client, "server.address").unwrap(), "127.0.0.1");
        assert_eq!(text(&events[0], "span_id"), text(&server, "span_id"));
        if name == "broken" {
            let message = "see http://stock.example/?token=REDACTED";
            assert_eq!(text(&client, "status.message"), message);
            assert_eq!(text(&server, "status.message"), message);
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_well_has_the_status_of_its_trailers() {
    let recorder = Recorder::start();
    let mut client = client().await;
    let answers = client.watch(service("fine")).await.unwrap().into_inner();
    assert_eq!(answers.count().await, 1);
    let (client, server, _) = ended(recorder).await;
    assert_eq!(summary(&client), format!("{WATCH} client false - -"));
    assert_eq!(summary(&server), format!("{WATCH} server false - -"));
    for span in [&client, &server] {
        assert_eq!(attribute(span, "rpc.grpc.status_code").unwrap(), 0);
    }
}

#[tokio::test]
async fn a_stream_that_fails_after_its_first_message_is_an_error_of_both() {
    let recorder = Recorder::start();
    let mut client = client().await;
    let mut answers = client.watch(service("failing")).await.unwrap().into_inner();
    answers.next().await.unwrap().unwrap();
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!(status.message(), "the shelf is gone");
    drop(answers);
    let (client, server, events) = ended(recorder).await;
    assert_eq!(summary(&client), format!("{WATCH} client true 14 ERROR"));
    assert_eq!(summary(&server), format!("{WATCH} server true 14 ERROR"));
    for span in [&client, &server] {
        assert_eq!(text(span, "status.message"), "the shelf is gone");
    }
    // Made while the body was sent.
    assert_eq!(text(&events[0], "message"), "failing");
    assert_eq!(text(&events[0], "span_id"), text(&server, "span_id"));
}

#[tokio::test]
async fn a_stream_that_the_client_leaves_is_cancelled_on_both_sides() {
    let recorder = Recorder::start();
    let mut client = client().await;
    let mut answers = client.watch(service("endless")).await.unwrap().into_inner();
    answers.next().await.unwrap().unwrap();
    drop(answers);
    let (client, server, _) = ended(recorder).await;
    for (span, kind) in [(&client, "client"), (&server, "server")] {
        assert_eq!(
            summary(span),
            format!("{WATCH} {kind} true cancelled ERROR")
        );
    }
}

#[tokio::test]
async fn a_channel_without_a_server_is_an_exception_with_its_causes() {
    let recorder = Recorder::start();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", socket.local_addr().unwrap());
    drop(socket);
    let channel = Channel::from_shared(origin).unwrap().connect_lazy();
    let channel = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .service(channel);
    let mut client = HealthClient::new(channel);
    client.check(service("fine")).await.unwrap_err();
    let span = recorder.finish_with_one_span();
    assert_eq!(
        summary(&span),
        format!("{CHECK} client true tonic::transport::error::Error ERROR")
    );
    let causes = attribute(&span, "exception.stacktrace").unwrap();
    assert!(causes.as_str().unwrap().contains("refused"), "{causes}");
}

#[tokio::test]
async fn an_interceptor_sends_the_context_of_a_span_of_the_applications_own() {
    let recorder = Recorder::start();
    let channel = Channel::from_shared(format!("http://{}", server().await)).unwrap();
    let channel = channel.connect().await.unwrap();
    let (done, is_done) = oneshot::channel();
    let mut client = HealthClient::with_interceptor(channel, |mut request: Request<()>| {
        if let Some(context) = TraceContext::current() {
            let mut headers = http::HeaderMap::new();
            context.inject(&mut headers);
            *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
        }
        Ok(request)
    });
    let span = info_span!("call", otel.kind = "client");
    let id = span.context().unwrap();
    async {
        client.check(service("fine")).await.unwrap();
        done.send(()).unwrap();
    }
    .instrument(span)
    .await;
    is_done.await.unwrap();
    let (_, server, _) = ended(recorder).await;
    assert!(id.traceparent().contains(text(&server, "parent_span_id")));
}

/// A client that answers by itself, for requests of plain HTTP.
#[derive(Clone)]
struct Echo;

impl tower::Service<http::Request<String>> for Echo {
    type Response = http::Response<String>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<String>) -> Self::Future {
        let traceparent = request.headers()["traceparent"].to_str().unwrap();
        std::future::ready(match request.uri().path() {
            "/lost" => Err(std::io::Error::other("no http://a/?token=hush")),
            _ => Ok(http::Response::builder()
                .status(404)
                .body(traceparent.to_owned())
                .unwrap()),
        })
    }
}

#[tokio::test]
async fn a_client_of_plain_http_has_a_span_until_the_head_without_secrets() {
    let recorder = Recorder::start();
    let client = ServiceBuilder::new()
        .layer(ClientLayer::new())
        .service(Echo);
    let request = http::Request::get("http://tea:pot@a.example:81/x?q=1&sig=hush");
    let request = request.header("traceparent", "an older one");
    let response = tower::ServiceExt::oneshot(client.clone(), request.body(String::new()).unwrap());
    let response = response.await.unwrap();
    // The body is still to be read.
    assert_eq!(recorder.spans().len(), 1);
    let lost = http::Request::get("http://a.example/lost");
    let lost = tower::ServiceExt::oneshot(client, lost.body(String::new()).unwrap());
    lost.await.unwrap_err();

    let (spans, _) = recorder.finish();
    assert_eq!(summary(&spans[0]), "GET client true 404 ERROR");
    let sent = http_body_util::BodyExt::collect(response).await.unwrap();
    let sent = String::from_utf8(sent.to_bytes().to_vec()).unwrap();
    assert!(sent.contains(text(&spans[0], "span_id")), "{sent}");
    assert_eq!(
        *spans[0].get("attributes").unwrap(),
        serde_json::json!({
            "error.type": "404",
            "http.request.method": "GET",
            "http.response.status_code": 404,
            "url.full": "http://REDACTED:REDACTED@a.example:81/x?q=1&sig=REDACTED",
            "server.address": "a.example",
            "server.port": 81,
            "network.protocol.version": "1.1",
        })
    );
    assert_eq!(
        summary(&spans[1]),
        "GET client true std::io::error::Error ERROR"
    );
    assert_eq!(
        text(&spans[1], "status.message"),
        "no http://a/?token=REDACTED"
    );
    assert!(!spans[1].to_string().contains("hush"), "{}", spans[1]);
}

#[tokio::test]
async fn below_the_filters_level_the_span_around_is_sent_by_a_tower_client() {
    let recorder = Recorder::start();
    let client = ServiceBuilder::new()
        .layer(ClientLayer::new().level(Level::DEBUG))
        .service(Echo);
    let request = http::Request::get("/x").body(String::new()).unwrap();
    let response = tower::ServiceExt::oneshot(client, request);
    let around = info_span!("around");
    let sent = response.instrument(around).await.unwrap().into_body();
    let around = recorder.finish_with_one_span();
    let sent = http_body_util::BodyExt::collect(sent).await.unwrap();
    let sent = String::from_utf8(sent.to_bytes().to_vec()).unwrap();
    assert!(sent.contains(text(&around, "span_id")), "{sent}");
}
