//! The file that holds the token, as Docker and Kubernetes mount secrets. Read when the layer is built, and again by
//! the worker's thread when the endpoint refuses the token.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::environment::{Environment, Given};
use super::secret::Secret;
use super::token::Token;
use crate::report::{BuildError, Origin};

const SETTER: &str = "token_file";
pub(crate) const VARIABLE: &str = "AXIOM_TOKEN_FILE";

/// More than any token has; servers commonly take 8 KiB of headers.
const MOST_BYTES: u64 = 8 * 1024;

/// A path, and where it was set.
#[derive(Debug, Clone)]
pub(crate) struct TokenFile {
    path: PathBuf,
    origin: Origin,
}

impl TokenFile {
    /// What `.token_file(..)` was given.
    pub(crate) fn explicit(path: &Path) -> Result<Self, BuildError> {
        let origin = Origin::setter(SETTER);
        if path.as_os_str().is_empty() {
            return Err(BuildError::new(origin, "is empty")
                .fix("leave out the call to .token_file(..), or pass a path"));
        }
        Ok(Self::new(path, origin))
    }

    pub(crate) fn of_environment(environment: Environment<'_>) -> Result<Option<Self>, BuildError> {
        let Some(given) = environment.variable(SETTER, VARIABLE)? else {
            return Ok(None);
        };
        let Given { text, origin } = given.unquoted()?;
        Ok(Some(Self::new(Path::new(text.trim()), origin)))
    }

    fn new(path: &Path, origin: Origin) -> Self {
        // The program may change its directory before the file is read again.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { path, origin }
    }

    /// Reads the token that is in the file now.
    ///
    /// # Errors
    /// There is no such file, or no token in it. The error shows the path, never the content.
    pub(crate) fn read(&self) -> Result<Token, BuildError> {
        let text = self.text().map_err(|error| {
            let (problem, fix) = match error.kind() {
                // The system says no more than that.
                io::ErrorKind::NotFound => {
                    return self
                        .wrong("there is no such file")
                        .fix("mount the secret there, or correct the path")
                        .told_by(error);
                }
                io::ErrorKind::PermissionDenied => (
                    format!("the file can not be read: {error}"),
                    "let the user that the program runs as read the file",
                ),
                _ => (
                    format!("the file can not be read: {error}"),
                    "give the path of a text file that holds the token and nothing else",
                ),
            };
            self.wrong(problem).fix(fix).caused_by(error)
        })?;
        if text.trim().is_empty() {
            return Err(self
                .wrong("the file is empty")
                .fix("write the token into the file, and nothing else"));
        }
        Token::read(Given {
            text,
            origin: self.origin,
        })
        .map_err(|error| self.hiding(error.text(&self.shown())))
    }

    /// A named pipe could keep the reader waiting, and can be read only once.
    fn text(&self) -> io::Result<String> {
        let other = |what: &str| io::Error::other(what);
        if !std::fs::metadata(&self.path)?.is_file() {
            return Err(other("it is a directory, a pipe or a device"));
        }
        let mut text = String::new();
        let read = File::open(&self.path)?
            .take(MOST_BYTES + 1)
            .read_to_string(&mut text)?;
        if read as u64 > MOST_BYTES {
            return Err(other("it is longer than any token"));
        }
        Ok(text)
    }

    /// The path, for messages.
    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn wrong(&self, problem: impl Into<std::borrow::Cow<'static, str>>) -> BuildError {
        self.hiding(BuildError::new(self.origin, problem).text(&self.shown()))
    }

    /// The token itself may have been given in place of its file's path.
    fn hiding(&self, error: BuildError) -> BuildError {
        error.hiding(|text| Secret::new("").is_in(text))
    }
}

#[cfg(test)]
mod tests;
