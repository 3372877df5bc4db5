//! 1.x's reading of a schema: its grammar, its refusals, and the raw facts its codecs are made from.
//!
//! Follows protocol-buffers-schema 3.6.1 `parse.js` statement by statement. Differences: positions are kept, package
//! qualified names and `import public` are read, and text that can only run past the end is refused instead of
//! looping.

use std::collections::{HashMap, HashSet};

use super::lexer::{tokenize, Token, MAX_DEPTH};

/// Why text was refused, and where (byte offset in the source).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Byte offset.
    pub at: usize,
    /// The cause.
    pub message: String,
    /// It holds even where protox accepts the text.
    pub always: bool,
}

impl Refusal {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Refusal { at, message: message.into(), always: false }
    }

    pub(crate) fn always(at: usize, message: impl Into<String>) -> Self {
        Refusal { always: true, ..Refusal::new(at, message) }
    }
}

/// A whole file as 1.x reads it.
#[derive(Debug, Default)]
pub(crate) struct File<'a> {
    /// 3 only after `syntax = "proto3"`.
    pub proto3: bool,
    /// The package, when one was declared (the last one wins).
    pub package: Option<&'a str>,
    /// Imports in order.
    pub imports: Vec<Import<'a>>,
    /// Top-level messages and enums.
    pub scope: Scope<'a>,
    /// Top-level `extend` blocks: 1.x adds their fields to the message of that name. Nested ones it ignores.
    pub extends: Vec<Message<'a>>,
}

/// One `import`.
#[derive(Debug)]
pub(crate) struct Import<'a> {
    /// File name without quotes.
    pub file: &'a str,
    /// `public` or `weak`, which 1.x did not know.
    pub modifier: Option<&'a str>,
    /// Byte offset.
    pub at: usize,
}

/// The types declared in a file or a message.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    /// In source order.
    pub messages: Vec<Message<'a>>,
    /// In source order.
    pub enums: Vec<Enum<'a>>,
}

/// One message.
#[derive(Debug, Default)]
pub(crate) struct Message<'a> {
    /// Its name as written.
    pub name: &'a str,
    /// Byte offset of the name.
    pub at: usize,
    /// Nested types.
    pub scope: Scope<'a>,
    /// Fields in source order, members of oneofs among them.
    pub fields: Vec<Field<'a>>,
    /// `extensions A to B;`, the last one.
    pub extensions: Option<(f64, f64)>,
}

/// One enum.
#[derive(Debug, Default)]
pub(crate) struct Enum<'a> {
    /// Its name as written.
    pub name: &'a str,
    /// Byte offset of the name.
    pub at: usize,
    /// Names and values as written, in source order.
    pub values: Vec<(&'a str, &'a str, usize)>,
}

/// One field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Field<'a> {
    /// Its name as written.
    pub name: &'a str,
    /// Byte offset of the field.
    pub at: usize,
    /// Type name as written; of a map, the type of its values.
    pub kind: &'a str,
    /// Key type of a map.
    pub map_key: Option<&'a str>,
    /// Tag as written.
    pub tag: &'a str,
    /// `required`.
    pub required: bool,
    /// `repeated`.
    pub repeated: bool,
    /// A label was written.
    pub labelled: bool,
    /// Name of the oneof it belongs to.
    pub oneof: Option<&'a str>,
    /// `[default = …]` as written.
    pub default: Option<&'a str>,
    /// `[packed = …]` as written.
    pub packed: Option<&'a str>,
}

type Read<T> = Result<T, Refusal>;

/// Reads `source` as 1.x would.
///
/// # Errors
/// Text that 1.x refuses too, with the place.
pub(crate) fn parse(source: &str) -> Read<File<'_>> {
    let tokens = tokenize(source)?;
    let mut parser = Parser { tokens: &tokens, next: 0, end: source.len(), depth: 0 };
    let file = parser.file()?;
    propagate_extends(file)
}

/// Adds the fields of top-level `extend` blocks to their messages.
fn propagate_extends(mut file: File<'_>) -> Read<File<'_>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, message) in file.scope.messages.iter().enumerate() {
        places.entry(message.name).or_default().push(place);
    }
    for extend in std::mem::take(&mut file.extends) {
        for place in places.get(extend.name).into_iter().flatten() {
            let Some(message) = file.scope.messages.get_mut(*place) else { continue };
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
    /// Messages around the next token.
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

    /// A `message` or `extend` block, keyword included.
    fn message(&mut self) -> Read<Message<'a>> {
        self.next += 1;
        let mut message = Message { at: self.at(), name: self.take()?, ..Message::default() };
        self.expect("{")?;
        let opened = self.at();
        // Of the lexer's braces some are skipped.
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
            "max" => f64::from(super::MAX_TAG),
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

    /// A field without a label.
    fn singular_field(&mut self) -> Read<Field<'a>> {
        let mut field = Field { at: self.at(), kind: self.take()?, name: self.take()?, ..Field::default() };
        self.rest_of_field(&mut field, true)?;
        Ok(field)
    }

    fn field(&mut self) -> Read<Field<'a>> {
        let mut field = Field { at: self.at(), ..Field::default() };
        self.rest_of_field(&mut field, false)?;
        Ok(field)
    }

    /// 1.x reads a field's parts in any order, up to the `;`.
    fn rest_of_field(&mut self, field: &mut Field<'a>, mut named: bool) -> Read<()> {
        let mut tagged = false;
        loop {
            let Some(token) = self.peek() else {
                return self.refuse("No ; found for message field");
            };
            match token {
                "=" => {
                    self.next += 1;
                    field.tag = self.take()?;
                    tagged = true;
                }
                "map" => {
                    self.next += 1;
                    self.map_punctuation("<")?;
                    field.map_key = Some(self.take()?);
                    self.map_punctuation(",")?;
                    field.kind = self.take()?;
                    self.map_punctuation(">")?;
                    field.name = self.take()?;
                    named = true;
                }
                "repeated" | "required" | "optional" => {
                    self.next += 1;
                    field.labelled = true;
                    field.required = token == "required";
                    field.repeated = token == "repeated";
                    field.kind = self.take()?;
                    field.name = self.take()?;
                    named = true;
                }
                "[" => self.field_options(field)?,
                ";" if !named => return self.refuse("Missing field name"),
                ";" if !tagged => return self.refuse(format!("Missing tag number in message field: {}", field.name)),
                ";" => {
                    self.next += 1;
                    return Ok(());
                }
                _ => return self.refuse(format!("Unexpected token in message field: {token}")),
            }
        }
    }

    fn map_punctuation(&mut self, wanted: &str) -> Read<()> {
        if self.peek() == Some(wanted) {
            self.next += 1;
            return Ok(());
        }
        self.refuse(format!("Unexpected token in map type: {}", self.peek().unwrap_or("the end of the schema")))
    }

    fn field_options(&mut self, field: &mut Field<'a>) -> Read<()> {
        loop {
            match self.peek() {
                Some("[" | ",") => {
                    self.next += 1;
                    let mut name = self.take()?;
                    let mut plain = true;
                    if name == "(" {
                        plain = false;
                        name = self.take()?;
                        self.next += 1;
                    }
                    if self.peek().is_some_and(|path| path.starts_with('.')) {
                        plain = false;
                        self.next += 1;
                    }
                    if self.peek() != Some("=") {
                        let found = self.peek().unwrap_or("the end of the schema");
                        return self.refuse(format!("Unexpected token in field options: {found}"));
                    }
                    self.next += 1;
                    if self.peek() == Some("]") {
                        return self.refuse("Unexpected ] in field option");
                    }
                    let value = self.field_option_value()?;
                    match name {
                        "default" if plain => field.default = Some(value),
                        "packed" if plain => field.packed = Some(value),
                        _ => {}
                    }
                }
                Some("]") => {
                    self.next += 1;
                    return Ok(());
                }
                found => {
                    let found = found.unwrap_or("the end of the schema");
                    return self.refuse(format!("Unexpected token in field options: {found}"));
                }
            }
        }
    }

    /// The value of a field option; an aggregate counts as the text `{`.
    fn field_option_value(&mut self) -> Read<&'a str> {
        let value = self.take()?;
        let mut depth = usize::from(value == "{");
        while depth > 0 {
            match self.take()? {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
        }
        Ok(value)
    }

    /// `option name = value;`, refused when the same scope has set that name already.
    fn option(&mut self, seen: &mut HashSet<String>) -> Read<()> {
        let at = self.at();
        self.next += 1;
        let bracket = self.peek() == Some("(");
        if bracket {
            self.next += 1;
        }
        let mut name = self.take()?.to_owned();
        if bracket {
            self.expect(")")?;
        }
        if self.peek().is_some_and(|path| path.starts_with('.')) {
            name.push_str(self.take()?);
        }
        if self.peek() != Some("=") {
            return self
                .refuse(format!("Unexpected token in option: {}", self.peek().unwrap_or("the end of the schema")));
        }
        self.next += 1;
        let value = self.take()?;
        let bare = value.trim_matches('"');
        if name == "optimize_for" && !matches!(bare, "SPEED" | "CODE_SIZE" | "LITE_RUNTIME") {
            return self.refuse(format!("Unexpected value for option optimize_for: {bare}"));
        }
        if value == "{" {
            self.option_map()?;
        }
        if self.peek() != Some(";") {
            return self
                .refuse(format!("Unexpected token in option: {}", self.peek().unwrap_or("the end of the schema")));
        }
        self.next += 1;
        if seen.contains(&name) {
            return Err(Refusal::new(at, format!("Duplicate option {name}")));
        }
        seen.insert(name);
        Ok(())
    }

    fn option_map(&mut self) -> Read<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.peek() {
                Some("{") => depth += 1,
                Some("}") => depth -= 1,
                Some(_) => {}
                None => return self.refuse("No closing tag for option map"),
            }
            self.next += 1;
        }
        Ok(())
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
                        // 1.x's text shows the token before the one it wants.
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

    fn service(&mut self) -> Read<()> {
        self.next += 1;
        self.take()?;
        self.expect("{")?;
        let mut options = HashSet::new();
        loop {
            match self.peek() {
                Some("}") => {
                    self.next += 1;
                    self.optional_semicolon();
                    return Ok(());
                }
                Some("option") => self.option(&mut options)?,
                Some("rpc") => self.rpc()?,
                Some(token) => return self.refuse(format!("Unexpected token in service: {token}")),
                None => return self.refuse("No closing tag for service"),
            }
        }
    }

    fn rpc(&mut self) -> Read<()> {
        self.next += 1;
        self.take()?;
        self.rpc_type()?;
        self.expect("returns")?;
        self.rpc_type()?;
        if self.peek() == Some(";") {
            self.next += 1;
            return Ok(());
        }
        self.expect("{")?;
        let mut options = HashSet::new();
        loop {
            match self.peek() {
                Some("}") => {
                    self.next += 1;
                    self.optional_semicolon();
                    return Ok(());
                }
                Some("option") => self.option(&mut options)?,
                Some(token) => return self.refuse(format!("Unexpected token in rpc options: {token}")),
                None => return self.refuse("No closing tag for rpc"),
            }
        }
    }

    fn rpc_type(&mut self) -> Read<()> {
        self.expect("(")?;
        if self.take()? == "stream" {
            self.take()?;
        }
        self.expect(")")
    }
}

/// `Number(text)` of JavaScript, for the words a schema can hold.
pub(crate) fn js_number(text: &str) -> f64 {
    let radix = |digits: &str, radix: u32| {
        let mut value = 0_f64;
        for digit in digits.chars() {
            let Some(digit) = digit.to_digit(radix) else { return f64::NAN };
            value = value * f64::from(radix) + f64::from(digit);
        }
        if digits.is_empty() {
            f64::NAN
        } else {
            value
        }
    };
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    match (lower.as_deref(), text.get(2..)) {
        (Some("0x"), Some(digits)) => return radix(digits, 16),
        (Some("0o"), Some(digits)) => return radix(digits, 8),
        (Some("0b"), Some(digits)) => return radix(digits, 2),
        _ => {}
    }
    match text {
        "" => 0.0,
        "Infinity" | "+Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust also reads `inf`, `nan` and `infinity`, which JavaScript does not.
        _ if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_javascript_reads_them() {
        for (text, value) in [("010", 10.0), ("0x10", 16.0), ("-5", -5.0), ("1e3", 1000.0), ("+7", 7.0), ("0b11", 3.0)]
        {
            assert_eq!(js_number(text), value, "{text}");
        }
        for text in ["abc", "1.5f", "inf", "nan", "0x", "-0x5", "--1"] {
            assert!(js_number(text).is_nan(), "{text}");
        }
        assert_eq!(js_number("Infinity"), f64::INFINITY);
    }

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
    fn refusals_carry_1x_texts_and_the_place() {
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
