//! The accept loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::event::NetEvent;
use super::gate::Approach;
use super::link::Link;
use super::link_table::Admission;
use super::stream::{Ends, Stream};
use super::{connection, socket, Shared};
use crate::error::Error;

/// Pause after a failed `accept`. It nearly always fails for lack of file descriptors, and retrying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Least time between two reports of the listener.
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// Accepts until the network closes; each connection gets a task of its own.
pub(super) async fn accept_loop(shared: Arc<Shared>, listener: TcpListener) {
    let mut closing = shared.closing();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((stream, address)) => {
                // This fails if the peer is gone already.
                let Ok(ours) = stream.local_addr() else { continue };
                // One that is gone before it was served is no error either.
                if socket::tune(&stream).is_ok() {
                    enter(&shared, Stream::Tcp(stream), Some((address, ours)), Approach::Accepted);
                }
            }
            Err(error) => {
                shared.crowded.lock().report(&shared, || {
                    format!("accepting connections fails: {}; it is tried again", socket::reason(&error))
                });
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Gives a connection a slot and a task of its own, or closes it if there is none. Returns its key.
pub(super) fn enter(shared: &Arc<Shared>, stream: Stream, ends: Option<Ends>, approach: Approach) -> Option<String> {
    let most = shared.options.max_inbound;
    let admission = shared.table.lock().accept(ends, &shared.options, shared.now_ms());
    let link = match admission {
        Admission::Entered(link) => link,
        Admission::ReplacedSilent(link) => {
            shared.crowded.lock().report(shared, || {
                "many inbound connections send no handshake: the oldest of them are dropped for new ones".to_owned()
            });
            link
        }
        Admission::ReplacedIdle(link) => {
            shared.crowded.lock().report(shared, || {
                format!(
                    "{most} peers are connected, the limit: those that neither bring nor take events are dropped for new ones"
                )
            });
            link
        }
        Admission::Refused => {
            // Closing at once tells the peer to try later. Left in the backlog it would wait for a handshake that never
            // comes.
            drop(stream);
            shared
                .crowded
                .lock()
                .report(shared, || format!("{most} peers are connected, the limit: further ones are refused"));
            return None;
        }
    };
    let key = link.key.clone();
    // Subscribed here, not in the task, because the link may be evicted before its task has begun.
    let drops = link.drops();
    shared.spawn(serve(Arc::clone(shared), link, stream, ends, approach, drops));
    Some(key)
}

/// When the owner last got a report. A lasting failure is reported from time to time, not for every connection.
#[derive(Default)]
pub(super) struct Reports(Option<Instant>);

impl Reports {
    fn report(&mut self, shared: &Shared, reason: impl FnOnce() -> String) {
        if self.0.is_none_or(|last| last.elapsed() >= REPORT_PAUSE) {
            self.0 = Some(Instant::now());
            let error = Error::Listen { address: shared.listening_on(), reason: reason(), system: None };
            shared.observe(NetEvent::Report { key: None, error });
        }
    }
}

/// Removes an inbound link and tells `InboundGone`, whatever ends the link's task.
struct Ending<'a> {
    shared: &'a Shared,
    link: &'a Link,
    ends: Option<Ends>,
    error: Option<Error>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut table = self.shared.table.lock();
        table.remove(self.link);
        if let Some(ends) = self.ends {
            table.forget(ends);
        }
        drop(table);
        self.shared.observe(NetEvent::InboundGone { key: self.link.key.clone(), error: self.error.take() });
    }
}

async fn serve(
    shared: Arc<Shared>,
    link: Arc<Link>,
    stream: Stream,
    ends: Option<Ends>,
    approach: Approach,
    drops: watch::Receiver<u64>,
) {
    shared.observe(NetEvent::Inbound { key: link.key.clone() });
    let mut ending = Ending { shared: &shared, link: &link, ends, error: None };
    let served = connection::serve(&shared, &link, stream, approach, drops).await;
    if served.is_fault {
        ending.error = Some(served.end.error);
    }
}
