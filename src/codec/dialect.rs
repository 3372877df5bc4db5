//! The 1.x dialect: text that 1.x accepted and protox does not, rewritten as strict proto2.
//!
//! What a descriptor forbids is renamed (odd identifiers, enums sharing value names, `fooBar` beside `foo_bar`,
//! duplicate messages) or lowered (reserved tags, odd enum values, defaults only 1.x can read); [`Facts`] maps it back.
//! Every statement stays on its line, so that an error protox still finds points into the user's text.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::facts::{EnumFacts, Facts, FieldFacts, MessageFacts};
use super::legacy::{js_number, Enum, Field, File, Message, Refusal, Scope};
use super::MAX_TAG;

/// How descriptor names are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The text is valid as it stands: every name is kept.
    Natural,
    /// Names that are legal and free are kept.
    Kept,
    /// Every name is made up: for text in which a legal name confuses the strict parser.
    Safe,
}

/// The tags protobuf keeps for itself.
const RESERVED_TAGS: std::ops::RangeInclusive<u32> = 19_000..=19_999;

/// What a type name means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Scalar(&'static str),
    Message(usize),
    Enum(usize),
    /// Left to protox, which knows the imports.
    Imported,
}

/// A declared type.
struct Def<'f, 'a> {
    node: Node<'f, 'a>,
    /// 1.x's id: names joined by dots, package not included.
    id: String,
    /// Descriptor path, package not included.
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

/// The outcome of reading a file in the dialect.
pub(crate) struct Lowered {
    /// Strict proto2; empty under [`Naming::Natural`].
    pub text: String,
    /// How to map it back.
    pub facts: Facts,
}

/// Checks `file` and rewrites it.
///
/// `imports_found` says for each import whether it can be resolved: 1.x never read imports, so a plain one that is
/// missing is dropped.
///
/// # Errors
/// The refused classes: tags out of range, fractional or duplicate; duplicate field names; maps keyed by a
/// floating-point type, bytes or a message; names that resolve to nothing.
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
    /// Names every type of a scope, nested ones included. `used` holds the descriptor names taken in the scope.
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

    /// A descriptor name for `name`: itself where that is allowed, `made_up` otherwise.
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
            // Enum values share the scope of their enum, so made-up names are the only safe ones.
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

    /// Writes fields in order, the members of a oneof together where its first one stands.
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

    /// The strict text of one field, numbered `number`, and its facts.
    fn field(
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

    /// What `name` means in the scope of the message with 1.x id `scope`: innermost scope first, then outward.
    fn resolve(&self, name: &str, scope: &str, at: usize) -> Result<Meaning, Refusal> {
        if let Some(scalar) = scalar(name) {
            return Ok(Meaning::Scalar(scalar));
        }
        if let Some(absolute) = name.strip_prefix('.') {
            if let Some(found) = self.lookup(absolute).or_else(|| self.lookup_qualified(absolute)) {
                return Ok(found);
            }
        }
        let mut inner = Some(scope);
        while let Some(scope) = inner {
            if let Some(found) = self.lookup(&join(scope, name)) {
                return Ok(found);
            }
            inner = scope.rfind('.').and_then(|dot| scope.get(..dot)).or((!scope.is_empty()).then_some(""));
        }
        if let Some(found) = self.lookup_qualified(name) {
            return Ok(found);
        }
        if self.has_imports && name.strip_prefix('.').unwrap_or(name).split('.').all(is_identifier) {
            return Ok(Meaning::Imported);
        }
        let missing: Vec<String> = self.missing.iter().map(|file| format!("import {file:?} not found")).collect();
        let hint = if missing.is_empty() { String::new() } else { format!(" ({})", missing.join(", ")) };
        Err(Refusal::new(at, format!("Could not resolve {name}{hint}")))
    }

    /// `name` with the package, or its last parts, in front.
    fn lookup_qualified(&self, name: &str) -> Option<Meaning> {
        let package = self.file.package?;
        let suffixes =
            std::iter::once(package).chain(package.match_indices('.').filter_map(|(dot, _)| package.get(dot + 1..)));
        suffixes.filter_map(|suffix| name.strip_prefix(suffix)?.strip_prefix('.')).find_map(|rest| self.lookup(rest))
    }

    fn lookup(&self, id: &str) -> Option<Meaning> {
        let message = self.messages.get(id).copied().map(Meaning::Message);
        message.or_else(|| self.enums.get(id).copied().map(Meaning::Enum))
    }
}

/// Text whose statements stay on the lines they came from.
struct Lines<'s> {
    source: &'s str,
    /// Bytes of the source whose line feeds are already in `text`.
    passed: usize,
    text: String,
}

impl<'s> Lines<'s> {
    fn new(source: &'s str) -> Self {
        Lines { source, passed: 0, text: String::new() }
    }

    /// Moves to the line of byte `at`, unless it was passed already.
    fn advance(&mut self, at: usize) {
        if let Some(between) = self.source.as_bytes().get(self.passed..at) {
            self.text.extend(between.iter().filter(|byte| **byte == b'\n').map(|_| '\n'));
            self.passed = at;
        }
    }

    fn write(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push(' ');
    }
}

/// The scalar that 1.x takes `name` for, declared messages of that name notwithstanding.
fn scalar(name: &str) -> Option<&'static str> {
    const SCALARS: [&str; 15] = [
        "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
        "sfixed64", "bool", "string", "bytes",
    ];
    if matches!(name, "varint" | "enum") {
        return Some("uint64");
    }
    SCALARS.into_iter().find(|scalar| *scalar == name)
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

/// The JSON name protobuf derives, letter case dropped: descriptors demand that fields differ in it.
fn camel_case(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

/// `number` as an i32 when it is exactly one.
fn exact_i32(number: f64) -> Option<i32> {
    let whole = number.fract() == 0.0 && number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX);
    #[allow(clippy::cast_possible_truncation)] // checked on the line above
    whole.then_some(number as i32)
}
