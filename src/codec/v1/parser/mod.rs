//! Reads a schema with 1.x's own grammar, and refuses what 1.x refused.
//!
//! Follows protocol-buffers-schema 3.6.1 `parse.js` statement by statement. Differences: positions are kept, package-qualified
//! names and `import public` are read, and text whose end is missing is refused instead of looping.

mod fields;
mod options;
mod services;

use std::collections::{HashMap, HashSet};

use super::ast::{Enum, Field, File, Import, Message};
use super::js_number::js_number;
use super::lexer::{tokenize, Token, MAX_DEPTH};
use crate::codec::refusal::Refusal;
use crate::codec::MAX_TAG;

type Read<T> = Result<T, Refusal>;

/// Reads `source` as 1.x would.
///
/// # Errors
/// Text that 1.x refuses too, and where.
pub(crate) fn parse(source: &str) -> Read<File<'_>> {
    let tokens = tokenize(source)?;
    let mut parser = Parser { tokens: &tokens, next: 0, end: source.len(), depth: 0 };
    let file = parser.file()?;
    propagate_extends(file)
}

/// Adds the fields of top-level `extend` blocks to their messages.
fn propagate_extends(mut file: File<'_>) -> Read<File<'_>> {
    let mut indices: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, message) in file.scope.messages.iter().enumerate() {
        indices.entry(message.name).or_default().push(index);
    }
    for extend in std::mem::take(&mut file.extends) {
        for index in indices.get(extend.name).into_iter().flatten() {
            let Some(message) = file.scope.messages.get_mut(*index) else { continue };
            for field in &extend.fields {
                let tag = js_number(field.tag);
                let declared = message.extensions.is_some_and(|(from, to)| tag >= from && tag <= to);
                if !declared {
                    let text = format!("{} does not declare {} as an extension number", message.name, field.tag);
                    return Err(Refusal::new(field.at, text));
                }
                message.fields.push(field.clone());
            }
        }
    }
    Ok(file)
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    next: usize,
    /// Byte offset of the end of the text.
    end: usize,
    /// How many messages are around the next token.
    depth: usize,
}

impl<'a> Parser<'_, 'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.next).map(|token| token.text)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn take(&mut self) -> Read<&'a str> {
        let text = self.peek().ok_or_else(|| Refusal::new(self.end, "Unexpected end of the schema"))?;
        self.next += 1;
        Ok(text)
    }

    fn refuse<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(Refusal::new(self.at(), message))
    }

    fn expect(&mut self, wanted: &str) -> Read<()> {
        let found = self.peek();
        if found == Some(wanted) {
            self.next += 1;
            return Ok(());
        }
        self.refuse(format!("Expected {wanted} but found {}", found.unwrap_or("the end of the schema")))
    }

    fn file(&mut self) -> Read<File<'a>> {
        let mut file = File::default();
        let mut options = HashSet::new();
        let mut first = true;
        if self.peek().is_none() {
            return self.refuse("Unexpected token: ");
        }
        while let Some(token) = self.peek() {
            match token {
                "package" => {
                    self.next += 1;
                    file.package = Some(self.take()?);
                    self.expect(";")?;
                }
                "syntax" if !first => return self.refuse("Protobuf syntax version should be first thing in file"),
                "syntax" => file.proto3 = self.syntax()?,
                "message" => file.scope.messages.push(self.message()?),
                "enum" => file.scope.enums.push(self.enumeration()?),
                "option" => self.option(&mut options)?,
                "import" => file.imports.push(self.import()?),
                "extend" => file.extends.push(self.message()?),
                "service" => self.service()?,
                _ => return self.refuse(format!("Unexpected token: {token}")),
            }
            first = false;
        }
        Ok(file)
    }

    fn syntax(&mut self) -> Read<bool> {
        self.next += 1;
        self.expect("=")?;
        let proto3 = match self.peek() {
            Some("\"proto2\"") => false,
            Some("\"proto3\"") => true,
            found => {
                let found = found.unwrap_or("the end of the schema");
                return self.refuse(format!("Expected protobuf syntax version but found {found}"));
            }
        };
        self.next += 1;
        self.expect(";")?;
        Ok(proto3)
    }

    fn import(&mut self) -> Read<Import<'a>> {
        self.next += 1;
        let at = self.at();
        let modifier = self.peek().filter(|word| matches!(*word, "public" | "weak"));
        if modifier.is_some() {
            self.next += 1;
        }
        let file = self.take()?.trim_matches('"');
        self.expect(";")?;
        Ok(Import { file, modifier, at })
    }

    /// A `message` or `extend` block, including the keyword.
    fn message(&mut self) -> Read<Message<'a>> {
        self.next += 1;
        let mut message = Message { at: self.at(), name: self.take()?, ..Message::default() };
        self.expect("{")?;
        let opened = self.at();
        // The lexer checks braces too, but the parser skips some of them.
        if self.depth >= MAX_DEPTH {
            return Err(Refusal::new(opened, format!("messages are nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let mut options = HashSet::new();
        loop {
            let Some(token) = self.peek() else {
                return Err(Refusal::new(opened, "No closing tag for message"));
            };
            match token {
                "}" => {
                    self.next += 1;
                    self.depth -= 1;
                    return Ok(message);
                }
                "map" | "repeated" | "optional" | "required" => message.fields.push(self.field()?),
                "enum" => message.scope.enums.push(self.enumeration()?),
                "message" => message.scope.messages.push(self.message()?),
                "extensions" => message.extensions = Some(self.extensions()?),
                "oneof" => self.oneof(&mut message.fields)?,
                "extend" => {
                    self.message()?;
                }
                ";" => self.next += 1,
                "reserved" => self.skip_statement()?,
                "option" => self.option(&mut options)?,
                _ => message.fields.push(self.singular_field()?),
            }
        }
    }

    fn oneof(&mut self, fields: &mut Vec<Field<'a>>) -> Read<()> {
        self.next += 1;
        let name = self.take()?;
        if self.peek() != Some("{") {
            return self
                .refuse(format!("Unexpected token in oneof: {}", self.peek().unwrap_or("the end of the schema")));
        }
        self.next += 1;
        while self.peek() != Some("}") {
            let mut field = self.singular_field()?;
            field.oneof = Some(name);
            fields.push(field);
        }
        self.next += 1;
        Ok(())
    }

    fn extensions(&mut self) -> Read<(f64, f64)> {
        self.next += 1;
        let from = js_number(self.take()?);
        if from.is_nan() {
            return self.refuse("Invalid from in extensions definition");
        }
        if self.take()? != "to" {
            return self.refuse("Expected keyword 'to' in extensions definition");
        }
        let to = match self.take()? {
            "max" => f64::from(MAX_TAG),
            text => js_number(text),
        };
        if to.is_nan() {
            return self.refuse("Invalid to in extensions definition");
        }
        if self.take()? != ";" {
            return self.refuse("Missing ; in extensions definition");
        }
        Ok((from, to))
    }

    fn enumeration(&mut self) -> Read<Enum<'a>> {
        self.next += 1;
        let mut result = Enum { at: self.at(), name: self.take()?, values: Vec::new() };
        self.expect("{")?;
        loop {
            match self.peek() {
                None => return self.refuse("No closing tag for enum"),
                Some("}") => {
                    self.next += 1;
                    self.optional_semicolon();
                    return Ok(result);
                }
                // 1.x lets an enum set the same option twice.
                Some("option") => self.option(&mut HashSet::new())?,
                Some("reserved") => self.skip_statement()?,
                Some(name) => {
                    let at = self.at();
                    self.next += 1;
                    self.expect("=")?;
                    let value = self.take()?;
                    if !matches!(self.peek(), Some(";" | "[")) {
                        // 1.x's message names the token before the expected one.
                        return self.refuse("Expected ; or [ but found =");
                    }
                    if self.peek() == Some("[") {
                        self.field_options(&mut Field::default())?;
                    }
                    self.take()?;
                    result.values.push((name, value, at));
                }
            }
        }
    }

    fn optional_semicolon(&mut self) {
        if self.peek() == Some(";") {
            self.next += 1;
        }
    }

    fn skip_statement(&mut self) -> Read<()> {
        while self.take()? != ";" {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_what_1x_knows_about_them() {
        let file = parse("message M { int32 a = 1; oneof o { string b = 2; } map<string, M> m = 3; repeated int32 r = 0x4 [packed = maybe, (x).y = 5]; }").unwrap();
        let fields = &file.scope.messages[0].fields;
        assert_eq!(fields.iter().map(|f| f.name).collect::<Vec<_>>(), ["a", "b", "m", "r"]);
        assert_eq!(fields[1].oneof, Some("o"));
        assert_eq!((fields[2].map_key, fields[2].kind), (Some("string"), "M"));
        assert_eq!((fields[3].packed, fields[3].tag, fields[3].repeated), (Some("maybe"), "0x4", true));
    }

    #[test]
    fn refusals_have_1x_texts_and_the_position() {
        for (source, message) in [
            ("hello world", "Unexpected token: hello"),
            ("message M { optional int32 a; }", "Missing tag number in message field: a"),
            ("message M { optional int32 a = 1", "No ; found for message field"),
            ("message M { optional int32 a = 1;", "No closing tag for message"),
            ("message A { } syntax = \"proto2\";", "Protobuf syntax version should be first thing in file"),
            ("option x = 1; option x = 2;", "Duplicate option x"),
            ("enum E { A = 0 }", "Expected ; or [ but found ="),
            (
                "message M { extensions 10 to 20; } extend M { optional int32 b = 30; }",
                "M does not declare 30 as an extension number",
            ),
        ] {
            assert_eq!(parse(source).unwrap_err().message, message, "{source}");
        }
        assert_eq!(parse("message M {\n  stream int32 a = 1; }").unwrap_err().at, 27);
    }

    #[test]
    fn no_prefix_of_a_schema_loops_or_panics() {
        let source = "syntax = \"proto3\"; package p; import \"x\"; option (a).b = { c: 1 }; message M { reserved 1; \
                      extensions 5 to max; oneof o { int32 a = 1; } map<int32, M> m = 2 [x = { a: { b: 1 } }]; enum E { A = 1 [b = 2]; } \
                      extend M { int32 z = 9; } } service S { rpc A (stream M) returns (M) { option x = 1; } }";
        for end in 0..=source.len() {
            let _ = parse(&source[..end]);
        }
    }
}
