//! One task per dialled peer: connect, serve the link, and connect again for as long as the policy says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::event::{NetEvent, Stage};
use super::link::Link;
use super::policy::{DialPolicy, Health, Next};
use super::{peer, socket, Shared};
use crate::error::Error;

/// Where to dial.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Runs until the peer is given up or the network closes. Ends with `GaveUp`, the key being free by then.
pub(super) async fn keep_connected(shared: Arc<Shared>, link: Arc<Link>, target: Target) {
    let mut closing = shared.closing();
    let mut policy = DialPolicy::new(shared.options.reconnect_timeout_ms, link.is_known());
    let error = loop {
        link.restart(Stage::Connecting);
        let (health, error) = attempt(&shared, &link, &target, &mut closing).await;
        if shared.is_closing() {
            shared.observe(NetEvent::ConnectionError { key: link.key.clone(), error, will_retry_in_ms: None });
            break closed();
        }
        if link.is_known() {
            policy.keep();
        }
        match policy.ended(health, random()) {
            Next::Retry { after_ms } => {
                link.restart(Stage::Waiting);
                shared.observe(NetEvent::ConnectionError {
                    key: link.key.clone(),
                    error,
                    will_retry_in_ms: Some(after_ms),
                });
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(after_ms)) => {}
                    _ = closing.wait_for(|closing| *closing) => break closed(),
                }
            }
            Next::GiveUp => {
                shared.observe(NetEvent::ConnectionError {
                    key: link.key.clone(),
                    error: error.clone(),
                    will_retry_in_ms: None,
                });
                break error;
            }
        }
    };
    shared.table.lock().remove(&link);
    shared.observe(NetEvent::GaveUp { key: link.key.clone(), error });
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
        dialled = socket::dial(&target.host, target.port) => match dialled {
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

pub(super) fn closed() -> Error {
    Error::Closed("it keeps no links")
}

/// Spreads the retries of many emitters. Where the system has no randomness, they are not spread.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
