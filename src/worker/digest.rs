//! What is kept of an answer's body while it is read: little, however long it is.
//!
//! An answer may list a failure for each of 10,000 records. Of each array three elements are kept, and of each string the
//! beginning; the rest is read and forgotten, byte by byte, so that the counts are found wherever they stand. What
//! is left is JSON again. A body that is no JSON object is kept up to a few words' length.

/// Elements kept of an array: as many as are quoted of failures and messages.
pub(super) const ELEMENTS: u32 = 3;

/// Bytes kept of a string: more than is quoted of it (200 characters).
const STRING: usize = 2 * 1024;

/// Bytes kept in all. Three failures and three messages with long texts fit.
pub(crate) const KEPT: usize = 32 * 1024;

/// Bytes kept of what is no JSON object.
const FOREIGN: usize = 4 * 1024;

/// Objects and arrays in each other, of which no answer has more.
const DEPTH: usize = 64;

/// Where in a string the last byte lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Plain,
    /// After a backslash.
    Escape,
    /// In the digits after `\u`: how many are still to come, and whether they may be the first half of a character.
    Digits {
        left: u8,
        first: u8,
        is_high: bool,
    },
    /// After the first half of a character.
    HalfWay,
}

/// The string that is being read.
#[derive(Debug)]
struct Quoted {
    bytes: usize,
    text: Text,
    /// Its rest is read and forgotten.
    is_cut: bool,
}

#[derive(Debug)]
enum Level {
    Object,
    /// How many elements have begun.
    Array(u32),
}

/// Takes in a body and keeps what matters of it.
#[derive(Debug, Default)]
pub(super) struct Digest {
    kept: Vec<u8>,
    levels: Vec<Level>,
    string: Option<Quoted>,
    /// The level of the array whose surplus elements are being read.
    skipping: Option<usize>,
    is_foreign: bool,
    has_begun: bool,
}

impl Digest {
    /// Takes in the next bytes. `false`: the rest is of no interest.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes {
            if !self.has_begun && !byte.is_ascii_whitespace() {
                self.has_begun = true;
                self.is_foreign = byte != b'{';
            }
            if self.is_foreign {
                if self.kept.len() >= FOREIGN {
                    return false;
                }
                self.kept.push(byte);
            } else {
                if self.kept.len() >= KEPT || self.levels.len() >= DEPTH {
                    return false;
                }
                self.json(byte);
            }
        }
        true
    }

    pub(super) fn into_kept(self) -> Vec<u8> {
        self.kept
    }

    fn keep(&mut self, byte: u8) {
        if self.skipping.is_none() {
            self.kept.push(byte);
        }
    }

    fn json(&mut self, byte: u8) {
        if let Some(string) = &mut self.string {
            let is_over = string.next(byte);
            let is_kept = is_over || !string.is_cut;
            if is_over {
                self.string = None;
            }
            if is_kept {
                self.keep(byte);
            }
            return;
        }
        match byte {
            b'"' => {
                self.string = Some(Quoted {
                    bytes: 0,
                    text: Text::Plain,
                    is_cut: false,
                });
                self.keep(byte);
            }
            b'{' => {
                self.keep(byte);
                self.levels.push(Level::Object);
            }
            b'[' => {
                self.keep(byte);
                self.levels.push(Level::Array(1));
            }
            b'}' | b']' => {
                if self.skipping == Some(self.levels.len()) {
                    self.skipping = None;
                }
                self.levels.pop();
                self.keep(byte);
            }
            b',' => {
                if let Some(Level::Array(elements)) = self.levels.last_mut() {
                    *elements = elements.saturating_add(1);
                    // The comma goes with the element that it begins.
                    if *elements > ELEMENTS && self.skipping.is_none() {
                        self.skipping = Some(self.levels.len());
                    }
                }
                self.keep(byte);
            }
            // White space between tokens may go on for ever.
            byte if byte.is_ascii_whitespace() => {}
            byte => self.keep(byte),
        }
    }
}

impl Quoted {
    /// Looks at the next byte. `true`: it ends the string.
    fn next(&mut self, byte: u8) -> bool {
        // Whole characters are kept: what ends in half of one is no JSON.
        let is_boundary = self.text == Text::Plain && !(0x80..0xc0).contains(&byte);
        if self.text == Text::Plain && byte == b'"' {
            return true;
        }
        self.is_cut |= is_boundary && self.bytes >= STRING;
        self.bytes += 1;
        self.text = match self.text {
            Text::Plain if byte == b'\\' => Text::Escape,
            Text::HalfWay if byte == b'\\' => Text::Escape,
            Text::Plain | Text::HalfWay => Text::Plain,
            Text::Escape if byte == b'u' => Text::Digits {
                left: 4,
                first: 0,
                is_high: false,
            },
            Text::Escape => Text::Plain,
            Text::Digits {
                left,
                first,
                is_high,
            } => {
                let first = if left == 4 { byte } else { first };
                // The first halves are D800 to DBFF.
                let is_high = if left == 3 {
                    first.eq_ignore_ascii_case(&b'd')
                        && matches!(byte, b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
                } else {
                    is_high
                };
                match (left, is_high) {
                    (1, true) => Text::HalfWay,
                    (1, false) => Text::Plain,
                    _ => Text::Digits {
                        left: left - 1,
                        first,
                        is_high,
                    },
                }
            }
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Reads a body in pieces of every size up to 7, which must make no difference.
    fn digest(body: &str) -> Vec<u8> {
        let whole = {
            let mut digest = Digest::default();
            digest.take(body.as_bytes());
            digest.into_kept()
        };
        for size in 1..8 {
            let mut digest = Digest::default();
            for piece in body.as_bytes().chunks(size) {
                if !digest.take(piece) {
                    break;
                }
            }
            assert_eq!(digest.into_kept(), whole, "in pieces of {size}");
        }
        whole
    }

    fn read(body: &str) -> Value {
        let kept = digest(body);
        serde_json::from_slice(&kept)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&kept)))
    }

    #[test]
    fn counts_are_read_wherever_they_stand_and_three_failures_are_kept() {
        let failures: Vec<_> = (0..10_000)
            .map(|n| json!({"timestamp": "t", "error": format!("no {n}, [{{\"")}))
            .collect();
        let three = &failures[..3];
        let list = serde_json::to_string(&failures).unwrap();
        for body in [
            format!(r#"{{"ingested":5,"failed":10000,"failures":{list}}}"#),
            format!(r#"{{"failures":{list},"failed":10000, "ingested" : 5 }}"#),
        ] {
            assert!(body.len() > 400_000);
            assert!(digest(&body).len() < 1_000);
            let expected = json!({"ingested": 5, "failed": 10_000, "failures": three});
            assert_eq!(read(&body), expected);
        }
    }

    #[test]
    fn what_is_short_is_kept_whole() {
        for body in [
            json!({}),
            json!({"a": [], "b": [[], [1, [2, [3, 4]]], {"c": null}], "d": "\u{1f980} \"\\ \n"}),
            json!({"messages": [{"code": "x", "msg": "[,]{}"}], "ok": true, "n": -1.5e3}),
        ] {
            assert_eq!(read(&body.to_string()), body);
        }
    }

    #[test]
    fn an_array_is_cut_at_every_depth_and_what_follows_it_is_read() {
        let body = json!({"a": [[1, 2, 3, 4, 5], {"b": [1, 2, 3, 4]}, 3, [[9]], "x"], "after": [1, 2, 3, 4], "z": 1});
        let expected = json!({"a": [[1, 2, 3], {"b": [1, 2, 3]}, 3], "after": [1, 2, 3], "z": 1});
        assert_eq!(read(&body.to_string()), expected);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_however_they_are_written() {
        let crab = r"\ud83e\udd80";
        for text in ["x", "é", "🦀", "中", r"\u00e9", crab, r"\\", r#"\""#, r"\n"] {
            for shift in 0..13 {
                let long = format!("{}{}", "a".repeat(shift), text.repeat(5_000));
                let body = format!(r#"{{"error":"{long}","failed":7}}"#);
                let kept = read(&body);
                assert_eq!(kept["failed"], 7, "{text}");
                let whole: Value = serde_json::from_str(&body).unwrap();
                let whole = whole["error"].as_str().unwrap();
                let kept = kept["error"].as_str().unwrap();
                assert!(
                    whole.starts_with(kept) && kept.chars().count() >= 160,
                    "{text}: {kept}"
                );
                assert!(digest(&body).len() < STRING + 100);
            }
        }
    }

    #[test]
    fn what_is_no_object_is_kept_for_a_few_words() {
        let page = format!("  <html>{}</html>", "hello ".repeat(100_000));
        assert_eq!(digest(&page).len(), FOREIGN);
        assert!(digest(&page).starts_with(b"<html>hello"));
        assert_eq!(digest(""), b"");
        assert_eq!(digest("[1,2,3,4,5]"), b"[1,2,3,4,5]");
    }

    #[test]
    fn nothing_takes_more_than_the_bound() {
        for body in [
            "{\"a\":".repeat(100_000),
            format!("{{{}", "\"k\":1,".repeat(100_000)),
            format!("{{\"a\":{}", "1".repeat(1_000_000)),
            format!("{{{}", " ".repeat(1_000_000)),
            format!("{{\"a\":[1,2,3,4{}", "[".repeat(1_000_000)),
        ] {
            let mut digest = Digest::default();
            digest.take(body.as_bytes());
            assert!(digest.kept.len() <= KEPT && digest.levels.len() <= DEPTH);
        }
    }
}
