//! A store that is read while another process writes it: what is shown is durable and whole, whatever the writer does, and nothing
//! in the folder is changed.

// Helpers of tests panic by design.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod store_support;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use hyperemitter::error::Error;
use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::disk::{Disk, File, Guard, OsDisk};
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::{Commit, Meta, Position, Store};
use store_support::history::History;
use tempfile::TempDir;

/// The system's files, which may only be read.
#[derive(Clone, Debug, Default)]
struct OnlyRead {
    /// Syncs of files.
    syncs: Arc<AtomicU64>,
}

struct OnlyReadFile(Arc<dyn File>, OnlyRead);

impl File for OnlyReadFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        panic!("a reader writes")
    }
    fn sync(&self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        self.0.sync()
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        panic!("a reader changes a file's length")
    }
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        self.0.data_from(offset)
    }
    fn is_named(&self) -> io::Result<bool> {
        self.0.is_named()
    }
}

impl Disk for OnlyRead {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        panic!("a reader creates a folder")
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(path)
    }
    fn open(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        panic!("a reader opens a file for writing")
    }
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OnlyReadFile(OsDisk.open_to_read(path)?, self.clone())))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        panic!("a reader creates {}", path.display())
    }
    fn rename(&self, from: &Path, _: &Path) -> io::Result<()> {
        panic!("a reader renames {}", from.display())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        panic!("a reader removes {}", path.display())
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        panic!("a reader syncs {}", path.display())
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Guard>>> {
        panic!("a reader locks {}", path.display())
    }
}

fn options(disk: Arc<dyn Disk>) -> EmbeddedOptions {
    EmbeddedOptions { segment_size: 16 * 1024, chunk_rows: 100, disk }
}

fn writer(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &options(Arc::new(OsDisk)), &mut |_, _| {}).unwrap()
}

fn try_reader(path: &Path) -> Result<EmbeddedStore, Error> {
    EmbeddedStore::open_read_only(path, &options(Arc::new(OnlyRead::default())), &mut |_, _| {})
}

fn reader(path: &Path) -> EmbeddedStore {
    try_reader(path).unwrap()
}

/// Looks as often as a group needs to be shown.
fn look(reader: &EmbeddedStore) {
    reader.catch_up().unwrap();
    reader.catch_up().unwrap();
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = names.filter(|path| path.to_string_lossy().contains("segment-")).collect();
    found.sort();
    found
}

/// Names, contents and times of everything in a folder.
fn tree(path: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let (path, metadata) = {
            let entry = entry.unwrap();
            (entry.path(), entry.metadata().unwrap())
        };
        let content = if metadata.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        found.push((path.clone(), content, metadata.modified().unwrap()));
        if metadata.is_dir() {
            found.extend(tree(&path));
        }
    }
    found.sort();
    found
}

/// The bytes of a store's only segment after each commit, header first.
fn steps(history: &mut History, commits: usize) -> (TempDir, Vec<u8>, Vec<usize>) {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path(), &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
    let size = |store: &EmbeddedStore| usize::try_from(store.sizes().unwrap().data).unwrap();
    let mut ends = vec![size(&store)];
    for _ in 0..commits {
        store.commit(&history.next()).unwrap();
        ends.push(size(&store));
    }
    let bytes = fs::read(&segments(folder.path())[0]).unwrap();
    drop(store);
    (folder, bytes[..*ends.last().unwrap()].to_vec(), ends)
}

/// A folder with one segment that a test extends.
fn growing(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let segment = folder.path().join("segment-0000000001");
    fs::write(&segment, bytes).unwrap();
    (folder, segment)
}

fn append(segment: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(segment).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_reader_sees_every_commit_of_the_writer_over_segments_chunks_and_restarts() {
    let folder = TempDir::new().unwrap();
    let (mut history, mut random, mut made) = (History::of_events(5, 8), Random(5), 0);
    let mut store = writer(folder.path());
    let early = reader(folder.path());
    for round in 0..6 {
        for _ in 0..40 {
            store.commit(&history.next()).unwrap();
            made += 1;
            if random.once_in(20) {
                look(&early);
                assert_eq!(history.compare(&early, made), Ok(made));
            }
        }
        // Readers that come later, one after the other.
        assert_eq!(history.compare(&reader(folder.path()), made), Ok(made));
        if round % 2 == 0 {
            drop(store);
            store = writer(folder.path());
        }
    }
    look(&early);
    assert_eq!(history.compare(&early, made), Ok(made));
    assert!(segments(folder.path()).len() > 3);
    let heads = |store: &EmbeddedStore| {
        let mut state = store.state().unwrap();
        state.logs.sort_by(|a, b| a.log.cmp(&b.log));
        state
    };
    assert_eq!(heads(&early), heads(&store));
    early.close().unwrap();
    assert_eq!(early.state().unwrap_err().code(), "ERR_HYPER_CLOSED");
}

#[test]
fn growth_names_the_logs_that_have_grown_and_where_they_end() {
    let folder = TempDir::new().unwrap();
    let mut history = History::new(3, 8);
    let store = writer(folder.path());
    let reader = reader(folder.path());
    for _ in 0..100 {
        let commit = history.next();
        let logs: Vec<_> = commit.rows.iter().map(|row| row.log().clone()).collect();
        store.commit(&commit).unwrap();
        let first = reader.catch_up().unwrap();
        let grown = first.or_else(|| reader.catch_up().unwrap()).unwrap();
        let state = store.state().unwrap();
        assert_eq!(grown.end, state.end);
        let heads = grown.logs.unwrap();
        assert!(logs.iter().all(|log| heads.iter().any(|head| head.log == *log)));
        assert!(heads.iter().all(|head| state.logs.contains(head)));
        assert_eq!(reader.catch_up().unwrap(), None);
    }
    // A fact is no row, but it is seen.
    let fact = (Meta::Position("reader".into()), Some("7".into()));
    store.commit(&Commit { meta: vec![fact.clone()], ..Commit::default() }).unwrap();
    look(&reader);
    assert_eq!(reader.meta(&fact.0).unwrap(), fact.1);
}

#[test]
fn a_torn_group_is_never_shown() {
    let mut history = History::new(11, 4);
    let (_kept, bytes, ends) = steps(&mut history, 30);
    let (folder, segment) = growing(&bytes[..ends[0]]);
    let reader = reader(folder.path());
    for (commit, end) in ends.iter().enumerate().skip(1) {
        let before = fs::metadata(&segment).unwrap().len() as usize;
        // In three parts, with zeros behind as they are written ahead.
        for part in 1..3 {
            let cut = before + (end - before) * part / 3;
            fs::write(&segment, [&bytes[..cut], &[0; 5000]].concat()).unwrap();
            look(&reader);
            assert_eq!(history.compare(&reader, commit - 1), Ok(commit - 1), "a part of commit {commit}");
        }
        fs::write(&segment, &bytes[..*end]).unwrap();
        look(&reader);
        assert_eq!(history.compare(&reader, commit), Ok(commit));
    }
}

#[test]
fn a_group_is_shown_once_it_is_durable() {
    let mut history = History::new(12, 4);
    let (_kept, bytes, ends) = steps(&mut history, 6);
    let (folder, segment) = growing(&bytes[..ends[0]]);
    let disk = OnlyRead::default();
    let reader =
        EmbeddedStore::open_read_only(folder.path(), &options(Arc::new(disk.clone())), &mut |_, _| {}).unwrap();
    let shown = |at: usize| assert_eq!(history.compare(&reader, at), Ok(at));
    let synced = disk.syncs.load(Ordering::Relaxed);
    append(&segment, &bytes[ends[0]..ends[1]]);
    assert_eq!(reader.catch_up().unwrap(), None);
    shown(0);
    // While the writer goes on, each group says that the one before is on the medium.
    for commit in 2..5 {
        append(&segment, &bytes[ends[commit - 1]..ends[commit]]);
        assert!(reader.catch_up().unwrap().is_some());
        shown(commit - 1);
    }
    assert_eq!(disk.syncs.load(Ordering::Relaxed), synced, "the reader leaves the disk to a busy writer");
    // Nothing follows: the reader sees to it itself.
    assert!(reader.catch_up().unwrap().is_some());
    shown(4);
    assert_eq!(disk.syncs.load(Ordering::Relaxed), synced + 1);
}

#[test]
fn a_group_that_its_writer_takes_back_is_not_shown() {
    let mut history = History::new(13, 4);
    let (_kept, bytes, ends) = steps(&mut history, 4);
    let (folder, segment) = growing(&bytes[..ends[2]]);
    let reader = reader(folder.path());
    append(&segment, &bytes[ends[2]..ends[3]]);
    assert_eq!(reader.catch_up().unwrap(), None);
    fs::write(&segment, &bytes[..ends[2]]).unwrap();
    look(&reader);
    assert_eq!(history.compare(&reader, 2), Ok(2));
    append(&segment, &bytes[ends[2]..]);
    look(&reader);
    assert_eq!(history.compare(&reader, 4), Ok(4));
}

#[test]
fn the_next_writer_cuts_off_what_a_crash_left_and_readers_go_on() {
    let folder = TempDir::new().unwrap();
    let (mut history, mut made) = (History::new(14, 8), 0);
    let first = reader({
        writer(folder.path()).commit(&history.next()).unwrap();
        made += 1;
        folder.path()
    });
    for round in 0_u8..10 {
        // What a writer that was killed may leave: a part of a group, here with bytes that are no group at all.
        append(segments(folder.path()).last().unwrap(), &[&[0xC7, 200, 0, 0, 0][..], &[round; 50]].concat());
        look(&first);
        assert_eq!(history.compare(&first, made), Ok(made));
        assert_eq!(history.compare(&reader(folder.path()), made), Ok(made));
        let store = writer(folder.path());
        for _ in 0..30 {
            store.commit(&history.next()).unwrap();
            made += 1;
        }
        look(&first);
        assert_eq!(history.compare(&first, made), Ok(made));
    }
}

#[test]
fn nothing_in_the_folder_is_changed() {
    let folder = TempDir::new().unwrap();
    let mut history = History::of_events(15, 8);
    let store = writer(folder.path());
    for _ in 0..100 {
        store.commit(&history.next()).unwrap();
    }
    drop(store);
    let before = tree(folder.path());
    let reader = reader(folder.path());
    look(&reader);
    assert_eq!(history.compare(&reader, 100), Ok(100));
    let sizes = reader.sizes().unwrap();
    assert!(sizes.data > 0 && sizes.index > 0, "{sizes:?}");
    let refused = reader.commit(&history.next()).unwrap_err();
    assert_eq!(refused.code(), "ERR_HYPER_READ_ONLY");
    reader.close().unwrap();
    assert!(tree(folder.path()) == before);
}

#[test]
fn readers_notice_that_the_files_are_no_longer_the_same() {
    let mut history = History::new(16, 4);
    let (_kept, bytes, ends) = steps(&mut history, 4);
    for change in ["cut off", "other", "removed"] {
        let (folder, segment) = growing(&bytes[..ends[3]]);
        let reader = reader(folder.path());
        match change {
            "cut off" => fs::write(&segment, &bytes[..ends[2]]).unwrap(),
            "other" => fs::write(&segment, [&bytes[..ends[2]], &[0xC7; 300]].concat()).unwrap(),
            _ => fs::remove_file(&segment).unwrap(),
        }
        let error = (0..200).find_map(|_| reader.catch_up().err()).expect(change);
        assert_eq!(error.code(), "ERR_HYPER_STORAGE", "{change}: {error}");
        assert!(error.to_string().contains("open the store again"), "{error}");
        assert_eq!(reader.catch_up().unwrap_err().to_string(), error.to_string(), "it stays so");
        assert_eq!(reader.last_position().unwrap().change, reader.state().unwrap().end.change);
    }
}

#[test]
fn damage_is_found_and_a_crash_is_no_damage() {
    let mut history = History::new(17, 4);
    let (_kept, bytes, ends) = steps(&mut history, 8);
    let opened = |content: &[u8]| {
        let (folder, _) = growing(content);
        try_reader(folder.path()).map(|reader| reader.last_position().unwrap())
    };
    let mut spoilt = bytes.clone();
    spoilt[ends[3] + 20] ^= 1;
    assert_eq!(opened(&spoilt).unwrap_err().code(), "ERR_HYPER_DAMAGED");
    let mut torn = bytes.clone();
    torn[ends[7] + 20] ^= 1;
    assert!(opened(&torn).unwrap() < opened(&bytes).unwrap());
    // In a segment with a successor everything must be there.
    let (folder, mut history) = (TempDir::new().unwrap(), History::new(17, 8));
    let store = writer(folder.path());
    for _ in 0..100 {
        store.commit(&history.next()).unwrap();
    }
    drop(store);
    let first = &segments(folder.path())[0];
    let mut content = fs::read(first).unwrap();
    let last = content.len() - 10;
    content[last] ^= 1;
    fs::write(first, content).unwrap();
    let error = try_reader(folder.path()).map(drop).unwrap_err();
    assert_eq!(error.code(), "ERR_HYPER_DAMAGED");
    assert!(error.to_string().contains("segment-0000000001"), "{error}");
}

#[test]
fn folders_without_a_store_are_refused_and_stay_as_they_are() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing")] {
        let error = try_reader(&path).map(drop).unwrap_err();
        assert_eq!(error.code(), "ERR_HYPER_NOT_A_STORE", "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    assert_eq!(try_reader(folder.path()).map(drop).unwrap_err().code(), "ERR_HYPER_NOT_A_STORE");
    assert_eq!(try_reader(&folder.path().join("letter.txt")).map(drop).unwrap_err().code(), "ERR_HYPER_NOT_A_STORE");
}

#[cfg(unix)]
#[test]
fn links_and_pipes_in_place_of_segments_are_refused_and_do_not_block() {
    use rustix::fs::{mknodat, FileType, Mode, CWD};
    let mut history = History::new(18, 4);
    let (_kept, bytes, _) = steps(&mut history, 4);
    for kind in ["link", "pipe", "folder"] {
        let (folder, _) = growing(&bytes);
        let reader = reader(folder.path());
        let next = folder.path().join("segment-0000000002");
        match kind {
            "link" => std::os::unix::fs::symlink("/dev/zero", &next).unwrap(),
            "pipe" => mknodat(CWD, &next, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            _ => fs::create_dir(&next).unwrap(),
        }
        assert_eq!(reader.catch_up().unwrap_err().code(), "ERR_HYPER_STORAGE", "{kind}");
        assert!(try_reader(folder.path()).is_err(), "{kind}");
        assert!(reader.read(Position::START, hyperemitter::store::ReadLimit { rows: 10, bytes: 1 << 20 }).is_ok());
    }
}

#[test]
fn a_long_hole_at_the_end_is_no_obstacle() {
    let mut history = History::new(19, 4);
    let (_kept, bytes, _) = steps(&mut history, 2);
    let (folder, segment) = growing(&bytes);
    // A group that claims 64 MiB, in a file that claims a terabyte.
    append(&segment, &[0xC7, 0, 0, 0, 4, 1, 2, 3, 4]);
    OpenOptions::new().write(true).open(&segment).unwrap().set_len(1 << 40).unwrap();
    let reader = reader(folder.path());
    assert_eq!(history.compare(&reader, 2), Ok(2));
}
