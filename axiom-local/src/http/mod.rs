//! The HTTP side of the server: accepts connections, reads requests, and sends answers or does what a fault asks for.
//!
//! From top to bottom: `connection` finds out which version of HTTP a client speaks. `http1` or `http2` serves the connection,
//! and `frames` lies between `http2` and the socket. `service` takes one request from its head to its answer. `endpoint` reads
//! the head, and `answer` makes the answer. `tools` holds what all requests of a connection are given.
//!
//! All of it runs on the server's own runtime, whose threads are named `axiom-local`. A connection is a task, and so is each
//! request over HTTP/2. This folder names `state` and what is below it. It never names `server`, which stands above and starts
//! it.

mod answer;
mod connection;
mod endpoint;
mod frames;
mod http1;
mod http2;
mod service;
mod tools;

use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::oneshot;

pub use self::endpoint::DEFAULT_DATASET;
use crate::state::Shared;

/// Accepts connections until the handle is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection::run(stream, connections, Arc::clone(&shared)));
                    connections += 1;
                }
                // The usual cause is a lack of file descriptors, so wait until some connections have ended.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
        }
    }
}
