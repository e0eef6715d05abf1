//! The four workloads in `fastrace`'s terms.

use std::borrow::Cow;

use fastrace::prelude::*;
use peers_harness::Workloads;

pub(crate) const FASTRACE: Workloads = Workloads {
    operations: [event, event, span, request],
    in_spans,
};

fn event(seq: u64) {
    LocalSpan::add_event(Event::new("request served").with_properties(|| {
        [
            ("seq", Cow::from(seq.to_string())),
            ("path", "/api/v1/customers/4711/orders".into()),
            ("latency_ms", (seq as f64 * 0.137).to_string().into()),
            ("cached", text(seq.is_multiple_of(3))),
            ("bytes", 4096.to_string().into()),
            ("method", "GET".into()),
        ]
    }));
}

fn span(seq: u64) {
    let span = Span::root("query", SpanContext::random()).with_properties(|| {
        [
            ("seq", Cow::from(seq.to_string())),
            ("table", "orders".into()),
            ("cached", text(false)),
        ]
    });
    let _entered = span.set_local_parent();
}

fn request(seq: u64) {
    let root = Span::root("request", SpanContext::random()).with_properties(|| {
        [
            ("seq", Cow::from(seq.to_string())),
            ("path", "/api/v1/orders".into()),
        ]
    });
    let _entered = root.set_local_parent();
    event(seq);
    {
        let _child = LocalSpan::enter_with_local_parent("query").with_properties(|| {
            [
                ("seq", Cow::from(seq.to_string())),
                ("table", "orders".into()),
            ]
        });
        event(seq);
    }
    root.add_property(|| ("status", "200"));
}

fn in_spans(run: &mut dyn FnMut()) {
    let outer = |depth: u64| {
        [
            ("depth", Cow::from(depth.to_string())),
            ("customer", 4711.to_string().into()),
            ("region", "eu".into()),
        ]
    };
    let root = Span::root("outer", SpanContext::random()).with_properties(|| outer(0));
    let _entered = root.set_local_parent();
    let _second = LocalSpan::enter_with_local_parent("outer").with_properties(|| outer(1));
    let _third = LocalSpan::enter_with_local_parent("outer").with_properties(|| outer(2));
    run();
}

fn text(value: bool) -> Cow<'static, str> {
    if value { "true" } else { "false" }.into()
}
