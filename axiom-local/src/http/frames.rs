//! Changes the bytes of an HTTP/2 connection between h2 and the socket: adds frames that h2 would not send, removes the answers
//! to pings, or lets nothing through in either direction.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes before a frame's payload: length, type, flags, stream (RFC 9113, section 4.1).
const HEAD: usize = 9;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const ACK: u8 = 1;

/// Once this many bytes are unsent, no more are taken from h2 until the socket has taken them.
const UNSENT: usize = 256 * 1024;

/// What is to happen to the frames of a connection from now on.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders(Arc<Mutex<Ordered>>);

#[derive(Debug, Default)]
struct Ordered {
    /// No ping is answered.
    is_mute: bool,
    /// Nothing is read or written.
    is_black_hole: bool,
    /// Frames to send as soon as h2's current frame is complete.
    extra: BytesMut,
}

impl Orders {
    fn with<T>(&self, change: impl FnOnce(&mut Ordered) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn answer_no_ping(&self) {
        self.with(|ordered| ordered.is_mute = true);
    }

    pub(super) fn swallow_everything(&self) {
        self.with(|ordered| ordered.is_black_hole = true);
    }

    /// Sends a GOAWAY frame without an error. It says that streams after `last` are not processed.
    pub(super) fn go_away(&self, last: u32) {
        self.with(|Ordered { extra, .. }| {
            extra.put_uint(8, 3);
            extra.put_u8(GO_AWAY);
            extra.put_u8(0);
            extra.put_u32(0);
            extra.put_u32(last);
            extra.put_u32(0);
        });
    }
}

/// A connection whose frames are changed as its [`Orders`] say.
#[derive(Debug)]
pub(super) struct Ordering<S> {
    io: S,
    orders: Orders,
    frames: Frames,
    unsent: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ordering<S> {
    pub(super) fn new(io: S, orders: Orders) -> Self {
        Ordering {
            io,
            orders,
            frames: Frames::default(),
            unsent: BytesMut::new(),
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(n);
        }
        Poll::Ready(Ok(()))
    }

    /// Adds the ordered frames, unless h2 is in the middle of a frame.
    fn put_extra(&mut self) {
        let between = self.frames.is_between();
        self.orders.with(|ordered| {
            if between && !ordered.is_black_hole {
                self.unsent.extend_from_slice(&ordered.extra.split());
            }
        });
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Ordering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.orders.with(|ordered| ordered.is_black_hole) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Ordering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let (is_mute, is_black_hole) = this
            .orders
            .with(|ordered| (ordered.is_mute, ordered.is_black_hole));
        if is_black_hole {
            return Poll::Ready(Ok(buf.len()));
        }
        if this.unsent.len() >= UNSENT {
            ready!(this.poll_drain(cx))?;
        }
        this.put_extra();
        this.frames.pass(buf, is_mute, &mut this.unsent);
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.put_extra();
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Follows where frames begin and end in a stream of bytes.
#[derive(Debug, Default)]
struct Frames {
    /// The head of a frame, as far as it has come.
    head: BytesMut,
    /// Bytes of a frame's payload that are yet to come.
    left: usize,
    is_dropped: bool,
}

impl Frames {
    fn is_between(&self) -> bool {
        self.head.is_empty() && self.left == 0
    }

    /// Passes bytes on. If `is_mute`, the answers to pings are left out.
    fn pass(&mut self, mut bytes: &[u8], is_mute: bool, out: &mut BytesMut) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
                if !self.is_dropped {
                    out.extend_from_slice(payload);
                }
                self.left -= payload.len();
                bytes = rest;
                continue;
            }
            let missing = HEAD - self.head.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            if let [a, b, c, kind, flags, ..] = self.head[..]
                && self.head.len() == HEAD
            {
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.is_dropped = is_mute && kind == PING && flags & ACK != 0;
                let head = self.head.split();
                if !self.is_dropped {
                    out.extend_from_slice(&head);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 0]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn answers_to_pings_are_taken_out_wherever_the_stream_is_cut() {
        let kept = [
            frame(0, 0, b"data"),
            frame(PING, 0, b"question"),
            frame(4, ACK, b""),
        ];
        let stream = [
            kept[0].clone(),
            frame(PING, ACK, b"answer!!"),
            kept[1].clone(),
            frame(PING, ACK, b"answer!!"),
            kept[2].clone(),
        ]
        .concat();
        for size in 1..=stream.len() {
            for (is_mute, expected) in [(true, kept.concat()), (false, stream.clone())] {
                let (mut frames, mut out) = (Frames::default(), BytesMut::new());
                for part in stream.chunks(size) {
                    frames.pass(part, is_mute, &mut out);
                }
                assert!(frames.is_between());
                assert_eq!(out, expected, "in parts of {size}");
            }
        }
    }
}
