//! The end of a connection: its reason, what the peer is told, and what it means for the next attempt.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use super::wire::READ_CHUNK;
use super::Connection;
use crate::error::{printable, quoted, Error};
use crate::net::event::{End, Reason};
use crate::net::link::Link;
use crate::net::outbox::Outbox;
use crate::net::policy::Health;
use crate::net::socket;
use crate::net::stream::Stream;
use crate::net::Shared;
use crate::protocol::{self, CloseReason, GoodbyeReason, PeerKind};

/// A link that served this long was healthy, even if it never went live (1.x peers can prevent that).
const SETTLED_AFTER_MS: u64 = 5_000;

/// How long a closing network waits for a peer to take the last bytes.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a link that would end at the same event again waits for the peer to take everything before that event: enough for some
/// megabytes on a slow line.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Bytes that are read and dropped after a peer broke the rules, so that it can receive the reason: as much as may be on its way.
/// A peer that keeps sending does not get the reason.
const LAST_READ: usize = 256 * 1024;

impl Connection<'_> {
    /// How well the peer did, for the dialler.
    pub(super) fn health(&self, end: &End) -> Health {
        let lasted = self.shared.now_ms().saturating_sub(self.since_ms);
        let refused = match end.error {
            Error::Rights(_) | Error::Network(_) => true,
            // An attack on this connection says nothing about the next one.
            Error::Insecure(_) => self.remote.is_none(),
            _ => false,
        };
        match self.session.peer_kind() {
            _ if self.hopeless || refused => Health::Hopeless,
            PeerKind::Unknown => Health::Silent,
            // What was stored stays stored, so the next link continues from there, however often links are cut.
            _ if self.live || self.counters.added > 0 || lasted >= SETTLED_AFTER_MS => Health::Settled,
            _ => Health::Greeted,
        }
    }

    /// Tells a 2.x peer why the link ends, if this side ends it. Returns whether there is something to tell.
    pub(super) fn say_goodbye(&mut self, end: &End) -> bool {
        let why = match end.reason {
            _ if end.told => return false,
            Reason::Closing => GoodbyeReason::Closing,
            Reason::Refused => match end.error {
                Error::Rights(_) => GoodbyeReason::Rights,
                Error::Network(_) => GoodbyeReason::Network,
                Error::Insecure(_) => GoodbyeReason::Insecure,
                _ => GoodbyeReason::Refused,
            },
            Reason::Damaged => GoodbyeReason::Damaged,
            Reason::Silent => GoodbyeReason::Silent,
            Reason::Protocol => GoodbyeReason::Protocol,
            Reason::Renewed => GoodbyeReason::Renewed,
            Reason::Lost | Reason::Ended | Reason::Dropped | Reason::Itself | Reason::Internal => return false,
        };
        // An error of our own store may contain paths, which the peer must not learn.
        let text = match (why, &end.error) {
            (_, Error::Rights(reason) | Error::Network(reason) | Error::Insecure(reason)) => reason.clone(),
            (GoodbyeReason::Refused | GoodbyeReason::Protocol | GoodbyeReason::Silent, error) => error.to_string(),
            _ => String::new(),
        };
        let hears = self.session.peer_kind() == PeerKind::V2 || self.wire.is_secure() || self.entry.answers_in_plain;
        if hears {
            self.wire.push(&protocol::goodbye(why, &text));
        }
        hears
    }

    /// The end that follows from the session's reason.
    pub(super) fn end_of(&mut self, reason: CloseReason) -> End {
        match reason {
            CloseReason::Peer(error) | CloseReason::Local(error) => End::here(error),
            CloseReason::Harmful(error) => {
                (self.hopeless, self.lingers) = (true, true);
                End::here(error)
            }
            CloseReason::Incompatible(error) => {
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
    let refused = |what: &str| match text {
        "" => Error::Refused(what.to_owned()),
        // The text is short, and its end says what to do.
        text => Error::Refused(printable(text)),
    };
    let says = || match text {
        "" => "the peer refuses the link".to_owned(),
        text => format!("the peer says {}", quoted(text)),
    };
    match why {
        GoodbyeReason::Rights => End::here(Error::Rights(says())),
        GoodbyeReason::Network => End::here(Error::Network(says())),
        GoodbyeReason::Insecure => End::here(Error::Insecure(says())),
        GoodbyeReason::Closing => End::here(Error::Ended).because(Reason::Closing),
        GoodbyeReason::Renewed => End::here(Error::Ended).because(Reason::Renewed),
        GoodbyeReason::Other => End::here(Error::Ended),
        GoodbyeReason::Refused => End::here(refused("it refuses it")),
        GoodbyeReason::Damaged => End::here(refused("its store has failed")).because(Reason::Damaged),
        GoodbyeReason::Silent => End::here(refused("it received nothing for too long")).because(Reason::Silent),
        GoodbyeReason::Protocol => {
            End::here(refused("it received something that breaks the protocol")).because(Reason::Protocol)
        }
    }
}

/// Writes the remaining bytes, and ends the connection.
pub(super) async fn part(shared: &Shared, stream: Stream, outbox: Outbox, end: &End, tells: bool, lingers: bool) {
    let friendly = lingers || end.reason == Reason::Closing;
    let farewell = farewell(stream, outbox, if friendly { usize::MAX } else { LAST_READ });
    if lingers {
        // The next link would end at the same event, so this one has to bring everything before it.
        let mut closing = shared.closing();
        tokio::select! {
            _ = timeout(LAST_WORDS, farewell) => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    } else if tells || end.reason == Reason::Closing && !end.told {
        // Best effort: what is not sent now is sent on the next link.
        drop(timeout(FAREWELL, farewell).await);
    }
}

/// The end of a connection that broke.
pub(super) fn lost(link: &Link, error: &io::Error) -> End {
    let (reason, system) = (socket::reason(error), socket::system(error));
    End::here(Error::Connect { target: link.key.clone(), reason, system })
}

/// Writes what waits, closes the sending side and reads until the peer does the same. Closing a socket with unread bytes would make
/// the system discard what was written.
async fn farewell(mut stream: Stream, mut outbox: Outbox, most: usize) -> io::Result<()> {
    while !outbox.is_empty() {
        stream.writable().await?;
        outbox.flush(&stream, 0)?;
    }
    stream.shutdown().await?;
    let mut rest = BytesMut::with_capacity(READ_CHUNK);
    let mut read = 0;
    while read < most {
        stream.readable().await?;
        rest.clear();
        match stream.try_read_buf(&mut rest) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_says_at_the_end_is_told_whole_and_has_a_code() {
        let advice = format!("event \u{1b}{} is too large: raise the limit", "x".repeat(200));
        let says = [
            (GoodbyeReason::Closing, Reason::Closing, "ERR_HYPER_ENDED"),
            (GoodbyeReason::Renewed, Reason::Renewed, "ERR_HYPER_ENDED"),
            (GoodbyeReason::Other, Reason::Ended, "ERR_HYPER_ENDED"),
            (GoodbyeReason::Refused, Reason::Refused, "ERR_HYPER_REFUSED"),
            (GoodbyeReason::Damaged, Reason::Damaged, "ERR_HYPER_REFUSED"),
            (GoodbyeReason::Silent, Reason::Silent, "ERR_HYPER_REFUSED"),
            (GoodbyeReason::Protocol, Reason::Protocol, "ERR_HYPER_REFUSED"),
            (GoodbyeReason::Rights, Reason::Refused, "ERR_HYPER_RIGHTS"),
            (GoodbyeReason::Network, Reason::Refused, "ERR_HYPER_NETWORK"),
            (GoodbyeReason::Insecure, Reason::Refused, "ERR_HYPER_INSECURE"),
        ];
        for (why, reason, code) in says {
            for text in ["", &advice] {
                let end = end_told(why, text);
                assert_eq!((end.reason, end.error.code()), (reason, code), "{why:?} {text}");
                if code == "ERR_HYPER_REFUSED" && !text.is_empty() {
                    let message = end.error.to_string();
                    assert!(message.ends_with("raise the limit") && message.contains("\\u{1b}x"), "{message}");
                }
            }
        }
    }
}
