//! The HTTP side: connections in, answers out.

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

/// Accepts connections until the handle goes away.
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
                // Out of file descriptors, mostly: give connections time to end.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
        }
    }
}
