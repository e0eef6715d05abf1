//! The API token: which ones there are, and where each is taken.

use std::fmt;
use std::path::Path;

use super::Settings;
use super::endpoint::{Endpoint, Target};
use super::environment::{self, Environment, Given};
use super::token_file::{self, TokenFile};
use crate::error::{BuildError, Origin};

pub(crate) const TOKEN_HELP: &str = "create an API token that may ingest into the dataset, in the Axiom console under Settings > API tokens";

const VARIABLE: &str = "AXIOM_TOKEN";

const API_TOKEN: &str = "xaat-";
const PERSONAL_TOKEN: &str = "xapt-";
/// The early product's ingest tokens.
const INGEST_TOKEN: &str = "xait-";

/// Characters. Axiom's are longer; those of a local endpoint may be any word.
pub(crate) const SHORTEST_TOKEN: usize = 16;
/// What stands in a text in place of a token.
pub(crate) const HIDDEN: &str = "(hidden)";

const KINDS: [&str; 3] = [API_TOKEN, PERSONAL_TOKEN, INGEST_TOKEN];

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

/// A token that can be put into a header; whether the endpoint takes it is not known yet.
pub(crate) struct Token {
    pub(crate) secret: Secret,
    origin: Origin,
}

impl Token {
    /// The token that was given first: by a setter, by `AXIOM_TOKEN`, by the file that `AXIOM_TOKEN_FILE` names. `None`:
    /// there is none of these.
    ///
    /// With the file that it was read from, if it was one.
    pub(crate) fn find(
        explicit: Option<String>,
        explicit_file: Option<&Path>,
        environment: Environment<'_>,
    ) -> Result<Option<(Self, Option<TokenFile>)>, BuildError> {
        if let Some(text) = explicit {
            let token = Self::read(environment::given(text, "token")?)?;
            return Ok(Some((token, None)));
        }
        let file = match explicit_file {
            Some(path) => Some(TokenFile::explicit(path)?),
            None => match environment.variable("token", VARIABLE)? {
                Some(given) => return Ok(Some((Self::read(given)?, None))),
                None => TokenFile::of_environment(environment)?,
            },
        };
        match file {
            Some(file) => Ok(Some((file.read()?, Some(file)))),
            None => Ok(None),
        }
    }

    /// Whether `find` would look at a token, be it right or wrong.
    pub(crate) fn is_given(settings: &Settings, environment: Environment<'_>) -> bool {
        settings.token.is_some()
            || settings.token_file.is_some()
            || environment.is_set(VARIABLE)
            || environment.is_set(token_file::VARIABLE)
    }

    /// One that every endpoint could take, for settings that are checked without a token.
    pub(crate) fn stand_in() -> Self {
        Self {
            secret: Secret::new(API_TOKEN),
            origin: Origin::setter("token"),
        }
    }

    pub(crate) fn missing() -> BuildError {
        BuildError::missing("token", VARIABLE).fix(TOKEN_HELP)
    }

    /// Takes the token that was given, without the white space around it.
    pub(crate) fn read(given: Given) -> Result<Self, BuildError> {
        let Given { text, origin } = given.unquoted()?;
        let text = text.trim();
        if !is_visible_ascii(text) {
            return Err(BuildError::new(
                origin,
                "holds white space, control characters or characters that are not ASCII",
            )
            .fix("copy the token again: the token alone, without `Bearer`"));
        }
        Ok(Self {
            secret: Secret::new(text),
            origin,
        })
    }

    /// Whether `target` takes this kind of token. A self-hosted or local endpoint may take any other.
    pub(crate) fn check(&self, target: &Target, org_id: Option<&str>) -> Result<(), BuildError> {
        let token = self.secret.expose();
        let early = matches!(
            target.endpoint,
            Some(Endpoint::ApiDatasets | Endpoint::ApiIngest)
        );
        let (problem, fix) = if token.starts_with(PERSONAL_TOKEN) && target.is_edge() {
            (
                "is a personal token (xapt-), which the edge endpoint does not take",
                "use an API token (xaat-)",
            )
        } else if token.starts_with(PERSONAL_TOKEN) && org_id.is_none() {
            (
                "is a personal token (xapt-), which is taken only together with an organization's id",
                "set AXIOM_ORG_ID or call .org_id(..), or use an API token (xaat-)",
            )
        } else if token.starts_with(INGEST_TOKEN) && !early {
            (
                "is an ingest token of the early product (xait-), which only `Endpoint::ApiDatasets` and `Endpoint::ApiIngest` take",
                "use an API token (xaat-), or choose one of these with .endpoint(..)",
            )
        } else if !KINDS.iter().any(|prefix| token.starts_with(prefix)) && target.is_axiom() {
            (
                "does not start with xaat-, as Axiom's API tokens do",
                TOKEN_HELP,
            )
        } else {
            return Ok(());
        };
        Err(BuildError::new(self.origin, problem).fix(fix))
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
