//! Options of files, messages, enums and fields.

use std::collections::HashSet;

use super::{Parser, Read};
use crate::codec::refusal::Refusal;
use crate::codec::v1::ast::Field;

impl<'a> Parser<'_, 'a> {
    pub(super) fn field_options(&mut self, field: &mut Field<'a>) -> Read<()> {
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
    pub(super) fn field_option_value(&mut self) -> Read<&'a str> {
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

    /// `option name = value;`. Refused if the same scope has already set that name.
    pub(super) fn option(&mut self, seen: &mut HashSet<String>) -> Read<()> {
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

    pub(super) fn option_map(&mut self) -> Read<()> {
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
}
