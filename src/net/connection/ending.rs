//! The end of a connection: why, what the peer hears of it, and what it means for the next attempt.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::frames::READ_CHUNK;
use super::Connection;
use crate::error::{quoted, Error};
use crate::net::event::{End, Reason};
use crate::net::link::Link;
use crate::net::outbox::Outbox;
use crate::net::policy::Health;
use crate::net::socket;
use crate::protocol::{CloseReason, GoodbyeReason, PeerKind};

/// A link that served this long was healthy, even if it never went live (1.x peers can prevent that).
const SETTLED_AFTER_MS: u64 = 5_000;

impl Connection<'_> {
    /// How well the peer did, for the dialler.
    pub(super) fn health(&self) -> Health {
        let lasted = self.shared.now_ms().saturating_sub(self.since_ms);
        match self.session.peer_kind() {
            PeerKind::Unknown => Health::Silent,
            _ if self.hopeless => Health::Hopeless,
            // Progress is kept, so the next link resumes further on, however often links are cut.
            _ if self.live || self.counters.added > 0 || lasted >= SETTLED_AFTER_MS => Health::Settled,
            _ => Health::Greeted,
        }
    }

    /// Tells a 2.x peer why the link ends, if this side ends it. Returns whether there is something to tell.
    pub(super) fn say_goodbye(&mut self, end: &End) -> bool {
        let why = match end.reason {
            _ if end.told => return false,
            Reason::Closing => GoodbyeReason::Closing,
            Reason::Refused => GoodbyeReason::Refused,
            Reason::Damaged => GoodbyeReason::Damaged,
            Reason::Silent => GoodbyeReason::Silent,
            Reason::Protocol => GoodbyeReason::Protocol,
            Reason::Renewed => GoodbyeReason::Renewed,
            Reason::Lost | Reason::Ended | Reason::Dropped | Reason::Itself | Reason::Internal => return false,
        };
        // An error of our own store may contain paths, which the peer must not learn.
        let text = match why {
            GoodbyeReason::Refused | GoodbyeReason::Protocol | GoodbyeReason::Silent => end.error.to_string(),
            _ => String::new(),
        };
        let frame = self.session.goodbye(why, &text);
        if let Some(frame) = &frame {
            self.outbox.push(frame);
        }
        frame.is_some()
    }

    /// The end that follows from the session's reason.
    pub(super) fn end_of(&mut self, reason: CloseReason) -> End {
        match reason {
            CloseReason::Peer(error) | CloseReason::Local(error) => End::here(error),
            CloseReason::Harmful(error) | CloseReason::Incompatible(error) => {
                self.hopeless = true;
                End::here(error)
            }
            CloseReason::Told(why, text) => End { told: true, ..end_told(why, &text) },
            CloseReason::Silent => End::here(Error::Silent("no sign of life from the peer".to_owned())),
            CloseReason::HalfOpen | CloseReason::Renew => End::here(Error::Ended).because(Reason::Renewed),
        }
    }

    /// The connection was ended from outside: by the user, or for a link that needed its slot or memory.
    pub(super) fn dropped(&mut self) -> End {
        match self.link.take_eviction() {
            Some(error) => {
                self.evicted = true;
                End::here(error)
            }
            None => End::here(Error::Ended).because(Reason::Dropped),
        }
    }

    pub(super) fn lost(&self, error: &io::Error) -> End {
        lost(self.link, error)
    }
}

/// The end for a reason that the peer gave.
fn end_told(why: GoodbyeReason, text: &str) -> End {
    let error = |what: &str| match text {
        "" => Error::Incompatible(format!("the peer ended the link: {what}")),
        text => Error::Incompatible(format!("the peer ended the link: {what}: {}", quoted(text))),
    };
    match why {
        GoodbyeReason::Closing => End::here(Error::Ended).because(Reason::Closing),
        GoodbyeReason::Renewed => End::here(Error::Ended).because(Reason::Renewed),
        GoodbyeReason::Other => End::here(Error::Ended),
        GoodbyeReason::Refused => End::here(error("it refuses it")).because(Reason::Refused),
        GoodbyeReason::Damaged => End::here(error("its store has failed")).because(Reason::Damaged),
        GoodbyeReason::Silent => {
            End::here(error("it heard nothing from this side for too long")).because(Reason::Silent)
        }
        GoodbyeReason::Protocol => {
            End::here(error("it received something that breaks the protocol")).because(Reason::Protocol)
        }
    }
}

/// The end of a connection that broke.
pub(super) fn lost(link: &Link, error: &io::Error) -> End {
    let (reason, system) = (socket::reason(error), socket::system(error));
    End::here(Error::Connect { target: link.key.clone(), reason, system })
}

/// Writes what waits, closes the sending side and reads until the peer does the same. Closing a socket with unread bytes would make
/// the system discard what was written.
pub(super) async fn farewell(mut socket: TcpStream, mut outbox: Outbox, most: usize) -> io::Result<()> {
    while !outbox.is_empty() {
        socket.writable().await?;
        outbox.flush(&socket, 0)?;
    }
    socket.shutdown().await?;
    let mut rest = BytesMut::with_capacity(READ_CHUNK);
    let mut read = 0;
    while read < most {
        socket.readable().await?;
        rest.clear();
        match socket.try_read_buf(&mut rest) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
