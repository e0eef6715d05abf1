//! A text that no `Debug` shows, and how a token of Axiom's is recognised in any text.

use std::fmt;

use super::environment::Given;
use crate::report::BuildError;

pub(super) const API_TOKEN: &str = "xaat-";
pub(super) const PERSONAL_TOKEN: &str = "xapt-";
/// The early product's ingest tokens.
pub(super) const INGEST_TOKEN: &str = "xait-";

/// Characters. Axiom's are longer; those of a local endpoint may be any word.
pub(crate) const SHORTEST_TOKEN: usize = 16;
/// What stands in a text in place of a token.
pub(crate) const HIDDEN: &str = "(hidden)";

pub(super) const KINDS: [&str; 3] = [API_TOKEN, PERSONAL_TOKEN, INGEST_TOKEN];

/// A text that no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Without the white space around it.
    pub(crate) fn new(token: &str) -> Self {
        Self(token.trim().to_owned())
    }

    /// Whether `text` holds this token, or what looks like another one of Axiom's.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let known = !self.0.is_empty() && text.contains(&self.0);
        known || KINDS.iter().any(|prefix| text.contains(prefix))
    }

    /// `text` without this token. One that is shorter than any of Axiom's stays: it could be a word of the text.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        if self.0.len() < SHORTEST_TOKEN {
            text.to_owned()
        } else {
            text.replace(&self.0, HIDDEN)
        }
    }

    /// For the `Authorization` header and nothing else. Visible ASCII.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Refuses a token where a name belongs: in an address it would be told in the clear.
pub(crate) fn no_token(given: Given) -> Result<Given, BuildError> {
    if KINDS
        .iter()
        .any(|prefix| given.text.trim().starts_with(prefix))
    {
        return Err(BuildError::new(given.origin, "looks like a token")
            .fix("give the dataset's name here, and the token to AXIOM_TOKEN or .token(..)"));
    }
    Ok(given)
}

/// What may stand in a header without quoting.
pub(crate) fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}
