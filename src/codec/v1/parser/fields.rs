//! Fields of messages.

use super::{Parser, Read};
use crate::codec::v1::ast::Field;

impl<'a> Parser<'_, 'a> {
    /// A field without a label.
    pub(super) fn singular_field(&mut self) -> Read<Field<'a>> {
        let mut field = Field { at: self.at(), kind: self.take()?, name: self.take()?, ..Field::default() };
        self.rest_of_field(&mut field, true)?;
        Ok(field)
    }

    pub(super) fn field(&mut self) -> Read<Field<'a>> {
        let mut field = Field { at: self.at(), ..Field::default() };
        self.rest_of_field(&mut field, false)?;
        Ok(field)
    }

    /// 1.x reads a field's parts in any order, up to the `;`.
    pub(super) fn rest_of_field(&mut self, field: &mut Field<'a>, mut named: bool) -> Read<()> {
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

    pub(super) fn map_punctuation(&mut self, wanted: &str) -> Read<()> {
        if self.peek() == Some(wanted) {
            self.next += 1;
            return Ok(());
        }
        self.refuse(format!("Unexpected token in map type: {}", self.peek().unwrap_or("the end of the schema")))
    }
}
