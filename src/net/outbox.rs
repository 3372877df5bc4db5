//! Bytes that wait for a socket.

use std::io;

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::net::TcpStream;

/// A larger buffer is given back once it is empty: one huge frame must not cost its size for the link's life.
const KEEP_CAPACITY: usize = 256 * 1024;

/// Frames in order, written as few times as the socket allows.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: BytesMut,
    /// When the socket last refused bytes that wait, in milliseconds; `None` while it takes them.
    stalled_since: Option<u64>,
}

/// What one [`Outbox::flush`] did.
#[derive(Default)]
pub(super) struct Flushed {
    pub(super) bytes: u64,
    pub(super) writes: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: &[u8]) {
        self.waiting.extend_from_slice(frame);
    }

    /// Bytes waiting.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Memory that they take.
    pub(super) fn held(&self) -> usize {
        self.waiting.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn stalled_since(&self) -> Option<u64> {
        self.stalled_since
    }

    /// Writes what the system takes now, whatever it last said: it tells of room only when a third of its buffer is free,
    /// which on a slow line takes minutes though bytes move all the time. How many bytes it took.
    pub(super) fn poke(&mut self, socket: &TcpStream) -> u64 {
        match SockRef::from(socket).send(&self.waiting) {
            Ok(written @ 1..) => {
                self.waiting.advance(written);
                self.stalled_since = None;
                written as u64
            }
            // An error shows where the socket is read.
            _ => 0,
        }
    }

    /// Writes until all is written or the socket takes no more.
    pub(super) fn flush(&mut self, socket: &TcpStream, now_ms: u64) -> io::Result<Flushed> {
        let mut flushed = Flushed::default();
        while !self.waiting.is_empty() {
            match socket.try_write(&self.waiting) {
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
