//! One task per dialled peer: connect, serve the link, and connect again for as long as the policy says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::event::{NetEvent, Stage};
use super::link::Link;
use super::policy::{DialPolicy, Health, Next};
use super::{peer, Shared};
use crate::error::Error;

/// Where to dial.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Ends a dialled link's life, whatever ends its task: the key becomes free, then `GaveUp` is told.
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
    let mut policy = DialPolicy::new(shared.options.reconnect_timeout_ms, link.is_known());
    let failed = |error, will_retry_in_ms| {
        shared.observe(NetEvent::ConnectionError { key: link.key.clone(), error, will_retry_in_ms });
    };
    loop {
        link.restart(Stage::Connecting);
        let (health, error) = attempt(&shared, &link, &target, &mut closing).await;
        if shared.is_closing() {
            return failed(error, None);
        }
        if link.is_known() {
            policy.keep();
        }
        match policy.ended(health, random()) {
            Next::Retry { after_ms } => {
                link.restart(Stage::Waiting);
                failed(error, Some(after_ms));
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(after_ms)) => {}
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

/// One connection from dialling to its end, and why it ended.
async fn attempt(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    target: &Target,
    closing: &mut watch::Receiver<bool>,
) -> (Health, Error) {
    let mut drops = link.drops();
    let stream = tokio::select! {
        dialled = shared.resolver.dial(&target.host, target.port) => match dialled {
            Ok(stream) => stream,
            Err(error) => return (Health::Silent, error),
        },
        _ = drops.changed() => return (Health::Silent, premature(link)),
        _ = closing.wait_for(|closing| *closing) => return (Health::Silent, closed()),
    };
    shared.observe(NetEvent::Connected { key: link.key.clone() });
    let served = peer::serve(shared, link, stream, drops).await;
    let error = match served.end {
        peer::End::Over | peer::End::Dropped => premature(link),
        peer::End::Closing => closed(),
        peer::End::Failed(error) => error,
    };
    (served.health, error)
}

/// 1.x's words for any end of a link that is nobody's fault.
fn premature(link: &Link) -> Error {
    Error::Connect { target: link.key.clone(), reason: "premature close".to_owned() }
}

fn closed() -> Error {
    Error::Closed("it keeps no links")
}

/// Spreads the retries of many emitters. Where the system has no randomness, they are not spread.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
