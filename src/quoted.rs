//! Text that somebody else has written, made safe for messages.

use std::fmt;

/// Most characters of foreign text that a message repeats: names and ids may be megabytes long.
const MAX_QUOTED: usize = 120;

/// Quotes text that somebody else has written (a name, a log id), for a message: in double quotes, with escapes for everything
/// that could control a terminal or pass for other text, and cut if it is long.
#[must_use]
pub fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text)
}

/// See [`quoted`].
#[derive(Debug)]
pub struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_QUOTED) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// Foreign text for a message, without quotes: as one line, and cut if it is long.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().take(MAX_QUOTED).filter(|c| !c.is_control()).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        line.push('…');
    }
    line
}

/// Escapes text for a message like [`quoted`], but without quotes and whole: a path stays usable, and so does a short text that a
/// peer wrote for users.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_of_others_is_cut() {
        assert_eq!(quoted("ünï").to_string(), "\"ünï\"");
        assert_eq!(quoted(&"ü".repeat(MAX_QUOTED)).to_string().chars().count(), MAX_QUOTED + 2);
        assert_eq!(quoted(&"ü".repeat(1 << 20)).to_string().chars().count(), MAX_QUOTED + 3);
    }
}
