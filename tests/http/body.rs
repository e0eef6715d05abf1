//! The span ends with the response's body: its last byte, its error, or when nobody reads on.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use axiom_layer::http::{ResponseBody, ServerLayer};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};
use tracing::{Span, info, info_span};

use crate::support::{PATIENCE, Recorder, attribute, duration, summary, text};

type Step = Result<Frame<Bytes>, io::Error>;

/// A body that is told from outside what comes next, and records that it was asked.
struct Told {
    steps: mpsc::UnboundedReceiver<Step>,
}

impl Body for Told {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        info!("asked");
        self.steps.poll_recv(context)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        info!("dropped");
    }
}

fn told() -> (mpsc::UnboundedSender<Step>, Told) {
    let (send, steps) = mpsc::unbounded_channel();
    (send, Told { steps })
}

fn data(text: &'static str) -> Step {
    Ok(Frame::data(Bytes::from(text)))
}

/// The response to a request, which has this body, as the layer hands it on.
async fn answer<B: Body>(
    layer: ServerLayer,
    method: Method,
    response: Response<B>,
) -> Response<ResponseBody<B>> {
    let mut response = Some(response);
    let service = layer.layer(service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(response.take().unwrap()))
    }));
    let request = Request::builder().method(method).uri("/").body(());
    service.oneshot(request.unwrap()).await.unwrap()
}

async fn get<B: Body>(response: Response<B>) -> Response<ResponseBody<B>> {
    answer(ServerLayer::new(), Method::GET, response).await
}

#[tokio::test]
async fn what_a_body_records_while_it_is_read_is_in_the_requests_span() {
    let recorder = Recorder::start();
    let (send, body) = told();
    let response = get(Response::new(body)).await;
    send.send(data("tea")).unwrap();
    drop(send);
    assert_eq!(response.collect().await.unwrap().to_bytes(), "tea");

    let (spans, events) = recorder.finish();
    assert_eq!(summary(&spans[0]), "GET server false - -");
    let messages: Vec<_> = events.iter().map(|event| text(event, "message")).collect();
    assert_eq!(messages, ["asked", "asked", "dropped"]);
    for event in &events {
        assert_eq!(text(event, "span_id"), text(&spans[0], "span_id"));
    }
}

#[tokio::test]
async fn a_body_is_handed_on_as_it_is_with_its_length_and_trailers() {
    let recorder = Recorder::start();
    let response = get(Response::new(Full::new(Bytes::from("tea")))).await;
    assert_eq!(response.body().size_hint().exact(), Some(3));
    assert!(!response.body().is_end_stream());
    let mut body = response.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "tea"
    );
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());

    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "7".parse().unwrap());
    let (send, told) = told();
    send.send(data("tea")).unwrap();
    send.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    drop(send);
    let response = get(Response::new(told)).await;
    assert_eq!(response.body().size_hint().exact(), None);
    let whole = response.collect().await.unwrap();
    assert_eq!(whole.trailers(), Some(&trailers));
    assert_eq!(whole.to_bytes(), "tea");
    let (spans, _) = recorder.finish();
    for span in &spans {
        assert_eq!(summary(span), "GET server false - -");
    }
}

#[tokio::test]
async fn the_record_is_sent_with_the_last_byte_although_a_task_still_holds_the_span() {
    let recorder = Recorder::start();
    let (send, told) = told();
    let (mut held, mut body) = (None, Some(told));
    let service = ServerLayer::new().layer(service_fn(|_: Request<()>| {
        held = Some((Span::current(), info_span!("detached")));
        let response = Response::new(body.take().unwrap());
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let response = service.oneshot(Request::get("/").body(()).unwrap());
    let mut body = response.await.unwrap().into_body();
    send.send(data("tea")).unwrap();
    body.frame().await.unwrap().unwrap();
    assert!(recorder.spans().is_empty(), "more may come");
    drop(send);
    assert!(body.frame().await.is_none());

    let spans = recorder.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(summary(&spans[0]), "GET server false - -");
    let head = attribute(&spans[0], "http.response.head_ns").unwrap();
    assert!(head.as_u64().unwrap() < duration(&spans[0]));

    let (server, detached) = held.unwrap();
    detached.in_scope(|| info!("later"));
    drop((server, detached));
    drop(body);
    let (again, events) = recorder.finish();
    assert_eq!(again.len(), 2, "the request is recorded once: {again:?}");
    let later = events
        .iter()
        .find(|event| text(event, "message") == "later");
    assert_eq!(
        text(later.unwrap(), "trace_id"),
        text(&spans[0], "trace_id")
    );
}

/// The span that the layer opened, as long as it is not closed.
fn is_open(recorder: &Recorder) -> bool {
    recorder.spans().is_empty()
}

#[tokio::test]
async fn a_body_that_says_it_is_at_its_end_ends_the_span_without_being_asked_again() {
    let recorder = Recorder::start();
    let mut body = get(Response::new(Full::new(Bytes::from("tea"))))
        .await
        .into_body();
    assert!(is_open(&recorder));
    body.frame().await.unwrap().unwrap();
    assert!(!is_open(&recorder));
}

#[tokio::test]
async fn a_body_of_as_many_bytes_as_it_was_to_have_is_not_abandoned() {
    let recorder = Recorder::start();
    let (send, told) = told();
    let response = Response::builder().header("content-length", "6");
    let mut body = get(response.body(told).unwrap()).await.into_body();
    send.send(data("tea")).unwrap();
    send.send(data("pot")).unwrap();
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    // As hyper does, which knows that the client has all of it.
    drop(body);
    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "GET server false - -");
}

#[tokio::test]
async fn a_body_that_nobody_reads_on_is_cancelled() {
    let recorder = Recorder::start();
    let (send, told) = told();
    let mut body = get(Response::new(told)).await.into_body();
    send.send(data("tea")).unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let (unread, told) = self::told();
    drop(get(Response::new(told)).await);
    drop(unread);

    let (spans, events) = recorder.finish();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(summary(span), "GET server true cancelled ERROR");
        assert_eq!(
            text(span, "status.message"),
            "cancelled before the end of the response"
        );
        assert_eq!(attribute(span, "http.response.status_code").unwrap(), 200);
    }
    let dropped = events.last().unwrap();
    assert_eq!(text(dropped, "message"), "dropped");
    assert_eq!(text(dropped, "span_id"), text(&spans[1], "span_id"));
}

#[tokio::test]
async fn a_body_that_fails_is_an_error_of_the_span_and_a_5xx_stays_what_it_was() {
    let recorder = Recorder::start();
    for status in [200, 503] {
        let (send, told) = told();
        let response = Response::builder().status(status);
        let response = get(response.body(told).unwrap()).await;
        send.send(data("tea")).unwrap();
        let error = io::Error::other("lost http://stock.example/?token=hush");
        send.send(Err(error)).unwrap();
        response.collect().await.unwrap_err();
    }
    let (spans, _) = recorder.finish();
    assert_eq!(summary(&spans[0]), "GET server true body ERROR");
    assert_eq!(
        text(&spans[0], "status.message"),
        "lost http://stock.example/?token=REDACTED"
    );
    assert_eq!(summary(&spans[1]), "GET server true 503 ERROR");
    assert_eq!(spans[1].get("status.message"), None);
}

/// A body whose code is wrong.
struct Panics;

impl Body for Panics {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("out of tea")
    }
}

#[tokio::test]
async fn a_body_that_panics_is_told_from_one_that_nobody_reads() {
    let recorder = Recorder::start();
    let body = get(Response::new(Panics)).await.into_body();
    let task = tokio::spawn(async move { body.collect().await.map(drop) });
    assert!(task.await.unwrap_err().is_panic());
    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "GET server true panic ERROR");
    assert_eq!(text(&span, "status.message"), "panicked");
}

/// Must not be asked for anything, as servers do with the bodies of such responses.
struct Unread;

impl Body for Unread {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        unreachable!()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[tokio::test]
async fn a_response_that_has_no_body_ends_the_span_with_its_head() {
    for (method, status, headers) in [
        ("HEAD", 200, None),
        ("CONNECT", 200, None),
        ("GET", 101, Some(("upgrade", "websocket"))),
        ("GET", 204, None),
        ("GET", 304, None),
        ("GET", 200, Some(("content-length", "0"))),
    ] {
        let recorder = Recorder::start();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut response = Response::new(Unread);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some((name, value)) = headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        let response = answer(ServerLayer::new(), method.clone(), response).await;
        // The response is still there, as long as the connection that was upgraded may be.
        assert!(!is_open(&recorder), "{method} {status}");
        drop(response);
        let span = recorder.finish_with_one_span();
        assert_eq!(summary(&span), format!("{method} server false - -"));
    }
}

#[tokio::test]
async fn a_connect_that_is_refused_has_a_body_like_any_other() {
    let recorder = Recorder::start();
    let (_send, told) = told();
    let response = Response::builder().status(403).body(told).unwrap();
    let response = answer(ServerLayer::new(), Method::CONNECT, response).await;
    assert!(is_open(&recorder));
    drop(response);
    let span = recorder.finish_with_one_span();
    assert_eq!(summary(&span), "CONNECT server true cancelled ERROR");
}

#[tokio::test]
async fn a_layer_that_ends_at_the_head_leaves_the_body_alone() {
    let recorder = Recorder::start();
    let (send, told) = told();
    let layer = ServerLayer::new().end_at_head(true);
    let response = answer(layer, Method::GET, Response::new(told)).await;
    assert!(!is_open(&recorder));
    send.send(Err(io::Error::other("spilled"))).unwrap();
    response.collect().await.unwrap_err();
    let (spans, events) = recorder.finish();
    assert_eq!(summary(&spans[0]), "GET server false - -");
    assert_eq!(attribute(&spans[0], "http.response.head_ns"), None);
    assert_eq!(events[0].get("span_id"), None);
}

#[tokio::test]
async fn a_body_that_waits_holds_the_span_open_and_wakes_its_reader() {
    let recorder = Recorder::start();
    let (send, told) = told();
    let mut body = pin!(get(Response::new(told)).await.into_body());
    let mut context = Context::from_waker(Waker::noop());
    assert!(body.as_mut().poll_frame(&mut context).is_pending());
    assert!(is_open(&recorder));
    let reader = poll_fn(|context| body.as_mut().poll_frame(context));
    let (frame, ()) = tokio::join!(reader, async { send.send(data("tea")).unwrap() });
    assert!(frame.unwrap().unwrap().is_data());
}

/// The status of the only span after a real server had one connection with `request`.
async fn served(app: axum::Router, request: &str, read: usize) -> String {
    let recorder = Recorder::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app.layer(ServerLayer::new())).into_future());
    let request = request.to_owned();
    let client = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        match read {
            usize::MAX => drop(connection.read_to_end(&mut Vec::new()).unwrap()),
            bytes => connection.read_exact(&mut vec![0; bytes]).unwrap(),
        }
    });
    client.await.unwrap();
    recorder.wait_for_spans(1).await;
    summary(&recorder.finish_with_one_span())
}

fn streaming(length: Option<&'static str>, parts: usize, ends: bool) -> axum::Router {
    let handler = move || async move {
        let parts = stream::iter((0..parts).map(|_| Ok::<_, Infallible>("tea")));
        let rest = stream::poll_fn(move |_| match ends {
            true => Poll::Ready(None),
            false => Poll::Pending,
        });
        let mut response = Response::new(axum::body::Body::new(StreamBody::new(
            futures_util::StreamExt::map(futures_util::StreamExt::chain(parts, rest), |part| {
                part.map(|part| Frame::data(Bytes::from(part)))
            }),
        )));
        if let Some(length) = length {
            let headers = response.headers_mut();
            headers.insert("content-length", length.parse().unwrap());
        }
        response
    };
    axum::Router::new().route("/", axum::routing::get(handler))
}

#[tokio::test]
async fn hyper_reads_a_stream_to_its_end_or_its_length_or_upgrades_or_leaves_it() {
    let close = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (get, head) = (format!("GET / {close}"), format!("HEAD / {close}"));
    let ok = "GET / server false - -";
    let all = usize::MAX;
    assert_eq!(served(streaming(None, 2, true), &get, all).await, ok);
    // hyper does not ask a body again that has given all that its length promised.
    assert_eq!(served(streaming(Some("6"), 2, false), &get, all).await, ok);
    let head = served(streaming(None, 2, false), &head, all).await;
    assert_eq!(head, "HEAD / server false - -");
    // After this the connection is of another protocol.
    let upgrade = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: tea\r\n\r\n";
    let switch = axum::Router::new().route(
        "/",
        axum::routing::get(async || {
            let headers = [("connection", "upgrade"), ("upgrade", "tea")];
            (StatusCode::SWITCHING_PROTOCOLS, headers)
        }),
    );
    assert_eq!(served(switch, upgrade, 20).await, ok);
    let gone = served(streaming(None, 2, false), &get, 20).await;
    assert_eq!(gone, "GET / server true cancelled ERROR");
}
