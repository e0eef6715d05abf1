//! A token that is replaced while the program runs: its file is read again once the endpoint refuses the token.

use std::time::Instant;

use reqwest::header::HeaderValue;

use super::Worker;
use super::destination::Destination;
use super::pace::Why;

impl Worker {
    pub(super) fn is_any_refused(&self, now: Instant) -> bool {
        let mut destinations = self.destinations.iter();
        destinations.any(|destination| destination.paused(now) == Some(Why::Refused))
    }

    /// The endpoint refused a request that carried this token. `true`: there is another one by now, so that the
    /// same request may be sent again at once.
    pub(super) fn token_was_replaced(&mut self, refused: &HeaderValue) -> bool {
        // Of several requests under way, the first that is refused reads the file.
        if *refused != self.settings.transport.credentials.authorization {
            return true;
        }
        self.is_token_refused = true;
        self.read_token_again()
    }

    /// What is wrong with the token's file, if there is one.
    pub(super) fn trouble_with_token(&self) -> Option<String> {
        let file = self.settings.transport.token_file.as_ref()?;
        file.read().err().map(|error| error.what())
    }

    /// While the token is refused: takes up the one that is in the file now. `false`: it is the same, or there is
    /// none to be had.
    pub(super) fn read_token_again(&mut self) -> bool {
        let Some(file) = &self.settings.transport.token_file else {
            return false;
        };
        if !self.is_token_refused {
            return false;
        }
        // Whatever is wrong with the file now, it may be in the middle of being replaced.
        let read = file.read().ok();
        let Some(authorization) = read.and_then(|token| bearer(token.secret.expose()).ok()) else {
            return false;
        };
        let credentials = &mut self.settings.transport.credentials;
        if authorization == credentials.authorization {
            return false;
        }
        credentials.authorization = authorization;
        self.is_token_refused = false;
        // The client sends the token that it was made with.
        self.transport = None;
        self.destinations
            .iter_mut()
            .for_each(Destination::no_longer_refused);
        true
    }
}

/// The value of `Authorization`, which no `Debug` shows.
///
/// # Errors
/// The token holds what no header can. The configuration has checked that.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}
