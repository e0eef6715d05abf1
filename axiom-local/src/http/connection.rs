//! One connection: which version of HTTP its client speaks, and how its socket ends.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tools::{Cut, Scissors, Tools};
use super::{http1, http2};
use crate::state::Shared;
#[cfg(feature = "tls")]
use crate::tls::{HTTP2, Tls};

/// What a client that speaks HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end. `number` counts the connections of the server.
pub(crate) async fn run(stream: TcpStream, number: u64, shared: Arc<Shared>) {
    // Without `nodelay` a small answer may wait for an acknowledgement. If it can not be set, answers are late and otherwise
    // right.
    drop(stream.set_nodelay(true));
    let stream = Arc::new(stream);
    let scissors = Arc::new(Scissors::default());
    let how = {
        let tools = Tools {
            number,
            shared,
            scissors: Arc::clone(&scissors),
        };
        tokio::select! {
            () = serve(Wire::new(Arc::clone(&stream)), tools) => return,
            how = scissors.wanted() => how,
        }
    };
    // `serve` was cancelled, so this function is the last owner of the socket, which closes as it returns.
    match how {
        Cut::Close => drop(SockRef::from(&*stream).shutdown(Shutdown::Write)),
        Cut::Reset => drop(SockRef::from(&*stream).set_linger(Some(Duration::ZERO))),
    }
}

/// Finds out which version of HTTP the client speaks, and serves it. Errors are ignored: the client went away, or does not
/// speak HTTP.
async fn serve(mut wire: Wire, tools: Tools) {
    #[cfg(feature = "tls")]
    if let Some(acceptor) = tools.shared.settings.tls.as_ref().map(Tls::acceptor) {
        let Ok(stream) = acceptor.accept(wire).await else {
            return;
        };
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            http2::serve(stream, tools).await;
        } else {
            http1::serve(stream, tools).await;
        }
        return;
    }
    match wire.begins_with(PREFACE).await {
        Ok(true) => http2::serve(wire, tools).await,
        Ok(false) => http1::serve(wire, tools).await,
        Err(_) => {}
    }
}

/// A socket that `run` owns too, so that `run` can still choose how the socket closes after `serve` was cancelled.
struct Wire {
    stream: Arc<TcpStream>,
    /// Bytes that were read to recognise the version of HTTP. Whoever reads next gets them first.
    first: BytesMut,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let n = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(n));
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf.initialize_unfilled()) {
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Wire {
    fn new(stream: Arc<TcpStream>) -> Self {
        Wire {
            stream,
            first: BytesMut::new(),
        }
    }

    /// Reads until it is known whether the connection begins with these bytes. What was read is kept in `first`.
    async fn begins_with(&mut self, expected: &[u8]) -> io::Result<bool> {
        while self.first.len() < expected.len() && expected.starts_with(&self.first) {
            self.stream.readable().await?;
            let room = expected.len() - self.first.len();
            let mut bytes = [0; PREFACE.len()];
            match self.stream.try_read(&mut bytes[..room]) {
                Ok(0) => return Ok(false),
                Ok(n) => self.first.extend_from_slice(&bytes[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.first == expected)
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match send(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
