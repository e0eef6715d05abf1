//! What ends a request over HTTP/2, and answers that hyper can not read.

use super::*;

/// How a server ends a stream, or the connection.
#[derive(Debug, Clone, Copy)]
enum End {
    Reset,
    GoAway,
}

/// The types of the frames that are read or written here (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// The bytes of a frame.
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, 0]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Whether a request has come, after the preface of 24 bytes.
fn has_request(read: &[u8]) -> bool {
    let mut rest = read.get(24..).unwrap_or_default();
    while let [high, middle, low, kind, ..] = *rest {
        if kind == HEADERS {
            return true;
        }
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    false
}

/// One request to a server that ends it so, and leaves the connection open.
async fn http2(end: End, reason: h2::Reason) -> Failed {
    let address = peer(move |mut stream| async move {
        stream.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
        let (mut read, mut some) = (Vec::new(), [0; 8192]);
        while !has_request(&read) {
            let length = stream.read(&mut some).await.unwrap();
            assert!(length > 0, "it hung up");
            read.extend(&some[..length]);
        }
        let reason = u32::from(reason).to_be_bytes();
        let last = match end {
            End::Reset => frame(RST_STREAM, 1, &reason),
            // No stream was processed.
            End::GoAway => frame(GOAWAY, 0, &[[0; 4], reason].concat()),
        };
        stream.write_all(&last).await.unwrap();
        while stream.read(&mut some).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let client = client().http2_prior_knowledge();
    get(client, &format!("http://{address}/")).await
}

#[tokio::test]
async fn each_reason_of_http2_has_its_cause_and_its_fix() {
    use h2::Reason;
    let closed = (
        Trouble::Closed,
        "ended the connection",
        "nothing to do unless it lasts",
    );
    let unread = (
        Trouble::Unprocessed,
        "turns requests away unread",
        "is overloaded or restarts",
    );
    let broken = (
        Trouble::Http2,
        "do not understand each other by HTTP/2",
        "proxy or load balancer",
    );
    for (reason, (trouble, what, fix)) in [
        (Reason::REFUSED_STREAM, unread),
        (Reason::CANCEL, closed),
        (Reason::INTERNAL_ERROR, closed),
        (Reason::CONNECT_ERROR, closed),
        (Reason::from(0x4242), closed),
        (Reason::PROTOCOL_ERROR, broken),
        (Reason::FLOW_CONTROL_ERROR, broken),
        (Reason::SETTINGS_TIMEOUT, broken),
        (Reason::STREAM_CLOSED, broken),
        (Reason::FRAME_SIZE_ERROR, broken),
        (Reason::COMPRESSION_ERROR, broken),
        (
            Reason::ENHANCE_YOUR_CALM,
            (
                Trouble::TooMany,
                "asks for fewer requests",
                "raise flush_interval",
            ),
        ),
        (
            Reason::INADEQUATE_SECURITY,
            (
                Trouble::NoCommonTls,
                "no kind of TLS in common",
                "ciphers of today",
            ),
        ),
        (
            Reason::HTTP_1_1_REQUIRED,
            (
                Trouble::OnlyHttp1,
                "takes no records by it",
                "switch HTTP/2 off",
            ),
        ),
    ] {
        for end in [End::Reset, End::GoAway] {
            let failed = http2(end, reason).await;
            // Where the words of the reason say no more than that it ended, GOAWAY says more.
            let (trouble, what, fix) = match (end, trouble) {
                (End::GoAway, Trouble::Closed) => unread,
                _ => (trouble, what, fix),
            };
            let name = format!("{end:?} {reason:?}");
            failed.assert(&name, trouble, what, fix);
            // Whatever the words, such a request goes again at once, unless fewer are wanted.
            let is_unprocessed = matches!(end, End::GoAway) || reason == Reason::REFUSED_STREAM;
            let is_unprocessed = is_unprocessed && trouble != Trouble::TooMany;
            assert_eq!(failed.no_answer.is_unprocessed, is_unprocessed, "{name}");
        }
    }
    let failed = http2(End::GoAway, Reason::NO_ERROR).await;
    failed.assert("GOAWAY without an error", unread.0, unread.1, unread.2);
}

#[tokio::test]
async fn what_is_no_http2_is_said_to_be_none() {
    let address = says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let failed = get(
        client().http2_prior_knowledge(),
        &format!("http://{address}/"),
    )
    .await;
    failed.assert(
        "HTTP/1.1 to HTTP/2",
        Trouble::Http2,
        "do not understand each other by HTTP/2",
        "switch its HTTP/2 off",
    );
    // What is left unread when the connection is closed makes a reset of it.
    let address = peer(|stream| async move { stream.readable().await.unwrap() }).await;
    let failed = get(
        client().http2_prior_knowledge(),
        &format!("http://{address}/"),
    )
    .await;
    failed.assert(
        "reset",
        Trouble::Closed,
        "ended the connection",
        "nothing to do unless it lasts",
    );
}

#[tokio::test]
async fn each_answer_that_hyper_can_not_read_has_its_cause_and_its_fix() {
    let no_http = (Trouble::NotHttp, "nor with HTTP", "write https://");
    let closed = (
        Trouble::Closed,
        "ended the connection",
        "nothing to do unless",
    );
    for (name, answer, (trouble, what, fix)) in [
        (
            "no HTTP at all",
            &b"220 mail.test ESMTP\r\n\r\n"[..],
            no_http,
        ),
        ("no status", b"HTTP/1.1 abc\r\n\r\n", no_http),
        ("no header", b"HTTP/1.1 200 OK\r\n\0\r\n\r\n", no_http),
        (
            "no length",
            b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            no_http,
        ),
        (
            "no chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
            no_http,
        ),
        ("nothing", b"", closed),
        (
            "half an answer",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhell",
            closed,
        ),
    ] {
        let address = says(answer).await;
        let failed = get(client(), &format!("http://{address}/")).await;
        failed.assert(name, trouble, what, fix);
    }
    // Where the address is https already, TLS is not what is missing.
    let words = Trouble::NotHttp.words(
        Place {
            name: "logs",
            url: &Url::parse("https://axiom.test/").unwrap(),
            is_for_spans: false,
            forwarder: None,
            token_file: None,
        },
        "invalid HTTP version parsed",
    );
    assert!(words.fix.contains("correct host and port"), "{words:?}");
}
