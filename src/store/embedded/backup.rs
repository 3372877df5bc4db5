//! Backups: a copy of the log up to one durable commit, made while the store is in use.
//!
//! Segments that are complete never change, so they are linked if the file system can do that, and copied otherwise. The newest one
//! is copied up to the end of the commit. The manifest is written last, and replaced atomically. Segments only grow, so the
//! files of an unfinished run still begin with what the manifest of the last run lists: a backup that was cut short is the last
//! whole one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::core::Core;
use super::disk::{Disk, File, Guard};
use super::folder::{LOCK, LOST_AND_FOUND};
use super::groups::{Groups, Step};
use super::layout::{Location, HEADER_LEN};
use super::manifest::{file_of, hex, number_of_file, LogEnd, Manifest, SegmentCopy, MANIFEST};
use super::segments::Segment;
use crate::error::{Error, Result};
use crate::store::log_set::digest_of;
use crate::store::{BackedUp, Meta, Progress, StoreState};

/// Ending of a file that is being written.
const UNFINISHED: &str = ".new";

/// Bytes copied at a time.
const COPY: usize = 1 << 20;

/// The store at one durable commit.
struct Snapshot {
    end: Location,
    state: StoreState,
    log: Option<String>,
}

/// A folder for a backup, locked.
struct Target<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    /// The backup that it holds.
    last: Option<Manifest>,
    /// Keeps other backups out.
    _guard: Box<dyn Guard>,
}

/// Makes a backup of an open store in the folder `path`, or brings the one in it up to date. With `copy`, nothing is linked.
pub(super) fn backup(
    disk: &dyn Disk,
    core: &Core,
    path: &Path,
    copy: bool,
    progress: Progress<'_>,
) -> Result<BackedUp> {
    let snapshot = Snapshot::of(core)?;
    let target = Target::open(disk, path)?;
    let digest = digest_of(snapshot.state.logs.clone());
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    let at = snapshot.state.end;
    let mut manifest = Manifest::new(&core.segments.store, at, digest, u64::try_from(created).unwrap_or(0));
    manifest.log = snapshot.log;
    let end =
        |head: &crate::row::LogHead| LogEnd { log: head.log.to_string(), seq: head.seq, digest: hex(&head.digest.0) };
    manifest.logs = snapshot.state.logs.iter().map(end).collect();
    manifest.logs.sort_by(|a, b| a.log.cmp(&b.log));
    target.check(core, &snapshot.end, &manifest)?;

    let total = total(core, snapshot.end)?;
    let mut made = BackedUp { change: at.change, digest, bytes: total, added: 0 };
    let mut done = 0;
    for number in 1..=snapshot.end.segment {
        let segment = core.segments.get(number)?;
        let sealed = number < snapshot.end.segment;
        let bytes = if sealed { core.segments.sealed_end(&segment)? } else { snapshot.end.offset };
        let kept = target.kept(number, bytes);
        let blake3 = match kept {
            Some(blake3) => blake3,
            None => {
                whole(&segment, bytes)?;
                made.added += bytes;
                target.put(&segment, bytes, sealed && !copy)?
            }
        };
        manifest.segments.push(SegmentCopy { number, bytes, blake3 });
        done += bytes;
        progress(done, total);
    }
    target.finish(&manifest)?;
    Ok(made)
}

fn total(core: &Core, end: Location) -> Result<u64> {
    let mut total = end.offset;
    for number in 1..end.segment {
        total += core.segments.sealed_end(&*core.segments.get(number)?)?;
    }
    Ok(total)
}

/// Fails if the first `bytes` of a segment are not what was written: a backup of damaged data is none.
fn whole(segment: &Arc<Segment>, bytes: u64) -> Result<()> {
    let mut groups = Groups::new(segment.clone(), bytes);
    let mut at = HEADER_LEN;
    while at < bytes {
        match groups.at(at)? {
            Step::Group(group) => at = group.end,
            Step::Bad(why) => return Err(segment.damaged(at, why)),
        }
    }
    Ok(())
}

impl Snapshot {
    fn of(core: &Core) -> Result<Self> {
        let view = core.view.read();
        let view = view.open()?;
        let log = view.state.facts.get(&Meta::LogId).map(|id| String::from_utf8_lossy(id).into_owned());
        Ok(Snapshot { end: view.end, state: view.state.public(), log })
    }
}

impl<'a> Target<'a> {
    /// Creates the folder if it is missing, and refuses one that holds other things.
    fn open(disk: &'a dyn Disk, path: &Path) -> Result<Self> {
        let failed = |action: &str, error| Error::storage_at(action, path, error);
        match disk.list(path) {
            Ok(names) => recognise(path, &names)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.create_dir(path).map_err(|error| failed("create the folder", error))?;
            }
            Err(error) => return Err(failed("open the folder", error)),
        }
        let guard = disk.lock(&path.join(LOCK)).map_err(|error| failed("lock the folder", error))?;
        let guard = guard.ok_or_else(|| Error::Locked { path: path.display().to_string() })?;
        let names = disk.list(path).map_err(|error| failed("open the folder", error))?;
        recognise(path, &names)?;
        for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
            disk.remove(&path.join(name)).map_err(|error| failed("remove an unfinished file in", error))?;
        }
        let last = names.iter().any(|name| name == MANIFEST).then(|| read_manifest(disk, path)).transpose()?;
        Ok(Target { disk, path: path.to_owned(), last, _guard: guard })
    }

    fn failed<'e>(&'e self, action: &'e str, name: &'e str) -> impl Fn(io::Error) -> Error + 'e {
        move |error| Error::storage_at(action, &self.path.join(name), error)
    }

    /// Fails if the folder holds a backup that this store does not continue: of another store, or of another history of it.
    fn check(&self, core: &Core, end: &Location, new: &Manifest) -> Result<()> {
        let Some(last) = &self.last else { return Ok(()) };
        let refused = |why: &str| {
            let path = self.path.display();
            Err(Error::InvalidArgument(format!("{path} holds a backup {why}: give another folder")))
        };
        if last.store != new.store {
            return refused("of another store");
        }
        let (Some(newest), Ok(count)) = (last.segments.last(), u32::try_from(last.segments.len())) else {
            return Ok(());
        };
        let ahead = (Location { segment: count, offset: newest.bytes }) > *end;
        if ahead
            || last.end() > new.end()
            || self.hash_of(&core.segments.get(count)?.file, newest.bytes)? != newest.blake3
        {
            return refused("of another history of this store");
        }
        Ok(())
    }

    fn hash_of(&self, file: &Arc<dyn File>, bytes: u64) -> Result<String> {
        hash(file, bytes, None).map_err(|error| Error::storage_at("read for a backup to", &self.path, error))
    }

    /// The hash of a segment's file that the last run has finished.
    fn kept(&self, number: u32, bytes: u64) -> Option<String> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let known = self.last.as_ref()?.segments.get(index).filter(|known| known.bytes == bytes)?;
        let file = self.disk.open_to_read(&self.path.join(known.file())).ok()?;
        (file.size().ok()? >= bytes).then(|| known.blake3.clone())
    }

    /// Puts a segment into the backup, durably. Returns the hash of its first `bytes`.
    fn put(&self, segment: &Segment, bytes: u64, link: bool) -> Result<String> {
        let name = file_of(segment.number);
        let (path, unfinished) = (self.path.join(&name), self.path.join(format!("{name}{UNFINISHED}")));
        let failed = self.failed("write", &name);
        let linked = link && self.disk.link(&segment.path, &unfinished).map_err(&failed)?;
        let file = match linked {
            true => self.disk.open_to_read(&unfinished),
            false => self.disk.create(&unfinished),
        };
        let file = file.map_err(&failed)?;
        let blake3 = match linked {
            true => hash(&file, bytes, None),
            false => hash(&segment.file, bytes, Some(file.as_ref())),
        };
        let blake3 = blake3.map_err(&failed)?;
        file.sync().and_then(|()| self.disk.rename(&unfinished, &path)).map_err(&failed)?;
        Ok(blake3)
    }

    /// Makes the backup valid.
    fn finish(&self, manifest: &Manifest) -> Result<()> {
        let failed = self.failed("write", MANIFEST);
        let unfinished = self.path.join(format!("{MANIFEST}{UNFINISHED}"));
        let write = || {
            self.disk.sync_dir(&self.path)?;
            let file = self.disk.create(&unfinished)?;
            file.write_at(manifest.to_text().as_bytes(), 0)?;
            file.sync()?;
            self.disk.rename(&unfinished, &self.path.join(MANIFEST))?;
            self.disk.sync_dir(&self.path)
        };
        write().map_err(failed)
    }
}

fn recognise(path: &Path, names: &[String]) -> Result<()> {
    let ours = |name: &str| {
        let whole = name.strip_suffix(UNFINISHED).unwrap_or(name);
        name == LOCK || name == LOST_AND_FOUND || whole == MANIFEST || number_of_file(whole).is_some()
    };
    match names.iter().find(|name| !ours(name)) {
        None => Ok(()),
        Some(name) => {
            let detail =
                format!("{} holds {name:?}: give a folder that is empty, missing, or a backup", path.display());
            Err(Error::InvalidArgument(detail))
        }
    }
}

/// Reads the manifest of a backup.
pub(super) fn read_manifest(disk: &dyn Disk, path: &Path) -> Result<Manifest> {
    let path = path.join(MANIFEST);
    let failed = |error| Error::storage_at("read", &path, error);
    let file = disk.open_to_read(&path).map_err(failed)?;
    let size = file.size().map_err(failed)?;
    let len = usize::try_from(size).ok().filter(|_| Manifest::fits(size));
    let len = len.ok_or_else(|| Error::damaged_file(&path, None, "it is too large for a manifest"))?;
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(read);
    Manifest::read(&bytes).map_err(|why| Error::damaged_file(&path, None, why))
}

/// BLAKE3 of the first `bytes` of a file, which are also written to `copy`.
pub(super) fn hash(file: &Arc<dyn File>, bytes: u64, copy: Option<&dyn File>) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY];
    let mut at = 0;
    while at < bytes {
        let len = usize::try_from(bytes - at).unwrap_or(COPY).min(COPY);
        let part = buffer.get_mut(..len).unwrap_or_default();
        if file.read_at(part, at)? < len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends before byte {bytes}")));
        }
        hasher.update(part);
        if let Some(copy) = copy {
            copy.write_at(part, at)?;
        }
        at += len as u64;
    }
    Ok(hasher.finalize().to_hex().to_string())
}
