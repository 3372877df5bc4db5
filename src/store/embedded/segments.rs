//! Segment files: names, opening, creating, and a bounded number of them kept open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use super::disk::{Disk, File};
use super::layout::{begin_group, end_group, GroupHeader, Salt, SegmentHeader, HEADER_LEN};
use super::record::RecordWriter;
use crate::error::{Error, Result};
use crate::node::Key;
use crate::row::Position;

/// Segments kept open for reading. Readers rarely use more than one each; 16 leave room for slow ones.
const OPEN_SEGMENTS: usize = 16;

const PREFIX: &str = "segment-";
const TEMPORARY: &str = ".new";

/// File name of a segment.
pub(super) fn name_of(number: u32) -> String {
    format!("{PREFIX}{number:010}")
}

/// Number of the segment with this name.
pub(super) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?;
    let number = digits.parse().ok()?;
    (digits.len() == 10 && number > 0).then_some(number)
}

/// Whether this is a segment that was never completed.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_suffix(TEMPORARY).is_some_and(|name| number_of(name).is_some())
}

/// An open segment.
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    pub(super) salt: Salt,
    pub(super) header: SegmentHeader,
    /// The end of its data, known once the next segment's header has been read.
    sealed_end: OnceCell<u64>,
}

impl Segment {
    /// An I/O failure on this file.
    pub(super) fn failed(&self, action: &str, error: io::Error) -> Error {
        Error::storage_at(action, &self.path, error)
    }

    /// Damage at an offset of this file.
    pub(super) fn damaged(&self, offset: u64, detail: impl Into<String>) -> Error {
        Error::damaged_file(&self.path, Some(offset), detail)
    }

    /// Reads exactly `len` bytes, or fewer at the end of the file.
    pub(super) fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut buffer = vec![0; len];
        let read = self.file.read_at(&mut buffer, offset).map_err(|error| self.failed("read", error))?;
        buffer.truncate(read);
        Ok(buffer)
    }
}

/// The segment files of one store.
pub(super) struct Segments {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) store: [u8; 16],
    /// Most recently used last.
    open: Mutex<Vec<Arc<Segment>>>,
}

impl Segments {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, store: [u8; 16]) -> Self {
        Segments { disk, dir: dir.to_owned(), store, open: Mutex::new(Vec::new()) }
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.dir.join(name_of(number))
    }

    /// Opens a segment and checks that it is this store's.
    pub(super) fn get(&self, number: u32) -> Result<Arc<Segment>> {
        let mut open = self.open.lock();
        if let Some(index) = open.iter().position(|segment| segment.number == number) {
            let segment = open.remove(index);
            open.push(segment.clone());
            return Ok(segment);
        }
        drop(open);
        let segment = Arc::new(self.load(number)?);
        self.keep(segment.clone());
        Ok(segment)
    }

    /// Opens a segment, unless there is no such file (yet).
    pub(super) fn find(&self, number: u32) -> Result<Option<Arc<Segment>>> {
        match self.disk.open(&self.path(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => self.get(number).map(Some),
        }
    }

    /// Closes the files that are not being read at the moment.
    pub(super) fn release(&self) {
        self.open.lock().clear();
    }

    fn keep(&self, segment: Arc<Segment>) {
        let mut open = self.open.lock();
        open.retain(|other| other.number != segment.number);
        if open.len() >= OPEN_SEGMENTS {
            open.remove(0);
        }
        open.push(segment);
    }

    fn load(&self, number: u32) -> Result<Segment> {
        let path = self.path(number);
        let (file, header) = read_header(self.disk.as_ref(), &path)?;
        if header.number != number || header.store != self.store {
            let detail = format!(
                "the header is that of segment {} of {}",
                header.number,
                if header.store == self.store { "this store" } else { "another store" }
            );
            return Err(Error::damaged_file(&path, Some(0), detail));
        }
        Ok(Segment { number, path, file, salt: Salt::new(&self.store, number), header, sealed_end: OnceCell::new() })
    }

    /// The end of the data of a segment that has a successor.
    pub(super) fn sealed_end(&self, segment: &Segment) -> Result<u64> {
        let end = segment.sealed_end.get_or_try_init(|| Ok(self.get(segment.number + 1)?.header.previous_end));
        end.copied()
    }

    /// Creates a segment that continues after the last node `last` and `streams` streams. Once this returns, it is on the medium,
    /// including its name.
    ///
    /// It is written under another name first, so that every segment with its final name has a complete beginning. Returns it and
    /// where its data end.
    pub(super) fn create(
        &self,
        number: u32,
        base: Position,
        previous_end: u64,
        (last, streams): (&Key, u32),
    ) -> Result<(Arc<Segment>, u64)> {
        let path = self.path(number);
        let temporary = self.dir.join(format!("{}{TEMPORARY}", name_of(number)));
        let header = SegmentHeader { number, store: self.store, base, previous_end };
        let salt = Salt::new(&self.store, number);
        let mut bytes = header.encode();
        let mut group = Vec::new();
        begin_group(&mut group, HEADER_LEN, GroupHeader { synced: HEADER_LEN, base });
        RecordWriter { out: &mut group, salt, base: HEADER_LEN }.segment_start(last, streams);
        end_group(&mut group, salt, HEADER_LEN);
        bytes.extend_from_slice(&group);
        let write = || {
            let file = self.disk.create(&temporary)?;
            file.write_at(&bytes, 0)?;
            file.sync()?;
            self.disk.rename(&temporary, &path)?;
            self.disk.sync_dir(&self.dir)?;
            Ok(file)
        };
        let file = write().map_err(|error| {
            // The incomplete file takes space, which may be what is lacking. If it cannot be removed now, the next opening removes
            // it.
            let _ = self.disk.remove(&temporary);
            Error::storage_at("create", &path, error)
        })?;
        let segment = Arc::new(Segment { number, path, file, salt, header, sealed_end: OnceCell::new() });
        self.keep(segment.clone());
        Ok((segment, bytes.len() as u64))
    }
}

/// Opens a file and reads its segment header.
pub(super) fn read_header(disk: &dyn Disk, path: &Path) -> Result<(Arc<dyn File>, SegmentHeader)> {
    let read = || {
        let file = disk.open(path)?;
        let mut bytes = vec![0; usize::try_from(HEADER_LEN).unwrap_or(64)];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok((file, bytes))
    };
    let (file, bytes) = match read() {
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => {
            return Err(Error::damaged_file(path, None, "the file is missing"));
        }
        read => read.map_err(|error| Error::storage_at("read", path, error))?,
    };
    let header = SegmentHeader::decode(&bytes);
    let header = header.map_err(|detail| Error::damaged_file(path, Some(0), detail))?;
    Ok((file, header))
}
