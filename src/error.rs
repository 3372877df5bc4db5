//! The one error type of the core, with codes that stay stable within a major version.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::node::{Key, NotAKey};
use crate::os_error::{self, Cause};
pub(crate) use crate::quoted::printable;
pub use crate::quoted::{quoted, Quoted};
pub use schema::SchemaError;

mod schema;

/// What went wrong. Variants are told apart by what the caller can do about it.
///
/// Cloneable, because one failed group commit answers every emit in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The emitter is closed or closing; nothing was stored.
    #[error("the emitter is closed: {0}; create a new HyperEmitter on the same store to continue")]
    Closed(&'static str),
    /// An argument is not valid.
    #[error("{0}")]
    InvalidArgument(String),
    /// Schema text that cannot be compiled.
    #[error("{0}")]
    Schema(SchemaError),
    /// An event larger than the configured limit (bytes of the whole container).
    #[error(
        "event {} is {size} bytes, the limit is {limit}: split it, or raise maxEventSize on every peer",
        quoted(name)
    )]
    TooLarge {
        /// The event's name.
        name: String,
        /// Its size in bytes, container included.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A name that crashes 1.x processes when it reaches them (a member of `Object.prototype`).
    #[error("event name {} is reserved: it would crash hyperemitter 1.x peers; choose another name", quoted(.0))]
    ReservedName(String),
    /// Too many unacknowledged emits are waiting for the store.
    #[error("{pending} bytes of emits wait for the store, the limit is {limit}: wait for callbacks before emitting more, or raise maxPending")]
    Backlog {
        /// Bytes waiting.
        pending: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The medium failed (disk full, permission, I/O). After a transient failure only this commit is refused (see [`Cause`]),
    /// after any other all commits, until the store is opened again.
    #[error("{action}{}: {source}{}", in_words(path.as_deref()), Cause::of(source).advice())]
    Storage {
        /// What was being done.
        action: String,
        /// The file or folder.
        path: Option<PathBuf>,
        /// The operating system's error.
        source: Arc<std::io::Error>,
    },
    /// An append whose condition does not hold.
    #[error("event {} of change {change} matches the condition, and was stored after change {after}: read again, and decide again", quoted(name))]
    Condition {
        /// The name of the event that matches.
        name: String,
        /// Its change.
        change: u64,
        /// The change after which no such event may be stored.
        after: u64,
    },
    /// An append with the same id as an earlier one, but with other events.
    #[error(
        "the id {} was already used for other events, at change {change}: give each append an id of its own",
        quoted(id)
    )]
    IdReused {
        /// The id.
        id: String,
        /// Change of the first event with it.
        change: u64,
    },
    /// A user's own store (levelup, abstract-level) reported an error.
    #[error("{0}")]
    ForeignStore(String),
    /// Stored bytes differ from what was written.
    #[error("damaged store: {}: {detail}; restore it from a backup or from a peer", printable(location))]
    Damaged {
        /// Where: file and offset, or key.
        location: String,
        /// The file, if it is one.
        path: Option<PathBuf>,
        /// What was found.
        detail: String,
    },
    /// Something that opening a store found wrong and repaired.
    #[error("the store was repaired when it was opened: {0}")]
    Repaired(String),
    /// Another process holds the store.
    #[error("{path} is in use by another process: close it there first")]
    Locked {
        /// The store's folder.
        path: String,
    },
    /// The store was opened with `readOnly`.
    #[error("the store is open read-only here: only the emitter that has it open for writing can do this")]
    ReadOnly,
    /// A folder that holds something else.
    #[error("{path} is not a hyperemitter store: {detail}")]
    NotAStore {
        /// The folder.
        path: String,
        /// What was found there.
        detail: String,
    },
    /// A commit that does not continue the store's order.
    #[error("commit does not continue the store: {0}")]
    Conflict(String),
    /// A node whose claimed key is not the hash of its content.
    #[error("checksum mismatch: node claims {claimed}, content hashes to {actual}")]
    ChecksumMismatch {
        /// Key on the wire or disk.
        claimed: Key,
        /// Key computed.
        actual: Key,
    },
    /// Two different nodes exist under one log and seq, because the database was copied and both copies were written.
    #[error("log {} is forked at seq {seq}: this emitter holds {ours}, the peer holds {theirs}. Each side keeps its version, and gets the other version as a separate log whose id begins with fork- (except if the log is sealed), until one side adopts the other's version. The owner of the log continues in a new log automatically", quoted(log))]
    Fork {
        /// The log.
        log: String,
        /// First seq at which the two differ.
        seq: u64,
        /// Key held here.
        ours: Key,
        /// Key held by the peer.
        theirs: Key,
    },
    /// A peer offers an entry of the local log that this emitter did not write and does not accept.
    #[error("a peer offers entry {seq} of log {}, but this emitter writes that log itself and {reason}; if the peer runs on a copy of this emitter's database, give it a database of its own", quoted(log))]
    Forged {
        /// The local log.
        log: String,
        /// The entry's seq.
        seq: u64,
        /// Why the entry is not accepted.
        reason: &'static str,
    },
    /// A row of a sealed log without the seal of the log's owner, or with a wrong one.
    #[error("a peer offers entry {seq} of log {} {reason}; it is not stored", quoted(log))]
    Unsealed {
        /// The log.
        log: String,
        /// The entry's seq.
        seq: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A log that this emitter does not store, because of who wrote it.
    #[error("log {} is not stored here: {reason}; see the options authors, unsigned and revoked", quoted(log))]
    Author {
        /// The log.
        log: String,
        /// Why.
        reason: &'static str,
    },
    /// The store's own log is sealed, and it was opened without the key.
    #[error("this store's log is sealed by {author}: open it with that key as identity to append, or with another key to continue in a new log")]
    Identity {
        /// The public key that the log names.
        author: String,
    },
    /// Copying another store into this one stopped. The error's code is that of its cause.
    #[error("the import stopped {stopped} of {end}, after it had stored {added} new rows: {cause}")]
    Import {
        /// Where: at the row that was refused, or after the last row read.
        stopped: String,
        /// The last change of the imported store.
        end: u64,
        /// Rows that the import stored; they stay.
        added: u64,
        /// Why.
        cause: Box<Error>,
    },
    /// An event that would crash 1.x peers; links to them end before it.
    #[error("entry {seq} of log {} cannot be sent to hyperemitter 1.x peers: {reason}; links to them stay closed until they are upgraded", quoted(log))]
    Harmful {
        /// The log.
        log: String,
        /// Position in it.
        seq: u64,
        /// What about it is harmful.
        reason: String,
    },
    /// A peer with which this emitter cannot replicate.
    #[error("{0}")]
    Incompatible(String),
    /// A peer ended the link, and said why.
    #[error("the peer ended the link: {0}")]
    Refused(String),
    /// The schemas of a peer and of this emitter contradict each other: one cannot read events that the other writes.
    #[error("the schema of the peer that writes log {} contradicts this emitter's: {differences}", quoted(log))]
    SchemaDrift {
        /// The log that the peer appends to.
        log: String,
        /// Where they differ, as text.
        differences: String,
    },
    /// A peer broke the protocol; only its session ends.
    #[error("protocol violation by peer: {0}")]
    Protocol(String),
    /// A peer cannot be reached, or the connection to it broke.
    #[error("cannot connect to {target}: {reason}")]
    Connect {
        /// `host:port`.
        target: String,
        /// The last failure.
        reason: String,
        /// The system's name for it (`ECONNREFUSED`), where there is one.
        system: Option<&'static str>,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// `host:port`.
        address: String,
        /// Why.
        reason: String,
        /// The system's name for it (`EADDRINUSE`), where there is one.
        system: Option<&'static str>,
    },
    /// A peer, or the network, gave no sign of life for too long.
    #[error("the link fell silent: {0}")]
    Silent(String),
    /// The other side of a link ended it in an orderly way, or this side did without anybody's fault.
    #[error("premature close")]
    Ended,
    /// The peer that was dialled is this emitter.
    #[error("{0} is the address of this emitter itself: it is not dialled")]
    Itself(String),
    /// A peer asked for more than its share.
    #[error("the peer used more than its share: {0}")]
    Limit(String),
    /// The peer, or the store, belongs to another network than this emitter.
    #[error("{0}: emitters of different networks never replicate")]
    Network(String),
    /// The peer may not connect, or may not do what it did.
    #[error("the peer has no right to replicate: {0}")]
    Rights(String),
    /// A link is not secure although it has to be: the peer speaks plain text, has another key, or has another secret.
    #[error("no secure link: {0}")]
    Insecure(String),
    /// A defect of this module; please report it.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl From<NotAKey> for Error {
    fn from(text: NotAKey) -> Self {
        Error::InvalidArgument(text.to_string())
    }
}

/// The path with a space before it, as it follows the action in a message.
fn in_words(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" {}", path.display()))
}

/// Details of an error besides its code and text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details<'a> {
    /// The operating system's name for what happened (`ECONNREFUSED`, `ENOSPC`).
    pub system: Option<&'static str>,
    /// Its number, where the system is a Unix.
    pub errno: Option<i32>,
    /// The log that it is about.
    pub log: Option<&'a str>,
    /// The entry of that log.
    pub seq: Option<u64>,
    /// The change of the event that it is about.
    pub change: Option<u64>,
    /// The file or folder that it is about.
    pub path: Option<&'a Path>,
    /// The address that was dialled or should be bound, `host:port`.
    pub address: Option<&'a str>,
}

/// Result of the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The code that reaches JavaScript as `err.code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Closed(_) => "ERR_HYPER_CLOSED",
            Error::InvalidArgument(_) => "ERR_HYPER_INVALID_ARG",
            Error::Schema(_) => "ERR_HYPER_SCHEMA",
            Error::TooLarge { .. } => "ERR_HYPER_TOO_LARGE",
            Error::ReservedName(_) => "ERR_HYPER_RESERVED_NAME",
            Error::Backlog { .. } => "ERR_HYPER_BACKLOG",
            Error::Storage { source, .. } => Cause::of(source).code(),
            Error::Condition { .. } => "ERR_HYPER_CONDITION",
            Error::IdReused { .. } => "ERR_HYPER_ID_REUSED",
            Error::ForeignStore(_) => "ERR_HYPER_STORE",
            Error::Damaged { .. } => "ERR_HYPER_DAMAGED",
            Error::Repaired(_) => "ERR_HYPER_REPAIRED",
            Error::Locked { .. } => "ERR_HYPER_LOCKED",
            Error::ReadOnly => "ERR_HYPER_READ_ONLY",
            Error::NotAStore { .. } => "ERR_HYPER_NOT_A_STORE",
            Error::Conflict(_) => "ERR_HYPER_CONFLICT",
            Error::ChecksumMismatch { .. } => "ERR_HYPER_CHECKSUM_MISMATCH",
            Error::Fork { .. } => "ERR_HYPER_FORK",
            Error::Forged { .. } => "ERR_HYPER_FORGED",
            Error::Unsealed { .. } => "ERR_HYPER_SEAL",
            Error::Author { .. } => "ERR_HYPER_AUTHOR",
            Error::Identity { .. } => "ERR_HYPER_IDENTITY",
            Error::Import { cause, .. } => cause.code(),
            Error::Harmful { .. } => "ERR_HYPER_HARMFUL",
            Error::Incompatible(_) => "ERR_HYPER_INCOMPATIBLE",
            Error::Refused(_) => "ERR_HYPER_REFUSED",
            Error::SchemaDrift { .. } => "ERR_HYPER_SCHEMA_DRIFT",
            Error::Protocol(_) => "ERR_HYPER_PROTOCOL",
            Error::Connect { .. } => "ERR_HYPER_CONNECT",
            Error::Listen { .. } => "ERR_HYPER_LISTEN",
            Error::Silent(_) => "ERR_HYPER_SILENT",
            Error::Ended => "ERR_HYPER_ENDED",
            Error::Itself(_) => "ERR_HYPER_SELF",
            Error::Limit(_) => "ERR_HYPER_LIMIT",
            Error::Network(_) => "ERR_HYPER_NETWORK",
            Error::Rights(_) => "ERR_HYPER_RIGHTS",
            Error::Insecure(_) => "ERR_HYPER_INSECURE",
            Error::Internal(_) => "ERR_HYPER_INTERNAL",
        }
    }

    /// Details for programs, besides the code and the text.
    #[must_use]
    pub fn details(&self) -> Details<'_> {
        match self {
            Error::Storage { path, source, .. } => {
                let errno = source.raw_os_error().filter(|_| cfg!(unix));
                Details { system: os_error::name_of(source), errno, path: path.as_deref(), ..Details::default() }
            }
            Error::Damaged { path, .. } => Details { path: path.as_deref(), ..Details::default() },
            Error::Locked { path } | Error::NotAStore { path, .. } => {
                Details { path: Some(Path::new(path)), ..Details::default() }
            }
            Error::Fork { log, seq, .. } | Error::Forged { log, seq, .. } | Error::Harmful { log, seq, .. } => {
                Details { log: Some(log), seq: Some(*seq), ..Details::default() }
            }
            Error::SchemaDrift { log, .. } => Details { log: Some(log), ..Details::default() },
            Error::Condition { change, .. } | Error::IdReused { change, .. } => {
                Details { change: Some(*change), ..Details::default() }
            }
            Error::Connect { target: address, system, .. } | Error::Listen { address, system, .. } => {
                Details { system: *system, address: Some(address), ..Details::default() }
            }
            Error::Import { cause, .. } => cause.details(),
            _ => Details::default(),
        }
    }

    /// An I/O failure while doing `action`.
    pub fn storage(action: impl Into<String>, source: std::io::Error) -> Self {
        Error::Storage { action: action.into(), path: None, source: Arc::new(source) }
    }

    /// An I/O failure while doing `action` with a file or folder.
    pub fn storage_at(action: impl Into<String>, path: &Path, source: std::io::Error) -> Self {
        Error::Storage { action: action.into(), path: Some(path.to_owned()), source: Arc::new(source) }
    }

    /// Whether the same action may succeed later, without reopening anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Storage { source, .. } if Cause::of(source).is_transient())
    }

    /// Damage at a key or another location in a store.
    pub fn damaged(location: impl Into<String>, detail: impl Into<String>) -> Self {
        Error::Damaged { location: location.into(), path: None, detail: detail.into() }
    }

    /// Damage to a file, at an offset if it is known.
    pub fn damaged_file(path: &Path, offset: Option<u64>, detail: impl Into<String>) -> Self {
        let file = path.display();
        let location = offset.map_or_else(|| file.to_string(), |offset| format!("{file} at byte {offset}"));
        Error::Damaged { location, path: Some(path.to_owned()), detail: detail.into() }
    }
}

#[cfg(test)]
mod tests;
