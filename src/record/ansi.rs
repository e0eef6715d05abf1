//! Finds the end of ANSI escape sequences (ECMA-48), also of one that comes in pieces.
//!
//! Sequences are ASCII except inside a string such as a window's title, so a text is never cut within a character.

pub(crate) const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// Where a text stands: outside of sequences, or within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Outside,
    /// Behind an ESC.
    Escape,
    /// Behind `ESC` and intermediate bytes, as in `ESC ( B`.
    Intermediate,
    /// Behind `ESC [`, as in `ESC [ 31 m`.
    Control,
    /// Behind `ESC ]` (the link in a text, a window's title), or one of its rarer kin.
    Text,
    /// Behind an ESC in such a string.
    TextEscape,
}

/// Skips sequences. An ESC with which none begins is skipped alone.
#[derive(Debug, Default)]
pub(crate) struct Stripper(State);

impl Stripper {
    pub(crate) fn is_outside(&self) -> bool {
        self.0 == State::Outside
    }

    /// What comes behind the sequences that the text begins with, or that began in an earlier piece of it.
    pub(crate) fn skip<'a>(&mut self, text: &'a str) -> &'a str {
        for (at, byte) in text.bytes().enumerate() {
            let Some(state) = self.0.after(byte) else {
                self.0 = State::Outside;
                return &text[at..];
            };
            self.0 = state;
        }
        ""
    }
}

impl State {
    /// The state behind this byte. `None`: the byte is part of no sequence.
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Text, BEL) => Some(Self::Outside),
            (Self::Text, ESC) => Some(Self::TextEscape),
            // A line's end, say: whoever began the string did not end it.
            (Self::Text, 0..0x20) => None,
            (Self::Text, _) => Some(Self::Text),
            (Self::TextEscape, b'\\') => Some(Self::Outside),
            // It ends the string all the same, and begins a sequence.
            (_, ESC) => Some(Self::Escape),
            (Self::Outside, _) => None,
            (Self::Escape | Self::TextEscape, b'[') => Some(Self::Control),
            (Self::Escape | Self::TextEscape, b']' | b'P' | b'X' | b'^' | b'_') => Some(Self::Text),
            (Self::Escape | Self::TextEscape | Self::Intermediate, 0x20..0x30) => {
                Some(Self::Intermediate)
            }
            (Self::Escape | Self::TextEscape | Self::Intermediate, 0x30..0x7f) => {
                Some(Self::Outside)
            }
            (Self::Control, 0x20..0x40) => Some(Self::Control),
            (Self::Control, 0x40..0x7f) => Some(Self::Outside),
            // Neither goes on nor ends: what was begun is no sequence.
            _ => None,
        }
    }
}
