//! Secure links: Noise XX (25519, ChaChaPoly, BLAKE2s) between two Ed25519 identities, as a state machine without I/O.
//!
//! ```text
//! dialler → listener   22 1  e
//! listener → dialler   22 2  e, ee, s, es, proof
//! dialler → listener   22 3  s, se, proof
//! ```
//!
//! A proof is the sender's Ed25519 key, and a signature with it over the sender's static Noise key. The handshake shows that the
//! sender owns that Noise key, so each side knows who the other is. The signature covers the signer's role (dialler or listener),
//! so a proof that is sent back to its sender is not valid. If both sides know a secret (`psk0`), the first message of anybody
//! without it does not decrypt, and is not answered. After the handshake all bytes are sent in records: a length of two bytes,
//! big-endian, and as many bytes of ciphertext.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use super::key::{PublicKey, SecretKey, KEY_LEN, SIGNATURE_LEN};
use crate::error::{Error, Result};

/// Type of the frames of a handshake.
pub const SECURE: u8 = 22;

/// Largest frame of a handshake, in bytes, its length excluded: the largest that is sent has 194.
pub const MAX_HANDSHAKE_FRAME: usize = 1024;

/// Bytes of the secret that a group of emitters may share.
pub const SECRET_LEN: usize = 32;

/// The prologue, on which both sides must agree. It changes with the version of this protocol.
const PROLOGUE: &[u8] = b"hyperemitter noise 1";

/// The beginning of the message that a signature over a static Noise key signs.
const PURPOSE: &[u8] = b"hyperemitter link 1\0";

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
const PATTERN_WITH_SECRET: &str = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s";

/// Bytes that encryption adds.
const TAG_LEN: usize = 16;

/// Bytes of a record's length.
const PREFIX_LEN: usize = 2;

/// Largest ciphertext of a record, in bytes: Noise's own limit.
const MAX_RECORD: usize = 65_535;

/// An Ed25519 key and a signature.
const PROOF_LEN: usize = KEY_LEN + SIGNATURE_LEN;

/// The secret of a group. It is overwritten when the last owner drops it.
pub type Secret = Arc<Zeroizing<[u8; SECRET_LEN]>>;

/// A side of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opened the connection.
    Dialler,
    /// It accepted it.
    Listener,
}

impl Role {
    fn byte(self) -> u8 {
        match self {
            Role::Dialler => 1,
            Role::Listener => 2,
        }
    }

    fn other(self) -> Role {
        match self {
            Role::Dialler => Role::Listener,
            Role::Listener => Role::Dialler,
        }
    }
}

/// What a link needs to prove the identity of this emitter: a Noise key pair of this process, and the signed proofs for it.
pub struct LinkKey {
    public: PublicKey,
    private: Zeroizing<Vec<u8>>,
    as_dialler: [u8; PROOF_LEN],
    as_listener: [u8; PROOF_LEN],
}

impl LinkKey {
    /// A new Noise key pair, with proofs signed by `key`.
    ///
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub fn new(key: &SecretKey) -> Result<Self> {
        let pair = builder(false)?.generate_keypair().map_err(|error| internal(&error))?;
        let proof = |role| {
            let mut proof = [0; PROOF_LEN];
            let (of_key, of_signature) = proof.split_at_mut(KEY_LEN);
            of_key.copy_from_slice(key.public().as_bytes());
            of_signature.copy_from_slice(&key.sign(&signed(role, &pair.public)));
            proof
        };
        Ok(LinkKey {
            public: key.public(),
            as_dialler: proof(Role::Dialler),
            as_listener: proof(Role::Listener),
            private: Zeroizing::new(pair.private),
        })
    }

    /// The key that signed the proofs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    fn proof(&self, role: Role) -> &[u8; PROOF_LEN] {
        match role {
            Role::Dialler => &self.as_dialler,
            Role::Listener => &self.as_listener,
        }
    }
}

/// The message that the signature in a proof signs.
fn signed(role: Role, static_key: &[u8]) -> Vec<u8> {
    [PURPOSE, &[role.byte()], static_key].concat()
}

fn builder(has_secret: bool) -> Result<Builder<'static>> {
    let pattern = if has_secret { PATTERN_WITH_SECRET } else { PATTERN };
    Ok(Builder::new(pattern.parse().map_err(|error: snow::Error| internal(&error))?))
}

fn internal(error: &snow::Error) -> Error {
    Error::Internal(format!("Noise: {error}"))
}

fn over() -> Error {
    Error::Internal("the handshake continues after its end".to_owned())
}

fn insecure(what: &str) -> Error {
    Error::Insecure(what.to_owned())
}

/// The result of a frame.
pub enum Progress {
    /// This frame, its length included, has to be sent; another one will come.
    Reply(Bytes),
    /// The peer has proven who it is.
    Done {
        /// A last frame for the peer, its length included.
        reply: Option<Bytes>,
        /// Who it is.
        peer: PublicKey,
        /// The cipher state for all bytes from now on.
        transport: Transport,
    },
}

/// One handshake.
pub struct Handshake {
    /// `None` once it is over.
    state: Option<Box<HandshakeState>>,
    key: Arc<LinkKey>,
    role: Role,
    has_secret: bool,
    /// The key that the peer must have; `None` if any key will do.
    expected: Option<PublicKey>,
    /// Number of the message that comes next.
    next: u8,
}

impl Handshake {
    /// Starts a handshake for the side that opened the connection, and returns its first frame. With `expected`, our identity is
    /// revealed only to the owner of that key.
    ///
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub fn dial(key: Arc<LinkKey>, secret: Option<&Secret>, expected: Option<PublicKey>) -> Result<(Self, Bytes)> {
        let mut handshake = Handshake::new(key, secret, Role::Dialler, expected)?;
        let first = handshake.write(1, &[])?;
        handshake.next = 2;
        Ok((handshake, first))
    }

    /// Starts a handshake for the side that accepted the connection.
    ///
    /// # Errors
    /// `Internal` if the cryptography cannot be set up.
    pub fn listen(key: Arc<LinkKey>, secret: Option<&Secret>) -> Result<Self> {
        Handshake::new(key, secret, Role::Listener, None)
    }

    fn new(key: Arc<LinkKey>, secret: Option<&Secret>, role: Role, expected: Option<PublicKey>) -> Result<Self> {
        let mut builder = builder(secret.is_some())?
            .local_private_key(&key.private)
            .and_then(|builder| builder.prologue(PROLOGUE))
            .map_err(|error| internal(&error))?;
        if let Some(secret) = secret {
            builder = builder.psk(0, secret).map_err(|error| internal(&error))?;
        }
        let state = match role {
            Role::Dialler => builder.build_initiator(),
            Role::Listener => builder.build_responder(),
        };
        let state = Some(Box::new(state.map_err(|error| internal(&error))?));
        Ok(Handshake { state, key, role, has_secret: secret.is_some(), expected, next: 1 })
    }

    /// Takes a frame, without its length. After an error nothing more may be sent, because the peer has not proven its identity.
    ///
    /// # Errors
    /// `Insecure` if the peer does not speak this protocol, has another secret or another key than expected, or if the frame was
    /// altered.
    pub fn frame(&mut self, frame: &[u8]) -> Result<Progress> {
        let message = match frame {
            [SECURE, number, message @ ..] if *number == self.next && frame.len() <= MAX_HANDSHAKE_FRAME => message,
            [SECURE, ..] => return Err(insecure("its handshake is not one of a secure link")),
            _ => {
                return Err(insecure(
                    "it answers in plain text: it has no identity, is hyperemitter 1.x, or is somebody else",
                ))
            }
        };
        // Room for the largest message. The content is checked below.
        let mut payload = [0; MAX_HANDSHAKE_FRAME];
        let read = self.state.as_mut().and_then(|state| state.read_message(message, &mut payload).ok());
        let length = read.ok_or_else(|| self.unreadable())?;
        let payload = payload.get(..length).unwrap_or_default();
        match self.next {
            1 => {
                if !payload.is_empty() {
                    return Err(insecure("it uses a secret, and this emitter has none"));
                }
                let proof = *self.key.proof(Role::Listener);
                let reply = self.write(2, &proof)?;
                self.next = 3;
                Ok(Progress::Reply(reply))
            }
            2 => {
                let peer = self.proven(payload)?;
                if let Some(expected) = self.expected.filter(|expected| *expected != peer) {
                    return Err(Error::Insecure(format!("the peer's key is {peer}, but {expected} was expected")));
                }
                let proof = *self.key.proof(Role::Dialler);
                let reply = self.write(3, &proof)?;
                self.done(peer, Some(reply))
            }
            _ => {
                let peer = self.proven(payload)?;
                self.done(peer, None)
            }
        }
    }

    fn unreadable(&self) -> Error {
        insecure(match (self.next, self.has_secret) {
            (1, true) => "its first message does not decrypt: it knows another secret, or none",
            (1, false) => "its first message is malformed",
            _ => "its handshake does not decrypt: it knows another secret, or somebody altered what it said",
        })
    }

    /// The peer's key, if its proof is valid.
    fn proven(&self, proof: &[u8]) -> Result<PublicKey> {
        let no_proof = || insecure("it does not prove who it is");
        let (key, signature) = proof.split_at_checked(KEY_LEN).ok_or_else(no_proof)?;
        let key = PublicKey::from_bytes(key.try_into().map_err(|_| no_proof())?).map_err(|_| no_proof())?;
        let static_key = self.state.as_ref().and_then(|state| state.get_remote_static()).ok_or_else(no_proof)?;
        if !key.verifies(&signed(self.role.other(), static_key), signature) {
            return Err(no_proof());
        }
        Ok(key)
    }

    fn write(&mut self, number: u8, payload: &[u8]) -> Result<Bytes> {
        let mut message = [0; MAX_HANDSHAKE_FRAME];
        let state = self.state.as_mut().ok_or_else(over)?;
        let length = state.write_message(payload, &mut message).map_err(|error| internal(&error))?;
        let message = message.get(..length).unwrap_or_default();
        let mut frame = BytesMut::new();
        crate::varint::put_varint(&mut frame, message.len() as u64 + 2);
        frame.put_slice(&[SECURE, number]);
        frame.put_slice(message);
        Ok(frame.freeze())
    }

    fn done(&mut self, peer: PublicKey, reply: Option<Bytes>) -> Result<Progress> {
        let state = *self.state.take().ok_or_else(over)?;
        self.next = u8::MAX;
        let state = Box::new(state.into_transport_mode().map_err(|error| internal(&error))?);
        Ok(Progress::Done { reply, peer, transport: Transport { state } })
    }
}

/// A secure link after its handshake: turns bytes into records and back. Records are numbered, so one that is left out, repeated,
/// moved or altered does not decrypt, and neither does anything after it.
pub struct Transport {
    state: Box<TransportState>,
}

impl Transport {
    /// Appends `plain` to `out`, as records.
    ///
    /// # Errors
    /// `Internal` if it cannot be encrypted: after 2^64 records.
    pub fn seal(&mut self, plain: &[u8], out: &mut BytesMut) -> Result<()> {
        for chunk in plain.chunks(MAX_RECORD - TAG_LEN) {
            let begin = out.len();
            let length = chunk.len() + TAG_LEN;
            out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
            out.resize(begin + PREFIX_LEN + length, 0);
            let record = out.get_mut(begin + PREFIX_LEN..).unwrap_or_default();
            self.state.write_message(chunk, record).map_err(|error| internal(&error))?;
        }
        Ok(())
    }

    /// Removes whole records from the front of `input` and appends their plain text to `out`.
    ///
    /// # Errors
    /// `Insecure` if a record is not the peer's next one. `out` then has the plain text of the records before it.
    pub fn open(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<()> {
        while let Some(prefix) = input.first_chunk::<PREFIX_LEN>() {
            let length = usize::from(u16::from_be_bytes(*prefix));
            if length <= TAG_LEN {
                return Err(insecure("a record holds nothing"));
            }
            let Some(record) = input.get(PREFIX_LEN..PREFIX_LEN + length) else {
                // Reserves room for one record and no more, because this is called again with each piece that arrives.
                input.reserve((PREFIX_LEN + length).saturating_sub(input.len()));
                break;
            };
            let begin = out.len();
            out.resize(begin + length - TAG_LEN, 0);
            let plain = out.get_mut(begin..).unwrap_or_default();
            if self.state.read_message(record, plain).is_err() {
                out.truncate(begin);
                return Err(insecure(
                    "a record does not decrypt: somebody altered, repeated or left out what was sent",
                ));
            }
            input.advance(PREFIX_LEN + length);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
