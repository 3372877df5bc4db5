//! Reads the files that a schema imports, before the compiler sees any of them. So their number, sizes and kinds are bounded here,
//! and the compiler reads nothing from disk.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Component, Path};

use protox::file::{File, FileResolver, GoogleFileResolver};

use super::nesting;
use super::protox_text;
use super::refusal::Refusal;
use super::sources::Sources;
use super::v1::lexer::{tokenize, Token};
use crate::error::SchemaError;

/// Bytes of a schema and all its imports. A text of 4 MB already takes seconds to compile.
pub(crate) const MAX_TEXT: usize = 16 * 1024 * 1024;
/// Files that a schema imports, directly or not. The largest sets in public use have some hundreds.
pub(crate) const MAX_FILES: usize = 4096;
/// Imports within imports. The compiler recurses this deep; real chains stay below thirty.
pub(crate) const MAX_IMPORT_DEPTH: usize = 256;

/// Imported texts, by import path. Built-in files are left to protox.
#[derive(Debug, Clone, Default)]
pub(crate) struct Library {
    texts: HashMap<String, String>,
    found: HashSet<String>,
}

impl Library {
    /// Reads what `text` (the schema `name`) imports, and what that imports.
    pub(crate) fn load(name: &str, text: &str, sources: &Sources) -> Result<Library, SchemaError> {
        let mut loader =
            Loader { sources, google: GoogleFileResolver::new(), library: Library::default(), left: MAX_TEXT };
        loader.take(text.len(), |message| SchemaError {
            message,
            ..Refusal::new(0, "").in_text(sources.file.clone(), text)
        })?;
        let root = imports(text).map_err(|refusal| refusal.in_text(sources.file.clone(), text))?;
        let mut stack = vec![Open { file: sources.file.clone(), text: text.to_owned(), imports: root, next: 0 }];
        while let Some(open) = stack.last_mut() {
            let Some((path, at)) = open.imports.get(open.next).cloned() else {
                stack.pop();
                continue;
            };
            open.next += 1;
            if path == name || loader.library.found.contains(&path) {
                continue;
            }
            let refuse = |message: String| Refusal::new(at, message).in_text(open.file.clone(), &open.text);
            let Some(text) = loader.read(&path, refuse)? else { continue };
            if stack.len() >= MAX_IMPORT_DEPTH {
                let open = stack.last();
                let (file, text) = open.map(|open| (open.file.clone(), open.text.as_str())).unwrap_or_default();
                let message = format!("imports are nested deeper than {MAX_IMPORT_DEPTH} files");
                return Err(Refusal::new(at, message).in_text(file, text));
            }
            let imports = imports(&text).map_err(|refusal| refusal.in_text(Some(path.clone()), &text))?;
            stack.push(Open { file: Some(path.clone()), text: text.clone(), imports, next: 0 });
            loader.library.texts.insert(path, text);
        }
        Ok(loader.library)
    }

    /// Whether an import of this path can be resolved.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.found.contains(path)
    }

    /// The library with numbers in a form that protox accepts; `None` if that changes nothing.
    pub(crate) fn with_plain_numbers(&self) -> Option<Library> {
        let plain =
            |(path, text): (&String, &String)| protox_text::plain_numbers(text).map(|plain| (path.clone(), plain));
        let changed: HashMap<String, String> = self.texts.iter().filter_map(plain).collect();
        if changed.is_empty() {
            return None;
        }
        let mut library = self.clone();
        library.texts.extend(changed);
        Some(library)
    }
}

impl FileResolver for Library {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.texts.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// A file whose imports are being read.
struct Open {
    file: Option<String>,
    text: String,
    /// Import paths, each with the byte offset of its statement.
    imports: Vec<(String, usize)>,
    next: usize,
}

struct Loader<'s> {
    sources: &'s Sources,
    google: GoogleFileResolver,
    library: Library,
    /// Bytes of text that may still be read.
    left: usize,
}

impl Loader<'_> {
    fn take(&mut self, size: usize, refuse: impl FnOnce(String) -> SchemaError) -> Result<(), SchemaError> {
        self.left = self
            .left
            .checked_sub(size)
            .ok_or_else(|| refuse(format!("the schema and its imports are larger than {MAX_TEXT} bytes")))?;
        Ok(())
    }

    /// The text at an import path, rewritten for protox; `None` if it is built in or not found.
    fn read(&mut self, path: &str, refuse: impl Fn(String) -> SchemaError) -> Result<Option<String>, SchemaError> {
        if self.library.found.len() >= MAX_FILES {
            return Err(refuse(format!("the schema imports more than {MAX_FILES} files")));
        }
        // Built-in files come first. A newer copy of them, installed with protoc, may contain what this compiler cannot read.
        if self.google.open_file(path).is_ok() {
            self.library.found.insert(path.to_owned());
            return Ok(None);
        }
        let mut text = self.sources.files.get(path).cloned();
        // protox refuses other paths, so their files are not looked at.
        let inside = Path::new(path).components().all(|component| matches!(component, Component::Normal(_)));
        for directory in self.sources.directories.iter().filter(|_| inside) {
            if text.is_some() {
                break;
            }
            text =
                read_file(&directory.join(path), self.left).map_err(|why| refuse(format!("import {path:?} {why}")))?;
        }
        let Some(text) = text else { return Ok(None) };
        self.take(text.len(), &refuse)?;
        self.library.found.insert(path.to_owned());
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(Some(protox_text::without_range_options(text)))
    }
}

/// The text of a regular file of up to `limit` bytes; `None` if there is no such file.
fn read_file(path: &Path, limit: usize) -> Result<Option<String>, String> {
    let no_text = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None)
        }
        Err(error) => return Err(no_text(error)),
    };
    // Opening a pipe would wait for its other end, and a device may never end.
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut text = String::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)).map_err(no_text)?;
    Ok(Some(text))
}

/// The paths that a text imports, each with the byte offset of its statement.
///
/// # Errors
/// Text that must not reach the compiler: it is nested too deeply, or written in an edition.
fn imports(text: &str) -> Result<Vec<(String, usize)>, Refusal> {
    nesting::check(text)?;
    let tokens = tokenize(text)?;
    if let [Token { text: "edition", at }, Token { text: "=", .. }, edition, ..] = tokens.as_slice() {
        let message = format!(
            "edition {} cannot be read: editions are not supported, write syntax = \"proto3\" or \"proto2\" instead",
            edition.text
        );
        return Err(Refusal::always(*at, message));
    }
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let follows_end = i
            .checked_sub(1)
            .and_then(|before| tokens.get(before))
            .is_none_or(|before| matches!(before.text, ";" | "}"));
        if token.text != "import" || !follows_end {
            continue;
        }
        let word = tokens.get(i + 1).map(|token| token.text);
        let path = if matches!(word, Some("public" | "weak")) { tokens.get(i + 2) } else { tokens.get(i + 1) };
        if let Some(path) = path {
            found.push((path.text.trim_matches(['"', '\'']).to_owned(), token.at));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::compile;
    use crate::error::Error;

    fn error(text: &str, sources: &Sources) -> SchemaError {
        match compile(text, sources) {
            Err(Error::Schema(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    fn chain(length: usize, statement: &str) -> Sources {
        let file =
            |i: usize| (format!("x{i}.proto"), format!("syntax = \"proto3\";\n{statement} \"x{}.proto\";", i + 1));
        let mut files: HashMap<String, String> = (0..length).map(file).collect();
        files.insert(format!("x{length}.proto"), "syntax = \"proto3\"; message X { int32 a = 1; }".to_owned());
        Sources { files, ..Sources::default() }
    }

    const USER: &str = "syntax = \"proto3\"; import \"x0.proto\"; message M { int32 a = 1; }";

    #[test]
    fn chains_of_imports_end_with_a_place() {
        for statement in ["import", "import public"] {
            compile(USER, &chain(MAX_IMPORT_DEPTH - 2, statement)).unwrap();
            let error = error(USER, &chain(10_000, statement));
            assert_eq!(error.to_string(), "x254.proto:2:1: imports are nested deeper than 256 files");
        }
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let count = MAX_FILES + 1;
        let files = (0..count).map(|i| (format!("y{i}.proto"), "syntax = \"proto3\";".to_owned())).collect();
        let text: String = (0..count).map(|i| format!("import \"y{i}.proto\";\n")).collect();
        let error = error(&format!("syntax = \"proto3\";\n{text}"), &Sources { files, ..Sources::default() });
        assert_eq!(error.to_string(), "4098:1: the schema imports more than 4096 files");
    }

    #[test]
    fn text_of_imports_counts() {
        let files = HashMap::from([("x0.proto".to_owned(), format!("//{}", "x".repeat(MAX_TEXT)))]);
        assert_eq!(
            error(USER, &Sources { files, ..Sources::default() }).to_string(),
            "1:20: the schema and its imports are larger than 16777216 bytes"
        );
        let large = format!("//{}", "x".repeat(MAX_TEXT));
        assert!(error(&large, &Sources::default()).message.contains("larger than 16777216 bytes"));
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_imported() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        std::fs::create_dir(at.join("x0.proto")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at.join("zero.proto")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at.join("fifo.proto")).status().unwrap().success());
        let sources = Sources { directories: vec![at.to_owned()], ..Sources::default() };
        for name in ["x0", "zero", "fifo"] {
            assert_eq!(
                error(&USER.replace("x0", name), &sources).to_string(),
                format!("1:20: import \"{name}.proto\" is not a regular file")
            );
        }
    }

    #[test]
    fn files_outside_of_the_folders_are_not_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret.proto"), "edition = hunter2;").unwrap();
        std::fs::create_dir(directory.path().join("inside")).unwrap();
        let sources = Sources { directories: vec![directory.path().join("inside")], ..Sources::default() };
        let absolute = directory.path().join("secret.proto");
        for path in ["../secret.proto", absolute.to_str().unwrap()] {
            let text = format!("syntax = \"proto3\"; import public \"{path}\"; message M {{ int32 a = 1; }}");
            assert!(!error(&text, &sources).message.contains("hunter2"));
        }
    }

    #[test]
    fn deep_nesting_in_an_import_has_its_place() {
        let files = HashMap::from([("x0.proto".to_owned(), format!("\n{}", "message M {".repeat(100_000)))]);
        let error = error(USER, &Sources { files, ..Sources::default() });
        assert_eq!((error.file.as_deref(), error.line), (Some("x0.proto"), 2), "{error}");
        assert!(error.message.contains("nested deeper than 64"));
    }

    #[test]
    fn editions_are_refused_by_name() {
        let text = "edition = \"2023\"; message M { int32 a = 1; }";
        assert!(error(text, &Sources::default()).message.contains("editions are not supported"));
        let files = HashMap::from([("x0.proto".to_owned(), text.to_owned())]);
        let error = error(USER, &Sources { files, ..Sources::default() });
        assert!(error.to_string().starts_with("x0.proto:1:1: edition \"2023\" cannot be read"), "{error}");
    }

    #[test]
    fn the_built_in_files_come_before_those_of_a_folder() {
        let files = HashMap::from([("google/protobuf/descriptor.proto".to_owned(), "edition = \"2024\";".to_owned())]);
        let text = "syntax = \"proto2\"; import \"google/protobuf/descriptor.proto\"; \
                    extend google.protobuf.FieldOptions { optional int32 o = 50000; } message M { optional int32 a = 1 [(o) = 1]; }";
        assert!(!compile(text, &Sources { files, ..Sources::default() }).unwrap().is_v1);
    }
}
