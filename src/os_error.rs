//! Classifies errors of the operating system: whether they are temporary, and their names and codes.

use std::io::{self, ErrorKind};

/// Why the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The medium or the quota is full.
    NoSpace,
    /// The process or the system has no descriptor left.
    NoDescriptors,
    /// The system has no memory left.
    NoMemory,
    /// Interrupted, or not possible at this moment.
    Busy,
    /// Anything else: the medium has failed, or is gone for good.
    Lasting,
}

#[cfg(unix)]
const NO_DESCRIPTORS: [i32; 2] = [rustix::io::Errno::MFILE.raw_os_error(), rustix::io::Errno::NFILE.raw_os_error()];

/// `ERROR_TOO_MANY_OPEN_FILES`, twice.
#[cfg(windows)]
const NO_DESCRIPTORS: [i32; 2] = [4, 4];

impl Cause {
    /// Classifies an error of the system. This is the only place that does.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Cause::NoSpace,
            ErrorKind::OutOfMemory => Cause::NoMemory,
            ErrorKind::Interrupted | ErrorKind::WouldBlock => Cause::Busy,
            _ if error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code)) => Cause::NoDescriptors,
            _ => Cause::Lasting,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self != Cause::Lasting
    }

    /// The code that reaches JavaScript.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Cause::NoSpace => "ERR_HYPER_NO_SPACE",
            Cause::NoDescriptors => "ERR_HYPER_NO_DESCRIPTORS",
            Cause::NoMemory => "ERR_HYPER_NO_MEMORY",
            Cause::Busy | Cause::Lasting => "ERR_HYPER_STORAGE",
        }
    }

    /// What to do about it, as the end of a message.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Cause::NoSpace => "; nothing of this was stored: free some space, and try again",
            Cause::NoDescriptors => {
                "; nothing of this was stored: close some files or raise the limit (ulimit -n), and try again"
            }
            Cause::NoMemory => "; nothing of this was stored: free some memory, and try again",
            Cause::Busy => "; nothing of this was stored: try again",
            Cause::Lasting => "",
        }
    }
}

/// The name by which users of Node.js know an error of a file, where it has one.
#[must_use]
pub fn name_of(error: &io::Error) -> Option<&'static str> {
    if let Some(name) = numbered_name_of(error) {
        return Some(name);
    }
    Some(match error.kind() {
        ErrorKind::NotFound => "ENOENT",
        ErrorKind::PermissionDenied => "EACCES",
        ErrorKind::AlreadyExists => "EEXIST",
        ErrorKind::NotADirectory => "ENOTDIR",
        ErrorKind::IsADirectory => "EISDIR",
        ErrorKind::ReadOnlyFilesystem => "EROFS",
        ErrorKind::StorageFull => "ENOSPC",
        ErrorKind::QuotaExceeded => "EDQUOT",
        ErrorKind::FileTooLarge => "EFBIG",
        ErrorKind::InvalidFilename => "ENAMETOOLONG",
        ErrorKind::OutOfMemory => "ENOMEM",
        ErrorKind::Interrupted => "EINTR",
        ErrorKind::WouldBlock => "EAGAIN",
        ErrorKind::ResourceBusy => "EBUSY",
        _ => return None,
    })
}

/// Names of errors that have no [`ErrorKind`], or share one.
#[cfg(unix)]
fn numbered_name_of(error: &io::Error) -> Option<&'static str> {
    use rustix::io::Errno;
    let number = error.raw_os_error()?;
    let names = [
        (Errno::PERM, "EPERM"),
        (Errno::IO, "EIO"),
        (Errno::MFILE, "EMFILE"),
        (Errno::NFILE, "ENFILE"),
        (Errno::NODEV, "ENODEV"),
    ];
    names.into_iter().find(|(errno, _)| errno.raw_os_error() == number).map(|(_, name)| name)
}

/// `ERROR_TOO_MANY_OPEN_FILES`.
#[cfg(not(unix))]
fn numbered_name_of(error: &io::Error) -> Option<&'static str> {
    (error.raw_os_error() == Some(4)).then_some("EMFILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn errors_that_pass_are_told_from_those_that_last() {
        use rustix::io::Errno;

        let cases = [
            (Errno::NOSPC, "ERR_HYPER_NO_SPACE", true),
            (Errno::DQUOT, "ERR_HYPER_NO_SPACE", true),
            (Errno::MFILE, "ERR_HYPER_NO_DESCRIPTORS", true),
            (Errno::NFILE, "ERR_HYPER_NO_DESCRIPTORS", true),
            (Errno::NOMEM, "ERR_HYPER_NO_MEMORY", true),
            (Errno::INTR, "ERR_HYPER_STORAGE", true),
            (Errno::AGAIN, "ERR_HYPER_STORAGE", true),
            (Errno::IO, "ERR_HYPER_STORAGE", false),
            (Errno::NOENT, "ERR_HYPER_STORAGE", false),
            (Errno::ROFS, "ERR_HYPER_STORAGE", false),
        ];
        for (errno, code, transient) in cases {
            let cause = Cause::of(&errno.into());
            assert_eq!((cause.code(), cause.is_transient()), (code, transient), "{errno}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn errors_of_files_have_the_names_that_node_gives_them() {
        use rustix::io::Errno;

        let names = [
            (Errno::NOSPC, "ENOSPC"),
            (Errno::ACCESS, "EACCES"),
            (Errno::PERM, "EPERM"),
            (Errno::ROFS, "EROFS"),
            (Errno::IO, "EIO"),
            (Errno::MFILE, "EMFILE"),
            (Errno::NOENT, "ENOENT"),
        ];
        for (errno, name) in names {
            assert_eq!(name_of(&errno.into()), Some(name));
        }
        assert_eq!(name_of(&io::Error::other("odd")), None);
    }
}
