//! Rewrites text that 1.x accepted, and that protox refuses, as strict proto2.
//!
//! What a descriptor forbids is renamed (odd identifiers, enums that share value names, `fooBar` beside `foo_bar`, duplicate
//! messages) or replaced (reserved tags, odd enum values, defaults that only 1.x can read). [`Facts`] maps it back. Every statement
//! stays on its line, so that errors of protox point to the right line of the user's text.

mod fields;
mod lines;
mod types;

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use self::lines::Lines;
use super::ast::{Enum, Field, File, Message, Scope};
use super::facts::{EnumFacts, Facts, MessageFacts};
use super::js_number::js_number;
use crate::codec::refusal::Refusal;
use crate::codec::MAX_TAG;

/// How descriptor names are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The text is valid as it stands: every name is kept.
    Natural,
    /// Names that are legal and free are kept.
    Kept,
    /// Every name is made up, for text in which a legal name confuses the strict parser.
    Safe,
}

/// The tags that protobuf reserves.
const RESERVED_TAGS: std::ops::RangeInclusive<u32> = 19_000..=19_999;

/// A declared type.
struct Def<'f, 'a> {
    node: Node<'f, 'a>,
    /// 1.x's id: names joined by dots, without the package.
    id: String,
    /// Descriptor path, without the package.
    path: String,
    /// Descriptor name.
    name: String,
    /// Nested types: enums, then messages.
    children: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Node<'f, 'a> {
    Message(&'f Message<'a>),
    Enum(&'f Enum<'a>),
}

/// A rewritten file.
pub(crate) struct Lowered {
    /// Strict proto2; empty under [`Naming::Natural`].
    pub text: String,
    /// How to map its names and tags back.
    pub facts: Facts,
}

/// Checks `file` and rewrites it.
///
/// `imports_found` says for each import whether it can be resolved. 1.x never read imports, so a plain one that is missing is
/// dropped.
///
/// # Errors
/// Tags that are out of range, fractional or duplicate; duplicate field names; maps with a floating-point, bytes or message key;
/// names that resolve to nothing.
pub(crate) fn lower(source: &str, file: &File<'_>, naming: Naming, imports_found: &[bool]) -> Result<Lowered, Refusal> {
    for (import, found) in file.imports.iter().zip(imports_found) {
        if import.modifier.is_some() && !found {
            return Err(Refusal::new(import.at, format!("import {:?} not found", import.file)));
        }
    }
    let mut lowering = Lowering {
        file,
        naming,
        lines: Lines::new(source),
        defs: Vec::new(),
        messages: HashMap::new(),
        enums: HashMap::new(),
        facts: Facts::default(),
        has_imports: imports_found.contains(&true),
        missing: file
            .imports
            .iter()
            .zip(imports_found)
            .filter(|(_, found)| !**found)
            .map(|(import, _)| import.file)
            .collect(),
        package: file.package.filter(|package| package.split('.').all(is_identifier)),
    };
    let top = lowering.declare(&file.scope, "", "", &mut HashSet::new());
    lowering.header(imports_found);
    for def in top {
        lowering.emit(def)?;
    }
    Ok(Lowered { text: lowering.lines.text, facts: lowering.facts })
}

struct Lowering<'f, 'a> {
    file: &'f File<'a>,
    naming: Naming,
    lines: Lines<'f>,
    defs: Vec<Def<'f, 'a>>,
    messages: HashMap<String, usize>,
    enums: HashMap<String, usize>,
    facts: Facts,
    has_imports: bool,
    /// Imports that were dropped.
    missing: Vec<&'a str>,
    package: Option<&'a str>,
}

impl<'f, 'a> Lowering<'f, 'a> {
    /// Chooses names for every type of a scope and of the scopes in it. `used` holds the descriptor names taken in the scope.
    fn declare(&mut self, scope: &'f Scope<'a>, id: &str, path: &str, used: &mut HashSet<String>) -> Vec<usize> {
        let mut declared = Vec::new();
        for node in &scope.enums {
            let index = self.define(Node::Enum(node), node.name, id, path, used);
            self.enums.insert(self.id_of(index), index);
            declared.push(index);
        }
        for node in &scope.messages {
            let index = self.define(Node::Message(node), node.name, id, path, used);
            self.messages.insert(self.id_of(index), index);
            declared.push(index);
            let Some(def) = self.defs.get(index) else { continue };
            let (id, path) = (def.id.clone(), def.path.clone());
            let mut inner = HashSet::new();
            let children = self.declare(&node.scope, &id, &path, &mut inner);
            if let Some(def) = self.defs.get_mut(index) {
                def.children = children;
            }
        }
        declared
    }

    fn define(&mut self, node: Node<'f, 'a>, name: &str, id: &str, path: &str, used: &mut HashSet<String>) -> usize {
        let index = self.defs.len();
        let lowered = self.pick(name, &format!("T{index}"), used);
        self.defs.push(Def {
            node,
            id: join(id, name),
            path: join(path, &lowered),
            name: lowered,
            children: Vec::new(),
        });
        index
    }

    fn id_of(&self, index: usize) -> String {
        self.defs.get(index).map(|def| def.id.clone()).unwrap_or_default()
    }

    fn path_of(&self, index: usize) -> String {
        self.defs.get(index).map(|def| def.path.clone()).unwrap_or_default()
    }

    /// The descriptor name for `name`: `name` itself if that is allowed, else `made_up`.
    fn pick(&self, name: &str, made_up: &str, used: &mut HashSet<String>) -> String {
        let keep = match self.naming {
            Naming::Natural => true,
            Naming::Kept => is_identifier(name) && !used.contains(name),
            Naming::Safe => false,
        };
        let mut picked = if keep { name.to_owned() } else { made_up.to_owned() };
        while !keep && used.contains(&picked) {
            picked.push('_');
        }
        used.insert(picked.clone());
        picked
    }

    fn header(&mut self, imports_found: &[bool]) {
        self.lines.write("syntax = \"proto2\";");
        if let Some(package) = self.package {
            self.lines.write(&format!("package {package};"));
        }
        let file = self.file;
        for (import, found) in file.imports.iter().zip(imports_found) {
            if *found {
                self.lines.advance(import.at);
                let modifier = import.modifier.map_or(String::new(), |word| format!("{word} "));
                self.lines.write(&format!("import {modifier}\"{}\";", import.file));
            }
        }
    }

    fn emit(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(def) = self.defs.get(index) else { return Ok(()) };
        let (node, name, children) = (def.node, def.name.clone(), def.children.clone());
        match node {
            Node::Enum(node) => self.emit_enum(node, index, &name),
            Node::Message(node) => {
                self.lines.advance(node.at);
                self.lines.write(&format!("message {name} {{"));
                for child in &children {
                    self.emit(*child)?;
                }
                self.emit_fields(node, index, &children)?;
                self.lines.write("}");
            }
        }
        Ok(())
    }

    fn emit_enum(&mut self, node: &Enum<'_>, index: usize, name: &str) {
        self.lines.advance(node.at);
        let mut text = format!("enum {name} {{");
        let numbers: Vec<i32> =
            node.values.iter().map(|(_, value, _)| exact_i32(js_number(value)).unwrap_or(0)).collect();
        if numbers.iter().collect::<HashSet<_>>().len() < numbers.len() {
            text.push_str("option allow_alias = true;");
        }
        if numbers.is_empty() {
            let _ = write!(text, "E{index}_EMPTY = 0;");
        }
        for (i, number) in numbers.iter().enumerate() {
            // Enum values share the scope of their enum, so only made-up names are safe.
            let _ = write!(text, "E{index}_{i} = {number};");
        }
        text.push('}');
        self.lines.write(&text);
        let values = node.values.iter().map(|(name, value, _)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.facts.enums.insert(self.path_of(index), EnumFacts { name: node.name.to_owned(), values });
    }

    fn emit_fields(&mut self, node: &Message<'a>, index: usize, children: &[usize]) -> Result<(), Refusal> {
        let tags = self.check_tags(node)?;
        let mut used: HashSet<String> =
            children.iter().filter_map(|child| self.defs.get(*child)).map(|def| def.name.clone()).collect();
        let mut json_names = HashSet::new();
        let taken: HashSet<u32> = tags.iter().copied().collect();
        let mut spare = (1..=MAX_TAG).filter(|tag| !taken.contains(tag) && !RESERVED_TAGS.contains(tag));
        let mut facts = MessageFacts { name: node.name.to_owned(), ..MessageFacts::default() };
        let winner = self.messages.get(&self.id_of(index)).copied().filter(|winner| *winner != index);
        facts.replaced_by = winner.map(|winner| self.path_of(winner));
        let mut lowered = Vec::new();
        for (order, (field, tag)) in node.fields.iter().zip(&tags).enumerate() {
            let made_up = format!("f{order}");
            let clash = self.naming == Naming::Kept && !json_names.insert(camel_case(field.name));
            let name = self.pick(if clash { "" } else { field.name }, &made_up, &mut used);
            let number = if RESERVED_TAGS.contains(tag) { spare.next().unwrap_or(*tag) } else { *tag };
            let (text, field_facts) = self.field(field, *tag, number, &name, order, index)?;
            facts.fields.insert(name, field_facts);
            lowered.push(text);
        }
        self.write_fields(node, index, &lowered, &mut used);
        self.facts.messages.insert(self.path_of(index), facts);
        Ok(())
    }

    /// Writes the fields in order, with all members of a oneof where its first one is.
    fn write_fields(&mut self, node: &Message<'_>, index: usize, lowered: &[String], used: &mut HashSet<String>) {
        let mut written: HashSet<&str> = HashSet::new();
        let mut members: HashMap<&str, Vec<(&Field<'_>, &String)>> = HashMap::new();
        for (field, text) in node.fields.iter().zip(lowered) {
            if let Some(oneof) = field.oneof {
                members.entry(oneof).or_default().push((field, text));
            }
        }
        for (field, text) in node.fields.iter().zip(lowered) {
            let Some(oneof) = field.oneof else {
                self.lines.advance(field.at);
                self.lines.write(text);
                continue;
            };
            if !written.insert(oneof) {
                continue;
            }
            let name = self.pick(oneof, &format!("o{index}_{}", written.len()), used);
            self.lines.advance(field.at);
            self.lines.write(&format!("oneof {name} {{"));
            for (member, text) in members.get(oneof).into_iter().flatten() {
                self.lines.advance(member.at);
                self.lines.write(text);
            }
            self.lines.write("}");
        }
    }

    fn check_tags(&self, node: &Message<'_>) -> Result<Vec<u32>, Refusal> {
        let mut names = HashMap::new();
        let mut tags: HashMap<u32, &str> = HashMap::new();
        let mut result = Vec::new();
        for field in &node.fields {
            if names.insert(field.name, ()).is_some() {
                let text = format!("field {} is declared twice in message {}", field.name, node.name);
                return Err(Refusal::new(field.at, text));
            }
            let tag = exact_i32(js_number(field.tag)).and_then(|tag| u32::try_from(tag).ok());
            let Some(tag) = tag.filter(|tag| (1..=MAX_TAG).contains(tag)) else {
                let text =
                    format!("tag {} of field {} is not a whole number from 1 to {MAX_TAG}", field.tag, field.name);
                return Err(Refusal::new(field.at, text));
            };
            if let Some(other) = tags.insert(tag, field.name) {
                let text = format!("fields {other} and {} of message {} share tag {tag}", field.name, node.name);
                return Err(Refusal::new(field.at, text));
            }
            result.push(tag);
        }
        Ok(result)
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The JSON name that protobuf derives, in lower case. In a descriptor, no two fields of a message may have the same one.
fn camel_case(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

/// `number` as an i32, if it is a whole number in range.
fn exact_i32(number: f64) -> Option<i32> {
    let whole = number.fract() == 0.0 && number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX);
    #[allow(clippy::cast_possible_truncation)] // checked on the line above
    whole.then_some(number as i32)
}
