//! A connection before its session: finds out whether it is plain or secure, and who the peer is.
//!
//! Security is configured, never negotiated. The side that dialled speaks first, and its first frame says which kind of link it
//! wants; the side that accepted sends nothing before that. A dialler that wants a secure link gets a secure link or none. Pure.

use std::net::IpAddr;

use bytes::Bytes;

use super::event::Security;
use super::rights::{Right, Trust};
use crate::error::{Error, Result};
use crate::identity::noise::{Handshake, Progress, Transport, SECURE};
use crate::identity::PublicKey;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approach {
    /// It was accepted: the first frame decides.
    Accepted,
    /// We dialled, and want a secure link: with the owner of this key, or with any peer that we accept.
    Secure(Option<PublicKey>),
    /// We dialled, and want a plain link; this is what the peer may do.
    Plain(Right),
    /// The owner vouches for the peer and sets its right. Nothing needs to be proven.
    Vouched {
        /// What protects the connection.
        security: Security,
        right: Right,
        /// We are the side that dialled.
        dialled: bool,
    },
}

impl Approach {
    /// Whether we are the side that dialled.
    pub(super) fn dials(self) -> bool {
        match self {
            Approach::Accepted => false,
            Approach::Secure(_) | Approach::Plain(_) => true,
            Approach::Vouched { dialled, .. } => dialled,
        }
    }
}

/// The result of a frame.
pub(super) enum Passage {
    /// Send this back; another frame will come.
    Answer(Bytes),
    /// The link is plain, and accepted: the frame is the session's first.
    Plain(Right),
    /// The link is secure. Whether the peer is accepted is not decided yet.
    Secure {
        /// A last frame of the handshake for the peer.
        reply: Option<Bytes>,
        peer: PublicKey,
        transport: Transport,
    },
}

/// The state of a connection before its session.
pub(super) enum Gate {
    /// Nothing has come yet.
    First,
    /// A handshake is under way.
    Handshake(Box<Handshake>),
}

impl Gate {
    /// The gate of a connection, and what to send at once. No gate if there is nothing to wait for.
    ///
    /// # Errors
    /// `Insecure` if a secure link is wanted and there is no identity.
    pub(super) fn new(approach: Approach, trust: &Trust) -> Result<(Option<Gate>, Option<Bytes>)> {
        match approach {
            Approach::Plain(_) | Approach::Vouched { .. } => Ok((None, None)),
            Approach::Accepted => Ok((Some(Gate::First), None)),
            Approach::Secure(expected) => {
                let identity = trust.identity.clone();
                let identity = identity.ok_or_else(|| Error::Insecure("this emitter has no identity".to_owned()))?;
                let (handshake, first) = Handshake::dial(identity, trust.secret.as_ref(), expected)?;
                Ok((Some(Gate::Handshake(Box::new(handshake))), Some(first)))
            }
        }
    }

    /// Takes a frame, without its length, from a peer at `address`.
    ///
    /// # Errors
    /// `Insecure` if the link is refused. Nothing more may be sent, except what [`Gate::answers_in_plain`] allows.
    pub(super) fn frame(&mut self, frame: &Bytes, address: Option<IpAddr>, trust: &Trust) -> Result<Passage> {
        if let Gate::First = self {
            if frame.first() != Some(&SECURE) {
                let right = trust.plain_right(address);
                let refused = || {
                    Error::Insecure("the peer does not encrypt, and the option plain does not allow that".to_owned())
                };
                return right.map(Passage::Plain).ok_or_else(refused);
            }
            let identity = trust.identity.clone();
            let lacks = || Error::Insecure("the peer wants a secure link, but this emitter has no identity".to_owned());
            *self = Gate::Handshake(Box::new(Handshake::listen(identity.ok_or_else(lacks)?, trust.secret.as_ref())?));
        }
        let Gate::Handshake(handshake) = self else { return Err(Error::Internal("a gate without a handshake".into())) };
        Ok(match handshake.frame(frame)? {
            Progress::Reply(reply) => Passage::Answer(reply),
            Progress::Done { reply, peer, transport } => Passage::Secure { reply, peer, transport },
        })
    }

    /// Whether a peer that was refused because of its first frame may be told so in plain text. It may if there is no secret: a
    /// peer that wanted a secure link then learns only that there are none here.
    pub(super) fn answers_in_plain(approach: Approach, trust: &Trust) -> bool {
        approach == Approach::Accepted && trust.secret.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::noise::LinkKey;
    use crate::identity::SecretKey;
    use crate::net::rights::Plain;
    use bytes::BytesMut;
    use std::sync::Arc;

    const PLAIN: &[u8] = &[0, 8, 1, 32, 1];

    fn trust(seed: u8) -> Trust {
        let identity = Some(Arc::new(LinkKey::new(&SecretKey::from_seed(&[seed; 32])).unwrap()));
        Trust { identity, ..Trust::default() }
    }

    fn body(frame: &Bytes) -> Bytes {
        let mut bytes = BytesMut::from(&frame[..]);
        crate::protocol::frame::split(&mut bytes, 1024).unwrap().unwrap()
    }

    fn first(approach: Approach, trust: &Trust) -> Bytes {
        body(&Gate::new(approach, trust).unwrap().1.unwrap())
    }

    fn ip() -> Option<IpAddr> {
        Some("10.0.0.1".parse().unwrap())
    }

    fn refusal(result: Result<Passage>) -> String {
        let error = result.err().unwrap();
        assert_eq!(error.code(), "ERR_HYPER_INSECURE");
        error.to_string()
    }

    #[test]
    fn an_accepted_connection_says_nothing_before_its_first_frame_and_then_what_that_asks_for() {
        let ours = trust(1);
        let (gate, says) = Gate::new(Approach::Accepted, &ours).unwrap();
        assert_eq!(says, None);
        let secure = first(Approach::Secure(None), &trust(2));
        assert!(matches!(gate.unwrap().frame(&secure, ip(), &ours), Ok(Passage::Answer(_))));
        let allows = Trust { plain: Some(Plain::From(vec!["10.0.0.0/8".parse().unwrap()], Right::Read)), ..ours };
        let plain = Bytes::from_static(PLAIN);
        assert!(matches!(Gate::First.frame(&plain, ip(), &allows), Ok(Passage::Plain(Right::Read))));
        refusal(Gate::First.frame(&plain, Some("11.0.0.1".parse().unwrap()), &allows));
        assert!(matches!(
            Gate::First.frame(&secure, Some("11.0.0.1".parse().unwrap()), &allows),
            Ok(Passage::Answer(_))
        ));
    }

    #[test]
    fn an_emitter_with_an_identity_takes_no_plain_links_and_one_without_takes_no_others() {
        let plain = Bytes::from_static(PLAIN);
        assert!(refusal(Gate::First.frame(&plain, ip(), &trust(1))).contains("the option plain"));
        let secure = first(Approach::Secure(None), &trust(2));
        let open = Trust::default();
        assert!(refusal(Gate::First.frame(&secure, ip(), &open)).contains("no identity"));
        assert!(matches!(Gate::First.frame(&plain, ip(), &open), Ok(Passage::Plain(Right::Write))));
        refusal(Gate::new(Approach::Secure(None), &open).map(|_| Passage::Plain(Right::Write)));
    }

    #[test]
    fn a_dialler_that_wants_a_secure_link_takes_no_other() {
        let ours = Trust { plain: Some(Plain::Anybody(Right::Write)), ..trust(1) };
        let (gate, _) = Gate::new(Approach::Secure(None), &ours).unwrap();
        assert!(refusal(gate.unwrap().frame(&Bytes::from_static(PLAIN), ip(), &ours)).contains("plain text"));
    }

    #[test]
    fn nobody_who_lacks_the_secret_is_answered() {
        let open = trust(1);
        assert!(Gate::answers_in_plain(Approach::Accepted, &open));
        assert!(!Gate::answers_in_plain(Approach::Secure(None), &open));
        let closed = Trust { secret: Some(Arc::new(zeroize::Zeroizing::new([1; 32]))), ..open };
        assert!(!Gate::answers_in_plain(Approach::Accepted, &closed));
        refusal(Gate::First.frame(&first(Approach::Secure(None), &trust(2)), ip(), &closed));
    }
}
