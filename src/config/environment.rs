//! Reads the environment through a function, so that tests pass a made-up one.

use std::ffi::OsString;
use std::fmt;

use crate::report::{BuildError, Origin};

/// A text that was set, and where.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Where it was set. Not the text: it may be the token.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Given").field(&self.origin).finish()
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(pub(crate) &'a dyn Fn(&str) -> Option<OsString>);

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment<'_> {
    /// The variable's text; empty or nothing but white space counts as unset.
    pub(crate) fn variable(
        self,
        setter: &'static str,
        variable: &'static str,
    ) -> Result<Option<Given>, BuildError> {
        let Some(value) = (self.0)(variable).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let origin = Origin::variable(setter, variable);
        match value.into_string() {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(Given { text, origin })),
            Err(_) => {
                Err(BuildError::new(origin, "is not valid UTF-8")
                    .fix("set it again, as plain text"))
            }
        }
    }

    /// Whether the variable says yes. Unset means no.
    pub(crate) fn flag(
        self,
        setter: &'static str,
        variable: &'static str,
    ) -> Result<bool, BuildError> {
        let Some(given) = self.variable(setter, variable)? else {
            return Ok(false);
        };
        match given.text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(BuildError::new(given.origin, "is neither true nor false")
                .text(&given.text)
                .fix("write `true` or `false`")),
        }
    }

    /// Whether the variable holds anything, be it right or wrong.
    pub(crate) fn is_set(self, variable: &str) -> bool {
        (self.0)(variable).is_some_and(|value| {
            let text = value.to_str();
            text.is_none_or(|text| !text.trim().is_empty())
        })
    }

    /// What was set explicitly, else the variable.
    pub(crate) fn setting(
        self,
        explicit: Option<String>,
        setter: &'static str,
        variable: &'static str,
    ) -> Result<Option<Given>, BuildError> {
        match explicit {
            Some(text) => given(text, setter).map(Some),
            None => self.variable(setter, variable),
        }
    }
}

impl Given {
    /// Refuses a value in quotes. A shell takes them away; what reads `NAME="value"` as a plain file, such as
    /// Docker's `--env-file`, keeps them.
    pub(crate) fn unquoted(self) -> Result<Self, BuildError> {
        const PAIRS: [(char, char); 4] = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’')];
        let text = self.text.trim();
        let is_quoted = PAIRS.iter().any(|(open, close)| {
            text.strip_prefix(*open)
                .is_some_and(|rest| rest.ends_with(*close))
        });
        if !is_quoted {
            return Ok(self);
        }
        // The text stays hidden: it may be a token, or an address with a password.
        Err(
            BuildError::new(self.origin, "is in quotes, which are taken as part of the value").fix(
                "remove the quotes: `docker --env-file`, for one, does not take them away as a shell does",
            ),
        )
    }
}

/// What was set explicitly. Empty is most likely a lookup that found nothing.
pub(crate) fn given(text: String, setter: &'static str) -> Result<Given, BuildError> {
    let origin = Origin::setter(setter);
    if text.trim().is_empty() {
        return Err(BuildError::new(origin, "is empty").fix(format!(
            "leave out the call to .{setter}(..), or pass a value"
        )));
    }
    Ok(Given { text, origin })
}
