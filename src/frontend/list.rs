//! A bounded JSON array on a span: its links, or the events inside it.

use crate::record::json;

/// OpenTelemetry's default limit for the events and the links of a span.
const ENTRIES: u32 = 128;
/// All entries of one list. Two of them fit into a line beside everything else.
const BYTES: usize = 64 * 1024;

/// Entries as `{…},{…},`, and how many more there were.
#[derive(Debug, Default)]
pub(crate) struct List {
    bytes: Vec<u8>,
    entries: u32,
    dropped: u32,
}

impl List {
    /// Adds what `write` appends. What is beyond the limits is counted.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        if self.entries < ENTRIES {
            write(&mut self.bytes);
        }
        if self.entries >= ENTRIES || self.bytes.len() > BYTES {
            self.bytes.truncate(start);
            // What did not fit may have been a megabyte.
            self.bytes.shrink_to(BYTES);
            self.dropped += 1;
        } else {
            self.bytes.push(b',');
            self.entries += 1;
        }
    }

    /// Appends the member `,"name":[…]`, and how many entries were left out.
    pub(crate) fn put(&self, line: &mut Vec<u8>, name: &str) {
        if let Some(entries) = self.bytes.strip_suffix(b",") {
            line.extend_from_slice(b",\"");
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b"\":[");
            line.extend_from_slice(entries);
            line.push(b']');
        }
        if self.dropped > 0 {
            line.extend_from_slice(b",\"");
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b"_dropped\":");
            json::put_u64(line, u64::from(self.dropped));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(list: &List) -> String {
        let mut line = Vec::new();
        list.put(&mut line, "links");
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn entries_beyond_the_limits_are_counted() {
        let mut list = List::default();
        assert_eq!(put(&list), "");
        (0..3).for_each(|_| list.add(|out| out.extend_from_slice(b"{}")));
        assert_eq!(put(&list), r#","links":[{},{},{}]"#);
        (0..127).for_each(|_| list.add(|out| out.extend_from_slice(b"{}")));
        assert!(put(&list).ends_with(r#",{}],"links_dropped":2"#));
        let mut list = List::default();
        list.add(|out| out.resize(out.len() + BYTES, b'1'));
        list.add(|out| out.extend_from_slice(b"{}"));
        assert!(put(&list).ends_with(r#"1],"links_dropped":1"#));
    }
}
