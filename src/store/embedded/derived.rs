//! Derived values: what JavaScript computes from the log and keeps in a sled database of its own, beside the index. It is opened
//! when it is first used.
//!
//! If it cannot be read, it is removed, because everything in it can be derived again. Who has used it before that cannot go on:
//! a key that is missing would be taken for one that never had a value. So all further calls fail until the store is opened again.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::fault::{Fault, Outcome};
use super::sled_db::SledDb;
use crate::error::{Error, Result};
use crate::store::ReadLimit;

enum State {
    /// Not used yet, or given up after an error of the system.
    Unopened,
    Open(Arc<SledDb>),
    /// Its content was wrong.
    Removed(String),
    Closed,
    /// It belongs to the process that writes the store: nothing is read from it.
    Elsewhere,
}

/// The database of derived values.
pub(super) struct Derived {
    path: PathBuf,
    state: Mutex<State>,
}

impl Derived {
    pub(super) fn new(path: PathBuf) -> Self {
        Derived { path, state: Mutex::new(State::Unopened) }
    }

    /// That of a store which another process writes.
    pub(super) fn elsewhere() -> Self {
        Derived { path: PathBuf::new(), state: Mutex::new(State::Elsewhere) }
    }

    pub(super) fn get(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>> {
        if self.is_missing() {
            return Ok(vec![None; keys.len()]);
        }
        self.with(|db| {
            let values = keys.iter().map(|key| Ok(db.get(key.as_bytes())?.map(|value| Bytes::copy_from_slice(&value))));
            values.collect()
        })
    }

    /// Values with keys from `from` up to, but not including, `to`.
    pub(super) fn range(&self, from: &str, to: &str, limit: ReadLimit) -> Result<Vec<(String, Bytes)>> {
        if self.is_missing() {
            return Ok(Vec::new());
        }
        self.with(|db| {
            let mut found = Vec::new();
            for (key, value) in db.range(from.as_bytes()..to.as_bytes(), limit)? {
                let key = std::str::from_utf8(&key).map_err(|_| Fault::content("a key is not text"))?;
                found.push((key.to_owned(), Bytes::copy_from_slice(&value)));
            }
            Ok(found)
        })
    }

    /// Sets and deletes values, atomically and durably.
    pub(super) fn set(&self, values: &[(String, Option<Bytes>)]) -> Result<()> {
        self.with(|db| {
            let key = |key: &String| key.clone().into_bytes();
            let pairs = values.iter().filter_map(|(name, value)| Some((key(name), value.as_ref()?.to_vec())));
            let gone = values.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| key(name));
            db.write(pairs.collect(), gone.collect())?;
            db.flush()
        })
    }

    /// Releases the files. If they belong to another store by now, nothing more is written to them.
    pub(super) fn close(&self, ours: bool) {
        if let State::Open(db) = std::mem::replace(&mut *self.state.lock(), State::Closed) {
            // What could not be flushed is derived again.
            let _ = if ours { db.close() } else { db.abandon() };
        }
    }

    /// Whether nothing was ever kept. Reading creates no files.
    fn is_missing(&self) -> bool {
        match *self.state.lock() {
            State::Elsewhere => true,
            State::Unopened => std::fs::symlink_metadata(&self.path).is_err(),
            _ => false,
        }
    }

    fn with<T>(&self, call: impl FnOnce(&SledDb) -> Outcome<T>) -> Result<T> {
        let db = self.open()?;
        call(&db).map_err(|fault| self.failed(&db, &fault))
    }

    fn open(&self) -> Result<Arc<SledDb>> {
        let mut state = self.state.lock();
        match &*state {
            State::Open(db) => return Ok(db.clone()),
            State::Closed => return Err(Error::Closed("its store was closed")),
            State::Elsewhere => return Err(Error::ReadOnly),
            State::Removed(detail) => return Err(self.damaged(detail)),
            State::Unopened => {}
        }
        let opened = SledDb::open(&self.path).or_else(|fault| match fault {
            Fault::Content(_) => {
                SledDb::discard(&self.path)?;
                SledDb::open(&self.path)
            }
            fault => Err(fault),
        });
        let db = Arc::new(opened.map_err(|fault| self.error(&fault))?);
        *state = State::Open(db.clone());
        Ok(db)
    }

    /// After an error of the system, sled repeats it for ever, so the database is opened again when it is used next.
    fn failed(&self, db: &Arc<SledDb>, fault: &Fault) -> Error {
        let mut state = self.state.lock();
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, db)) {
            let _ = db.close();
            *state = match fault {
                Fault::Content(detail) => {
                    let _ = SledDb::discard(&self.path);
                    State::Removed(detail.clone())
                }
                _ => State::Unopened,
            };
        }
        self.error(fault)
    }

    fn error(&self, fault: &Fault) -> Error {
        match fault {
            Fault::Closed => Error::Closed("its store was closed"),
            Fault::System(error) => Error::Storage {
                action: "use what is kept of projections in".into(),
                path: Some(self.path.clone()),
                source: error.clone(),
            },
            Fault::Content(detail) => self.damaged(detail),
        }
    }

    fn damaged(&self, detail: &str) -> Error {
        let detail = format!("{detail} (it was removed: projections are derived anew when the store is opened again)");
        Error::damaged_file(&self.path, None, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: ReadLimit = ReadLimit { rows: 100, bytes: 1 << 20 };

    fn set(derived: &Derived, values: &[(&str, Option<&'static [u8]>)]) {
        let values: Vec<_> = values.iter().map(|(key, value)| ((*key).to_owned(), value.map(Bytes::from))).collect();
        derived.set(&values).unwrap();
    }

    fn keys(derived: &Derived) -> Vec<String> {
        derived.range("", "~", ALL).unwrap().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn values_are_kept_until_they_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let derived = Derived::new(folder.path().join("projections"));
        assert_eq!((derived.get(&["a".into()]).unwrap(), keys(&derived)), (vec![None], Vec::new()));
        assert!(!folder.path().join("projections").exists(), "reading creates nothing");
        set(&derived, &[("a", Some(b"1")), ("b", Some(b"2")), ("c", Some(&[7; 300_000]))]);
        set(&derived, &[("b", None), ("d", Some(b""))]);
        derived.close(true);
        assert_eq!(derived.get(&["a".into()]).unwrap_err().code(), "ERR_HYPER_CLOSED");
        let derived = Derived::new(folder.path().join("projections"));
        let found = derived.get(&["d", "a", "b", "c"].map(String::from)).unwrap();
        assert_eq!(found[..3], [Some(Bytes::new()), Some(Bytes::from("1")), None]);
        assert_eq!(found[3].as_deref(), Some(&[7; 300_000][..]));
        assert_eq!(keys(&derived), ["a", "c", "d"]);
        assert_eq!(derived.range("a", "~", ReadLimit { rows: 2, bytes: 1 << 20 }).unwrap().len(), 2);
        assert_eq!(derived.range("b", "~", ReadLimit { rows: 9, bytes: 10 }).unwrap().len(), 1, "a large one alone");
        assert_eq!(derived.range("c", "d", ALL).unwrap().len(), 1, "the end does not belong to it");
    }

    #[test]
    fn files_that_cannot_be_opened_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("projections");
        std::fs::write(&path, "no folder").unwrap();
        set(&Derived::new(path.clone()), &[("a", Some(b"1"))]);
        assert!(path.is_dir());
    }

    #[test]
    fn after_wrong_content_it_is_not_used_until_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let derived = Derived::new(folder.path().join("projections"));
        set(&derived, &[("a", Some(b"1"))]);
        let failed: Result<()> = derived.with(|_| Err(Fault::content("made up")));
        assert_eq!(failed.unwrap_err().code(), "ERR_HYPER_DAMAGED");
        assert_eq!(derived.get(&["a".into()]).unwrap_err().code(), "ERR_HYPER_DAMAGED", "and not: no such key");
        derived.close(true);
        assert!(keys(&Derived::new(folder.path().join("projections"))).is_empty());
    }

    #[test]
    fn after_an_error_of_the_system_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let derived = Derived::new(folder.path().join("projections"));
        set(&derived, &[("a", Some(b"1"))]);
        let full = || std::io::Error::from_raw_os_error(28);
        let failed: Result<()> = derived.with(|_| Err(Fault::from(full())));
        assert_eq!(failed.unwrap_err().code(), Error::storage("write", full()).code());
        assert_eq!(keys(&derived), ["a"]);
    }
}
