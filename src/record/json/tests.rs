use proptest::prelude::*;

use super::*;

fn string(text: &str, cap: usize) -> (String, bool) {
    let mut out = Vec::new();
    let whole = put_str(&mut out, text, cap);
    (String::from_utf8(out).unwrap(), whole)
}

fn stripped(text: &str, cap: usize) -> (String, bool) {
    let mut out = Vec::new();
    let whole = put_text(&mut out, text, cap, Ansi::Strip);
    (String::from_utf8(out).unwrap(), whole)
}

/// Formatted piece by piece.
fn stripped_in_pieces<T: fmt::Display>(
    pieces: impl Iterator<Item = T> + Clone,
    cap: usize,
) -> (String, bool) {
    struct Pieces<I>(I);
    impl<T: fmt::Display, I: Iterator<Item = T> + Clone> fmt::Display for Pieces<I> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.clone().try_for_each(|piece| write!(f, "{piece}"))
        }
    }
    let mut out = Vec::new();
    let pieces = Pieces(pieces);
    let whole = put_fmt(&mut out, format_args!("{pieces}"), cap, Ansi::Strip).unwrap();
    (String::from_utf8(out).unwrap(), whole)
}

fn sequence() -> impl Strategy<Value = String> {
    prop_oneof![
        "\x1b\\[[0-?]{0,6}[ -/]{0,2}[@-~]",
        "\x1b[\\]PX^_][^\x00-\x1f]{0,12}(\x07|\x1b\\\\)",
        "\x1b[0-OQ-WYZ\\\\`-~]",
        "\x1b[ -/]{1,2}[0-~]",
    ]
}

/// Texts, with a sequence or nothing behind each.
fn parts() -> impl Strategy<Value = Vec<(String, String)>> {
    let text = prop_oneof!["[ -~\n\"\\\\]{0,30}", "[^\x1b]{0,20}"];
    let sequence = prop_oneof![sequence(), Just(String::new())];
    prop::collection::vec((text, sequence), 0..6)
}

#[test]
fn an_esc_with_which_no_sequence_begins_goes_alone_and_a_title_without_end_takes_its_line() {
    for (text, left) in [
        ("a\u{1b}\u{1b}[1mb", "ab"),
        ("a\u{1b}é", "aé"),
        ("a\u{1b}\nb", "a\nb"),
        ("a\u{1b}[31\nb", "a\nb"),
        ("a\u{1b}[3é", "aé"),
        ("a\u{1b}]0;title\nb", "a\nb"),
        ("a\u{1b}]0;title\u{1b}[1mb", "ab"),
        ("\u{1b}[1;38;2;255;0;0mred\u{1b}[0m\u{1b}(B", "red"),
        (
            "\u{1b}]8;;https://a.b\u{1b}\\link\u{1b}]8;;\u{1b}\\",
            "link",
        ),
        ("\u{9b}31m", "\u{9b}31m"),
        ("\u{1b}", ""),
    ] {
        assert_eq!(stripped(text, 1_000), string(left, 1_000), "{text:?}");
    }
}

#[test]
fn a_piece_of_any_length_is_appended_as_it_is() {
    let bytes: Vec<u8> = (0..3 * BLOCK as u8).collect();
    for len in 0..bytes.len() {
        let piece = Piece::new(&bytes[..len]);
        let mut out = b"before".to_vec();
        piece.put(&mut out);
        piece.put(&mut out);
        assert_eq!(out, [b"before", &bytes[..len], &bytes[..len]].concat());
        assert_eq!((piece.bytes(), piece.len()), (&bytes[..len], len));
    }
}

#[test]
fn every_ascii_byte_parses_back() {
    let text: String = (0..128_u8).map(char::from).collect();
    let (json, whole) = string(&text, 10_000);
    assert!(whole);
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
}

proptest! {
    #[test]
    fn any_text_parses_back(text in any::<String>()) {
        let (json, whole) = string(&text, usize::MAX / 2);
        prop_assert!(whole);
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn capped_text_is_a_prefix_within_the_cap(text in any::<String>(), cap in 0_usize..80) {
        let (json, whole) = string(&text, cap);
        let back = serde_json::from_str::<String>(&json).unwrap();
        if whole {
            prop_assert_eq!(back, text);
        } else {
            prop_assert!(json.len() <= cap + 2 + ELLIPSIS.len());
            prop_assert!(text.starts_with(back.strip_suffix('…').unwrap()));
        }
    }

    #[test]
    fn formatted_text_equals_the_string(text in any::<String>(), cap in 0_usize..80) {
        let mut out = Vec::new();
        let whole = put_fmt(&mut out, format_args!("{text}"), cap, Ansi::Keep).unwrap();
        prop_assert_eq!((String::from_utf8(out).unwrap(), whole), string(&text, cap));
    }

    #[test]
    fn without_its_escape_sequences_a_text_is_what_was_around_them(
        parts in parts(),
        cap in prop_oneof![0_usize..120, Just(usize::MAX / 2)],
    ) {
        let clean: String = parts.iter().map(|(text, _)| text.as_str()).collect();
        let whole: String = parts.iter().flat_map(|(text, esc)| [text, esc]).cloned().collect();
        prop_assert_eq!(stripped(&whole, cap), string(&clean, cap));
        prop_assert_eq!(stripped_in_pieces(whole.chars(), cap), string(&clean, cap));
        let pieces = parts.iter().flat_map(|(text, esc)| [text, esc]);
        prop_assert_eq!(stripped_in_pieces(pieces, cap), string(&clean, cap));
    }

    #[test]
    fn a_sequence_that_the_text_ends_in_is_removed(
        text in "[^\x1b]{0,20}",
        sequence in sequence(),
        cut in 0_usize..8,
    ) {
        let cut: String = sequence.chars().take(1 + cut).collect();
        prop_assert_eq!(stripped(&format!("{text}{cut}"), 1_000), string(&text, 1_000));
    }

    #[test]
    fn a_text_without_an_esc_is_the_same_bytes_whether_sequences_are_kept_or_not(
        text in any::<String>(),
        cap in 0_usize..80,
    ) {
        let text = text.replace('\u{1b}', "");
        prop_assert_eq!(stripped(&text, cap), string(&text, cap));
    }

    #[test]
    fn a_shortened_string_is_a_prefix(text in any::<String>(), cap in 0_usize..80) {
        let (json, _) = string(&text, usize::MAX / 2);
        let mut out = Vec::new();
        put_shortened(&mut out, json.as_bytes(), cap);
        let back: String = serde_json::from_slice(&out).unwrap();
        if json.len() <= cap + 2 {
            prop_assert_eq!(back, text);
        } else {
            prop_assert!(out.len() <= cap + 2 + ELLIPSIS.len());
            prop_assert!(text.starts_with(back.strip_suffix('…').unwrap()));
        }
    }

    #[test]
    fn any_float_parses_back(value in any::<f64>()) {
        let mut out = Vec::new();
        put_f64(&mut out, value);
        let back: Option<f64> = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(back, value.is_finite().then_some(value));
    }

    #[test]
    fn the_length_of_a_value_is_found(text in any::<String>(), tail in any::<String>()) {
        let value = serde_json::json!({ "a": [text, 1.5, null], "b": { "c": tail } }).to_string();
        let rest = format!("{value},\"x\":1");
        prop_assert_eq!(value_len(rest.as_bytes()), value.len());
    }
}

#[test]
fn integers_beyond_64_bits_are_the_nearest_float_by_their_form() {
    let mut out = Vec::new();
    put_u64(&mut out, 1 << 63);
    out.push(b' ');
    put_u64(&mut out, u64::MAX);
    out.push(b' ');
    put_i128(&mut out, i128::MIN);
    out.push(b' ');
    put_u128(&mut out, u128::MAX);
    out.push(b' ');
    put_u64(&mut out, 7);
    let text = String::from_utf8(out).unwrap();
    let [over, max, lowest, highest, small] = text.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{text}");
    };
    for (float, value) in [
        (over, 9_223_372_036_854_775_808.0),
        (max, 18_446_744_073_709_551_615.0),
        (lowest, i128::MIN as f64),
        (highest, u128::MAX as f64),
    ] {
        assert!(float.contains(['.', 'e']), "{float} reads as an integer");
        assert_eq!(float.parse(), Ok(value));
    }
    assert_eq!(small, "7");
}

proptest! {
    #[test]
    fn any_integer_has_the_digits_that_the_formatter_gives(value: i64, shift in 0..64_u32) {
        for value in [value, value >> shift] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}

#[test]
fn integers_at_the_edges_of_their_digits_are_whole() {
    let powers = (0..19).map(|power| 10_i64.pow(power));
    let edges = powers.flat_map(|power| [power - 1, power, power + 1, -power]);
    for value in edges.chain([i64::MIN, i64::MAX]) {
        let mut out = Vec::new();
        put_i64(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }
    // Each group of four digits.
    for value in 0..10_000_i64 {
        let mut out = Vec::new();
        put_i64(&mut out, value * 10_001);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            (value * 10_001).to_string()
        );
    }
}
