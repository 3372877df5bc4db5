//! Restoring a backup: checks everything that the manifest states, and lets the store go on in a new log.
//!
//! If the original still exists somewhere, or peers have entries of its log that came after the backup, a copy that went on in the
//! same log would fork it. So a commit that names another log is added to the newest segment before the store can be opened.
//!
//! Segment 1 gets its name last. Until then nobody can open the folder as a store.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::backup::{hash, read_manifest};
use super::disk::{Disk, File};
use super::folder::{LOCK, LOST_AND_FOUND, RESTORING};
use super::index::Index;
use super::layout::{begin_group, end_group, GroupHeader, Salt, HEADER_LEN};
use super::manifest::{hex, Manifest, SegmentCopy, MANIFEST};
use super::record::RecordWriter;
use super::segments::{name_of, number_of, read_header};
use super::{EmbeddedOptions, EmbeddedStore};
use crate::error::{Error, Result};
use crate::node::{Digest, LogId};
use crate::store::log_set::digest_of;
use crate::store::{Meta, Progress, Restored, Store};

/// Restores the backup in the folder `backup` as a new store in the folder `path`, which is missing or empty. `new_log` gives the
/// id of the log in which the store goes on, from the id of the log in which it was.
///
/// # Errors
/// `Damaged` if the backup is not what was written; `InvalidArgument` if `path` is in use; `Storage` if the medium fails. A restore
/// that failed, or was cut short, can be repeated.
pub fn restore(
    backup: &Path,
    path: &Path,
    options: &EmbeddedOptions,
    new_log: &dyn Fn(Option<&str>) -> Result<LogId>,
    progress: Progress<'_>,
) -> Result<Restored> {
    let disk = &options.disk;
    let manifest = read_manifest(disk.as_ref(), backup)?;
    let log = new_log(manifest.log.as_deref())?;
    let guard = {
        prepare(disk.as_ref(), path)?;
        let guard = disk.lock(&path.join(LOCK)).map_err(|error| Error::storage_at("lock the folder", path, error))?;
        guard.ok_or_else(|| Error::Locked { path: path.display().to_string() })?
    };
    // Another process may have been here before the folder was locked.
    prepare(disk.as_ref(), path)?;
    clear(disk.as_ref(), path)?;
    let total = manifest.segments.iter().map(|segment| segment.bytes).fold(0, u64::saturating_add);
    let mut done = 0;
    let newest = manifest.segments.len();
    for segment in manifest.segments.iter().rev() {
        let added = (segment.number as usize == newest).then_some(&log);
        copy(disk.as_ref(), backup, path, &manifest, segment, added)?;
        done += segment.bytes;
        progress(done, total);
    }
    drop(guard);
    match compare(path, options, &manifest) {
        Ok(digest) => Ok(Restored { change: manifest.change, digest, log }),
        Err(error) => {
            // What is not what the manifest says is no store. If it cannot be removed, the error tells enough.
            let _ = disk.remove(&path.join(name_of(1)));
            let _ = Index::discard(&disk.index_dir(path));
            Err(if error.is_transient() {
                error
            } else {
                Error::damaged_file(&backup.join(MANIFEST), None, error.to_string())
            })
        }
    }
}

/// Opens the restored store, which makes its index, and compares it with the manifest. Returns the digest of both.
fn compare(path: &Path, options: &EmbeddedOptions, manifest: &Manifest) -> Result<Digest> {
    let store = EmbeddedStore::open(path, options, &mut |_, _| {})?;
    let state = store.state()?;
    store.close()?;
    let (end, digest) = (state.end, digest_of(state.logs));
    if (end, hex(&digest.0)) == (manifest.end(), manifest.digest.clone()) {
        return Ok(digest);
    }
    Err(Error::damaged(format!("change {}", end.change), "the manifest lists another end or digest"))
}

/// Creates the folder, and refuses one that holds anything but an unfinished restore.
fn prepare(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(path).map_err(|error| Error::storage_at("create the folder", path, error))
        }
        Err(error) => Err(Error::storage_at("open the folder", path, error)),
        Ok(names) => {
            let unfinished = |name: &str| number_of(name).is_some_and(|number| number > 1);
            let ours = |name: &str| [RESTORING, LOCK, LOST_AND_FOUND].contains(&name) || unfinished(name);
            match names.iter().find(|name| !ours(name)) {
                None => Ok(()),
                Some(name) => Err(Error::InvalidArgument(format!(
                    "{} holds {name:?}: restore into a folder that is missing or empty",
                    path.display()
                ))),
            }
        }
    }
}

/// Removes what an unfinished restore has left, which may have been that of a longer backup. From now on the folder cannot be opened
/// as a store.
fn clear(disk: &dyn Disk, path: &Path) -> Result<()> {
    let failed = |error| Error::storage_at("prepare the folder", path, error);
    for name in disk.list(path).map_err(failed)? {
        if name == RESTORING || number_of(&name).is_some() {
            disk.remove(&path.join(name)).map_err(failed)?;
        }
    }
    disk.create(&path.join(RESTORING)).and_then(|_| disk.sync_dir(path)).map_err(failed)
}

/// Copies a segment, durably. If it is the newest, a commit is added that names `log`.
fn copy(
    disk: &dyn Disk,
    backup: &Path,
    path: &Path,
    manifest: &Manifest,
    segment: &SegmentCopy,
    log: Option<&LogId>,
) -> Result<()> {
    let source = backup.join(segment.file());
    let damaged = |detail: String| Error::damaged_file(&source, None, detail);
    let (file, header) = read_header(disk, &source)?;
    if header.number != segment.number || hex(&header.store) != manifest.store {
        return Err(damaged("it is not the segment that the manifest lists".to_owned()));
    }
    if segment.bytes < HEADER_LEN
        || file.size().map_err(|error| Error::storage_at("read", &source, error))? < segment.bytes
    {
        return Err(damaged(format!("the manifest lists {} bytes of it", segment.bytes)));
    }
    let (unfinished, whole) = (path.join(RESTORING), path.join(name_of(segment.number)));
    let failed = |error| Error::storage_at("write", &whole, error);
    let target = disk.create(&unfinished).map_err(failed)?;
    let found = hash(&file, segment.bytes, Some(target.as_ref())).map_err(failed)?;
    if found != segment.blake3 {
        return Err(damaged("its content does not have the hash that the manifest lists".to_owned()));
    }
    if let Some(log) = log {
        add_log_id(target.as_ref(), Salt::new(&header.store, header.number), segment.bytes, manifest, log)
            .map_err(failed)?;
    }
    let finish = || {
        target.sync()?;
        // All other segments have their names before the first one gets its own.
        disk.sync_dir(path)?;
        disk.rename(&unfinished, &whole)?;
        disk.sync_dir(path)
    };
    finish().map_err(failed)
}

/// Appends a commit that sets the id of the local log.
fn add_log_id(file: &dyn File, salt: Salt, at: u64, manifest: &Manifest, log: &LogId) -> io::Result<()> {
    let mut group = Vec::new();
    begin_group(&mut group, at, GroupHeader { synced: at, base: manifest.end() });
    let id = Bytes::copy_from_slice(log.as_bytes());
    RecordWriter { out: &mut group, salt, base: at }.fact(&Meta::LogId, Some(&id));
    end_group(&mut group, salt, at);
    file.write_at(&group, at)
}
