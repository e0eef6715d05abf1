//! The API token: which ones there are, and where each is taken.

use super::endpoint::{Endpoint, Target};
use super::environment::Given;
use super::secret::{API_TOKEN, INGEST_TOKEN, KINDS, PERSONAL_TOKEN, Secret, is_visible_ascii};
use crate::report::{BuildError, Origin};

const TOKEN_HELP: &str = "create an API token that may ingest into the dataset, in the Axiom console under Settings > API tokens";

pub(super) const VARIABLE: &str = "AXIOM_TOKEN";

/// A token that can be put into a header; whether the endpoint takes it is not known yet.
pub(crate) struct Token {
    pub(crate) secret: Secret,
    origin: Origin,
}

impl Token {
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
