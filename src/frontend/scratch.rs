//! The buffers that a thread encodes into, kept from one record to the next.

use std::cell::{Cell, RefCell};

use super::members::{Fields, Keys};
use super::visit::Special;

/// How deep a `Debug` may record events while it is being recorded. It is a bug in that `Debug`;
/// without a bound it would end in a stack overflow.
const DEPTH: u32 = 8;

/// Buffers that together grew beyond this for one record are given back.
const KEPT_BYTES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) line: Vec<u8>,
    pub(crate) fields: Fields,
    pub(crate) special: Special,
    /// Made ready when they are needed.
    pub(crate) keys: Keys,
}

impl Scratch {
    fn clear(&mut self) {
        self.line.clear();
        self.fields.clear();
        self.special.clear();
    }

    fn capacity(&self) -> usize {
        self.line.capacity() + self.fields.capacity() + self.special.message.capacity()
    }
}

thread_local! {
    static KEPT: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
    static IN_USE: Cell<u32> = const { Cell::new(0) };
}

/// Lends cleared buffers to `encode`. A record made inside `encode` gets buffers of its own.
/// `None`: records are nested too deep, nothing was done.
pub(crate) fn with<T>(encode: impl FnOnce(&mut Scratch) -> T) -> Option<T> {
    (IN_USE.get() < DEPTH).then(|| lend(encode))
}

/// The same however deep records are nested, for what runs no code of the application's and so goes no deeper.
pub(crate) fn lend<T>(encode: impl FnOnce(&mut Scratch) -> T) -> T {
    // A thread that is ending has lost what it kept.
    let kept = KEPT.try_with(RefCell::take).ok().flatten();
    let mut scratch = kept.unwrap_or_default();
    // Before use, not after it: an encoding that ended early leaves nothing to the next.
    scratch.clear();
    let depth = Depth::deeper();
    let value = encode(&mut scratch);
    drop(depth);
    if scratch.capacity() <= KEPT_BYTES {
        KEPT.try_with(|kept| kept.replace(Some(scratch))).ok();
    }
    value
}

struct Depth;

impl Depth {
    fn deeper() -> Self {
        IN_USE.set(IN_USE.get() + 1);
        Self
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        IN_USE.set(IN_USE.get() - 1);
    }
}
