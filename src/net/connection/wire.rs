//! A link's bytes between the stream and the session: frames that are not whole yet, frames that wait to be sent, and on a secure
//! link the records that they travel in.

use std::io;

use bytes::{Bytes, BytesMut};

use crate::error::Result;
use crate::identity::noise::Transport;
use crate::net::outbox::{Flushed, Outbox};
use crate::net::stream::Stream;
use crate::protocol::frame;

/// Bytes asked of the stream at a time.
pub(super) const READ_CHUNK: usize = 64 * 1024;

/// The same at first, and while little is read: idle links hold this much.
const FIRST_CHUNK: usize = 4 * 1024;

/// A buffer larger than this is freed once it is empty.
const KEEP_CAPACITY: usize = 256 * 1024;

/// See the module's documentation.
pub(super) struct Wire {
    /// Bytes read, not yet whole frames.
    inbox: BytesMut,
    /// Bytes asked of the stream at a time.
    chunk: usize,
    outbox: Outbox,
    secure: Option<Secure>,
}

/// What a secure link has in addition.
struct Secure {
    transport: Transport,
    /// Bytes read, not yet whole records.
    records: BytesMut,
    /// Frames that are not in records yet: those of a turn share as few as possible.
    frames: BytesMut,
}

impl Wire {
    pub(super) fn new() -> Self {
        Wire { inbox: BytesMut::new(), chunk: FIRST_CHUNK, outbox: Outbox::default(), secure: None }
    }

    /// From now on all bytes travel in records, including those already read after the last frame.
    ///
    /// # Errors
    /// `Insecure` if those bytes are not records of the peer.
    pub(super) fn secure(&mut self, transport: Transport) -> Result<()> {
        let records = std::mem::take(&mut self.inbox);
        self.secure = Some(Secure { transport, records, frames: BytesMut::new() });
        self.open_records()
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    /// Reads once. Returns the number of bytes, 0 at the end of the stream.
    pub(super) fn receive(&mut self, stream: &Stream) -> io::Result<usize> {
        let input = self.secure.as_mut().map_or(&mut self.inbox, |secure| &mut secure.records);
        input.reserve(self.chunk);
        let read = stream.try_read_buf(input)?;
        self.chunk = (2 * read).clamp(FIRST_CHUNK, READ_CHUNK);
        Ok(read)
    }

    /// Decrypts the complete records.
    ///
    /// # Errors
    /// `Insecure` if one is not the next record of the peer.
    pub(super) fn open_records(&mut self) -> Result<()> {
        match &mut self.secure {
            Some(secure) => secure.transport.open(&mut secure.records, &mut self.inbox),
            None => Ok(()),
        }
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// `Protocol` if it is larger than `limit` or malformed.
    pub(super) fn frame(&mut self, limit: usize) -> Result<Option<Bytes>> {
        frame::split(&mut self.inbox, limit)
    }

    /// Whether bytes are left: an incomplete frame, or frames not taken yet.
    pub(super) fn has_input(&self) -> bool {
        !self.inbox.is_empty() || self.secure.as_ref().is_some_and(|secure| !secure.records.is_empty())
    }

    /// Whether there may be whole frames among them.
    pub(super) fn has_frames(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub(super) fn push(&mut self, frames: &[u8]) {
        match &mut self.secure {
            Some(secure) => secure.frames.extend_from_slice(frames),
            None => self.outbox.push(frames),
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.outbox.len() + self.secure.as_ref().map_or(0, |secure| secure.frames.len())
    }

    /// Encrypts the waiting frames into records.
    fn seal(&mut self) -> Result<()> {
        let Some(secure) = self.secure.as_mut().filter(|secure| !secure.frames.is_empty()) else { return Ok(()) };
        self.outbox.seal(&mut secure.transport, &secure.frames)?;
        secure.frames.clear();
        if secure.frames.capacity() > KEEP_CAPACITY {
            secure.frames = BytesMut::new();
        }
        Ok(())
    }

    /// Writes until all is written or the stream takes no more.
    ///
    /// # Errors
    /// `Internal` if the bytes cannot be encrypted; the inner result has the stream's error.
    pub(super) fn flush(&mut self, stream: &Stream, now_ms: u64) -> Result<io::Result<Flushed>> {
        self.seal()?;
        Ok(self.outbox.flush(stream, now_ms))
    }

    /// Writes what the stream takes now, whatever it last reported about room. Returns how many bytes it took.
    pub(super) fn poke(&mut self, stream: &Stream) -> u64 {
        self.outbox.poke(stream)
    }

    pub(super) fn stalled_since(&self) -> Option<u64> {
        self.outbox.stalled_since()
    }

    /// Memory that all buffers take.
    pub(super) fn held(&self) -> usize {
        let secure = self.secure.as_ref().map_or(0, |secure| secure.records.capacity() + secure.frames.capacity());
        self.inbox.capacity() + self.outbox.held() + secure
    }

    /// The bytes that still wait to be written, encrypted if the link is secure.
    pub(super) fn into_outbox(mut self) -> Outbox {
        // What cannot be encrypted is not sent.
        let _ = self.seal();
        self.outbox
    }
}
