//! The few file operations that the store needs, as a trait, so that tests can simulate a disk.

use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open file.
pub trait File: Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`, growing the file as needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns once every byte written so far is on the medium, and the file length needed to read it.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file off, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// The offset of the next bytes that are not a hole, at `offset` or after it; `None` if there are none.
    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < self.size()?).then_some(offset))
    }
    /// Whether the file still has a name.
    fn is_named(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// Held while a store is open; dropping it lets the next process in.
pub trait Guard: Send + Sync {
    /// Whether the lock still keeps others out, that is, its file is still where it was made.
    fn holds(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Creates a folder and its parents, durably.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Names in a folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Opens a file that exists.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens a file that exists, only for reading.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }
    /// Creates a file, empty even if it existed. Its name is durable only after [`Disk::sync_dir`].
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Gives a file a second name, which must be free. `false` if the file system cannot do that there.
    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let _ = (from, to);
        Ok(false)
    }
    /// Renames a file over whatever has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names in a folder are on the medium.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock file; `None` if somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Guard>>>;
    /// Where sled keeps the index of the store in `path`; sled does its own file access.
    fn index_dir(&self, path: &Path) -> PathBuf {
        path.join("index")
    }
    /// Where sled keeps what is derived from the log of the store in `path`.
    fn derived_dir(&self, path: &Path) -> PathBuf {
        path.join("projections")
    }
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

struct OsFile(fs::File);

/// The error for a name that belongs to something other than a file.
fn irregular() -> io::Error {
    io::Error::other("it is no regular file but a link, a pipe, a folder or a device")
}

/// Opens a file only if it is a regular one: opening a pipe would block, and a link may lead out of the folder.
fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<fs::File> {
    platform::refuse_links(options);
    let file = options.open(path).map_err(|error| if platform::is_irregular(&error) { irregular() } else { error })?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(irregular())
    }
}

impl File for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match platform::read(&self.0, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        platform::write(&self.0, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        platform::size(&self.0)
    }

    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        platform::data_from(&self.0, offset)
    }

    fn is_named(&self) -> io::Result<bool> {
        platform::is_named(&self.0)
    }
}

impl Disk for OsDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let absent: Vec<&Path> =
            path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
        fs::create_dir_all(path)?;
        for made in absent {
            match made.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => platform::sync_dir(parent)?,
                _ => platform::sync_dir(Path::new("."))?,
            }
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OsFile(open_regular(OpenOptions::new().read(true).write(true), path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OsFile(open_regular(OpenOptions::new().read(true), path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = open_regular(OpenOptions::new().read(true).write(true).create(true).truncate(false), path)?;
        file.set_len(0)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
        match fs::hard_link(from, to) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        platform::sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Guard>>> {
        Ok(platform::lock(path)?.map(|guard| Box::new(guard) as Box<dyn Guard>))
    }
}

#[cfg(unix)]
mod platform {
    use std::collections::HashSet;
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
    use std::path::{Path, PathBuf};

    use parking_lot::Mutex;
    use rustix::fs::{flock, FlockOperation, OFlags, SeekFrom};
    use rustix::io::Errno;

    /// Device and inode, which identify a file whatever its name is.
    type Identity = (u64, u64);

    /// Folders that this process has open as stores. If a lock file were removed and created again, its lock alone would not keep
    /// the process from opening its own store twice.
    static OPEN: Mutex<Option<HashSet<Identity>>> = Mutex::new(None);

    fn identity(metadata: &fs::Metadata) -> Identity {
        (metadata.dev(), metadata.ino())
    }

    pub(super) fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    pub(super) fn refuse_links(options: &mut OpenOptions) {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }

    pub(super) fn is_irregular(error: &io::Error) -> bool {
        let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
        is(Errno::LOOP) || is(Errno::NXIO) || is(Errno::ISDIR)
    }

    /// Asks for no times, as `is_named`.
    pub(super) fn size(file: &File) -> io::Result<u64> {
        Ok(rustix::fs::seek(file, SeekFrom::End(0))?)
    }

    pub(super) fn data_from(file: &File, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(file, SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            // On a file system that does not know its holes, everything is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((offset < file.metadata()?.len()).then_some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks only for the number of names. Since Linux 6.13, reading a file's times makes the next write update them exactly. The
    /// next fdatasync then also writes the inode, which takes 70 µs per commit.
    #[cfg(target_os = "linux")]
    pub(super) fn is_named(file: &File) -> io::Result<bool> {
        use rustix::fs::{statx, AtFlags, StatxFlags};
        match statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::NLINK) {
            Ok(found) => Ok(found.stx_nlink > 0),
            // Linux before 4.11, or a sandbox that forbids the call.
            Err(Errno::NOSYS | Errno::PERM) => Ok(file.metadata()?.nlink() > 0),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn is_named(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.nlink() > 0)
    }

    pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// A lock file that is locked, and its folder.
    pub(super) struct OsGuard {
        file: File,
        path: PathBuf,
        lock: Identity,
        folder: Identity,
        /// Kept open so that the folder's inode cannot be reused for another folder.
        _dir: File,
    }

    impl super::Guard for OsGuard {
        fn holds(&self) -> io::Result<bool> {
            match fs::symlink_metadata(&self.path) {
                Ok(found) => Ok(identity(&found) == self.lock),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        }
    }

    impl Drop for OsGuard {
        fn drop(&mut self) {
            // The file first: if another thread of this process finds the folder free, the file must be free, too.
            let _ = flock(&self.file, FlockOperation::Unlock);
            OPEN.lock().get_or_insert_with(HashSet::new).remove(&self.folder);
        }
    }

    /// Released by the system when the process ends, however it ends.
    pub(super) fn lock(path: &Path) -> io::Result<Option<OsGuard>> {
        let options = &mut OpenOptions::new();
        let file = super::open_regular(options.read(true).write(true).create(true).truncate(false), path)?;
        let dir = File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        let (lock, folder) = (identity(&file.metadata()?), identity(&dir.metadata()?));
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if !OPEN.lock().get_or_insert_with(HashSet::new).insert(folder) {
            // Closing the file is not enough: a process that is being started may hold a copy of the descriptor.
            let _ = flock(&file, FlockOperation::Unlock);
            return Ok(None);
        }
        Ok(Some(OsGuard { file, path: path.to_owned(), lock, folder, _dir: dir }))
    }

    /// Whether somebody holds the lock of this file.
    pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
        let file = super::open_regular(OpenOptions::new().read(true).write(true), path)?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
        let _ = flock(&file, FlockOperation::Unlock);
        Ok(locked)
    }
}

#[cfg(windows)]
mod platform {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::windows::fs::{FileExt, OpenOptionsExt};
    use std::path::Path;

    /// `ERROR_SHARING_VIOLATION`.
    const IN_USE: i32 = 32;

    pub(super) fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buffer, offset)
    }

    pub(super) fn write(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = file.seek_write(bytes, offset)?;
            bytes = bytes.get(written..).unwrap_or(&[]);
            offset += written as u64;
        }
        Ok(())
    }

    /// Nothing to do here: creating links needs a privilege, and pipes have a namespace of their own.
    pub(super) fn refuse_links(_: &mut OpenOptions) {}

    pub(super) fn is_irregular(_: &io::Error) -> bool {
        false
    }

    pub(super) fn size(file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    pub(super) fn data_from(file: &File, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < file.metadata()?.len()).then_some(offset))
    }

    /// A file that is open cannot be removed here.
    pub(super) fn is_named(_: &File) -> io::Result<bool> {
        Ok(true)
    }

    /// NTFS journals names by itself, and a folder cannot be flushed.
    pub(super) fn sync_dir(_: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Keeps the lock. The file cannot be removed while it is open.
    pub(super) struct OsGuard(#[allow(dead_code)] File);

    impl super::Guard for OsGuard {}

    pub(super) fn lock(path: &Path) -> io::Result<Option<OsGuard>> {
        match OpenOptions::new().read(true).write(true).create(true).truncate(false).share_mode(0).open(path) {
            Ok(file) => Ok(Some(OsGuard(file))),
            Err(error) if error.raw_os_error() == Some(IN_USE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
        match OpenOptions::new().read(true).write(true).share_mode(0).open(path) {
            Ok(_) => Ok(false),
            Err(error) if error.raw_os_error() == Some(IN_USE) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Whether somebody holds the lock of a file that exists.
pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
    platform::is_locked(path)
}
