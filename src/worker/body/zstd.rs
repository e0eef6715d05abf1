//! Zstandard, one frame for each body, with the compressor's tables kept from body to body.

use std::fmt;
use std::io::{self, Write};

use ::zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};

/// Of log-like batches, level 3 is slower and no smaller.
const LEVEL: i32 = 1;

/// Its tables are most of the cost of a small body.
pub(super) struct Compressor(Encoder<'static>);

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressor")
    }
}

impl Compressor {
    pub(super) fn new() -> io::Result<Self> {
        Encoder::new(LEVEL).map(Self)
    }

    /// Begins a frame, appended to `out`.
    pub(super) fn begin(&mut self, out: Vec<u8>) -> io::Result<Stream<'_>> {
        self.0.reinit()?;
        Ok(Stream {
            encoder: &mut self.0,
            out,
        })
    }
}

/// A frame under construction. The crate's own writers want to own their encoder.
pub(super) struct Stream<'a> {
    encoder: &'a mut Encoder<'static>,
    out: Vec<u8>,
}

impl Stream<'_> {
    /// Room that one step may fill.
    const STEP: usize = 32 * 1024;

    fn step<T>(
        &mut self,
        run: impl FnOnce(&mut Encoder<'static>, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<T>,
    ) -> io::Result<T> {
        let used = self.out.len();
        self.out.reserve(Self::STEP);
        let mut buffer = OutBuffer::around_pos(&mut self.out, used);
        run(self.encoder, &mut buffer)
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        while self.step(|encoder, out| encoder.finish(out, true))? > 0 {}
        Ok(self.out)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut input = InBuffer::around(bytes);
        while input.pos < bytes.len() {
            self.step(|encoder, out| encoder.run(&mut input, out))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
