//! A client small enough to see through: requests as bytes on a socket.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axiom_local::{Rule, Server};
use serde_json::Value;

/// How long a test waits. It is long enough for the slowest machine, and only a failing test reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The rules that were broken, one entry for each breach.
pub(crate) fn broken(server: &Server) -> Vec<Rule> {
    server.violations().iter().map(|v| v.rule).collect()
}

/// A timestamp that breaks no rule.
pub(crate) const TIME: &str = "2026-01-01T00:00:00.000000000Z";

/// A request. It breaks no rule unless the test makes it.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn post(path: &str, body: impl AsRef<[u8]>) -> Post {
    Post {
        method: "POST",
        path: path.into(),
        headers: [
            ("Host", "localhost"),
            ("User-Agent", "axiom-local-tests/1"),
            ("Authorization", "Bearer xaat-any"),
            ("Content-Type", "application/json"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        body: body.as_ref().to_vec(),
    }
}

/// A request to `/v1/ingest/logs` with an array of one event. The time is added to the fields.
pub(crate) fn one(fields: &str) -> Post {
    post(
        "/v1/ingest/logs",
        format!(r#"[{{"_time":"{TIME}",{fields}}}]"#),
    )
}

/// A response as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Post {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        head
    }

    /// Sends the request on a connection of its own, and returns the connection.
    pub(crate) fn start(&self, addr: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&self.bytes()).unwrap();
        stream
    }

    /// Head and body in one piece. In two pieces, the second may wait until the first is acknowledged.
    fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }

    /// Sends the request on a connection that is already there.
    pub(crate) fn send_on(&self, stream: &mut TcpStream) -> Answer {
        stream.write_all(&self.bytes()).unwrap();
        read_answer(stream).unwrap()
    }

    pub(crate) fn send(&self, addr: SocketAddr) -> Answer {
        read_answer(&mut self.start(addr)).unwrap()
    }
}

/// Reads one response with a Content-Length.
pub(crate) fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        read_some(stream, &mut bytes)?;
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
        headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|all| *all = format!("{all}, {value}"))
            .or_insert_with(|| value.to_owned());
    }
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        read_some(stream, &mut body)?;
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// Reads until the other end closes. An error means that the connection ended in another way.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| bytes)
}

fn read_some(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            bytes.extend_from_slice(&buffer[..n]);
            Ok(())
        }
    }
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(body, 1).unwrap()
}
