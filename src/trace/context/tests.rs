//! The cases of the W3C's own test suite, in tables, and what it does not ask. Header names are not here:
//! the caller looks the headers up, and does so in any case.

use proptest::prelude::*;

use super::*;
use crate::trace::{random_ids, random_span_id};

const TRACE: &str = "5a0f8e3c21d94b7786a1c0de5eed1234";
const SPAN: &str = "00c0ffee0ddba115";
const SAMPLED_PARENT: &str = "00-5a0f8e3c21d94b7786a1c0de5eed1234-00c0ffee0ddba115-01";
const NONE: [&str; 0] = [];

/// `T`, `S` and `P` stand for a valid trace id, span id, and version 00 `traceparent`.
fn fill(template: &str) -> String {
    template
        .replace('P', SAMPLED_PARENT)
        .replace('T', TRACE)
        .replace('S', SPAN)
}

#[test]
fn valid_traceparent_is_read_and_written_as_version_00() {
    // The claim, what arrives, the flags that leave.
    let table = [
        ("sampled", "00-T-S-01", "01"),
        ("not sampled", "00-T-S-00", "00"),
        ("random", "00-T-S-02", "02"),
        ("sampled and random", "00-T-S-03", "03"),
        ("undefined flags are cleared", "00-T-S-ff", "03"),
        ("only undefined flags", "00-T-S-fc", "00"),
        ("a flag digit above nine", "00-T-S-0b", "03"),
        ("the next version", "01-T-S-01", "01"),
        ("the last version", "fe-T-S-00", "00"),
        ("a later version of the same length", "cc-T-S-01", "01"),
        (
            "a later version with more fields",
            "cc-T-S-01-more-to-come",
            "01",
        ),
        ("a later version ending in a dash", "cc-T-S-01-", "01"),
        (
            "fields to come may hold anything",
            "cc-T-S-01-\u{e9} =,\n",
            "01",
        ),
        ("a later version's random flag", "cc-T-S-02", "02"),
        ("a later version's undefined flags", "cc-T-S-f5-x", "01"),
        ("a space before", " P", "01"),
        ("a tab before", "\tP", "01"),
        ("a space after", "P ", "01"),
        ("a tab after", "P\t", "01"),
        ("spaces and tabs on both sides", "\t P \t", "01"),
        ("white space around a later version", " cc-T-S-01-x\t", "01"),
    ];
    for (claim, value, flags) in table {
        let context = TraceContext::parse(&fill(value)).expect(claim);
        let written = fill(&format!("00-T-S-{flags}"));
        assert_eq!(context.traceparent(), written, "{claim}");
        assert_eq!(context.trace_id(), TRACE, "{claim}");
        assert_eq!(context.span_id(), SPAN, "{claim}");
        let digit = flags.as_bytes()[1] - b'0';
        assert_eq!(context.is_sampled(), digit & 1 == 1, "{claim}");
        assert_eq!(context.is_random(), digit & 2 == 2, "{claim}");
        assert_eq!(context.tracestate(), "", "{claim}");
    }
}

#[test]
fn ids_at_the_ends_of_their_range_are_valid() {
    for (trace, span) in [
        ("0".repeat(31) + "1", "0".repeat(15) + "1"),
        (
            "1".to_owned() + &"0".repeat(31),
            "1".to_owned() + &"0".repeat(15),
        ),
        ("f".repeat(32), "f".repeat(16)),
    ] {
        let value = format!("00-{trace}-{span}-01");
        let context = TraceContext::parse(&value).expect(&value);
        assert_eq!((context.trace_id(), context.span_id()), (&*trace, &*span));
    }
}

#[test]
fn invalid_traceparent_is_no_context() {
    let table = [
        ("empty", ""),
        ("only white space", " \t "),
        ("version 00 with a character more", "P."),
        ("version 00 with a dash more", "P-"),
        ("version 00 with more fields", "P-more-to-come"),
        (
            "a later version that does not go on with a dash",
            "cc-T-S-01.more",
        ),
        ("a later version whose flags are longer", "cc-T-S-011"),
        ("a later version with a space inside", "cc-T-S-01 -x"),
        ("a later version that is too short", "cc-T-S-0"),
        ("a later version without flags", "cc-T-S"),
        ("a later version with bad flags", "cc-T-S-0g-x"),
        (
            "a later version of zeros",
            "cc-00000000000000000000000000000000-S-01",
        ),
        ("version ff", "ff-T-S-01"),
        ("version ff with more fields", "ff-T-S-01-x"),
        ("version in upper case", "CC-T-S-01"),
        ("version ff in upper case", "FF-T-S-01"),
        ("version with a bad first digit", ".0-T-S-01"),
        ("version with a bad second digit", "0.-T-S-01"),
        ("version of three digits", "000-T-S-01"),
        ("version of four digits", "0000-T-S-01"),
        ("version of one digit", "0-T-S-01"),
        ("no version", "T-S-01"),
        (
            "trace id of zeros",
            "00-00000000000000000000000000000000-S-01",
        ),
        (
            "trace id with a bad first digit",
            "00-.a0f8e3c21d94b7786a1c0de5eed1234-S-01",
        ),
        (
            "trace id with a bad last digit",
            "00-5a0f8e3c21d94b7786a1c0de5eed123.-S-01",
        ),
        (
            "trace id with one upper-case digit",
            "00-5A0f8e3c21d94b7786a1c0de5eed1234-S-01",
        ),
        (
            "trace id with a letter after f",
            "00-5g0f8e3c21d94b7786a1c0de5eed1234-S-01",
        ),
        ("trace id too long", "00-T5-S-01"),
        (
            "trace id too short",
            "00-5a0f8e3c21d94b7786a1c0de5eed123-S-01",
        ),
        (
            "a trace id's missing digit in the span id",
            "00-5a0f8e3c21d94b7786a1c0de5eed123-S0-01",
        ),
        ("span id of zeros", "00-T-0000000000000000-01"),
        ("span id with a bad first digit", "00-T-.0c0ffee0ddba115-01"),
        ("span id with a bad last digit", "00-T-00c0ffee0ddba11.-01"),
        (
            "span id with one upper-case digit",
            "00-T-00c0Ffee0ddba115-01",
        ),
        ("span id too long", "00-T-S0-01"),
        ("span id too short", "00-T-00c0ffee0ddba11-01"),
        ("flags with a bad first digit", "00-T-S-.1"),
        ("flags with a bad second digit", "00-T-S-0."),
        ("flags in upper case", "00-T-S-0B"),
        ("flags too long", "00-T-S-001"),
        ("flags too short", "00-T-S-1"),
        ("no flags", "00-T-S-"),
        ("underscore for the first dash", "00_T-S-01"),
        ("underscore for the second dash", "00-T_S-01"),
        ("underscore for the third dash", "00-T-S_01"),
        ("a space inside", "00-T-S- 1"),
        ("a line end after", "P\n"),
        ("a no-break space after", "P\u{a0}"),
        (
            "digits of another script",
            "00-5a0f8e3c21d94b7786a1c0de5eed12\u{663}-S-01",
        ),
        ("two headers joined by a comma", "P,P"),
    ];
    for (claim, value) in table {
        assert_eq!(TraceContext::parse(&fill(value)), None, "{claim}");
    }
}

#[test]
fn exactly_one_traceparent_header_makes_a_context() {
    let other = SAMPLED_PARENT.replace("1234-", "1235-");
    let table: [(&str, &[&str], bool); 7] = [
        ("none", &[], false),
        ("one", &[SAMPLED_PARENT], true),
        ("two different", &[SAMPLED_PARENT, &other], false),
        ("two equal", &[SAMPLED_PARENT, SAMPLED_PARENT], false),
        ("a bad one after", &[SAMPLED_PARENT, "?"], false),
        ("an empty one before", &["", SAMPLED_PARENT], false),
        ("an empty one alone", &[""], false),
    ];
    for (claim, values, expected) in table {
        let context = TraceContext::from_headers(values, ["foo=1"]);
        assert_eq!(context.is_some(), expected, "{claim}");
    }
}

#[test]
fn tracestate_without_a_valid_traceparent_is_not_even_read() {
    let unread = || std::iter::from_fn(|| -> Option<&str> { panic!("the tracestate was read") });
    assert_eq!(TraceContext::from_headers(NONE, unread()), None);
    assert_eq!(TraceContext::from_headers(["00"], unread()), None);
    assert_eq!(
        TraceContext::from_headers([SAMPLED_PARENT; 2], unread()),
        None
    );
}

#[test]
fn tracestate_is_carried_and_a_bad_one_does_not_spoil_the_traceparent() {
    for (parent, state, carried) in [
        (SAMPLED_PARENT, &["foo=1,bar=2"][..], "foo=1,bar=2"),
        (SAMPLED_PARENT, &["foo=1", "bar=2"], "foo=1,bar=2"),
        (SAMPLED_PARENT, &["foo=1", "=,="], ""),
        (SAMPLED_PARENT, &[""], ""),
        (SAMPLED_PARENT, &[], ""),
        (&fill("cc-T-S-01-x"), &["foo=1"], "foo=1"),
    ] {
        let context = TraceContext::from_headers([parent], state).expect(parent);
        assert_eq!(context.traceparent(), SAMPLED_PARENT, "{state:?}");
        assert_eq!(context.tracestate(), carried, "{state:?}");
    }
}

#[test]
fn new_takes_only_ids_that_a_header_may_hold() {
    let context = TraceContext::new(TRACE, SPAN).unwrap();
    assert_eq!(context.traceparent(), SAMPLED_PARENT);
    let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
    let (upper_trace, upper_span) = (TRACE.to_uppercase(), SPAN.to_uppercase());
    for (trace, span) in [
        (&*no_trace, SPAN),
        (TRACE, &*no_span),
        (&upper_trace, SPAN),
        (TRACE, &upper_span),
        (SPAN, TRACE),
        ("", ""),
        (&TRACE[1..], SPAN),
        (TRACE, &SPAN[1..]),
        (TRACE, " 0c0ffee0ddba115"),
    ] {
        assert_eq!(TraceContext::new(trace, span), None, "{trace} {span}");
    }
}

#[test]
fn spans_of_a_trace_share_all_but_the_span_id() {
    let caller = fill("00-T-S-02");
    let caller = TraceContext::from_headers([caller], ["foo=1"]).unwrap();
    let spans: Vec<_> = (0..3).map(|_| caller.at_span(&random_span_id())).collect();
    for (at, span) in spans.iter().enumerate() {
        assert_eq!(span.trace_id(), TRACE);
        assert!(span.is_random() && !span.is_sampled());
        assert_eq!(span.tracestate(), "foo=1");
        assert!(span.span_id() != SPAN);
        assert!(!spans[..at].iter().any(|other| other == span));
    }
}

#[test]
fn new_trace_is_sampled_and_random_and_gives_its_ids_back() {
    let (trace, span) = random_ids();
    let context = TraceContext::root(&trace, &span);
    assert_eq!((context.trace(), context.span()), (trace, span));
    assert!(context.traceparent().ends_with("-03"));
    assert_eq!(TraceContext::parse(context.traceparent()), Some(context));
}

#[test]
fn debug_shows_the_headers() {
    let context = TraceContext::from_headers([SAMPLED_PARENT], ["foo=1"]).unwrap();
    let shown = format!("{context:?}");
    assert!(
        shown.contains(SAMPLED_PARENT) && shown.contains("foo=1"),
        "{shown}"
    );
}

/// What is written is valid and reads back as the same context.
fn reads_back(context: &TraceContext) -> bool {
    let headers = ([context.traceparent()], [context.tracestate()]);
    TraceContext::from_headers(headers.0, headers.1).as_ref() == Some(context)
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(parent: Vec<u8>, state: Vec<Vec<u8>>) {
        let context = TraceContext::from_headers([&parent], &state);
        prop_assert!(context.is_none_or(|context| reads_back(&context)));
        if let Ok(text) = std::str::from_utf8(&parent) {
            prop_assert!(TraceContext::parse(text).is_none_or(|context| reads_back(&context)));
        }
    }

    #[test]
    fn changing_one_byte_gives_no_context_or_one_that_reads_back(
        at in 0..SAMPLED_PARENT.len(),
        byte: u8,
        tail in "(-[a-z0-9]{0,4})?",
    ) {
        let mut value = format!("{SAMPLED_PARENT}{tail}").into_bytes();
        value[at] = byte;
        // Said again, by what the specification allows where: digits, dashes, and a tail for later versions.
        let dash = DASHES.contains(&at);
        let allowed = if dash { byte == b'-' } else { b"0123456789abcdef".contains(&byte) };
        let later = !value.starts_with(b"00");
        let context = TraceContext::from_headers([&value], ["foo=1"]);
        prop_assert_eq!(context.is_some(), allowed && (later || tail.is_empty()));
        prop_assert!(context.is_none_or(|context| reads_back(&context)));
    }

    #[test]
    fn every_valid_context_round_trips(
        trace in 1..=u128::MAX,
        span in 1..=u64::MAX,
        flags in 0..=3,
        state in prop::collection::hash_map(
            "[a-z0-9][a-z0-9_*/@-]{0,30}",
            "[ -+\\--<>-~]{0,30}[!-+\\--<>-~]",
            0..=8,
        ),
    ) {
        let parent = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
        let members: Vec<_> = state.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let context = TraceContext::from_headers([&parent], &members).unwrap();
        prop_assert_eq!(context.traceparent(), parent);
        prop_assert_eq!(context.tracestate(), members.join(","));
        prop_assert_eq!(context.trace_id(), format!("{trace:032x}"));
        prop_assert_eq!(context.span_id(), format!("{span:016x}"));
        prop_assert!(reads_back(&context));
        prop_assert_eq!(context.clone(), context);
    }
}
