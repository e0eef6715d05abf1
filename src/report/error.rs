//! The errors that the public functions of this crate return. Names nothing but std.

mod flush;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

pub use self::flush::FlushError;

/// Characters of an offending value that a message shows.
const SHOWN_CHARS: usize = 80;

/// Where a setting came from, so that a message can name what the user has to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The name of the builder's setter.
    pub(crate) setter: &'static str,
    /// The environment variable that the value was read from.
    pub(crate) variable: Option<&'static str>,
}

impl Origin {
    pub(crate) const fn setter(setter: &'static str) -> Self {
        Self {
            setter,
            variable: None,
        }
    }

    pub(crate) const fn variable(setter: &'static str, variable: &'static str) -> Self {
        Self {
            setter,
            variable: Some(variable),
        }
    }
}

/// Why the layer could not be built.
///
/// The text names the setting as it was written (`.url("…")` or `AXIOM_URL="…"`), what is wrong with
/// it and what fixes it. It never holds the token, nor a user name or password from a URL.
///
/// Its parts are not public beyond [`setting`](Self::setting); match on nothing else.
pub struct BuildError(Box<Parts>);

struct Parts {
    subject: Subject,
    value: Value,
    problem: Cow<'static, str>,
    /// A second text of the user's, quoted after the problem.
    other: Option<String>,
    fix: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// The source says no more than the problem does.
    is_source_told: bool,
}

enum Subject {
    Given(Origin),
    Missing {
        setter: &'static str,
        variable: &'static str,
    },
    System,
}

/// What was given, if it may be shown.
enum Value {
    Hidden,
    /// The text that was given.
    Text(String),
    /// The name of a tag or an attribute; what it was set to is not shown.
    Name(String),
    /// A number or a duration, shown without quotes.
    Number(String),
}

impl BuildError {
    /// `origin` holds something that can not be used.
    pub(crate) fn new(origin: Origin, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::with_subject(Subject::Given(origin), problem.into())
    }

    /// A setting without a default is neither set nor in the environment.
    pub(crate) fn missing(setter: &'static str, variable: &'static str) -> Self {
        Self::with_subject(Subject::Missing { setter, variable }, Cow::Borrowed(""))
    }

    /// The system refused something that no setting is at fault for.
    pub(crate) fn system(
        problem: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::plain(problem).caused_by(source)
    }

    /// No setting is at fault, and there is no error of others behind it.
    pub(crate) fn plain(problem: impl Into<Cow<'static, str>>) -> Self {
        Self::with_subject(Subject::System, problem.into())
    }

    fn with_subject(subject: Subject, problem: Cow<'static, str>) -> Self {
        Self(Box::new(Parts {
            subject,
            value: Value::Hidden,
            problem,
            other: None,
            fix: Cow::Borrowed(""),
            source: None,
            is_source_told: false,
        }))
    }

    pub(crate) fn fix(mut self, fix: impl Into<Cow<'static, str>>) -> Self {
        self.0.fix = fix.into();
        self
    }

    /// Shows the text that was given. Not for secrets.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.value = Value::Text(text.to_owned());
        self
    }

    pub(crate) fn name(mut self, name: &str) -> Self {
        self.0.value = Value::Name(name.to_owned());
        self
    }

    pub(crate) fn number(mut self, number: String) -> Self {
        self.0.value = Value::Number(number);
        self
    }

    pub(crate) fn other(mut self, other: &str) -> Self {
        self.0.other = Some(other.to_owned());
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same, for a source whose text would only say again what the problem says.
    pub(crate) fn told_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.is_source_told = true;
        self.caused_by(source)
    }

    /// Hides every text of the user's that holds a secret: one may have been pasted into the wrong setting.
    pub(crate) fn hiding(mut self, is_secret: impl Fn(&str) -> bool) -> Self {
        if let Value::Text(text) | Value::Name(text) = &self.0.value
            && is_secret(text)
        {
            self.0.value = Value::Hidden;
        }
        self.0.other = self.0.other.take().filter(|text| !is_secret(text));
        self
    }

    /// The builder's setter for the setting at fault, also when its value came from the environment:
    /// `"token"`, `"url"`, … `None` when no setting is at fault but the system is.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        match self.0.subject {
            Subject::Given(Origin { setter, .. }) | Subject::Missing { setter, .. } => Some(setter),
            Subject::System => None,
        }
    }
}

impl BuildError {
    /// The message up to the fix.
    pub(crate) fn what(&self) -> String {
        self.0.to_string()
    }

    /// The rest of the message; empty when it says no more than what is wrong.
    pub(crate) fn how_to_fix(&self) -> String {
        let set = match self.0.subject {
            Subject::Missing { setter, variable } => {
                format!("set {variable} or call .{setter}(..)")
            }
            Subject::Given(_) | Subject::System => String::new(),
        };
        let fix = &*self.0.fix;
        let separator = if set.is_empty() || fix.is_empty() {
            ""
        } else {
            "; "
        };
        format!("{set}{separator}{fix}")
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fix = self.how_to_fix();
        let separator = match self.0.subject {
            _ if fix.is_empty() => "",
            Subject::Missing { .. } => ": ",
            Subject::Given(_) | Subject::System => "; ",
        };
        write!(f, "{}{separator}{fix}", self.0)
    }
}

/// What is wrong, without the fix.
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Subject::Missing { setter, .. } => write!(f, "no {}", setter.replace('_', " "))?,
            Subject::Given(origin) => put_setting(f, origin, &self.value)?,
            Subject::System => {}
        }
        f.write_str(&self.problem)?;
        if let Some(other) = &self.other {
            write!(f, " {:?}", shortened(other))?;
        }
        // `main` and `unwrap` show this text alone.
        match self.source.as_ref().map(ToString::to_string) {
            Some(source) if !self.is_source_told && !self.problem.contains(&source) => {
                write!(f, " ({source})")
            }
            _ => Ok(()),
        }
    }
}

/// The setting as the user wrote it, and a colon.
fn put_setting(f: &mut fmt::Formatter<'_>, origin: Origin, value: &Value) -> fmt::Result {
    let setter = origin.setter;
    match (origin.variable, value) {
        (None, Value::Hidden) => write!(f, ".{setter}(..)"),
        (None, Value::Text(text)) => write!(f, ".{setter}({:?})", shortened(text)),
        (None, Value::Name(name)) => write!(f, ".{setter}({:?}, ..)", shortened(name)),
        (None, Value::Number(number)) => write!(f, ".{setter}({number})"),
        (Some(variable), Value::Hidden) => f.write_str(variable),
        (Some(variable), Value::Text(text)) => write!(f, "{variable}={:?}", shortened(text)),
        (Some(variable), Value::Name(name)) => write!(f, "{variable} ({:?})", shortened(name)),
        (Some(variable), Value::Number(number)) => write!(f, "{variable}={number}"),
    }?;
    f.write_str(": ")
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
        None => Cow::Borrowed(text),
    }
}

/// The message: `main` prints an error that it returns with `Debug`.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildError({self})")
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: Origin = Origin::setter("url");

    #[test]
    fn a_message_names_the_setting_as_it_was_written() {
        let variable = Origin::variable("url", "AXIOM_URL");
        let problem = |origin| BuildError::new(origin, "is odd").fix("change it");
        for (error, message) in [
            (problem(URL), ".url(..): is odd; change it"),
            (
                problem(URL).text("a\nb"),
                ".url(\"a\\nb\"): is odd; change it",
            ),
            (problem(URL).name("a"), ".url(\"a\", ..): is odd; change it"),
            (
                problem(URL).number("7".into()),
                ".url(7): is odd; change it",
            ),
            (problem(variable), "AXIOM_URL: is odd; change it"),
            (
                problem(variable).text("a"),
                "AXIOM_URL=\"a\": is odd; change it",
            ),
            (
                problem(variable).name("a").other("b"),
                "AXIOM_URL (\"a\"): is odd \"b\"; change it",
            ),
            (
                BuildError::missing("traces_dataset", "X").fix("create one"),
                "no traces dataset: set X or call .traces_dataset(..); create one",
            ),
        ] {
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_long_value_is_shortened() {
        let message = BuildError::new(URL, "is odd")
            .text(&"é".repeat(5_000))
            .to_string();
        assert_eq!(message, format!(".url(\"{}…\"): is odd", "é".repeat(80)));
    }

    #[test]
    fn a_value_that_holds_the_token_is_hidden_before_it_is_shortened() {
        let text = format!("{}token-1234", "x".repeat(75));
        let error = BuildError::new(URL, "is odd")
            .text(&text)
            .other("a token-1234");
        assert_eq!(
            error.hiding(|text| text.contains("token-1234")).to_string(),
            ".url(..): is odd"
        );
    }

    #[test]
    fn the_source_is_kept_and_shown_and_the_error_is_as_small_as_a_pointer() {
        let error = BuildError::system("the worker thread did not start", "no memory");
        assert_eq!(
            error.to_string(),
            "the worker thread did not start (no memory)"
        );
        let said = BuildError::system("it did not start: no memory", "no memory");
        assert_eq!(said.to_string(), "it did not start: no memory", "once");
        assert_eq!(error.setting(), None);
        assert_eq!(error.source().unwrap().to_string(), "no memory");
        assert_eq!(size_of::<BuildError>(), size_of::<usize>());
        fn crosses_threads<T: Send + Sync + 'static>() {}
        crosses_threads::<BuildError>();
    }
}
