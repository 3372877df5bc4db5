//! The strict text of one field.

use super::types::Meaning;
use super::{Lowering, Node};
use crate::codec::refusal::Refusal;
use crate::codec::v1::ast::Field;
use crate::codec::v1::facts::FieldFacts;
use crate::codec::v1::js_number::js_number;

impl Lowering<'_, '_> {
    /// The strict text of one field, numbered `number`, and its facts.
    pub(super) fn field(
        &self,
        field: &Field<'_>,
        tag: u32,
        number: u32,
        name: &str,
        order: usize,
        owner: usize,
    ) -> Result<(String, FieldFacts), Refusal> {
        let scope = self.id_of(owner);
        let meaning = self.resolve(field.kind, &scope, field.at)?;
        let packed = field.packed.is_some_and(|value| value != "false");
        let unpackable = matches!(meaning, Meaning::Scalar("string" | "bytes") | Meaning::Message(_));
        // 1.x checks top-level messages only; protox checks none.
        if field.packed == Some("true") && unpackable && !scope.contains('.') {
            let text = format!(
                "Fields of type {} cannot be declared [packed=true]. Only repeated fields of primitive numeric types (types which use \
                 the varint, 32-bit, or 64-bit wire types) can be declared \"packed\".",
                field.kind
            );
            return Err(Refusal::always(field.at, text));
        }
        let mut facts = FieldFacts {
            name: field.name.to_owned(),
            order,
            tag,
            default: field.default.map(str::to_owned),
            packed,
            is_varint: matches!(field.kind, "varint" | "enum"),
            oneof: field.oneof.map(str::to_owned),
            implicit: self.file.proto3 && !field.labelled && field.oneof.is_none() && field.map_key.is_none(),
            ..FieldFacts::default()
        };
        if let Meaning::Enum(index) = meaning {
            let empty =
                matches!(self.defs.get(index).map(|def| def.node), Some(Node::Enum(node)) if node.values.is_empty());
            if empty {
                return Err(Refusal::new(
                    field.at,
                    format!("enum {} has no values and cannot be a field's type", field.kind),
                ));
            }
        }
        let kind = self.type_text(&meaning, field.kind);
        if let Some(key) = field.map_key {
            facts.map_entry = Some(format!("Map_{key}_{}", field.kind));
            let key = self.map_key(key, &scope, field, &mut facts)?;
            return Ok((format!("map<{key}, {kind}> {name} = {number};"), facts));
        }
        let label = match (field.oneof.is_some(), field.required, field.repeated) {
            (true, ..) => "",
            (_, true, _) => "required ",
            (_, _, true) => "repeated ",
            _ => "optional ",
        };
        let options = self.options(field, &meaning);
        Ok((format!("{label}{kind} {name} = {number}{options};"), facts))
    }

    fn type_text(&self, meaning: &Meaning, written: &str) -> String {
        match meaning {
            Meaning::Scalar(name) => (*name).to_owned(),
            Meaning::Imported => written.to_owned(),
            Meaning::Message(index) | Meaning::Enum(index) => {
                let package = self.package.map_or(String::new(), |package| format!(".{package}"));
                format!("{package}.{}", self.path_of(*index))
            }
        }
    }

    fn map_key(
        &self,
        key: &str,
        scope: &str,
        field: &Field<'_>,
        facts: &mut FieldFacts,
    ) -> Result<&'static str, Refusal> {
        match self.resolve(key, scope, field.at)? {
            Meaning::Scalar("float" | "double" | "bytes") | Meaning::Message(_) => {
                let text = format!("map {} cannot be keyed by {key}: use an integer type, bool or string", field.name);
                Err(Refusal::new(field.at, text))
            }
            Meaning::Scalar(name) => Ok(name),
            Meaning::Enum(index) => {
                facts.key_enum = Some(self.path_of(index));
                Ok("int32")
            }
            Meaning::Imported => {
                Err(Refusal::new(field.at, format!("map {} cannot be keyed by the imported type {key}", field.name)))
            }
        }
    }

    /// Options the standard encoding needs: packing, and a default that strict proto2 can express.
    fn options(&self, field: &Field<'_>, meaning: &Meaning) -> String {
        let mut options = Vec::new();
        let packable = field.repeated
            && match meaning {
                Meaning::Scalar(name) => !matches!(*name, "string" | "bytes"),
                Meaning::Enum(_) => true,
                _ => false,
            };
        // proto3 packs by default; the lowered text is proto2 and must say so.
        let packed = if self.file.proto3 {
            field.packed != Some("false")
        } else {
            field.packed.is_some_and(|value| value != "false")
        };
        if packable && packed {
            options.push("packed = true".to_owned());
        }
        if let (Some(default), false) = (field.default, field.repeated) {
            if let Some(default) = self.default_text(default, meaning) {
                options.push(format!("default = {default}"));
            }
        }
        if options.is_empty() {
            String::new()
        } else {
            format!(" [{}]", options.join(", "))
        }
    }

    fn default_text(&self, written: &str, meaning: &Meaning) -> Option<String> {
        let number = js_number(written);
        // Adding zero turns -0, which unsigned fields refuse, into 0.
        let whole = |low: f64, high: f64| {
            (number.fract() == 0.0 && number >= low && number <= high).then(|| format!("{:.0}", number + 0.0))
        };
        match meaning {
            Meaning::Scalar("int32" | "sint32" | "sfixed32") => whole(f64::from(i32::MIN), f64::from(i32::MAX)),
            Meaning::Scalar("uint32" | "fixed32") => whole(0.0, f64::from(u32::MAX)),
            Meaning::Scalar("uint64" | "fixed64") if written.bytes().all(|b| b.is_ascii_digit()) => {
                written.parse::<u64>().ok().map(|n| n.to_string())
            }
            Meaning::Scalar("int64" | "sint64" | "sfixed64") => written.parse::<i64>().ok().map(|n| n.to_string()),
            Meaning::Scalar("float" | "double") => number.is_finite().then(|| format!("{number:e}")),
            Meaning::Scalar("bool") => matches!(written, "true" | "false").then(|| written.to_owned()),
            Meaning::Scalar("string" | "bytes") => {
                let quoted = written.len() >= 2 && written.starts_with(['"', '\'']) && !written.contains('\\');
                quoted.then(|| written.to_owned())
            }
            Meaning::Enum(index) => match self.defs.get(*index).map(|def| def.node) {
                Some(Node::Enum(node)) => {
                    let position = node.values.iter().rposition(|(name, ..)| *name == written)?;
                    Some(format!("E{index}_{position}"))
                }
                _ => None,
            },
            _ => None,
        }
    }
}
