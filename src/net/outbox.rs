//! Bytes that wait for a socket.

use std::io;

use bytes::{Buf, BytesMut};

use super::stream::Stream;
use crate::error::Result;
use crate::identity::noise::Transport;

/// A larger buffer is freed once it is empty, so that one huge frame does not take its size for the rest of the link's life.
const KEEP_CAPACITY: usize = 256 * 1024;

/// Frames to write, in order. They are written in as few system calls as the socket allows.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: BytesMut,
    /// When the socket first refused the bytes that wait, in milliseconds; `None` while it takes bytes.
    stalled_since: Option<u64>,
}

/// The result of one [`Outbox::flush`].
#[derive(Default)]
pub(super) struct Flushed {
    pub(super) bytes: u64,
    pub(super) writes: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: &[u8]) {
        self.waiting.extend_from_slice(frame);
    }

    /// Frames, as records of a secure link.
    pub(super) fn seal(&mut self, transport: &mut Transport, frames: &[u8]) -> Result<()> {
        transport.seal(frames, &mut self.waiting)
    }

    /// Bytes waiting.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Memory that the buffer takes.
    pub(super) fn held(&self) -> usize {
        self.waiting.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn stalled_since(&self) -> Option<u64> {
        self.stalled_since
    }

    /// Writes what the system takes, even if it has not reported room. It reports room only when a third of its buffer is free,
    /// which takes minutes on a slow line, even if bytes move all the time. Returns how many bytes it took.
    pub(super) fn poke(&mut self, stream: &Stream) -> u64 {
        match stream.force_write(&self.waiting) {
            Ok(written @ 1..) => {
                self.waiting.advance(written);
                self.stalled_since = None;
                written as u64
            }
            // Reading the socket will show an error.
            _ => 0,
        }
    }

    /// Writes until everything is written or the socket takes no more.
    pub(super) fn flush(&mut self, stream: &Stream, now_ms: u64) -> io::Result<Flushed> {
        let mut flushed = Flushed::default();
        while !self.waiting.is_empty() {
            match stream.try_write(&self.waiting) {
                Ok(written) => {
                    self.waiting.advance(written);
                    self.stalled_since = None;
                    flushed.bytes += written as u64;
                    flushed.writes += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled_since.get_or_insert(now_ms);
                    return Ok(flushed);
                }
                Err(error) => return Err(error),
            }
        }
        self.stalled_since = None;
        if self.waiting.capacity() > KEEP_CAPACITY {
            self.waiting = BytesMut::new();
        }
        Ok(flushed)
    }
}
