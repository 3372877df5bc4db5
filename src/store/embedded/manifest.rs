//! What a backup consists of: the file `backup.json`. A folder without it is no backup.

use serde::{Deserialize, Serialize};

use crate::node::{Change, Digest, Seq};
use crate::row::Position;

/// Name of the file.
pub(super) const MANIFEST: &str = "backup.json";

/// Largest manifest that is read, in bytes: two million logs take as much. Anything larger was not written by a backup.
const MAX_MANIFEST: u64 = 256 << 20;

/// What the file says it is.
const KIND: &str = "hyperemitter backup";

/// Version of the layout of backups. Another one is refused.
const FORMAT: u32 = 1;

/// The content of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    kind: String,
    format: u32,
    /// When the backup was finished, in milliseconds since 1970.
    pub(super) created: u64,
    /// The store's random id, hexadecimal.
    pub(super) store: String,
    /// The position up to which it goes.
    pub(super) change: Change,
    pub(super) duplicate: u32,
    /// The digest over all logs there.
    pub(super) digest: String,
    /// The log to which the store appended, if it had one.
    pub(super) log: Option<String>,
    pub(super) logs: Vec<LogEnd>,
    pub(super) segments: Vec<SegmentCopy>,
}

/// Where a log ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogEnd {
    pub(super) log: String,
    pub(super) seq: Seq,
    pub(super) digest: String,
}

/// A segment of the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentCopy {
    /// Its number; numbers count up from 1.
    pub(super) number: u32,
    /// How many of the file's bytes belong to the backup.
    pub(super) bytes: u64,
    /// BLAKE3 of these bytes, hexadecimal.
    pub(super) blake3: String,
}

impl SegmentCopy {
    /// Name of the file. It differs from the name in the store, so that nobody opens a backup as a store and writes to it.
    pub(super) fn file(&self) -> String {
        file_of(self.number)
    }
}

/// Name of a segment's file in a backup.
pub(super) fn file_of(number: u32) -> String {
    format!("{number:010}.segment")
}

/// The number in such a name.
pub(super) fn number_of_file(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".segment")?;
    let number = digits.parse().ok()?;
    (digits.len() == 10 && number > 0).then_some(number)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Manifest {
    pub(super) fn new(store: &[u8; 16], at: Position, digest: Digest, created: u64) -> Self {
        Manifest {
            kind: KIND.to_owned(),
            format: FORMAT,
            created,
            store: hex(store),
            change: at.change,
            duplicate: at.duplicate,
            digest: hex(&digest.0),
            log: None,
            logs: Vec::new(),
            segments: Vec::new(),
        }
    }

    /// The position up to which the backup goes.
    pub(super) fn end(&self) -> Position {
        Position { change: self.change, duplicate: self.duplicate }
    }

    pub(super) fn to_text(&self) -> String {
        // Serializing numbers, texts and lists does not fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads a manifest. The error says why it cannot be used.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| format!("it is unreadable: {error}"))?;
        if manifest.kind != KIND {
            return Err(format!("it is no {KIND}"));
        }
        if manifest.format != FORMAT {
            return Err(format!(
                "it has format {}, this version of hyperemitter reads format {FORMAT}",
                manifest.format
            ));
        }
        let complete = (1..).zip(&manifest.segments).all(|(number, segment)| segment.number == number);
        if !complete || manifest.segments.is_empty() {
            return Err("it does not list all segments".to_owned());
        }
        Ok(manifest)
    }

    /// Whether a file of this size can be a manifest.
    pub(super) fn fits(bytes: u64) -> bool {
        bytes <= MAX_MANIFEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(&[7; 16], Position { change: 9, duplicate: 2 }, Digest([1; 32]), 5);
        manifest.segments.push(SegmentCopy { number: 1, bytes: 64, blake3: "00".repeat(32) });
        manifest
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = manifest();
        assert_eq!(Manifest::read(manifest.to_text().as_bytes()), Ok(manifest));
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_a_reason() {
        let text = manifest().to_text();
        let cut = &text[..text.len() / 2];
        for (text, why) in [
            (cut.to_owned(), "unreadable"),
            (text.replace("hyperemitter backup", "letter"), "no hyperemitter backup"),
            (text.replace("\"format\": 1", "\"format\": 2"), "format 2"),
            (text.replace("\"number\": 1", "\"number\": 2"), "all segments"),
        ] {
            let error = Manifest::read(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(Manifest::fits(MAX_MANIFEST) && !Manifest::fits(MAX_MANIFEST + 1));
    }

    #[test]
    fn only_names_of_segments_are_names_of_segments() {
        assert_eq!(number_of_file(&file_of(12)), Some(12));
        for name in ["0000000000.segment", "12.segment", "0000000012.segment.new", "segment-0000000012"] {
            assert_eq!(number_of_file(name), None, "{name}");
        }
    }
}
