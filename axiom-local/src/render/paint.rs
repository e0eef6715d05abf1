//! Colours, and the escaping of control characters, which could steer the reader's terminal.

/// How to print. The default is without colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Use colours (ANSI escapes).
    pub color: bool,
}

/// The looks of a piece of text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    Dim,
    Bold,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
}

impl Style {
    /// Text in a look. Its control characters are escaped, because a stranger may have sent it.
    pub(super) fn paint(self, look: Look, text: &str) -> String {
        let text = plain(text);
        if !self.color || text.is_empty() {
            return text;
        }
        let code = match look {
            Look::Dim => "2",
            Look::Bold => "1",
            Look::Red => "31",
            Look::Green => "32",
            Look::Yellow => "33",
            Look::Blue => "34",
            Look::Magenta => "35",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text with its control characters escaped.
pub(super) fn plain(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
