//! From the first byte of a connection to its session: identifies the peer and decides what it may do. Also ends or renews a link
//! when that decision changes.

use bytes::Bytes;

use super::Connection;
use crate::error::{Error, Result};
use crate::identity::noise::SECURE;
use crate::identity::PublicKey;
use crate::net::event::{Candidate, Direction, End, NetEvent, Reason, Security};
use crate::net::gate::{Approach, Gate, Passage};
use crate::net::questions::Question;
use crate::net::rights::{Decision, Right};
use crate::protocol::InEvent;

/// How far a connection has come before its session.
pub(super) struct Entry {
    approach: Approach,
    /// Handles frames before the session; `None` once the session has begun.
    gate: Option<Gate>,
    /// The key that the peer has proven to own.
    pub(super) public_key: Option<PublicKey>,
    pub(super) security: Security,
    /// What the peer may do. The session begins once this is set.
    pub(super) right: Option<Right>,
    /// The question to the owner that is still open.
    question: Option<Question<Option<Right>>>,
    /// Whether the peer may be told in plain text why it was refused.
    pub(super) answers_in_plain: bool,
}

impl Entry {
    pub(super) fn new(approach: Approach) -> Self {
        Entry {
            approach,
            gate: None,
            public_key: None,
            security: Security::Plain,
            right: None,
            question: None,
            answers_in_plain: false,
        }
    }

    /// Whether frames can be taken: not while the owner decides about the peer.
    pub(super) fn takes_frames(&self) -> bool {
        self.gate.is_some() || self.right.is_some()
    }

    pub(super) fn dials(&self) -> bool {
        self.approach.dials()
    }

    pub(super) fn direction(&self) -> Direction {
        if self.dials() {
            Direction::Outbound
        } else {
            Direction::Inbound
        }
    }

    /// Waits for the owner's decision; never resolves if the owner was not asked. Cancellation-safe.
    pub(super) async fn decided(&mut self) -> Option<Right> {
        let Some(question) = &mut self.question else { return std::future::pending().await };
        let decision = question.answered().await;
        self.question = None;
        decision.flatten()
    }
}

impl Connection<'_> {
    /// The connection has been made: sends the first frame, if this side speaks first.
    pub(super) fn enter(&mut self) -> Result<()> {
        let trust = self.trust();
        self.link.leads(self.entry.direction());
        let (gate, first) = Gate::new(self.entry.approach, &trust)?;
        self.entry.gate = gate;
        if let Some(first) = first {
            self.wire.push(&first);
        }
        match self.entry.approach {
            Approach::Accepted | Approach::Secure(_) => Ok(()),
            Approach::Plain(right) => self.identified(None, Security::Plain, right),
            Approach::Vouched { security, right, .. } => self.identified(None, security, right),
        }
    }

    fn identified(&mut self, key: Option<PublicKey>, security: Security, right: Right) -> Result<()> {
        self.set_identity(key, security);
        self.grant(right).map_err(|end| end.error)
    }

    fn set_identity(&mut self, key: Option<PublicKey>, security: Security) {
        (self.entry.public_key, self.entry.security) = (key, security);
        self.link.set_identity(key, security);
    }

    /// Whether the gate still handles the peer's frames.
    pub(super) fn is_at_gate(&self) -> bool {
        self.entry.gate.is_some()
    }

    /// Takes a frame of a peer before its session.
    ///
    /// # Errors
    /// `Insecure` or `Rights` if the link is refused.
    pub(super) fn gate_frame(&mut self, frame: Bytes) -> Result<()> {
        let trust = self.trust();
        let address = self.ends.map(|ends| ends.1.ip());
        let Some(gate) = &mut self.entry.gate else { return Ok(()) };
        let passage = gate.frame(&frame, address, &trust).inspect_err(|_| {
            let hears = frame.first() == Some(&SECURE) || crate::protocol::is_of_the_extension(&frame);
            self.entry.answers_in_plain = hears && Gate::answers_in_plain(self.entry.approach, &trust);
        })?;
        match passage {
            Passage::Answer(answer) => self.wire.push(&answer),
            Passage::Plain(right) => {
                self.entry.gate = None;
                self.identified(None, Security::Plain, right)?;
                self.handle(InEvent::Frame(frame));
            }
            Passage::Secure { reply, peer, transport } => {
                self.entry.gate = None;
                if let Some(reply) = reply {
                    self.wire.push(&reply);
                }
                self.wire.secure(transport)?;
                self.set_identity(Some(peer), Security::Noise);
                self.decide().map_err(|end| end.error)?;
            }
        }
        Ok(())
    }

    /// Decides what the peer may do, at first and whenever the owner has changed its settings.
    ///
    /// # Errors
    /// The end of the link, if the peer is refused or its right has changed.
    pub(super) fn decide(&mut self) -> Result<(), End> {
        let trust = self.trust();
        let decision = match (self.entry.approach, self.entry.public_key) {
            (approach, Some(key)) => trust.right_of(&key, matches!(approach, Approach::Secure(Some(_)))),
            (Approach::Accepted, None) if self.entry.right.is_some() => {
                let right = trust.plain_right(self.ends.map(|ends| ends.1.ip()));
                right.map_or(
                    Decision::Refused("plain links from its address are not accepted any more"),
                    Decision::Allowed,
                )
            }
            _ => return Ok(()),
        };
        self.entry.question = None;
        match decision {
            Decision::Allowed(right) => self.grant(right),
            Decision::Refused(why) => Err(End::here(Error::Rights(why.to_owned()))),
            Decision::Ask => {
                let Some(public_key) = self.entry.public_key else { return Ok(()) };
                let question = self.shared.admissions.ask();
                let address = self.ends.map(|ends| ends.1);
                let peer = Candidate { direction: self.entry.direction(), address, public_key };
                let key = self.link.key.clone();
                self.shared.observe(NetEvent::Admit { question: question.number, key, peer });
                self.entry.question = Some(question);
                Ok(())
            }
        }
    }

    /// Applies the owner's decision.
    ///
    /// # Errors
    /// As [`Connection::decide`].
    pub(super) fn decided(&mut self, decision: Option<Right>) -> Result<(), End> {
        match decision {
            Some(right) => self.grant(right),
            None => Err(End::here(Error::Rights("this emitter does not admit it".to_owned()))),
        }
    }

    /// The peer has this right: begins the session. If it had another right before, the link is replaced by a new one, because
    /// the handshake states the right.
    fn grant(&mut self, right: Right) -> Result<(), End> {
        match self.entry.right.replace(right) {
            None => {
                self.link.set_right(right);
                self.begin_session(right);
                Ok(())
            }
            Some(before) if before == right => Ok(()),
            Some(_) => Err(End::here(Error::Ended).because(Reason::Renewed)),
        }
    }
}
