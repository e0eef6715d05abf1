//! What every request of a connection is given: the shared state, the connection's number, and the means to end the connection.
//!
//! A fault may end a connection while any of its requests is anywhere between its head and its answer. The request then only
//! says how; the task of the connection does it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::state::Shared;

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

    /// Waits until a request wants the connection to end, for the task of the connection.
    pub(super) async fn wanted(&self) -> Cut {
        loop {
            self.ready.notified().await;
            if let Some(how) = *self.cut.lock().unwrap_or_else(PoisonError::into_inner) {
                return how;
            }
        }
    }
}

/// What the requests of a connection have in common. Each request has a clone.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    /// Counts the connections of the server from 0.
    pub(super) number: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) scissors: Arc<Scissors>,
}
