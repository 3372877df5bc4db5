//! The store's folder: checks that it is one, and locks it.

use std::io;
use std::path::Path;

use super::core::REBUILD;
use super::disk::{Disk, Guard};
use super::manifest::MANIFEST;
use super::segments::{is_temporary, name_of, number_of};
use crate::error::{Error, Result};

/// Name of the lock file; its content has no meaning.
pub(super) const LOCK: &str = "hyperemitter.lock";

/// Created by mkfs at the root of every ext file system, where a store may be.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

/// Name of a segment that is being restored from a backup. A folder with this file, and without segments, is no store.
pub(super) const RESTORING: &str = "restoring";

/// A locked folder.
pub(super) struct Folder {
    pub(super) guard: Box<dyn Guard>,
    /// Numbers of the segments, `1..=n`.
    pub(super) segments: u32,
    /// Whether the index has to be rebuilt.
    pub(super) rebuild: bool,
}

/// Creates the folder if it is missing, refuses one that holds other things, and locks it.
///
/// Nothing is written before the folder is known to be empty or a store.
pub(super) fn prepare(disk: &dyn Disk, dir: &Path) -> Result<Folder> {
    let failed = |action: &str, error| Error::storage_at(action, dir, error);
    match disk.list(dir) {
        Ok(names) => drop(recognise(dir, &names)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(dir).map_err(|error| failed("create the folder", error))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::NotAStore {
                path: dir.display().to_string(),
                detail: "it is a file; give the path of a folder".to_owned(),
            });
        }
        Err(error) => return Err(failed("open the folder", error)),
    }
    let guard = disk.lock(&dir.join(LOCK)).map_err(|error| failed("lock the folder", error))?;
    let guard = guard.ok_or_else(|| Error::Locked { path: dir.display().to_string() })?;
    let names = disk.list(dir).map_err(|error| failed("open the folder", error))?;
    let segments = recognise(dir, &names)?;
    for name in names.iter().filter(|name| is_temporary(name)) {
        disk.remove(&dir.join(name)).map_err(|error| failed("remove an unfinished segment in", error))?;
    }
    Ok(Folder { guard, segments, rebuild: names.iter().any(|name| name == REBUILD) })
}

/// The number of segments in the folder of a store that another process may have open. Changes nothing.
///
/// # Errors
/// `NotAStore` if there is no store in it (yet).
pub(super) fn look(disk: &dyn Disk, dir: &Path) -> Result<u32> {
    let none = |detail: &str| Error::NotAStore { path: dir.display().to_string(), detail: detail.to_owned() };
    let names = disk.list(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => none("there is no such folder"),
        io::ErrorKind::NotADirectory => none("it is a file; give the path of a folder"),
        _ => Error::storage_at("open the folder", dir, error),
    })?;
    match recognise(dir, &names)? {
        0 => Err(none("it holds no segments; open it for writing first")),
        segments => Ok(segments),
    }
}

/// Number of segments among these names.
fn recognise(dir: &Path, names: &[String]) -> Result<u32> {
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        let ours = |name: &str| name == LOCK || name == LOST_AND_FOUND || is_temporary(name);
        return match names.iter().find(|name| !ours(name)) {
            None => Ok(0),
            Some(name) if name == "index" && names.iter().any(|name| name == LOCK) => {
                Err(Error::damaged_file(&dir.join(name_of(1)), None, "the file is missing"))
            }
            Some(name) => Err(Error::NotAStore { path: dir.display().to_string(), detail: foreign(name, names) }),
        };
    }
    for (number, expected) in numbers.iter().zip(1..) {
        if *number != expected {
            return Err(Error::damaged_file(&dir.join(name_of(expected)), None, "the file is missing"));
        }
    }
    Ok(u32::try_from(numbers.len()).unwrap_or(u32::MAX))
}

fn foreign(name: &str, names: &[String]) -> String {
    if names.iter().any(|name| name == MANIFEST) {
        return "it is a backup; restore it to another folder, with hypem restore".to_owned();
    }
    if names.iter().any(|name| name == RESTORING) {
        return "a backup was not restored to the end; restore it again".to_owned();
    }
    if names.iter().any(|name| name == "CURRENT") && names.iter().any(|name| name.starts_with("MANIFEST-")) {
        return "it is a LevelDB database; open it with level and pass that object instead of the path".to_owned();
    }
    format!("it holds {name:?}; give the path of an empty or missing folder")
}
