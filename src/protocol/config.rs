//! What a session needs to know at its start.

use std::sync::Arc;

use super::message::Mode;
use super::pieces::Partials;
use super::twins::{Instance, Token};
use crate::error::{Error, Result};
use crate::schema::ToldSchema;

/// Logs in the largest part that is listed instead of being divided further: their digests cost about as much as one more
/// round of comparison.
const LIST_LOGS: u64 = 16;

/// Logs of which the peer lacks entries and whose position in the store is looked up. If there are more, reading the store from
/// its beginning costs less.
const MAX_STARTS: usize = 4096;

/// Logs with state on a link. If there are more, those of which both sides have the same entries are dropped. Their memory stays
/// below 1 MiB.
const MAX_STATES: usize = 4096;

/// Logs in a sender's table of indices before it begins a new one: some 6 MiB on both sides.
const MAX_TABLE: usize = 64 * 1024;

/// What a session needs to know at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether we opened the connection. Links that a 1.x peer opened are given up more patiently, because each redial costs it
    /// one of its ten attempts.
    pub dialled: bool,
    /// Why a value must not be sent to a 1.x peer; `None` if it may (`event::reason_unsafe_for_v1`).
    pub unsafe_for_v1: fn(&[u8]) -> Option<String>,
    /// Whether this emitter writes standard protobuf. If so, sessions with 1.x are refused, because 1.x would misread it.
    pub standard: bool,
    /// Largest frame the driver accepts, in bytes. 2.x peers are told.
    pub max_frame: usize,
    /// Largest event container that the log stores, in bytes. 2.x peers are told, and send nothing larger.
    pub max_value: usize,
    /// The name of the network that this emitter belongs to. 2.x peers are told, and have to belong to the same one.
    pub network: Option<String>,
    /// Whether 1.x peers are accepted although they cannot name their network.
    pub takes_nameless: bool,
    /// Whether the peer may send events. If not, our handshake says that we accept none.
    pub may_write: bool,
    /// This emitter's instance id, and its token for this connection. Without them every link to the same peer carries rows.
    pub twin: Option<(Instance, Token)>,
    /// The schema of this emitter, if it has one. 2.x peers with another one are told.
    pub schema: Option<Arc<ToldSchema>>,
    /// Large nodes that have arrived in part, over any link of this emitter.
    pub partials: Partials,
    /// Number of the address prefix that the peer connects from. What it leaves incomplete is kept for this prefix.
    pub address_prefix: u64,
    /// How long a half-open link to a 1.x peer may stay idle, in milliseconds; `None` for the default of its direction.
    pub patience_ms: Option<u64>,
    /// Tests choose smaller sizes, so that few logs suffice.
    #[doc(hidden)]
    pub sizes: Sizes,
    /// Highest version of the extension to speak. Tests choose lower ones.
    #[doc(hidden)]
    pub version: u64,
    /// Whether to offer the extension. Without it, every peer is treated as 1.x.
    pub extension: bool,
    /// Defences against 1.x's defects. Tests switch them off one by one.
    #[doc(hidden)]
    pub defences: Defences,
}

impl Config {
    /// The default settings.
    #[must_use]
    pub fn new(dialled: bool, unsafe_for_v1: fn(&[u8]) -> Option<String>) -> Self {
        Config {
            dialled,
            unsafe_for_v1,
            standard: false,
            max_frame: super::frame::MAX_FRAME_LEN,
            max_value: super::frame::MAX_FRAME_LEN / 2,
            network: None,
            takes_nameless: true,
            may_write: true,
            twin: None,
            schema: None,
            partials: Partials::default(),
            address_prefix: 0,
            patience_ms: None,
            sizes: Sizes::default(),
            version: super::version::VERSION,
            extension: true,
            defences: Defences::default(),
        }
    }
}

impl Config {
    /// The mode in which to treat a peer whose handshake says `mode`: a peer that may only read is treated as in mode `pull`.
    ///
    /// # Errors
    /// `Rights` if its mode is `push`: then there is nothing that it may do.
    pub(crate) fn mode_of(&self, mode: Mode) -> Result<Mode> {
        match mode {
            mode if self.may_write => Ok(mode),
            Mode::Push => Err(Error::Rights("it only sends events, but has only the right to read".to_owned())),
            Mode::Sync | Mode::Pull => Ok(Mode::Pull),
        }
    }

    /// Checks that a peer in this mode may send events.
    ///
    /// # Errors
    /// `Rights` or `Protocol` if it may not.
    pub(crate) fn check_brings(&self, mode: Mode) -> Result<()> {
        match mode {
            Mode::Pull if self.may_write => Err(Error::Protocol("a peer in mode 'pull' sends nodes".to_owned())),
            Mode::Pull => Err(Error::Rights("it sends events, but has only the right to read".to_owned())),
            Mode::Sync | Mode::Push => Ok(()),
        }
    }
}

/// Logs that a 2.x peer names and of which we have nothing: this many are remembered at a time; the others are looked for when
/// these have come. At some 300 bytes each, they take half of the memory that all links may hold.
const MAX_NAMES: usize = 256 * 1024;

/// How many logs a session with a 2.x peer deals with at a time.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Logs of the largest part that is listed.
    pub list: u64,
    /// Logs whose position is looked up before the whole store is read instead.
    pub starts: usize,
    /// Logs with state before some are dropped.
    pub states: usize,
    /// Logs in a table of indices.
    pub table: usize,
    /// Logs that the peer names and that are unknown here.
    pub names: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { list: LIST_LOGS, starts: MAX_STARTS, states: MAX_STATES, table: MAX_TABLE, names: MAX_NAMES }
    }
}

/// Defences against 1.x's defects (docs/design/wire.md, "With a 1.x peer"). The simulator switches off each one to show that it is needed.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defences {
    /// Remember what the peer has, and never send it again.
    pub no_echo: bool,
    /// Decide by log heads whether everything has arrived, not by counting arrivals.
    pub complete_by_heads: bool,
    /// Close links that stay half open.
    pub close_half_open: bool,
    /// Send nothing while a 1.x peer still sends what we want.
    pub pull_first: bool,
    /// Wait until the peer's wants are known before sending, so that causes go first.
    pub settle: bool,
    /// Hold live nodes back until the peer's `sentWants`.
    pub live_after_wants: bool,
    /// Notice entries that a live 1.x peer never relays.
    pub mind_gaps: bool,
    /// Send further log entries of stored nodes.
    pub send_duplicates: bool,
    /// Close before events that crash 1.x.
    pub spare_v1: bool,
    /// Ask for one node more than is missing, as proof that both logs agree.
    pub prove_forks: bool,
    /// Send our version of a forked log as a branch.
    pub branches: bool,
}

impl Default for Defences {
    fn default() -> Self {
        Defences {
            no_echo: true,
            complete_by_heads: true,
            close_half_open: true,
            pull_first: true,
            settle: true,
            live_after_wants: true,
            mind_gaps: true,
            send_duplicates: true,
            spare_v1: true,
            prove_forks: true,
            branches: true,
        }
    }
}
