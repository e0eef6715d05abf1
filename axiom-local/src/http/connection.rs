//! One connection, and the means to end it in the middle of anything.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::service;
use crate::server::Shared;

/// Labels beyond the contract's size must still arrive, to be reported.
const MAX_HEADER_BYTES: u32 = 256 * 1024;

/// How to end a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// FIN.
    Close,
    /// RST.
    Reset,
}

/// The means of a request to end its connection.
#[derive(Debug, Default)]
pub(crate) struct Scissors {
    cut: Mutex<Option<Cut>>,
    ready: Notify,
}

impl Scissors {
    /// Ends the connection. Never returns, since the request ends with it.
    pub(crate) async fn cut<T>(&self, how: Cut) -> T {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        self.ready.notify_one();
        std::future::pending().await
    }

    async fn wanted(&self) -> Cut {
        loop {
            self.ready.notified().await;
            if let Some(how) = *self.cut.lock().unwrap_or_else(PoisonError::into_inner) {
                return how;
            }
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn run(stream: TcpStream, shared: Arc<Shared>) {
    // Without it small answers may wait for an acknowledgement; where it fails they just wait.
    drop(stream.set_nodelay(true));
    let stream = Arc::new(stream);
    let scissors = Arc::new(Scissors::default());
    let service = hyper::service::service_fn({
        let scissors = Arc::clone(&scissors);
        move |request| service::answer(request, Arc::clone(&shared), Arc::clone(&scissors))
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(1024 * 1024);
    builder
        .http2()
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    let io = TokioIo::new(Wire(Arc::clone(&stream)));
    let how = {
        let connection = builder.serve_connection(io, service);
        tokio::select! {
            // An error is the client's: it went away, or it speaks no HTTP.
            _ = connection => return,
            how = scissors.wanted() => how,
        }
    };
    // The socket closes when its last owner lets go, which is now at the end of this function.
    match how {
        Cut::Close => drop(SockRef::from(&*stream).shutdown(Shutdown::Write)),
        Cut::Reset => drop(SockRef::from(&*stream).set_linger(Some(Duration::ZERO))),
    }
}

/// A socket that its connection and `run` own together, so that it can be set up for its end.
struct Wire(Arc<TcpStream>);

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(buf.initialize_unfilled()) {
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
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match send(&self.0) {
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
        match SockRef::from(&*self.0).shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
