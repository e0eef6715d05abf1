//! Appends events to files on disk: one NDJSON file for each dataset.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::event::Labels;

/// Bytes of a file's name before `.ndjson`. File systems allow 255 in all.
const MAX_NAME: usize = 200;
/// At most this many files are held open: clients choose the datasets, and file descriptors are few.
const MAX_OPEN: usize = 64;

#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    open: HashMap<Arc<str>, File>,
}

impl Files {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir).map_err(|error| {
            let message = format!(
                "the directory {} can not be created: {error}",
                dir.display()
            );
            io::Error::new(error.kind(), message)
        })?;
        Ok(Files {
            dir: dir.to_owned(),
            open: HashMap::new(),
        })
    }

    /// Writes all events of a request at once: when this returns, the kernel has them.
    pub(crate) fn append(
        &mut self,
        dataset: &Arc<str>,
        events: &[(Bytes, Arc<Labels>)],
    ) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::with_capacity(
            events
                .iter()
                .map(|(text, labels)| text.len() + labels.inside.len() + 2)
                .sum(),
        );
        for (text, labels) in events {
            labels.put_merged(text, &mut lines);
            lines.push(b'\n');
        }
        if !self.open.contains_key(dataset) {
            let path = self.dir.join(format!("{}.ndjson", file_name(dataset)));
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            if self.open.len() >= MAX_OPEN {
                self.open.clear();
            }
            self.open.insert(Arc::clone(dataset), file);
        }
        match self.open.get_mut(dataset) {
            Some(file) => file.write_all(&lines),
            None => Ok(()),
        }
    }
}

/// Makes a file name that can not leave the directory and that differs for every dataset. A byte that is not a letter, digit,
/// hyphen, underscore or inner dot is written as `%` and two hex digits.
fn file_name(dataset: &str) -> String {
    let mut name = String::new();
    for (at, byte) in dataset.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            b'.' if at > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > MAX_NAME {
        name.truncate(MAX_NAME - 17);
        name.push_str(&format!("%{:016x}", super::schema::hash(dataset)));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dataset_name_leaves_the_directory() {
        for (dataset, expected) in [
            ("http-logs", "http-logs"),
            ("a.b_c", "a.b_c"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            ("..", "%2E."),
            ("a\\b", "a%5Cb"),
            ("a\0b", "a%00b"),
        ] {
            assert_eq!(file_name(dataset), expected);
        }
        let long = [file_name(&"é".repeat(300)), file_name(&"é".repeat(301))];
        assert!(long[0].len() <= 200 && long[0] != long[1]);
    }
}
