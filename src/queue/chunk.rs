//! One block of complete NDJSON lines. Whoever holds the `Box` owns it.

/// Bytes in one chunk. In the models two short lines fill one.
pub(crate) const CHUNK_BYTES: usize = if cfg!(loom) { 8 } else { 64 * 1024 };

#[derive(Debug)]
pub(crate) struct Chunk {
    /// Index into the queue's accounts.
    pub(super) id: usize,
    bytes: Vec<u8>,
    events: u32,
    /// The rest of a line that did not fit into one chunk.
    pub(super) rest: Option<Box<Chunk>>,
}

impl Chunk {
    pub(super) fn new(id: usize) -> Box<Self> {
        Box::new(Self {
            id,
            bytes: Vec::with_capacity(CHUNK_BYTES),
            events: 0,
            rest: None,
        })
    }

    pub(super) fn fits(&self, line: &[u8]) -> bool {
        self.bytes.len() + line.len() <= CHUNK_BYTES
    }

    /// Appends one whole line. The caller has asked [`fits`](Self::fits).
    pub(super) fn append(&mut self, line: &[u8]) {
        debug_assert!(self.fits(line));
        self.bytes.extend_from_slice(line);
        self.events += 1;
    }

    /// Makes this chunk the head of a unit that holds one long line.
    pub(super) fn begin_long(&mut self, head: &[u8], rest: Option<Box<Chunk>>) {
        self.bytes.extend_from_slice(head);
        self.rest = rest;
    }

    pub(super) fn count_long(&mut self) {
        self.events = 1;
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.events = 0;
    }

    pub(crate) fn events(&self) -> u32 {
        self.events
    }

    /// The bytes of this chunk and of those linked to it, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::successors(Some(self), |chunk| chunk.rest.as_deref())
            .map(|chunk| chunk.bytes.as_slice())
    }
}
