//! A batch as the body of a request: laid out as the endpoint wants it, then compressed.
//!
//! NDJSON, the default, is the chunks' own bytes. The other layouts are made of the same lines.

mod csv;
#[cfg(feature = "zstd")]
mod zstd;

use std::io::{self, Write};

use bytes::Bytes;

use super::batch::Batch;
use crate::config::{Compression, Format};
use crate::record::clock::LINE_START;

/// gzip's level: the fastest.
const GZIP_LEVEL: u32 = 1;
/// What bodies shrink to at the most, near enough for a first guess at a buffer.
const SHRINKS_TO: usize = 8;

/// How the lines are laid out.
#[derive(Debug, Clone)]
pub(crate) enum Layout {
    Ndjson,
    JsonArray,
    Csv,
    /// `[{"tags":…,"events":[{"timestamp":…,"attributes":{…}}]}]`, with these tags.
    Groups {
        tags: Box<str>,
    },
}

impl Layout {
    pub(crate) fn of(format: Format) -> Self {
        match format {
            Format::JsonArray => Self::JsonArray,
            Format::Csv => Self::Csv,
            Format::Ndjson => Self::Ndjson,
        }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::JsonArray | Self::Groups { .. } => "application/json",
            Self::Csv => "text/csv",
        }
    }

    fn write(&self, batch: &Batch, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Ndjson => batch.parts().try_for_each(|part| out.write_all(part)),
            Self::JsonArray => write_list(batch, b"[", b"]", out, |line, out| out.write_all(line)),
            Self::Csv => csv::write(batch, out),
            Self::Groups { tags } => {
                let start = format!("[{{\"tags\":{tags},\"events\":[");
                write_list(batch, start.as_bytes(), b"]}]", out, write_group_event)
            }
        }
    }
}

/// Lends each line, without its end, to `put`.
fn each_line(batch: &Batch, mut put: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    // Only a line longer than a chunk comes in pieces.
    let mut piece = Vec::new();
    for part in batch.parts() {
        for line in part.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                None => piece.extend_from_slice(line),
                Some(line) if piece.is_empty() => put(line)?,
                Some(line) => {
                    piece.extend_from_slice(line);
                    put(&piece)?;
                    piece.clear();
                }
            }
        }
    }
    Ok(())
}

fn write_list<W: Write>(
    batch: &Batch,
    start: &[u8],
    end: &[u8],
    out: &mut W,
    mut put: impl FnMut(&[u8], &mut W) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(start)?;
    let mut is_first = true;
    each_line(batch, |line| {
        if !std::mem::take(&mut is_first) {
            out.write_all(b",")?;
        }
        put(line, out)
    })?;
    out.write_all(end)
}

/// Renames `_time` and puts what follows it into `attributes`: every line starts with its time.
fn write_group_event<W: Write>(line: &[u8], out: &mut W) -> io::Result<()> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a line without a time");
    let rest = line.strip_prefix(LINE_START).ok_or_else(malformed)?;
    let quote = rest.iter().position(|byte| *byte == b'"');
    let (time, rest) = rest.split_at(quote.ok_or_else(malformed)?);
    let members = rest
        .strip_prefix(b"\",")
        .or_else(|| rest.strip_prefix(b"\""));
    out.write_all(b"{\"timestamp\":\"")?;
    out.write_all(time)?;
    out.write_all(b"\",\"attributes\":{")?;
    out.write_all(members.ok_or_else(malformed)?)?;
    out.write_all(b"}")
}

/// A body, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    /// The value of `Content-Encoding`, which is left out for a plain body.
    pub(crate) encoding: Option<&'static str>,
}

/// Turns batches into bodies.
pub(crate) struct Encoder {
    layout: Layout,
    compressor: Compressor,
}

enum Compressor {
    Plain,
    Gzip,
    /// Kept from batch to batch: its tables are most of the cost of a small body.
    #[cfg(feature = "zstd")]
    Zstd(zstd::Compressor),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// # Errors
    /// zstd can not be set up: no memory.
    pub(crate) fn new(layout: Layout, compression: Compression) -> io::Result<Self> {
        let compressor = match compression {
            Compression::None => Compressor::Plain,
            Compression::Gzip => Compressor::Gzip,
            #[cfg(feature = "zstd")]
            Compression::Zstd => Compressor::Zstd(zstd::Compressor::new()?),
        };
        Ok(Self { layout, compressor })
    }

    /// # Errors
    /// A defect in this crate, or no memory.
    pub(crate) fn encode(&mut self, batch: &Batch) -> io::Result<Body> {
        let guess = batch.bytes() / SHRINKS_TO + 1024;
        let (bytes, encoding) = match &mut self.compressor {
            Compressor::Plain => {
                let mut out = Vec::with_capacity(batch.bytes() + batch.events() as usize + 1024);
                self.layout.write(batch, &mut out)?;
                (out, None)
            }
            Compressor::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let out = Vec::with_capacity(guess);
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                self.layout.write(batch, &mut encoder)?;
                (encoder.finish()?, Some("gzip"))
            }
            #[cfg(feature = "zstd")]
            Compressor::Zstd(compressor) => {
                let mut stream = compressor.begin(Vec::with_capacity(guess))?;
                self.layout.write(batch, &mut stream)?;
                (stream.finish()?, Some("zstd"))
            }
        };
        Ok(Body {
            bytes: bytes.into(),
            encoding,
        })
    }
}

#[cfg(test)]
mod tests;
