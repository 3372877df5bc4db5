//! A connection over a stream of JavaScript: TLS, a WebSocket, an SSH channel.
//!
//! The network's end is a [`Pipe`], which is used like a socket. The other end is a [`Carrier`]. It never waits: it is notified
//! when it can continue. Each direction holds a bounded number of bytes.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes that may wait in one direction before their sender is told to wait: enough for some turns at memory speed.
const PIPE_HIGH: usize = 256 * 1024;

/// Bytes that a carrier may still bring after it was told to wait; with more, the connection ends. A paused stream of Node.js
/// still delivers its current chunk, but must not deliver without end.
pub const MAX_PIPED: usize = 4 * 1024 * 1024;

/// Bytes taken at a time by a carrier.
const CARRIED: usize = 64 * 1024;

/// What a carrier is notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeNews {
    /// There are bytes for [`Carrier::read`] again, after it had found none.
    Readable,
    /// [`Carrier::write`] has room again, after it had said to wait.
    Drained,
}

/// Notifies a carrier. Must not block.
type Tell = Box<dyn Fn(PipeNews) + Send + Sync>;

#[derive(Default)]
struct PipeState {
    /// From the carrier to the network.
    incoming: BytesMut,
    /// Whether the carrier will bring no more bytes.
    ended: bool,
    /// Why the carrier's stream has failed or was destroyed; `None` while it works.
    broken: Option<String>,
    /// Whether the carrier was told to wait.
    waits: bool,
    /// From the network to the carrier.
    outgoing: BytesMut,
    /// Whether the network will send no more bytes.
    finished: bool,
    /// Whether the carrier found no bytes, and waits to be notified.
    idle: bool,
}

struct Shared {
    state: Mutex<PipeState>,
    readable: Notify,
    writable: Notify,
    tell: Tell,
}

/// A new connection: both ends of it.
pub fn pipe(tell: impl Fn(PipeNews) + Send + Sync + 'static) -> (Pipe, Carrier) {
    let shared = Arc::new(Shared {
        state: Mutex::new(PipeState { idle: true, ..PipeState::default() }),
        readable: Notify::new(),
        writable: Notify::new(),
        tell: Box::new(tell),
    });
    (Pipe(Arc::clone(&shared)), Carrier(shared))
}

/// The network's end. When it is dropped the connection is over.
pub struct Pipe(Arc<Shared>);

impl Pipe {
    /// Waits for bytes, or for their end. Cancellation-safe.
    pub(super) async fn readable(&self) {
        while self.is_silent() {
            self.0.readable.notified().await;
        }
    }

    fn is_silent(&self) -> bool {
        let state = self.0.state.lock();
        state.incoming.is_empty() && !state.ended && state.broken.is_none()
    }

    /// Waits for room. Cancellation-safe.
    pub(super) async fn writable(&self) {
        while self.is_full() {
            self.0.writable.notified().await;
        }
    }

    fn is_full(&self) -> bool {
        let state = self.0.state.lock();
        state.outgoing.len() >= PIPE_HIGH && state.broken.is_none()
    }

    /// Appends what there is to `buffer`, as much as it has room for; 0 at the end.
    pub(super) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.incoming.is_empty() {
            return match &state.broken {
                _ if state.ended => Ok(0),
                Some(reason) => Err(io::Error::new(io::ErrorKind::ConnectionReset, reason.clone())),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let count = state.incoming.len().min(buffer.capacity() - buffer.len());
        let bytes = state.incoming.split_to(count);
        buffer.extend_from_slice(&bytes);
        drop(bytes);
        let drained = state.waits && state.incoming.len() < PIPE_HIGH / 2;
        state.waits &= !drained;
        drop(state);
        if drained {
            (self.0.tell)(PipeNews::Drained);
        }
        Ok(count)
    }

    /// Takes as many of `bytes` as there is room for.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if let Some(reason) = &state.broken {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, reason.clone()));
        }
        let count = bytes.len().min(PIPE_HIGH.saturating_sub(state.outgoing.len()));
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.outgoing.extend_from_slice(bytes.get(..count).unwrap_or_default());
        self.0.wake_carrier(state);
        Ok(count)
    }

    /// Ends the direction from the network to the carrier.
    pub(super) fn shutdown(&self) {
        let mut state = self.0.state.lock();
        state.finished = true;
        self.0.wake_carrier(state);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn wake_carrier(&self, mut state: parking_lot::MutexGuard<'_, PipeState>) {
        let wakes = std::mem::take(&mut state.idle);
        drop(state);
        if wakes {
            (self.tell)(PipeNews::Readable);
        }
    }
}

/// What [`Carrier::read`] finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Carried {
    /// These bytes are to be sent, in this order.
    Bytes(Bytes),
    /// Nothing for now: [`PipeNews::Readable`] will follow.
    Nothing,
    /// Nothing more will come: end the stream.
    End,
}

/// The other end. Nothing here waits.
pub struct Carrier(Arc<Shared>);

impl Carrier {
    /// Passes bytes to the network. Returns whether it can take more; if not, [`PipeNews::Drained`] will follow.
    pub fn write(&self, bytes: &[u8]) -> bool {
        let mut state = self.0.state.lock();
        if state.broken.is_some() {
            return false;
        }
        state.incoming.extend_from_slice(bytes);
        if state.incoming.len() > MAX_PIPED {
            state.incoming = BytesMut::new();
            state.broken = Some("the stream brought more although it was told to wait".to_owned());
        }
        state.waits |= state.incoming.len() >= PIPE_HIGH;
        let welcome = !state.waits;
        drop(state);
        self.0.readable.notify_one();
        welcome
    }

    /// The stream's other end has sent everything.
    pub fn end(&self) {
        self.0.state.lock().ended = true;
        self.0.readable.notify_one();
    }

    /// The stream is broken.
    pub fn fail(&self, reason: String) {
        self.0.state.lock().broken.get_or_insert(reason);
        self.0.readable.notify_one();
        self.0.writable.notify_one();
    }

    /// Takes bytes to send.
    pub fn read(&self) -> Carried {
        let mut state = self.0.state.lock();
        if !state.outgoing.is_empty() {
            let count = state.outgoing.len().min(CARRIED);
            let bytes = state.outgoing.copy_to_bytes(count);
            let waited = state.outgoing.len() + count >= PIPE_HIGH;
            drop(state);
            if waited {
                self.0.writable.notify_one();
            }
            return Carried::Bytes(bytes);
        }
        if state.finished || state.broken.is_some() {
            return Carried::End;
        }
        state.idle = true;
        Carried::Nothing
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.fail("its stream was closed".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Heard = Arc<Mutex<Vec<PipeNews>>>;

    fn connected() -> (Pipe, Carrier, Heard) {
        let heard = Heard::default();
        let tell = Arc::clone(&heard);
        let (pipe, carrier) = pipe(move |news| tell.lock().push(news));
        (pipe, carrier, heard)
    }

    fn read(pipe: &Pipe) -> io::Result<BytesMut> {
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        pipe.try_read_buf(&mut buffer).map(|_| buffer)
    }

    #[test]
    fn bytes_go_both_ways_in_order() {
        let (pipe, carrier, heard) = connected();
        assert_eq!(read(&pipe).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(carrier.write(b"a") && carrier.write(b"b"));
        assert_eq!(read(&pipe).unwrap(), "ab");
        pipe.try_write(b"c").unwrap();
        pipe.try_write(b"d").unwrap();
        assert_eq!(*heard.lock(), [PipeNews::Readable], "told once until nothing was found");
        assert_eq!(carrier.read(), Carried::Bytes("cd".into()));
        assert_eq!(carrier.read(), Carried::Nothing);
        pipe.shutdown();
        assert_eq!(heard.lock().len(), 2);
        assert_eq!(carrier.read(), Carried::End);
        carrier.end();
        assert_eq!(read(&pipe).unwrap().len(), 0);
    }

    #[test]
    fn both_directions_are_bounded_and_go_on_when_there_is_room() {
        let (pipe, carrier, heard) = connected();
        let mut written = 0;
        while let Ok(count) = pipe.try_write(&[0; 10_000]) {
            written += count;
        }
        assert_eq!(written, PIPE_HIGH);
        assert!(matches!(carrier.read(), Carried::Bytes(_)));
        assert!(pipe.try_write(&[0; 10]).is_ok());
        while carrier.write(&[0; 10_000]) {}
        assert!(!heard.lock().contains(&PipeNews::Drained));
        while read(&pipe).is_ok() {}
        assert_eq!(heard.lock().iter().filter(|news| **news == PipeNews::Drained).count(), 1);
        assert!(carrier.write(&[0; 10]));
    }

    #[test]
    fn a_carrier_that_does_not_wait_when_told_to_loses_the_connection() {
        let (pipe, carrier, _) = connected();
        for _ in 0..2 * MAX_PIPED / 10_000 {
            carrier.write(&[0; 10_000]);
        }
        assert_eq!(read(&pipe).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(pipe.0.state.lock().incoming.capacity(), 0);
    }

    #[test]
    fn either_end_learns_that_the_other_is_gone() {
        let (pipe, carrier, heard) = connected();
        carrier.write(b"last");
        drop(carrier);
        assert_eq!(read(&pipe).unwrap(), "last", "what came before the end is heard");
        assert!(pipe.try_write(b"a").is_err() && read(&pipe).is_err());
        let (pipe, carrier, _) = connected();
        drop(pipe);
        assert_eq!(carrier.read(), Carried::End);
        assert!(heard.lock().is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let (pipe, carrier, _) = connected();
        let carrier = Arc::new(carrier);
        let other = Arc::clone(&carrier);
        let writes = tokio::spawn(async move {
            other.write(b"x");
        });
        pipe.readable().await;
        assert_eq!(read(&pipe).unwrap(), "x");
        writes.await.unwrap();
        while pipe.try_write(&[0; 10_000]).is_ok() {}
        let reads = tokio::spawn(async move { while carrier.read() != Carried::Nothing {} });
        pipe.writable().await;
        reads.await.unwrap();
    }
}
