//! Bytes copied in blocks of a fixed size, which are a move or two where a copy of any length is a call.

/// Bytes copied, and looked at, together.
pub(super) const BLOCK: usize = 16;

/// Bytes that never change. Short ones are appended in a few moves, where a copy of any length is a call.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The bytes, if there is room for them, and spaces behind.
    short: [u8; SHORT],
    /// All of them, if there is not.
    long: Box<[u8]>,
    len: usize,
}

/// Most keys are shorter, with their quotes and colon.
const SHORT: usize = 2 * BLOCK;

impl Piece {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut short = [b' '; SHORT];
        let mut long = Box::default();
        match short.get_mut(..bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => long = bytes.into(),
        }
        Self {
            short,
            long,
            len: bytes.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if self.len <= SHORT {
            let end = out.len() + self.len;
            out.extend_from_slice(&self.short);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.long);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.len <= SHORT {
            &self.short[..self.len]
        } else {
            &self.long
        }
    }
}

#[inline]
pub(super) fn is_plain_block(block: &[u8; BLOCK]) -> bool {
    let (words, _) = block.as_chunks();
    are_plain([0, 1].map(|at: usize| u64::from_le_bytes(words[at])))
}

/// Eight times the same byte.
pub(super) const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Whether no byte needs an escape. Eight of them at a time, by what a subtraction borrows: a byte that is less borrows its
/// highest bit, which it had not itself (Bit Twiddling Hacks, "Determine if a word has a byte less than n"). XOR turns the
/// byte that is looked for into zero, which is less than one.
#[inline]
pub(super) fn are_plain(words: [u64; 2]) -> bool {
    let found = words.map(|word| {
        let control = word.wrapping_sub(each(0x20));
        let quote = (word ^ each(b'"')).wrapping_sub(each(1));
        let backslash = (word ^ each(b'\\')).wrapping_sub(each(1));
        (control | quote | backslash) & !word
    });
    (found[0] | found[1]) & each(0x80) == 0
}

/// Fewer bytes than a block has, and spaces behind them. Read in pieces that may overlap, for a copy of any length is a call.
#[inline]
pub(super) fn padded(bytes: &[u8]) -> [u64; 2] {
    const SPACES: u64 = each(b' ');
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let rest = len - 8;
        // In two steps, since there may be none of these eight bytes left.
        let last = u64::from_le_bytes(*last) >> 8 >> (8 * (7 - rest));
        return [u64::from_le_bytes(*first), last | SPACES << (8 * rest)];
    }
    let word = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
        first | last << (8 * (len - 4))
    } else if let ([first, ..], [.., last]) = (bytes, bytes) {
        let (first, middle, last) = (*first, bytes[len / 2], *last);
        u64::from(first) | u64::from(middle) << (8 * (len / 2)) | u64::from(last) << (8 * (len - 1))
    } else {
        0
    };
    [word | SPACES << (8 * len), SPACES]
}

/// Appends bytes that most often fit into a block, as the digits of a number do.
#[inline]
pub(crate) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() < BLOCK {
        let end = out.len() + bytes.len();
        out.extend_from_slice(padded(bytes).map(u64::to_le_bytes).as_flattened());
        out.truncate(end);
    } else {
        out.extend_from_slice(bytes);
    }
}
