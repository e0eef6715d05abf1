//! Events and spans of names and fields that no macro would take: their metadata is made at run time and never freed.

use std::fmt;

use tracing::Span;
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Kind, Level, Metadata};

struct Made(Metadata<'static>);

impl Callsite for Made {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &self.0
    }
}

fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn metadata<S: AsRef<str>>(
    name: &str,
    target: &str,
    kind: Kind,
    fields: &[S],
) -> &'static Metadata<'static> {
    struct Nameless;
    impl Callsite for Nameless {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("only its address is used")
        }
    }
    // One byte at least, or all would have the same address.
    let nameless: &'static (Nameless, u8) = Box::leak(Box::new((Nameless, 0)));
    let names: Vec<_> = fields.iter().map(|name| leaked(name.as_ref())).collect();
    let fields = FieldSet::new(Box::leak(names.into_boxed_slice()), Identifier(&nameless.0));
    let made = Made(Metadata::new(
        leaked(name),
        leaked(target),
        Level::INFO,
        None,
        None,
        None,
        fields,
        kind,
    ));
    let made: &'static Made = Box::leak(Box::new(made));
    &made.0
}

pub(crate) type Fields<'a> = [(String, Box<dyn Value + 'a>)];

fn names<'a>(fields: &'a Fields<'_>) -> Vec<&'a str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}

fn values<'a>(fields: &'a Fields<'_>) -> Vec<Option<&'a dyn Value>> {
    fields
        .iter()
        .map(|(_, value)| Some(&**value as _))
        .collect()
}

pub(crate) fn event(fields: &Fields<'_>) {
    let metadata = metadata("event", "made", Kind::EVENT, &names(fields));
    Event::dispatch(metadata, &metadata.fields().value_set_all(&values(fields)));
}

pub(crate) fn span(name: &str, fields: &Fields<'_>) -> Span {
    let metadata = metadata(name, "made", Kind::SPAN, &names(fields));
    Span::new(metadata, &metadata.fields().value_set_all(&values(fields)))
}

pub(crate) fn span_of(name: &str, target: &str) -> Span {
    let metadata = metadata(name, target, Kind::SPAN, &[""; 0]);
    Span::new(metadata, &metadata.fields().value_set_all(&[]))
}

/// Its `Debug` and `Display` do this.
pub(crate) struct Doing<F>(F);

pub(crate) fn doing<F>(act: F) -> Doing<F>
where
    F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
{
    Doing(act)
}

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Debug for Doing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Doing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}
