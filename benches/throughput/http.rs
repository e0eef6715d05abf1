//! The smallest HTTP/1.1 server that a client of telemetry is content with: it reads a request whole, hands it on, and
//! answers with what it gets. A thread for each connection and nothing else, so that the server takes as little as
//! possible of the processors that the measured program runs on.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Room for the head of a request and for the pieces of its body.
const BUFFER: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// `Content-Encoding`, empty without one.
    pub(crate) encoding: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

/// Listens on a free port of this machine until the process ends.
pub(crate) fn start(
    handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let handler = Arc::clone(&handler);
            // A connection ends with an error whenever its client goes away: nothing to be told.
            thread::spawn(move || serve(connection, &*handler).ok());
        }
    });
    Ok(address)
}

fn serve(connection: TcpStream, handler: &dyn Fn(&Request) -> Answer) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::with_capacity(BUFFER, connection);
    // Reused, for touching fresh memory for each body would be most of the work.
    let mut request = Request::default();
    while read(&mut reader, &mut writer, &mut request)? {
        let answer = handler(&request);
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            answer.status,
            answer.content_type,
            answer.body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&answer.body);
        writer.write_all(&bytes)?;
    }
    Ok(())
}

/// Reads one request; false at the end of the connection.
fn read(
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
    request: &mut Request,
) -> io::Result<bool> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(false);
    }
    request.path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    request.encoding.clear();
    request.body.clear();
    let mut length = 0;
    let mut chunked = false;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = number(value, 10)?,
            "content-encoding" => request.encoding = value.to_ascii_lowercase(),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "expect" => writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
    }
    if !chunked {
        take(reader, length, &mut request.body)?;
        return Ok(true);
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let size = number(line.trim(), 16)?;
        take(reader, size, &mut request.body)?;
        line.clear();
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(true);
        }
    }
}

fn number(text: &str, radix: u32) -> io::Result<u64> {
    u64::from_str_radix(text, radix).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn take(reader: &mut BufReader<TcpStream>, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if reader.take(length).read_to_end(body)? as u64 == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
