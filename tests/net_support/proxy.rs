//! A TCP proxy on the loopback that can delay, stall, cut, and refuse.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to bytes on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Pass,
    /// Each chunk arrives this much later.
    Delay(Duration),
    /// Nothing arrives until the mode changes, and the senders' buffers fill up.
    Stall,
    /// New connections are closed at once.
    Refuse,
}

#[derive(Clone, Copy)]
struct State {
    mode: Mode,
    /// Bumped to end all present connections.
    cuts: u64,
    upstream: u16,
}

pub struct Proxy {
    pub port: u16,
    state: watch::Sender<State>,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub async fn to(upstream: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = watch::Sender::new(State { mode: Mode::Pass, cuts: 0, upstream });
        tokio::spawn(accept(listener, state.subscribe()));
        Proxy { port, state }
    }

    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Ends every connection abruptly.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Later connections go elsewhere.
    pub fn redirect(&self, upstream: u16) {
        self.state.send_modify(|state| state.upstream = upstream);
    }
}

async fn accept(listener: TcpListener, mut state: watch::Receiver<State>) {
    loop {
        let near = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            gone = state.wait_for(|_| false) => { assert!(gone.is_err()); return }
        };
        let now = *state.borrow();
        if now.mode == Mode::Refuse {
            continue;
        }
        let Ok(far) = TcpStream::connect(("127.0.0.1", now.upstream)).await else { continue };
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        // A cut resets: neither side sees an orderly end.
        near.set_zero_linger().unwrap();
        far.set_zero_linger().unwrap();
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        tokio::spawn(carry(near_in, far_out, state.clone(), now.cuts));
        tokio::spawn(carry(far_in, near_out, state.clone(), now.cuts));
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>, cuts: u64) {
    let mut cut = state.clone();
    let work = async {
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut chunk).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            let Ok(now) = state.wait_for(|state| state.mode != Mode::Stall).await.map(|state| *state) else { return };
            if let Mode::Delay(delay) = now.mode {
                tokio::time::sleep(delay).await;
            }
            if to.write_all(&chunk[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = cut.wait_for(|state| state.cuts != cuts) => {}
    }
}
