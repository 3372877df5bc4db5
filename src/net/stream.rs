//! The byte stream under a link: a socket, or a stream of JavaScript.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::pipe::Pipe;

/// A connection.
pub(super) enum Stream {
    /// A socket of our own.
    Tcp(TcpStream),
    /// Bytes that JavaScript carries, and both ends' addresses where it knows them.
    Pipe(Pipe, Option<Ends>),
}

/// Our end of a connection, and the peer's.
pub(super) type Ends = (SocketAddr, SocketAddr);

impl Stream {
    /// The peer's address, if it is known.
    pub(super) fn ends(&self) -> io::Result<Option<Ends>> {
        match self {
            Stream::Tcp(socket) => Ok(Some((socket.local_addr()?, socket.peer_addr()?))),
            Stream::Pipe(_, ends) => Ok(*ends),
        }
    }

    /// Waits for bytes. Cancellation-safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.readable().await,
            Stream::Pipe(pipe, _) => {
                pipe.readable().await;
                Ok(())
            }
        }
    }

    /// Waits for room. Cancellation-safe.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.writable().await,
            Stream::Pipe(pipe, _) => {
                pipe.writable().await;
                Ok(())
            }
        }
    }

    pub(super) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.try_read_buf(buffer),
            Stream::Pipe(pipe, _) => pipe.try_read_buf(buffer),
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.try_write(bytes),
            Stream::Pipe(pipe, _) => pipe.try_write(bytes),
        }
    }

    /// The same, whether or not the system has reported room.
    pub(super) fn force_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => SockRef::from(socket).send(bytes),
            Stream::Pipe(pipe, _) => pipe.try_write(bytes),
        }
    }

    /// Nothing more will be written.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.shutdown().await,
            Stream::Pipe(pipe, _) => {
                pipe.shutdown();
                Ok(())
            }
        }
    }
}
