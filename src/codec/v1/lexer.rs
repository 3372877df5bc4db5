//! Splits a schema into the tokens of 1.x's language (protocol-buffers-schema 3.6.1 `tokenize.js`).
//!
//! 1.x splits text at blanks and at `; , { } ( ) = : [ ] < >`; whatever lies between is one word, so `My-Msg`, `$a-b`
//! and `größe` are names. Two defects of the original are not repeated: a `//` inside a block comment does not hide
//! the comment's end, and quotes inside comments do not pair with quotes in code.

use crate::codec::refusal::Refusal;

/// How deep braces may be nested in a schema. The parser recurses this deep. Real schemas stay below ten.
pub(crate) const MAX_DEPTH: usize = 64;

/// One token and where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// The text; quotes of strings included.
    pub text: &'a str,
    /// Byte offset in the source.
    pub at: usize,
}

const PUNCTUATION: &[char] = &[';', ',', '{', '}', '(', ')', '=', ':', '[', ']', '<', '>'];

/// Splits `source` into tokens.
///
/// # Errors
/// Braces nested deeper than [`MAX_DEPTH`].
pub(crate) fn tokenize(source: &str) -> Result<Vec<Token<'_>>, Refusal> {
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let quotes = Quotes::new(source);
    let mut rest = source;
    let mut at = 0;
    let mut advance = |rest: &mut &str, by: usize| -> usize {
        let start = at;
        at += by;
        *rest = rest.get(by..).unwrap_or("");
        start
    };
    while let Some(first) = rest.chars().next() {
        if is_blank(first) {
            advance(&mut rest, first.len_utf8());
        } else if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            advance(&mut rest, end);
        } else if rest.starts_with("/*") {
            // An unterminated comment reaches the end of the text, as in 1.x.
            let end = rest.get(2..).and_then(|body| body.find("*/")).map_or(rest.len(), |i| i + 4);
            advance(&mut rest, end);
        } else {
            let length = if PUNCTUATION.contains(&first) {
                first.len_utf8()
            } else if first == '"' || first == '\'' {
                quotes.string_length(source.len() - rest.len(), first)
            } else {
                word_length(rest, source.len() - rest.len(), &quotes)
            };
            match first {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            let text = rest.get(..length).unwrap_or(rest);
            let start = advance(&mut rest, length);
            if depth > MAX_DEPTH {
                return Err(Refusal::new(start, format!("braces are nested deeper than {MAX_DEPTH} levels")));
            }
            tokens.push(Token { text, at: start });
        }
    }
    Ok(tokens)
}

/// JavaScript's white space, the byte order mark included.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Where strings can end. With these indexes tokenizing takes linear time, whatever the text.
struct Quotes {
    /// Offsets of `"` that are not escaped.
    double: Vec<usize>,
    /// Offsets of `'` that are not escaped.
    single: Vec<usize>,
    /// Offsets of line feeds.
    lines: Vec<usize>,
}

impl Quotes {
    fn new(source: &str) -> Self {
        let mut quotes = Quotes { double: Vec::new(), single: Vec::new(), lines: Vec::new() };
        let mut escaped = false;
        for (at, byte) in source.bytes().enumerate() {
            match byte {
                b'\n' => quotes.lines.push(at),
                _ if escaped => {}
                b'"' => quotes.double.push(at),
                b'\'' => quotes.single.push(at),
                _ => {}
            }
            escaped = byte == b'\\' && !escaped;
        }
        quotes
    }

    /// Length of the string literal that starts with `quote` at byte `at`. A string never crosses the end of a line. A lone quote is a
    /// token of its own.
    fn string_length(&self, at: usize, quote: char) -> usize {
        let next = |offsets: &[usize]| offsets.get(offsets.partition_point(|offset| *offset <= at)).copied();
        let end = next(if quote == '"' { &self.double } else { &self.single });
        match (end, next(&self.lines)) {
            (Some(end), None) => end + 1 - at,
            (Some(end), Some(line)) if end < line => end + 1 - at,
            _ => 1,
        }
    }
}

/// Length of the word that `text` starts with, which is at byte `at` of the source.
fn word_length(text: &str, at: usize, quotes: &Quotes) -> usize {
    for (i, c) in text.char_indices().skip(1) {
        let comment = c == '/' && text.get(i + 1..).is_some_and(|next| next.starts_with(['/', '*']));
        // A quote that is not closed is a letter like any other: `it's`.
        let string = matches!(c, '"' | '\'') && quotes.string_length(at + i, c) > 1;
        if is_blank(c) || PUNCTUATION.contains(&c) || string || comment {
            return i;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokenize(source).unwrap().iter().map(|token| token.text).collect()
    }

    #[test]
    fn blanks_comments_and_a_byte_order_mark_separate_words() {
        assert_eq!(words("\u{feff}a\r\n\tb// c } \nd/* e\n */f /* open"), ["a", "b", "d", "f"]);
    }

    #[test]
    fn a_line_comment_inside_a_block_comment_does_not_hide_its_end() {
        assert_eq!(words("a /* // x */ b"), ["a", "b"]);
    }

    #[test]
    fn strings_keep_comment_marks_and_escapes() {
        assert_eq!(words(r#"x = "http://y \" /*";"#), ["x", "=", r#""http://y \" /*""#, ";"]);
        assert_eq!(words("/* don't */ a; /* can't */ b"), ["a", ";", "b"]);
    }

    #[test]
    fn odd_names_are_one_word() {
        assert_eq!(words("My-Msg $a-b=größe .x(o).p"), ["My-Msg", "$a-b", "=", "größe", ".x", "(", "o", ")", ".p"]);
        assert_eq!(words("it's = 1"), ["it's", "=", "1"]);
    }

    #[test]
    fn unclosed_quotes_take_linear_time() {
        // In quadratic time this would take minutes.
        assert_eq!(words(&"\\'".repeat(2_000_000)).len(), 1);
        assert_eq!(words("a\\'b' c'").as_slice(), ["a\\", "'b'", "c'"]);
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(tokenize(&"{".repeat(MAX_DEPTH + 1)).is_err());
    }
}
