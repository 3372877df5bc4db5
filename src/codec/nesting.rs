//! Checks how deeply brackets are nested in a text, as protox will read it. protox recurses as deep as they are nested.

use super::refusal::Refusal;

/// How deep brackets of all kinds may be nested in a schema. protox and prost-reflect recurse this deep. Real schemas stay below
/// twenty.
pub(crate) const MAX_NESTING: usize = 64;

/// Refuses text whose brackets are nested deeper than [`MAX_NESTING`].
///
/// Comments and strings end where protox lets them end, which is not always where 1.x does.
pub(crate) fn check(source: &str) -> Result<(), Refusal> {
    let mut scan = Scan { bytes: source.as_bytes(), at: 0 };
    let mut open: Vec<u8> = Vec::new();
    while let Some(byte) = scan.peek(0) {
        match byte {
            b'#' => scan.line(),
            b'/' if scan.peek(1) == Some(b'/') => scan.line(),
            b'/' if scan.peek(1) == Some(b'*') => scan.block(),
            b'"' | b'\'' => scan.string(byte),
            b'{' | b'[' | b'(' | b'<' => {
                open.push(byte);
                if open.len() > MAX_NESTING {
                    return Err(Refusal::new(scan.at, format!("brackets are nested deeper than {MAX_NESTING} levels")));
                }
                scan.at += 1;
            }
            b'}' | b']' | b')' | b'>' => {
                // A bracket that does not match is an error, but protox may read on after it.
                let opening = match byte {
                    b'}' => b'{',
                    b']' => b'[',
                    b')' => b'(',
                    _ => b'<',
                };
                if open.last() == Some(&opening) {
                    open.pop();
                }
                scan.at += 1;
            }
            _ => scan.at += 1,
        }
    }
    Ok(())
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn line(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    /// A block comment. In protox, block comments nest, and an unterminated one ends where the last comment inside it ended.
    fn block(&mut self) {
        let mut depth = 0_usize;
        let mut last_end = None;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                    last_end = Some(self.at);
                }
                _ => self.at += 1,
            }
        }
        self.at = last_end.unwrap_or(self.at);
    }

    /// A string. It ends at the end of its line at the latest.
    fn string(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\n' => return,
                b'\\' if self.peek(0).is_some_and(|next| next != b'\n') => self.at += 1,
                byte if byte == quote => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_of_all_kinds_count_together() {
        let deep = |open: &str| open.repeat(MAX_NESTING / open.len() + 1);
        for open in ["{", "[", "(", "<", "{[", "{ ) "] {
            assert!(check(&deep(open).repeat(4)).is_err(), "{open}");
        }
        assert!(check(&"{[(<>)]}".repeat(1000)).is_ok());
    }

    #[test]
    fn brackets_in_comments_and_strings_do_not_count_as_in_protox() {
        let deep = "{".repeat(MAX_NESTING + 1);
        for hidden in [format!("// {deep}\n"), format!("/* {deep} */"), format!("\"{deep}\""), format!("'\\'{deep}'")] {
            assert!(check(&hidden).is_ok(), "{hidden}");
        }
        for seen in [
            format!("# /*\n {deep} */"),
            format!("/* /* */ {deep}"),
            format!("\" \n {deep} \""),
            format!("/* /* */ */ {deep}"),
        ] {
            assert!(check(&seen).is_err(), "{seen}");
        }
    }
}
