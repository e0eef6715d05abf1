//! What stands before an endpoint: it takes connections, reads requests, and passes them on with their answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A request as it came.
pub(crate) struct Request {
    /// The first line and the headers, each with its line end.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Whether its body does.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.body
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }
}

/// Serves every connection in a thread of its own, for as long as the test runs.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    serve_all(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
}

pub(crate) fn serve_all(
    listener: TcpListener,
    serve: impl Fn(TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let serve = &serve;
        thread::scope(|scope| {
            for stream in listener.incoming().flatten() {
                scope.spawn(move || serve(stream));
            }
        });
    });
    address
}

/// Reads one request to its end. It is an error if there was none, as when somebody only looks whether there is a
/// connection.
pub(crate) fn read_request(stream: impl Read) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let start = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = head[start..].trim_end();
        if line.is_empty() {
            head.truncate(start);
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { head, body })
}

/// Sends it to the server `behind`, and the answer to the client, whose connection is then at its end.
pub(crate) fn pass_on(
    request: &Request,
    behind: SocketAddr,
    client: &mut impl Write,
) -> io::Result<()> {
    let mut server = TcpStream::connect(behind)?;
    write!(server, "{}connection: close\r\n\r\n", request.head)?;
    server.write_all(&request.body)?;
    io::copy(&mut server, client).map(drop)
}
