//! HTTP/2 without TLS, which the client speaks from its first byte.

use std::future::poll_fn;
use std::pin::Pin;

use axiom_local::{Fault, Server};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use crate::common::TIME;

async fn connect(server: &Server) -> SendRequest<String> {
    let stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    // Otherwise small frames would wait for acknowledgements.
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn request(n: u32) -> Request<String> {
    Request::post("http://localhost/v1/ingest/logs")
        .header("authorization", "Bearer xaat-any")
        .header("user-agent", "axiom-local-tests/1")
        .header("content-type", "application/json")
        .body(format!(r#"[{{"_time":"{TIME}","n":{n}}}]"#))
        .unwrap()
}

/// Reads a body. Returns what came of it, and how it ended.
async fn body(mut incoming: Incoming) -> (Vec<u8>, Result<(), hyper::Error>) {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}

#[tokio::test]
async fn requests_share_a_connection_and_one_that_hangs_holds_up_no_other() {
    let server = Server::start().unwrap();
    let mut sender = connect(&server).await;
    server.fault(Fault::hang());
    let hanging = tokio::spawn(sender.send_request(request(0)));
    while server.requests_seen() == 0 {
        tokio::task::yield_now().await;
    }
    for n in 1..=20 {
        let response = sender.send_request(request(n)).await.unwrap();
        assert_eq!(response.status(), 200);
        let receipt: Value = serde_json::from_slice(&body(response.into_body()).await.0).unwrap();
        assert_eq!(receipt["ingested"], 1);
    }
    assert!(!hanging.is_finished());
    assert_eq!(server.ingested(), 20);
    assert_eq!(server.violations(), []);
    assert!(server.requests().iter().all(|r| r.http2));
}

#[tokio::test]
async fn a_cut_body_breaks_the_stream_and_a_reset_the_connection() {
    let server = Server::start().unwrap();
    let mut sender = connect(&server).await;
    server.faults([
        Some(Fault::cut_body()),
        None,
        Some(Fault::reset_after_store()),
        None,
    ]);
    let response = sender.send_request(request(1)).await.unwrap();
    assert_eq!(response.status(), 200);
    let (half, end) = body(response.into_body()).await;
    assert!(half.starts_with(b"{") && !half.ends_with(b"}"), "{half:?}");
    assert!(end.is_err());
    assert_eq!(sender.send_request(request(2)).await.unwrap().status(), 200);
    assert!(sender.send_request(request(3)).await.is_err());
    assert_eq!(server.ingested(), 3);
    let mut sender = connect(&server).await;
    assert_eq!(sender.send_request(request(4)).await.unwrap().status(), 200);
}
