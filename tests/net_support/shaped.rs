//! A relay that simulates a slow line: it passes bytes in steps, at a given pace, counts them, and can cut the connection after a
//! number of bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

/// What the line does.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bytes carried at a time, each way.
    pub step: usize,
    /// Pause after each step.
    pub pace: Duration,
    /// The connection ends once it has carried this much towards the dialler.
    pub cut_after: Option<u64>,
    /// How long bytes are on their way.
    pub delay: Duration,
    /// One step in this many is lost. TCP sends it again after its shortest timeout and a round trip, and everything after it
    /// waits.
    pub lost_every: Option<u64>,
}

impl Line {
    /// A line that is slow, but has no delay and loses nothing.
    pub const fn slow(step: usize, pace: Duration, cut_after: Option<u64>) -> Line {
        Line { step, pace, cut_after, delay: Duration::ZERO, lost_every: None }
    }

    fn retransmits_after(&self) -> Duration {
        LEAST_PATIENCE + 2 * self.delay
    }
}

/// The least that TCP waits before it sends a segment again.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);

/// Steps on their way: more than a line of 300 ms holds at the paces of the tests.
const ON_THE_WAY: usize = 64;

pub struct Shaped {
    pub port: u16,
    towards_dialler: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Shaped {
    /// A line to a port of this machine.
    pub async fn to(upstream: u16, line: Line) -> Shaped {
        let socket = TcpSocket::new_v4().unwrap();
        // Only few bytes are in flight on a slow line.
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        socket.set_send_buffer_size(32 * 1024).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(16).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shaped = Shaped { port, towards_dialler: Arc::default(), connections: Arc::default() };
        tokio::spawn(accept(
            listener,
            upstream,
            line,
            Arc::clone(&shaped.towards_dialler),
            Arc::clone(&shaped.connections),
        ));
        shaped
    }

    /// Bytes carried to whoever dialled, over all connections.
    pub fn carried(&self) -> u64 {
        self.towards_dialler.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    upstream: u16,
    line: Line,
    towards_dialler: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
) {
    while let Ok((near, _)) = listener.accept().await {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        let Ok(far) = socket.connect(([127, 0, 0, 1], upstream).into()).await else { continue };
        connections.fetch_add(1, Ordering::SeqCst);
        let total = Arc::clone(&towards_dialler);
        tokio::spawn(async move {
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            let down = carry(far_in, near_out, Line { ..line }, total);
            let up = carry(near_in, far_out, Line { cut_after: None, ..line }, Arc::default());
            // When one direction ends, the other ends, too.
            tokio::select! {
                () = down => {}
                () = up => {}
            }
        });
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    line: Line,
    total: Arc<AtomicU64>,
) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let enter = async {
        let (mut chunk, mut carried, mut steps, mut last) = (vec![0; line.step], 0, 0, Instant::now());
        while line.cut_after.is_none_or(|most| carried < most) {
            let Ok(read @ 1..) = from.read(&mut chunk).await else { return };
            carried += read as u64;
            steps += 1;
            total.fetch_add(read as u64, Ordering::SeqCst);
            last = last.max(Instant::now() + line.delay);
            if line.lost_every.is_some_and(|every| steps % every == 0) {
                last += line.retransmits_after();
            }
            if sender.send((last, chunk[..read].to_vec())).await.is_err() {
                return;
            }
            tokio::time::sleep(line.pace).await;
        }
    };
    let leave = async {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = enter => {}
        () = leave => {}
    }
}

/// Reads a socket to its end at the speed of a slow line. Returns the number of bytes.
pub async fn read_slowly(mut socket: TcpStream, line: Line) -> u64 {
    let (mut chunk, mut came) = (vec![0; line.step], 0);
    while let Ok(read @ 1..) = socket.read(&mut chunk).await {
        came += read as u64;
        if line.cut_after.is_some_and(|most| came >= most) {
            break;
        }
        tokio::time::sleep(line.pace).await;
    }
    came
}
