//! One task per dialled peer: it connects, serves the link, and connects again for as long as the policy says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::event::{End, NetEvent, Reason, Stage};
use super::gate::Approach;
use super::link::{Link, Manner};
use super::policy::{DialPolicy, Health, Next};
use super::stream::Stream;
use super::{connection, Shared};
use crate::error::{Error, Result};

/// Errors of an attempt that say that this machine lacks something, not the peer.
const LACKS: [&str; 4] = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

/// How long the owner may take to make a connection, together with what protects it.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Where to dial.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Frees a dialled link's key and reports `GaveUp`, however the link's task ends.
pub(super) struct Ending {
    shared: Arc<Shared>,
    link: Arc<Link>,
    error: Error,
}

impl Ending {
    pub(super) fn new(shared: &Arc<Shared>, link: Arc<Link>) -> Ending {
        Ending { shared: Arc::clone(shared), link, error: closed() }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.table.lock().remove(&self.link);
        self.shared.observe(NetEvent::GaveUp { key: self.link.key.clone(), error: self.error.clone() });
    }
}

/// Runs until the peer is given up or the network closes.
pub(super) async fn keep_connected(mut ending: Ending, target: Target) {
    let (shared, link) = (Arc::clone(&ending.shared), Arc::clone(&ending.link));
    let mut closing = shared.closing();
    let mut trust = shared.trust.subscribe();
    let mut manner = link.manner();
    let mut policy = DialPolicy::new(shared.options.reconnect_timeout_ms, link.is_known());
    let failed = |error, will_retry_in_ms| {
        shared.observe(NetEvent::ConnectionError { key: link.key.clone(), error, will_retry_in_ms });
    };
    loop {
        link.restart(Stage::Connecting);
        let (health, end) = attempt(&shared, &link, &target, &mut manner, &mut closing).await;
        let (reason, error) = (end.reason, end.error.clone());
        link.ended(end);
        if shared.is_closing() {
            return failed(error, None);
        }
        if reason == Reason::Itself {
            // The next attempt would reach this emitter again.
            ending.error = error;
            return;
        }
        if link.is_known() {
            policy.keep();
        }
        let lacks_right = matches!(error, Error::Rights(_));
        trust.mark_unchanged();
        match policy.ended(health, random()) {
            Next::Retry { after_ms } => {
                link.restart(Stage::Waiting);
                failed(error, Some(after_ms));
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(after_ms)) => {}
                    // The missing resources may have been freed since.
                    Ok(()) = trust.changed(), if lacks_right => {}
                    Ok(()) = manner.changed() => {}
                    _ = closing.wait_for(|closing| *closing) => return,
                }
            }
            Next::GiveUp => {
                ending.error = error.clone();
                return failed(error, None);
            }
        }
    }
}

/// One connection, from dialling to its end. Returns why it ended.
async fn attempt(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    target: &Target,
    manner: &mut watch::Receiver<Option<Manner>>,
    closing: &mut watch::Receiver<bool>,
) -> (Health, End) {
    // Subscribed before the manner is read: if the manner changes afterwards, the attempt is dropped.
    let mut drops = link.drops();
    let Some(manner) = *manner.borrow_and_update() else {
        return (Health::Silent, End::here(Error::Internal("a link that nobody dials".to_owned())));
    };
    let (stream, approach) = tokio::select! {
        dialled = dial(shared, link, target, manner) => match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                let lacks = error.details().system.is_some_and(|name| LACKS.contains(&name));
                return (if lacks { Health::Lacking } else { Health::Silent }, End::here(error));
            }
        },
        _ = drops.changed() => return (Health::Silent, End::here(Error::Ended).because(Reason::Dropped)),
        _ = closing.wait_for(|closing| *closing) => return (Health::Silent, End::here(closed())),
    };
    let served = connection::serve(shared, link, stream, approach, drops).await;
    (served.health, served.end)
}

/// Connects to the peer. Returns the connection, and how it begins.
async fn dial(shared: &Arc<Shared>, link: &Link, target: &Target, manner: Manner) -> Result<(Stream, Approach)> {
    if !manner.carried {
        let socket = shared.resolver.dial(&target.host, target.port).await?;
        return Ok((Stream::Tcp(socket), manner.approach));
    }
    let mut question = shared.dials.ask();
    shared.observe(NetEvent::Dial { question: question.number, key: link.key.clone() });
    match tokio::time::timeout(DIAL_TIMEOUT, question.answered()).await {
        Ok(Some(dialled)) => dialled.map(|(stream, approach)| (stream, approach.unwrap_or(manner.approach))),
        Ok(None) => Err(closed()),
        Err(_) => {
            let within = DIAL_TIMEOUT.as_secs();
            let reason =
                format!("no connection within {within} s (ETIMEDOUT): check the address and firewalls between");
            Err(Error::Connect { target: link.key.clone(), reason, system: Some("ETIMEDOUT") })
        }
    }
}

fn closed() -> Error {
    Error::Closed("its links have ended")
}

/// A random number, which spreads the retries of many emitters. If the system has no randomness they are not spread.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
