//! Rewrites valid protobuf that protox refuses. Every statement stays on its line.

use super::v1::lexer::{tokenize, Token};

/// Blanks the options of extension ranges, which protox cannot read after a single number. They are not used for anything.
pub(crate) fn without_range_options(text: &str) -> String {
    let Ok(tokens) = tokenize(text) else { return text.to_owned() };
    let mut edits = Vec::new();
    let mut rest = tokens.as_slice();
    while let [first, after @ ..] = rest {
        rest = after;
        if first.text != "extensions" {
            continue;
        }
        let end = rest.iter().position(|token| matches!(token.text, ";" | "[" | "{" | "}"));
        let Some((open, inside)) = end.and_then(|end| rest.get(end..)).and_then(|rest| rest.split_first()) else {
            continue;
        };
        if open.text != "[" {
            continue;
        }
        let mut depth = 1_usize;
        let close = inside.iter().find(|token| {
            match token.text {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        if let Some(close) = close {
            edits.push((open.at, close.at + 1, String::new()));
        }
    }
    edited(text, &edits)
}

/// Writes infinite values of custom options as numbers beyond the range, because protox knows `inf` only in defaults. `None` if there
/// are none.
pub(crate) fn plain_numbers(text: &str) -> Option<String> {
    let tokens = tokenize(text).ok()?;
    let mut edits = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let number = match token.text {
            "inf" => "1e999",
            "-inf" => "-1e999",
            _ => continue,
        };
        if is_custom_value(tokens.get(..i).unwrap_or_default()) {
            edits.push((token.at, token.at + token.text.len(), number.to_owned()));
        }
    }
    (!edits.is_empty()).then(|| edited(text, &edits))
}

/// Whether the tokens end with `(option) =` or `(option).path =`.
fn is_custom_value(before: &[Token<'_>]) -> bool {
    match before {
        [.., Token { text: ")", .. }, Token { text: "=", .. }] => true,
        [.., Token { text: ")", .. }, path, Token { text: "=", .. }] => path.text.starts_with('.'),
        _ => false,
    }
}

/// `text` with each range replaced. A range that is replaced by nothing keeps its line feeds.
fn edited(text: &str, edits: &[(usize, usize, String)]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    for (start, end, replacement) in edits {
        result.push_str(text.get(copied..*start).unwrap_or_default());
        if replacement.is_empty() {
            let blanked = text.get(*start..*end).unwrap_or_default();
            result.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            result.push_str(replacement);
        }
        copied = *end;
    }
    result.push_str(text.get(copied..).unwrap_or_default());
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{compile, Sources};

    #[test]
    fn range_options_are_blanked_in_place() {
        assert_eq!(without_range_options("extensions 5 [a = {\nb: [1]}]; x"), "extensions 5       \n        ; x");
        assert_eq!(without_range_options("message M { extensions 5; } a[1]"), "message M { extensions 5; } a[1]");
    }

    #[test]
    fn valid_text_passes_strictly() {
        let options = "import \"google/protobuf/descriptor.proto\"; extend google.protobuf.FieldOptions { optional double d = 50000; }";
        for text in [
            "message X { extensions 5 [declaration = { number: 5, full_name: \".x\", type: \"int32\" }]; }".to_owned(),
            format!("{options} message M {{ optional int32 a = 1 [(d) = -inf]; optional int32 b = 2 [(d) = inf]; }}"),
        ] {
            let text = format!("syntax = \"proto2\"; {text}");
            assert!(!compile(&text, &Sources::default()).unwrap().is_v1, "{text}");
        }
    }
}
