//! The `tracestate` header: checked, combined and cut to size, but never interpreted.
//!
//! Runs on the application's threads. Section names are those of W3C Trace Context Level 2.

use std::sync::Arc;

/// "tracestate Header Field Values": more members make the list invalid.
const MAX_MEMBERS: usize = 32;
/// "Key" and "Value": 256 characters each.
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;

/// What we carry, commas included. "tracestate Limits" asks for at least so much; members are at
/// most 16 KiB in all, which would break the outgoing requests of servers that cap all headers at 8 KiB,
/// and whoever calls us would decide on it. So we carry no more than everyone can rely on.
const MAX_LENGTH: usize = 512;
/// "tracestate Limits": longer members go first.
const LONG_MEMBER: usize = 128;

struct Member<'a> {
    key: &'a str,
    /// `key=value`, without white space around it.
    text: &'a str,
}

/// One valid list from the values of all `tracestate` headers, in order; `None` if it is empty or invalid.
pub(super) fn combine<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Arc<str>> {
    let mut members: Vec<Member<'a>> = Vec::new();
    // A header more is a comma more (RFC 9110, 5.3). Empty members are allowed, and count for nothing
    // (RFC 9110, 5.6.1.2): they come from joining empty headers.
    let texts = values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(trim)
        .filter(|text| !text.is_empty());
    for text in texts {
        let member = member(text)?;
        // A sender must not produce a key twice ("Mutating the tracestate Field"). Of what a broken one sends
        // the first is kept: new entries are added on the left, so it is the latest.
        if members.iter().any(|other| other.key == member.key) {
            continue;
        }
        if members.len() == MAX_MEMBERS {
            return None;
        }
        members.push(member);
    }
    truncate(&mut members);
    let list: Vec<&str> = members.iter().map(|member| member.text).collect();
    (!list.is_empty()).then(|| list.join(",").into())
}

/// Removes optional white space (RFC 9110, 5.6.3) on both sides: spaces and tabs, no line ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// A member by the grammar of level 2: of the keys it allows, level 1's two forms are a part.
fn member(text: &[u8]) -> Option<Member<'_>> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&text[..equals], &text[equals + 1..]);
    // The value's last character can not be a space any more, and leading spaces belong to it.
    let valid = matches!(key.first(), Some(b'a'..=b'z' | b'0'..=b'9'))
        && key.len() <= MAX_KEY
        && key.iter().all(is_key)
        && (1..=MAX_VALUE).contains(&value.len())
        && value.iter().all(is_value);
    let text = std::str::from_utf8(text).ok().filter(|_| valid)?;
    Some(Member {
        key: &text[..equals],
        text,
    })
}

fn is_key(byte: &u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@')
}

/// Printable ASCII but `=`; a comma can not be here.
fn is_value(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && *byte != b'='
}

/// Removes whole members until the list fits, and no more of them than that takes.
fn truncate(members: &mut Vec<Member<'_>>) {
    let mut length: usize = members.iter().map(|member| member.text.len() + 1).sum();
    for longer_than in [LONG_MEMBER, 0] {
        for at in (0..members.len()).rev() {
            // The last member has no comma after it.
            if length <= MAX_LENGTH + 1 {
                return;
            }
            if members[at].text.len() > longer_than {
                length -= members.remove(at).text.len() + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn combined<T: AsRef<[u8]>>(values: &[T]) -> String {
        let list = combine(values.iter().map(AsRef::as_ref));
        assert!(list.as_deref() != Some(""), "nothing to carry must be None");
        list.map(|list| list.to_string()).unwrap_or_default()
    }

    /// `count` members of `length` characters, told apart by their number.
    fn numbered(count: usize, length: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("{:x<length$}", format!("k{number:02}=")))
            .collect()
    }

    #[test]
    fn valid_values_are_combined_in_order_without_optional_white_space() {
        let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
        let value: String = (' '..='~')
            .filter(|char| !matches!(char, ',' | '='))
            .collect();
        let all = format!("{key}={value}");
        let tenant = format!("{key}@{key}={value}");
        let table: [(&str, &[&str], &str); 35] = [
            ("no header", &[], ""),
            ("an empty header", &[""], ""),
            ("two empty headers", &["", ""], ""),
            ("only commas and white space", &[" ,\t,, ", ","], ""),
            ("one member", &["foo=1"], "foo=1"),
            ("two members", &["foo=1,bar=2"], "foo=1,bar=2"),
            ("an empty header after", &["foo=1", ""], "foo=1"),
            ("an empty header before", &["", "foo=1"], "foo=1"),
            (
                "several headers, not sorted",
                &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
                "foo=1,bar=2,rojo=1,congo=2,baz=3",
            ),
            ("an empty member first", &[",foo=1"], "foo=1"),
            ("an empty member last", &["foo=1,"], "foo=1"),
            ("empty members between", &["foo=1,,,bar=2"], "foo=1,bar=2"),
            (
                "a blank member between",
                &["foo=1, \t ,bar=2"],
                "foo=1,bar=2",
            ),
            (
                "spaces, then tabs, around commas",
                &["foo=1 \t , \t bar=2, \t baz=3"],
                "foo=1,bar=2,baz=3",
            ),
            (
                "tabs, then spaces, around commas",
                &["foo=1\t \t,\t \tbar=2,\t \tbaz=3"],
                "foo=1,bar=2,baz=3",
            ),
            ("a space before", &[" foo=1"], "foo=1"),
            ("a tab before", &["\tfoo=1"], "foo=1"),
            ("a space after", &["foo=1 "], "foo=1"),
            ("a tab after", &["foo=1\t"], "foo=1"),
            ("white space on both sides", &["\t foo=1 \t"], "foo=1"),
            (
                "leading spaces are part of a value",
                &["foo=  1"],
                "foo=  1",
            ),
            ("spaces within a value", &["foo=1 2  3 "], "foo=1 2  3"),
            ("all characters of keys and values", &[&all], &all),
            ("all characters with a tenant", &[&tenant], &tenant),
            ("a key of one letter", &["a=1"], "a=1"),
            ("a key of one digit", &["0=1"], "0=1"),
            ("a key that starts with a digit", &["1foo=1"], "1foo=1"),
            (
                "a tenant that starts with a digit",
                &["1foo@bar=1"],
                "1foo@bar=1",
            ),
            (
                "a system that starts with a digit",
                &["foo@1bar=1"],
                "foo@1bar=1",
            ),
            (
                "a tenant without a system",
                &["foo@=1,bar=2"],
                "foo@=1,bar=2",
            ),
            ("two at signs", &["foo@@bar=1,bar=2"], "foo@@bar=1,bar=2"),
            (
                "three parts",
                &["foo@bar@baz=1,bar=2"],
                "foo@bar@baz=1,bar=2",
            ),
            (
                "a key that begins another",
                &["foo=1,fo=1,foo1=1"],
                "foo=1,fo=1,foo1=1",
            ),
            ("the same value twice", &["foo=1,bar=1"], "foo=1,bar=1"),
            (
                "a value that looks like a key",
                &["foo=bar,bar=foo"],
                "foo=bar,bar=foo",
            ),
        ];
        for (claim, values, expected) in table {
            assert_eq!(combined(values), expected, "{claim}");
        }
    }

    #[test]
    fn one_invalid_member_discards_the_whole_list() {
        let table = [
            "foo",
            "=1",
            "=",
            "foo=",
            "foo= ",
            "foo=\t",
            "foo =1",
            "foo\t=1",
            "f oo=1",
            "FOO=1",
            "fOo=1",
            "foo.bar=1",
            "foo:bar=1",
            "@foo=1",
            "_foo=1",
            "-foo=1",
            "*foo=1",
            "/foo=1",
            "foo=bar=baz",
            "foo==",
            "foo=1\t2",
            "foo=1\n",
            "foo=1\r\n",
            "foo=\u{0}",
            "foo=\u{7f}",
            "foo=\u{e9}",
            "f\u{e9}=1",
            "foo=1\u{a0}",
            "foo=1;baz=2",
        ];
        for member in table {
            assert_eq!(combined(&[member]), "", "{member:?} alone");
            assert_eq!(
                combined(&[format!("bar=2,{member}")]),
                "",
                "{member:?} last"
            );
            assert_eq!(combined(&[member, "bar=2"]), "", "{member:?} first");
        }
        assert_eq!(combined(&[b"foo=1,bar=\xff".as_slice()]), "", "no UTF-8");
    }

    /// Stricter than the W3C's test suite, which since 2022 asks that one or both of the members stay.
    #[test]
    fn of_a_repeated_key_the_first_member_is_kept() {
        for (values, kept) in [
            (&["foo=1,foo=1"][..], "foo=1"),
            (&["foo=1,foo=2"], "foo=1"),
            (&["foo=1", "foo=2"], "foo=1"),
            (&["foo=1,bar=2", "baz=3, foo=4"], "foo=1,bar=2,baz=3"),
            (&["foo@bar=1,foo@bar=2,foo@baz=3"], "foo@bar=1,foo@baz=3"),
        ] {
            assert_eq!(combined(values), kept, "{values:?}");
        }
    }

    #[test]
    fn list_has_at_most_32_members_and_empty_ones_do_not_count() {
        let members = numbered(33, 6);
        let full = members[..32].join(",");
        assert_eq!(combined(&members[..32]), full, "one header each");
        assert_eq!(combined(&[&full]), full, "one header for all");
        assert_eq!(
            combined(&[members[..32].join(",,  ,")]),
            full,
            "many empty ones"
        );
        assert_eq!(
            combined(&[format!("{full},,")]),
            full,
            "empty ones at the end"
        );
        assert_eq!(combined(&members), "", "33 headers");
        assert_eq!(combined(&[&full, &members[32]]), "", "32 and one");
    }

    #[test]
    fn keys_and_values_have_at_most_256_characters() {
        let tenant = |tenant, system| format!("{}@{}", "t".repeat(tenant), "s".repeat(system));
        for key in [
            "z".repeat(256),
            tenant(241, 14),
            tenant(242, 1),
            tenant(1, 15),
            tenant(1, 254),
        ] {
            assert_eq!(
                combined(&["foo=1".to_owned(), format!("{key}=1")]),
                format!("foo=1,{key}=1")
            );
        }
        for key in ["z".repeat(257), tenant(241, 15), tenant(1, 255)] {
            assert_eq!(
                combined(&["foo=1".to_owned(), format!("{key}=1")]),
                "",
                "{key}"
            );
        }
        for (value, carried) in [
            ("x".repeat(256), true),
            (" ".repeat(255) + "x", true),
            ("x".repeat(256) + " \t ", true),
            ("x".repeat(257), false),
            (" ".repeat(256) + "x", false),
        ] {
            let expected = if carried {
                format!("foo=1,bar={}", value.trim_end())
            } else {
                String::new()
            };
            assert_eq!(
                combined(&[format!("foo=1,bar={value}")]),
                expected,
                "{value:?}"
            );
        }
    }

    #[test]
    fn list_of_512_characters_is_carried_whole_and_one_more_costs_the_last_member() {
        // 4 × 127 characters and 4 commas leave no room but for this: 508 + 4 = 512.
        let mut members = numbered(4, 127);
        assert_eq!(members.join(",").len(), 511);
        members[0].push('x');
        let whole = members.join(",");
        assert_eq!(whole.len(), 512);
        assert_eq!(combined(&[&whole]), whole);
        // Optional white space and empty members are not sent, so they are not counted.
        assert_eq!(combined(&[members.join(" \t, ,")]), whole);
        members[1].push('x');
        assert_eq!(combined(&members), members[..3].join(","));
    }

    #[test]
    fn long_members_go_first_then_the_last_and_none_without_need() {
        let short = numbered(5, 128);
        let long: Vec<_> = ["a", "b", "c"]
            .map(|key| format!("{key}={}", "x".repeat(127)))
            .into();
        assert_eq!(long[0].len(), 129);
        let table: [(&str, Vec<&String>, Vec<&String>); 5] = [
            (
                "only the long one, though it is first",
                vec![&long[0], &short[0], &short[1], &short[2]],
                vec![&short[0], &short[1], &short[2]],
            ),
            (
                "the last of the long ones suffices",
                vec![&long[0], &short[0], &long[1], &short[1]],
                vec![&long[0], &short[0], &short[1]],
            ),
            (
                "no long one: the last",
                short.iter().collect(),
                short[..3].iter().collect(),
            ),
            (
                "all long ones, then the last",
                vec![
                    &long[0], &short[0], &short[1], &long[1], &short[2], &short[3], &long[2],
                ],
                vec![&short[0], &short[1], &short[2]],
            ),
            (
                "only long ones",
                long.iter().chain([&short[0]]).collect(),
                vec![&long[0], &long[1], &short[0]],
            ),
        ];
        for (claim, members, carried) in table {
            let carried: Vec<_> = carried.into_iter().map(String::as_str).collect();
            assert_eq!(combined(&members), carried.join(","), "{claim}");
        }
        let longest = format!("{}={}", "k".repeat(256), "v".repeat(256));
        assert_eq!(combined(&[longest.as_str()]), "", "513 characters alone");
        assert_eq!(
            combined(&[longest.as_str(), "foo=1"]),
            "foo=1",
            "513 characters first"
        );
    }

    proptest! {
        /// Few characters, so that members are often valid and keys often repeat.
        #[test]
        fn what_is_carried_obeys_the_grammar_and_reads_back(
            values in prop::collection::vec("([ab1@A]{1,2}=[a =\t]{1,3}|[ \t]?)(,[a-c]{1,2}=[a ]{1,2}){0,3}", 0..4),
        ) {
            let list = combined(&values);
            prop_assert_eq!(combined(&[&list]), list.clone());
            // Told again by plain means: the members are those that arrived, the first of each key, or there are none.
            let joined = values.join(",");
            let arrived: Vec<_> = joined
                .split(',')
                .map(|member| member.trim_matches([' ', '\t']))
                .filter(|member| !member.is_empty())
                .collect();
            let valid = arrived.iter().all(|member| {
                let parts: Vec<_> = member.split('=').collect();
                parts.len() == 2
                    && !parts[0].starts_with('@')
                    && !parts[0].contains('A')
                    && !parts[1].is_empty()
                    && !parts[1].contains('\t')
            });
            let mut keys = std::collections::HashSet::new();
            let first: Vec<_> = arrived
                .iter()
                .copied()
                .filter(|member| keys.insert(member.split('=').next()))
                .collect();
            prop_assert_eq!(list, if valid { first.join(",") } else { String::new() });
        }

        #[test]
        fn long_lists_keep_whole_members_in_order_within_the_cap(
            lengths in prop::collection::vec(5..=4 + MAX_VALUE, 0..=MAX_MEMBERS),
        ) {
            let members: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| format!("{:x<length$}", format!("k{number:02}=")))
                .collect();
            let list = combined(&members);
            prop_assert!(list.len() <= 512);
            let mut rest = members.iter();
            for kept in list.split(',').filter(|kept| !kept.is_empty()) {
                prop_assert!(rest.any(|member| member == kept));
            }
            prop_assert!(members.join(",").len() > 512 || list == members.join(","));
        }
    }
}
