//! Compiles schema text: by strict protobuf's rules first, then by 1.x's.

use miette::Diagnostic;
use prost_reflect::{DescriptorPool, FileDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::build::build;
use super::imports::Library;
use super::plan::Plan;
use super::protox_text;
use super::refusal::{one_based, Refusal};
use super::sources::Sources;
use super::v1::ast;
use super::v1::facts::Facts;
use super::v1::lower::{lower, Naming};
use super::v1::parser;
use crate::error::{Error, Result, SchemaError};

/// A compiled schema.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// What encoders and decoders are made from.
    pub plan: Plan,
    /// Whether the text was read by 1.x's rules, because strict protobuf refuses it.
    pub is_v1: bool,
    pool: DescriptorPool,
}

impl Compiled {
    /// The descriptors, including imports, as a serialised `FileDescriptorSet`. Names and tags that a descriptor forbids are
    /// replaced as in the lowered text.
    #[must_use]
    pub fn descriptor_set(&self) -> Vec<u8> {
        self.pool.encode_to_vec()
    }

    /// The descriptors, for dynamic messages in standard encoding.
    #[must_use]
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }
}

/// Name of a schema that has none.
const UNNAMED: &str = "schema.proto";

/// Compiles schema text.
///
/// # Errors
/// [`Error::Schema`] with line, column and cause, for text that neither strict protobuf nor 1.x
/// accepts.
pub fn compile(text: &str, sources: &Sources) -> Result<Compiled> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let name = sources.file.as_deref().unwrap_or(UNNAMED);
    let library = Library::load(name, text, sources).map_err(Error::Schema)?;
    let parsed = parser::parse(text);
    if matches!(&parsed, Err(refusal) if refusal.message == "Unexpected token: ") {
        // Blank text is refused, as in 1.x: strict protobuf would accept it, but it is always a mistake.
        return Err(Error::Schema(SchemaError {
            file: None,
            line: 0,
            column: 0,
            message: "Unexpected token: ".to_owned(),
        }));
    }
    let strict_error = match strict(name, text, &library) {
        Ok((pool, file)) => {
            let facts = natural_facts(text, parsed.ok()).map_err(|refusal| refused(sources, text, &refusal))?;
            return Ok(Compiled { plan: build(&file, &facts), is_v1: false, pool });
        }
        Err(error) => error,
    };
    let strict = schema_error(&strict_error, name, sources);
    let ast = parsed.map_err(|refusal| Error::Schema(furthest(strict.clone(), located(sources, text, &refusal))))?;
    let found: Vec<bool> = ast.imports.iter().map(|import| library.has(import.file)).collect();
    let mut error = strict;
    for naming in [Naming::Kept, Naming::Safe] {
        let lowered = lower(text, &ast, naming, &found).map_err(|refusal| refused(sources, text, &refusal))?;
        match descriptors(name, &lowered.text, &library) {
            Ok((pool, file)) => return Ok(Compiled { plan: build(&file, &lowered.facts), is_v1: true, pool }),
            // The column would be one of the rewritten line.
            Err(lowered) => error = SchemaError { column: 1, ..schema_error(&lowered, name, sources) },
        }
    }
    Err(Error::Schema(error))
}

/// What 1.x knows of text that strict protobuf accepts; no facts if 1.x would refuse it.
fn natural_facts(text: &str, ast: Option<ast::File<'_>>) -> std::result::Result<Facts, Refusal> {
    let Some(ast) = ast else { return Ok(Facts::default()) };
    match lower(text, &ast, Naming::Natural, &vec![true; ast.imports.len()]) {
        Ok(lowered) => Ok(lowered.facts),
        Err(refusal) if refusal.always => Err(refusal),
        Err(_) => Ok(Facts::default()),
    }
}

/// Compiles valid text. Some valid text has to be rewritten first, because protox refuses it.
fn strict(
    name: &str,
    text: &str,
    library: &Library,
) -> std::result::Result<(DescriptorPool, FileDescriptor), protox::Error> {
    let text = protox_text::without_range_options(text);
    let error = match descriptors(name, &text, library) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    // Not earlier, because an enum may have a value called `inf`.
    match (protox_text::plain_numbers(&text), library.with_plain_numbers()) {
        (None, None) => Err(error),
        (plain, plain_library) => {
            let (text, library) = (plain.as_ref().unwrap_or(&text), plain_library.as_ref().unwrap_or(library));
            descriptors(name, text, library).map_err(|_| error)
        }
    }
}

/// Compiles with protox. The root file shadows an import of the same name.
fn descriptors(
    name: &str,
    text: &str,
    library: &Library,
) -> std::result::Result<(DescriptorPool, FileDescriptor), protox::Error> {
    let mut chain = ChainFileResolver::new();
    chain.add(Root(name.to_owned(), text.to_owned()));
    chain.add(library.clone());
    chain.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(chain);
    compiler.include_imports(true).open_file(name)?;
    // The pool is built again, because protox decides whether a field is packed before it has interpreted the options.
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?;
    let file = pool.get_file_by_name(name).ok_or_else(|| protox::Error::file_not_found(name))?;
    Ok((pool, file))
}

/// The schema itself: its name and text.
struct Root(String, String);

impl FileResolver for Root {
    fn open_file(&self, name: &str) -> std::result::Result<File, protox::Error> {
        if name == self.0 {
            File::from_source(name, &self.1)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// A protox error as users see it.
fn schema_error(error: &protox::Error, name: &str, sources: &Sources) -> SchemaError {
    let (mut line, mut column) = (0, 0);
    let label = error.labels().and_then(|mut labels| labels.next());
    if let (Some(label), Some(source)) = (label, error.source_code()) {
        if let Ok(contents) = source.read_span(label.inner(), 0, 0) {
            line = one_based(contents.line());
            column = one_based(contents.column());
        }
    }
    let help = error.help().map(|help| format!(" ({help})")).unwrap_or_default();
    let file = error.file().filter(|file| *file != name || sources.file.is_some()).map(str::to_owned);
    SchemaError { file, line, column, message: format!("{error}{help}") }
}

fn refused(sources: &Sources, text: &str, refusal: &Refusal) -> Error {
    Error::Schema(located(sources, text, refusal))
}

fn located(sources: &Sources, text: &str, refusal: &Refusal) -> SchemaError {
    refusal.in_text(sources.file.clone(), text)
}

/// The error of the reader that got further, since it explains more.
fn furthest(strict: SchemaError, v1: SchemaError) -> SchemaError {
    let in_root = strict.file == v1.file;
    if in_root && (strict.line, strict.column) < (v1.line, v1.column) {
        v1
    } else {
        strict
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::codec::TypeRef;

    fn accepted(text: &str) -> Compiled {
        compile(text, &Sources::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> SchemaError {
        match compile(text, &Sources::default()) {
            Err(Error::Schema(error)) => error,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn keys(compiled: &Compiled) -> Vec<&str> {
        compiled.plan.top.iter().map(|named| named.name.as_str()).collect()
    }

    #[test]
    fn valid_text_is_not_read_by_1x_rules() {
        for text in ["syntax = \"proto3\"; message M { int32 a = 1; }", "message M { optional int32 a = 1; }"] {
            assert!(!accepted(text).is_v1, "{text}");
        }
        assert!(accepted("message M { int32 a = 1; }").is_v1);
    }

    #[test]
    fn what_a_descriptor_forbids_comes_back_as_written() {
        let compiled =
            accepted("enum A-1 { X = 0; X2 = 0x10; } enum B { X = 5; X2 = 1.5; } message My-Msg { int32 a = 1; }");
        assert_eq!(keys(&compiled), ["A-1", "B", "My-Msg"]);
        assert_eq!(
            compiled.plan.enums[1].values,
            [("X".to_owned(), "5".to_owned()), ("X2".to_owned(), "1.5".to_owned())]
        );
        let clash = accepted("message M { int32 fooBar = 1; int32 foo_bar = 19500; }");
        let fields: Vec<(&str, u32)> =
            clash.plan.messages[0].fields.iter().map(|field| (field.name.as_str(), field.tag)).collect();
        assert_eq!(fields, [("fooBar", 1), ("foo_bar", 19500)]);
    }

    #[test]
    fn octal_numbers_are_decimal_in_1x_and_octal_in_the_standard() {
        let plan = accepted("message M { optional int32 a = 010; } enum E { C = 010; }").plan;
        assert_eq!((plan.messages[0].fields[0].tag, plan.messages[0].fields[0].standard_tag), (10, Some(8)));
        assert_eq!(plan.enums[0].standard, [("C".to_owned(), 8)]);
        assert_eq!(plan.enums[0].values[0].1, "010");
    }

    #[test]
    fn enum_values_keep_the_order_they_are_declared_in() {
        for label in ["", "optional "] {
            let plan = accepted(&format!("enum E {{ A = 160; B = 1; C = 5; }} message M {{ {label}E e = 1; }}")).plan;
            let standard: Vec<(&str, i32)> =
                plan.enums[0].standard.iter().map(|(name, number)| (name.as_str(), *number)).collect();
            assert_eq!(standard, [("A", 160), ("B", 1), ("C", 5)]);
        }
    }

    #[test]
    fn keys_follow_1x_enums_messages_map_entries() {
        let plan = accepted("message M { map<string, int32> a = 1; map<string, int32> b = 2; message N { map<int32, M> c = 1; } } enum E { A = 0; }");
        assert_eq!(keys(&plan), ["E", "M", "Map_string_int32"]);
        let nested: Vec<&str> = plan.plan.messages[0].nested.iter().map(|named| named.name.as_str()).collect();
        assert_eq!(nested, ["N", "Map_int32_M"]);
    }

    #[test]
    fn the_last_of_two_messages_wins_in_the_place_of_the_first() {
        let compiled = accepted("message M { int32 a = 1; } message N { M m = 1; } message M { string b = 2; }");
        let TypeRef::Message(index) = compiled.plan.top[0].kind else { panic!("no message") };
        assert_eq!(compiled.plan.messages[index].fields[0].name, "b");
    }

    #[test]
    fn extensions_are_fields_at_the_end_of_their_message() {
        for text in [
            "message M { extensions 10 to 20; optional int32 a = 30; } extend M { optional int32 b = 10; }",
            "extend M { int32 b = 10; } message M { extensions 10 to 20; int32 a = 30; }",
        ] {
            let plan = accepted(text).plan;
            let names: Vec<&str> = plan.messages[0].fields.iter().map(|field| field.name.as_str()).collect();
            assert_eq!(names, ["a", "b"], "{text}");
        }
    }

    #[test]
    fn only_the_listed_classes_are_refused_with_their_place() {
        for (text, line, column, message) in [
            ("message M {\n  int32 a = 0;\n}", 2, 3, "tag 0 of field a is not a whole number from 1 to 536870911"),
            ("message M { int32 a = -5; }", 1, 13, "tag -5 of field a is not a whole number from 1 to 536870911"),
            ("message M { int32 a = 1.5; }", 1, 13, "tag 1.5 of field a is not a whole number from 1 to 536870911"),
            (
                "message M { int32 a = 536870912; }",
                1,
                13,
                "tag 536870912 of field a is not a whole number from 1 to 536870911",
            ),
            ("message M { int32 a = 1; int32 b = 1; }", 1, 26, "fields a and b of message M share tag 1"),
            ("message M { int32 a = 1; int32 a = 2; }", 1, 26, "field a is declared twice in message M"),
            (
                "message M { map<float, int32> m = 1; }",
                1,
                13,
                "map m cannot be keyed by float: use an integer type, bool or string",
            ),
            ("message M { Nope a = 1; }", 1, 13, "Could not resolve Nope"),
        ] {
            let error = error(text);
            assert_eq!((error.line, error.column, error.message.as_str()), (line, column, message), "{text}");
        }
    }

    #[test]
    fn an_error_of_protox_names_place_and_cause() {
        let error = error("syntax = \"proto3\";\nmessage M {\n  int32 a = 1\n}");
        assert_eq!((error.line, error.column), (4, 1), "{error}");
    }

    #[test]
    fn blank_text_is_refused_as_in_1x() {
        for text in ["", " ", "// nothing", "\u{feff}\n"] {
            assert_eq!(error(text).to_string(), "Unexpected token: ", "{text:?}");
        }
    }

    #[test]
    fn imports_come_from_texts_directories_and_the_well_known_types() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("b.proto"), "syntax = \"proto3\"; package b; message B { int32 x = 1; }")
            .unwrap();
        let sources = Sources {
            files: HashMap::from([(
                "a.proto".to_owned(),
                "import public \"b.proto\"; message A { optional b.B b = 1; }".to_owned(),
            )]),
            directories: vec![directory.path().to_owned()],
            ..Sources::default()
        };
        for text in [
            "syntax = \"proto3\"; import \"a.proto\"; import \"google/protobuf/timestamp.proto\"; message M { A a = 1; b.B b = 2; google.protobuf.Timestamp t = 3; }",
            // The same without labels or syntax, read by 1.x's rules.
            "import \"a.proto\"; import \"nowhere.proto\"; message M { A a = 1; b.B b = 2; }",
        ] {
            let compiled = compile(text, &sources).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(keys(&compiled), ["M"]);
            assert!(compiled.plan.messages.iter().any(|message| message.full == "b.B"), "{text}");
        }
    }

    #[test]
    fn an_any_brings_the_messages_of_the_imports() {
        let imports =
            "syntax = \"proto3\"; import \"google/protobuf/any.proto\"; import \"google/protobuf/duration.proto\";";
        for (field, known) in [("google.protobuf.Any a", true), ("int32 a", false)] {
            let plan = accepted(&format!("{imports} message M {{ {field} = 1; }}")).plan;
            assert_eq!(
                plan.messages.iter().any(|message| message.full == "google.protobuf.Duration"),
                known,
                "{field}"
            );
        }
    }

    #[test]
    fn qualified_names_are_those_that_were_written() {
        let plan =
            accepted("package p; message My-Msg { message A-1 { enum E-2 { X = 0; } E-2 e = 1; } A-1 a = 1; }").plan;
        let names: Vec<&str> = plan.messages.iter().map(|message| message.full.as_str()).collect();
        assert_eq!(names, ["p.My-Msg", "p.My-Msg.A-1"]);
        assert_eq!(plan.enums[0].full, "p.My-Msg.A-1.E-2");
    }

    #[test]
    fn packages_qualify_references_by_1x_rules_too() {
        let compiled = accepted(
            "package a.b; message A { int32 x = 1; } message M { a.b.A x = 1; b.A y = 2; .a.b.A z = 3; A w = 4; }",
        );
        assert!(compiled.plan.messages[1].fields.iter().all(|field| field.kind == TypeRef::Message(0)));
    }

    #[test]
    fn no_truncation_of_a_schema_panics() {
        let text = "syntax = \"proto3\"; package p; message M { oneof o { int32 a = 1; string b = 2; } map<string, E> m = 3; M.E e = 4 [default = Y]; \
                    enum E { X = 0; Y = 19; } reserved 7; required varint v = 19001; } extend M { int32 z = 9; } service S { rpc A (M) returns (M); }";
        for end in 0..=text.len() {
            let _ = compile(&text[..end], &Sources::default());
        }
    }
}
