//! Checks every frame to a 1.x peer for what it must never get from us (docs/design/wire.md, "What is never sent").

use std::collections::{HashMap, HashSet};

use bytes::{Bytes, BytesMut};
use hyperemitter::node::Key;
use hyperemitter::protocol::frame;
use hyperemitter::protocol::message::Message;

use super::old::OldLog;

/// Both directions of one link between a new peer and an old one.
#[derive(Debug, Default)]
pub struct Witness {
    received: HashSet<(String, u64)>,
    sent: HashSet<(String, u64)>,
    sent_keys: HashSet<Key>,
    wants: HashMap<String, u64>,
    announced: HashMap<String, u64>,
    peer_sent_wants: bool,
    handshakes: u32,
    sent_heads: u32,
    sent_wants: u32,
    /// The old peer may hold another version of a log, and then lacks causes for good.
    lacks_causes: bool,
}

impl Witness {
    pub fn new(lacks_causes: bool) -> Self {
        Witness { lacks_causes, ..Witness::default() }
    }

    /// The new peer has read this frame of the old one.
    pub fn heard(&mut self, frame: &Bytes) {
        match Message::decode(frame) {
            Ok(Message::Node(node)) => {
                self.received.insert((node.log.into(), node.seq));
            }
            Ok(Message::Want(want)) => {
                self.sent.retain(|(log, seq)| log != want.log || *seq <= want.seq);
                self.wants.insert(want.log.into(), want.seq);
            }
            Ok(Message::SentWants) => self.peer_sent_wants = true,
            _ => {}
        }
    }

    /// The new peer sends these bytes to an old one with this log.
    pub fn said(&mut self, bytes: &Bytes, old: &OldLog, harm: fn(&[u8]) -> Option<String>) -> Result<(), String> {
        let mut input = BytesMut::from(&bytes[..]);
        while let Some(frame) = frame::split(&mut input, usize::MAX).map_err(|error| error.to_string())? {
            self.frame(&frame, old, harm)?;
        }
        if input.is_empty() {
            Ok(())
        } else {
            Err("half a frame was sent".into())
        }
    }

    fn frame(&mut self, frame: &Bytes, old: &OldLog, harm: fn(&[u8]) -> Option<String>) -> Result<(), String> {
        let message = Message::decode(frame).map_err(|error| error.to_string())?;
        if !matches!(message, Message::Handshake(_)) && self.handshakes == 0 {
            return Err(format!("{message:?} before the handshake"));
        }
        match message {
            Message::Handshake(_) => self.handshakes += 1,
            Message::SentHeads => self.sent_heads += 1,
            Message::SentWants => self.sent_wants += 1,
            Message::Have(have) => {
                if self.announced.insert(have.log.into(), have.seq).is_some() {
                    return Err(format!("{} is announced twice", have.log));
                }
            }
            Message::Want(_) => {}
            Message::Extension(..) | Message::Empty => return Err("an extension to a 1.x peer".into()),
            Message::Node(node) => {
                let entry = (node.log.to_string(), node.seq);
                let shown = format!("{}/{}", node.log, node.seq);
                if self.received.contains(&entry) {
                    return Err(format!("{shown} is echoed"));
                }
                if !self.peer_sent_wants {
                    let wanted = self.wants.get(node.log).is_some_and(|from| node.seq > *from);
                    if !wanted {
                        return Err(format!("{shown} is sent unasked before the peer's sentWants"));
                    }
                    if self.announced.get(node.log).is_some_and(|announced| node.seq > *announced) {
                        return Err(format!("{shown} is beyond what was announced"));
                    }
                }
                if old.seq(node.log) + 1 < node.seq && !self.sent.contains(&(node.log.into(), node.seq - 1)) {
                    return Err(format!("{shown} leaves a gap"));
                }
                for link in &node.links {
                    if !self.lacks_causes && old.node(link).is_none() && !self.sent_keys.contains(link) {
                        return Err(format!("{shown} goes before its cause {link}"));
                    }
                }
                if let Some(reason) = harm(node.value) {
                    return Err(format!("{shown} is harmful: {reason}"));
                }
                self.sent_keys.extend(node.key);
                if !self.sent.insert(entry) {
                    return Err(format!("{shown} is sent twice"));
                }
            }
        }
        if self.handshakes > 1 || self.sent_heads > 1 || self.sent_wants > 1 {
            return Err("a marker is sent twice".into());
        }
        Ok(())
    }
}
