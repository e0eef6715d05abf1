//! Takes secrets out of what is recorded: the values of query parameters that sign or authorize, and credentials in URLs.
//!
//! A URL is an attribute of its own, and it also is in the texts of errors: those of a client name the URL that they were
//! about, and so may any of their causes. Runs on the application's threads, only for queries and errors.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// What a value is replaced by that must not be recorded ("url.full").
const REDACTED: &str = "REDACTED";

/// Parameters whose values are secrets. The first line is the conventions'; the others sign URLs or
/// authorize in the same way. Compared without regard to case.
const SECRET_PARAMETERS: [&str; 15] = [
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "access_token",
    "api_key",
    "apikey",
    "client_secret",
    "id_token",
    "password",
    "refresh_token",
    "token",
];

/// The query without the values of its secrets; the names stay.
pub(super) fn redact_query(query: &str) -> Cow<'_, str> {
    let mut redacted = Copy::of(query);
    redact_parameters(&mut redacted, 0, query);
    redacted.finish()
}

/// `url.full` ("url.full": the credentials' places are kept, and the fragment).
#[cfg(feature = "reqwest-middleware")]
pub(super) fn full_url(url: &reqwest::Url) -> Cow<'_, str> {
    let query = url.query().map(redact_query);
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if !has_credentials && !matches!(query, Some(Cow::Owned(_))) {
        return Cow::Borrowed(url.as_str());
    }
    let query = query.map(Cow::into_owned);
    let mut url = url.clone();
    url.set_query(query.as_deref());
    if has_credentials {
        // A URL that has credentials can have others.
        let hidden = url.set_username(REDACTED).is_ok() && url.set_password(Some(REDACTED)).is_ok();
        if !hidden {
            return Cow::Borrowed(REDACTED);
        }
    }
    Cow::Owned(url.into())
}

/// A text without the secrets of the URLs in it: neither user names and passwords, nor the values of secret parameters.
///
/// A URL is not delimited in a text, so a value ends at the next `&` or `#`, at white space, or at a quotation mark. What closes
/// the sentence around it, as in `(https://…?token=x)`, stays.
pub(super) fn redact_text(text: &str) -> Cow<'_, str> {
    let text = redact_words(text, redact_credentials);
    // A second pass, since the query of a URL may hold another URL with credentials.
    match redact_words(&text, redact_queries) {
        Cow::Borrowed(_) => text,
        Cow::Owned(redacted) => Cow::Owned(redacted),
    }
}

/// Redacts each part of the text that may be a URL, perhaps with something around it.
fn redact_words(text: &str, redact: fn(&mut Copy<'_>, usize, &str)) -> Cow<'_, str> {
    let mut redacted = Copy::of(text);
    let mut start = 0;
    for word in text.split_inclusive(is_outside_of_urls) {
        let url = word.trim_end_matches(is_outside_of_urls);
        redact(
            &mut redacted,
            start,
            url.trim_end_matches(closes_a_sentence),
        );
        start += word.len();
    }
    redacted.finish()
}

/// What can not be in a URL, even in a sloppy one.
fn is_outside_of_urls(char: char) -> bool {
    char.is_whitespace() || matches!(char, '"' | '`' | '<' | '>')
}

/// What a sentence has after a URL.
fn closes_a_sentence(char: char) -> bool {
    matches!(char, ')' | ']' | '}' | '\'' | ',' | '.' | ';' | ':' | '!')
}

/// Redacts `user:password@` of each URL in a word that begins at `start`.
fn redact_credentials(redacted: &mut Copy<'_>, start: usize, word: &str) {
    let mut searched = 0;
    while let Some(scheme) = word[searched..].find("://") {
        let authority_start = searched + scheme + "://".len();
        let rest = &word[authority_start..];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        if let Some(credentials) = authority.rfind('@') {
            let hidden = format!("{REDACTED}:{REDACTED}");
            redacted.replace(start + authority_start, credentials, &hidden);
        }
        searched = authority_start + authority.len();
    }
}

/// Redacts the query of a URL, absolute or relative, in a word that begins at `start`.
fn redact_queries(redacted: &mut Copy<'_>, start: usize, word: &str) {
    if let Some(query) = word.find('?') {
        redact_parameters(redacted, start + query + 1, &word[query + 1..]);
    }
}

/// Redacts the parameters of a query that begins at `start`.
fn redact_parameters(redacted: &mut Copy<'_>, start: usize, query: &str) {
    let mut parameter_start = start;
    for parameter in query.split(['&', '#', '?']) {
        if let Some((name, value)) = parameter.split_once('=')
            && !value.is_empty()
            && SECRET_PARAMETERS
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret))
        {
            redacted.replace(parameter_start + name.len() + 1, value.len(), REDACTED);
        }
        parameter_start += parameter.len() + 1;
    }
}

/// A text of which parts are replaced, from the beginning to the end. Without replacements, nothing is copied.
struct Copy<'a> {
    text: &'a str,
    copied: usize,
    out: String,
}

impl<'a> Copy<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            copied: 0,
            out: String::new(),
        }
    }

    fn replace(&mut self, start: usize, len: usize, with: &str) {
        self.out.push_str(&self.text[self.copied..start]);
        self.out.push_str(with);
        self.copied = start + len;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.text);
        }
        self.out.push_str(&self.text[self.copied..]);
        Cow::Owned(self.out)
    }
}

/// Shows a value of the application's without the secrets of the URLs in it.
#[cfg(feature = "tower")]
pub(super) struct Redacted<'a>(pub(super) &'a dyn Display);

#[cfg(feature = "tower")]
impl Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write!(text, "{}", self.0)?;
        f.write_str(&redact_text(&text))
    }
}

/// How many causes of an error are looked at: no error of a real program has as many, except one that is its own cause.
const CAUSES: usize = 64;

/// An error and its causes, as texts without secrets.
#[derive(Clone)]
pub(super) struct RedactedError {
    text: String,
    /// `Debug`, of which the layer takes the type's name.
    debug: String,
    source: Option<Box<Self>>,
}

impl RedactedError {
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |error| error.source()).take(CAUSES);
        let mut texts: Vec<_> = chain.map(|error| shown(format_args!("{error}"))).collect();
        let mut source = None;
        while texts.len() > 1 {
            source = texts.pop().map(|text| {
                Box::new(Self {
                    text,
                    debug: String::new(),
                    source: source.take(),
                })
            });
        }
        Self {
            text: texts.pop().unwrap_or_default(),
            debug: shown(format_args!("{error:?}")),
            source,
        }
    }
}

/// The text, redacted. Code of the application's makes it, which may fail.
fn shown(text: fmt::Arguments<'_>) -> String {
    let mut out = String::new();
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| out.write_fmt(text))) {
        Ok(Ok(())) => redact_text(&out).into_owned(),
        Ok(Err(fmt::Error)) => "<failed to format>".to_owned(),
        Err(payload) => {
            // Dropping a payload may panic again.
            std::mem::forget(payload);
            "<panicked while formatting>".to_owned()
        }
    }
}

impl Display for RedactedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RedactedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl std::error::Error for RedactedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_queries_are_redacted_and_nothing_else_changes() {
        for (query, redacted) in [
            ("", ""),
            ("q=OpenTelemetry&page=2", "q=OpenTelemetry&page=2"),
            ("color=blue&sig=abc", "color=blue&sig=REDACTED"),
            ("SIGNATURE=a=b&&x", "SIGNATURE=REDACTED&&x"),
            ("token=&sig", "token=&sig"),
            ("signal=1&design=2", "signal=1&design=2"),
            (
                "access_token=1&token=2",
                "access_token=REDACTED&token=REDACTED",
            ),
        ] {
            assert_eq!(redact_query(query), redacted);
        }
    }

    #[test]
    fn secrets_of_urls_in_texts_are_redacted_and_nothing_else_changes() {
        for (text, redacted) in [
            ("", ""),
            ("what? a token=x & a sig=y", "what? a token=x & a sig=y"),
            (
                "https://example.com/a?q=1#top",
                "https://example.com/a?q=1#top",
            ),
            (
                "error for url (https://a.example/?token=hush), retried",
                "error for url (https://a.example/?token=REDACTED), retried",
            ),
            (
                "no route to 'https://tea:pot@a.example:81/x'.",
                "no route to 'https://REDACTED:REDACTED@a.example:81/x'.",
            ),
            (
                "postgres://tea@db/shop and redis://:p@ss@cache: both",
                "postgres://REDACTED:REDACTED@db/shop and redis://REDACTED:REDACTED@cache: both",
            ),
            (
                "\"/login?next=/a?sig=1&b=2&password=3#top\"\n?api_key=4",
                "\"/login?next=/a?sig=REDACTED&b=2&password=REDACTED#top\"\n?api_key=REDACTED",
            ),
            (
                "https://a?to=https://u:p@b/?token=x&c",
                "https://a?to=https://REDACTED:REDACTED@b/?token=REDACTED&c",
            ),
            ("mail tea@pot.example/?a=b", "mail tea@pot.example/?a=b"),
            (
                "https://a?token=x&to=https://u:p@b/",
                "https://a?token=REDACTED&to=https://REDACTED:REDACTED@b/",
            ),
            ("über ?token=ä&ö", "über ?token=REDACTED&ö"),
        ] {
            assert_eq!(redact_text(text), redacted);
        }
    }

    #[cfg(feature = "reqwest-middleware")]
    #[test]
    fn a_full_url_has_no_credentials() {
        for (url, full) in [
            (
                "https://example.com/a?q=1#top",
                "https://example.com/a?q=1#top",
            ),
            (
                "https://tea:pot@example.com/",
                "https://REDACTED:REDACTED@example.com/",
            ),
            (
                "https://tea@example.com/",
                "https://REDACTED:REDACTED@example.com/",
            ),
            (
                "http://:pot@example.com:81/?sig=1&b",
                "http://REDACTED:REDACTED@example.com:81/?sig=REDACTED&b",
            ),
        ] {
            assert_eq!(full_url(&reqwest::Url::parse(url).unwrap()), full);
        }
    }

    #[derive(Debug)]
    struct Loop;

    impl Display for Loop {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }

    impl std::error::Error for Loop {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(self)
        }
    }

    #[test]
    fn an_error_that_is_its_own_cause_and_fails_to_format_is_still_recorded() {
        let error = RedactedError::of(&Loop);
        let first: &(dyn std::error::Error + 'static) = &error;
        let chain = std::iter::successors(Some(first), |error| error.source());
        assert_eq!(chain.count(), CAUSES);
        assert_eq!(format!("{error} {error:?}"), "<failed to format> Loop");
    }
}
