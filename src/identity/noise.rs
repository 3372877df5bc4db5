//! Secure links: Noise XX (25519, ChaChaPoly, BLAKE2s) between two Ed25519 identities, as a state machine without I/O.
//!
//! ```text
//! dialler → listener   22 1  e
//! listener → dialler   22 2  e, ee, s, es, proof
//! dialler → listener   22 3  s, se, proof
//! ```
//!
//! A proof is the sender's Ed25519 key, and its signature over the static Noise key that the handshake shows it to own, so
//! each side knows who the other is. The signature says whether its maker dialled or listened: sent back, it proves nothing.
//! With a secret that both sides know (`psk0`) the first message of anybody else does not decrypt, and is not answered. After
//! the handshake everything travels in records: a length of two bytes, big-endian, and as many bytes of ciphertext.

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

/// What both sides must agree on beside the keys; another version of this protocol has another text.
const PROLOGUE: &[u8] = b"hyperemitter noise 1";

/// What a signature over a static Noise key begins with.
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

/// A secret of a group. Overwritten when the last owner drops it.
pub type Secret = Arc<Zeroizing<[u8; SECRET_LEN]>>;

/// Which side of a link somebody is.
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

/// What a link needs to prove who this emitter is: a Noise key pair of this process, and the proofs that it is ours.
pub struct LinkKey {
    public: PublicKey,
    private: Zeroizing<Vec<u8>>,
    as_dialler: [u8; PROOF_LEN],
    as_listener: [u8; PROOF_LEN],
}

impl LinkKey {
    /// A new Noise key pair, vouched for by `key`.
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

    /// The key that vouches for it.
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

/// What a signature in a proof is over.
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
    Error::Internal("a handshake that is over goes on".to_owned())
}

fn insecure(what: &str) -> Error {
    Error::Insecure(what.to_owned())
}

/// What became of a frame.
pub enum Progress {
    /// This frame goes back, its length included; another one will come.
    Reply(Bytes),
    /// The peer has proven who it is.
    Done {
        /// A last frame for the peer, its length included.
        reply: Option<Bytes>,
        /// Who it is.
        peer: PublicKey,
        /// For everything from now on.
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
    /// The only key that may answer.
    expected: Option<PublicKey>,
    /// Number of the message that comes next.
    next: u8,
}

impl Handshake {
    /// The side that opened the connection: a handshake, and its first frame. With `expected`, only the owner of that key
    /// is told who we are.
    ///
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub fn dial(key: Arc<LinkKey>, secret: Option<&Secret>, expected: Option<PublicKey>) -> Result<(Self, Bytes)> {
        let mut handshake = Handshake::new(key, secret, Role::Dialler, expected)?;
        let first = handshake.write(1, &[])?;
        handshake.next = 2;
        Ok((handshake, first))
    }

    /// The side that accepted it.
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

    /// Takes a frame, without its length. After an error nothing more may be sent: whoever is at the other end has not
    /// proven anything.
    ///
    /// # Errors
    /// `Insecure` if the peer does not speak this protocol, knows another secret, is somebody else than expected, or if
    /// somebody has altered what it said.
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
        // Room for whatever the message may hold: what it holds is checked below.
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
                    return Err(Error::Insecure(format!("its key is {peer}, and {expected} was expected")));
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

    /// Who the peer is, by its proof.
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

/// A secure link after its handshake: bytes to records and back. Records are numbered: one that is left out, repeated, moved
/// or altered does not decrypt, and neither does anything after it.
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

    /// Takes whole records off the front of `input` and appends what they hold to `out`.
    ///
    /// # Errors
    /// `Insecure` if a record is not the next one of the peer's. `out` has what came before it.
    pub fn open(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<()> {
        while let Some(prefix) = input.first_chunk::<PREFIX_LEN>() {
            let length = usize::from(u16::from_be_bytes(*prefix));
            if length <= TAG_LEN {
                return Err(insecure("a record holds nothing"));
            }
            let Some(record) = input.get(PREFIX_LEN..PREFIX_LEN + length) else {
                // As much as a record may have, and not more: it is asked for anew with each piece that comes.
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
mod tests {
    use super::*;
    use crate::protocol::frame;

    fn link_key(seed: u8) -> Arc<LinkKey> {
        Arc::new(LinkKey::new(&SecretKey::from_seed(&[seed; KEY_LEN])).unwrap())
    }

    fn secret(byte: u8) -> Secret {
        Arc::new(Zeroizing::new([byte; SECRET_LEN]))
    }

    /// A frame without its length.
    fn body(frame: &Bytes) -> Bytes {
        let mut bytes = BytesMut::from(&frame[..]);
        let body = frame::split(&mut bytes, MAX_HANDSHAKE_FRAME).unwrap().unwrap();
        assert!(bytes.is_empty());
        body
    }

    fn reply(progress: Progress) -> Bytes {
        match progress {
            Progress::Reply(frame) => body(&frame),
            Progress::Done { .. } => panic!("done already"),
        }
    }

    fn done(progress: Progress) -> (Option<Bytes>, PublicKey, Transport) {
        match progress {
            Progress::Reply(_) => panic!("not done"),
            Progress::Done { reply, peer, transport } => (reply.as_ref().map(body), peer, transport),
        }
    }

    struct Pair {
        dialler: Handshake,
        listener: Handshake,
        first: Bytes,
    }

    fn pair(of_dialler: Option<u8>, of_listener: Option<u8>) -> Pair {
        let (dialler, first) = Handshake::dial(link_key(1), of_dialler.map(secret).as_ref(), None).unwrap();
        let listener = Handshake::listen(link_key(2), of_listener.map(secret).as_ref()).unwrap();
        Pair { dialler, listener, first: body(&first) }
    }

    /// The whole handshake; both ends.
    fn linked(of_both: Option<u8>) -> (Transport, Transport) {
        let Pair { mut dialler, mut listener, first } = pair(of_both, of_both);
        let second = reply(listener.frame(&first).unwrap());
        let (third, peer, ours) = done(dialler.frame(&second).unwrap());
        assert_eq!(peer, link_key(2).public());
        let (none, peer, theirs) = done(listener.frame(&third.unwrap()).unwrap());
        assert_eq!((none, peer), (None, link_key(1).public()));
        (ours, theirs)
    }

    fn sealed(transport: &mut Transport, plain: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        transport.seal(plain, &mut out).unwrap();
        out
    }

    fn opened(transport: &mut Transport, mut input: BytesMut) -> Result<Vec<u8>> {
        let mut out = BytesMut::new();
        transport.open(&mut input, &mut out)?;
        assert!(input.is_empty());
        Ok(out.to_vec())
    }

    fn is_refused(result: Result<Progress>) {
        assert_eq!(result.err().expect("it is refused").code(), "ERR_HYPER_INSECURE");
    }

    #[test]
    fn both_sides_learn_who_the_other_is_and_bytes_go_both_ways() {
        for of_both in [None, Some(9)] {
            let (mut ours, mut theirs) = linked(of_both);
            for length in [1, 100, MAX_RECORD - TAG_LEN, MAX_RECORD - TAG_LEN + 1, 300_000] {
                let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
                let records = sealed(&mut ours, &plain);
                assert_eq!(records.len(), length + length.div_ceil(MAX_RECORD - TAG_LEN) * (TAG_LEN + PREFIX_LEN));
                assert_eq!(opened(&mut theirs, records).unwrap(), plain);
                let records = sealed(&mut theirs, &plain);
                assert_eq!(opened(&mut ours, records).unwrap(), plain);
            }
        }
    }

    #[test]
    fn records_come_out_whole_whatever_the_cuts() {
        let (mut ours, mut theirs) = linked(None);
        let plain = vec![7; 1000];
        for step in [1, 2, 3, 17, 500] {
            let records = sealed(&mut ours, &plain);
            let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
            for piece in records.chunks(step) {
                input.extend_from_slice(piece);
                theirs.open(&mut input, &mut out).unwrap();
            }
            assert_eq!(out, plain);
            assert!(input.is_empty());
        }
    }

    #[test]
    fn frames_of_a_handshake_are_small_and_their_sizes_do_not_depend_on_who_is_there() {
        for (of_both, sizes) in [(None, [34, 194, 162]), (Some(9), [50, 194, 162])] {
            let Pair { mut dialler, mut listener, first } = pair(of_both, of_both);
            let second = reply(listener.frame(&first).unwrap());
            let third = done(dialler.frame(&second).unwrap()).0.unwrap();
            assert_eq!([first.len(), second.len(), third.len()], sizes);
        }
    }

    #[test]
    fn who_does_not_know_the_secret_gets_no_byte_back() {
        for (of_dialler, of_listener) in [(None, Some(9)), (Some(8), Some(9)), (Some(9), None)] {
            let Pair { mut listener, first, .. } = pair(of_dialler, of_listener);
            is_refused(listener.frame(&first));
        }
    }

    #[test]
    fn another_key_than_the_one_expected_is_not_told_who_we_are() {
        let (mut dialler, first) = Handshake::dial(link_key(1), None, Some(link_key(3).public())).unwrap();
        let mut listener = Handshake::listen(link_key(2), None).unwrap();
        let second = reply(listener.frame(&body(&first)).unwrap());
        let error = dialler.frame(&second).err().unwrap();
        assert_eq!(error.code(), "ERR_HYPER_INSECURE");
        let text = error.to_string();
        assert!(text.contains(&link_key(2).public().to_string()) && text.contains(&link_key(3).public().to_string()));
    }

    #[test]
    fn a_flipped_bit_anywhere_ends_the_handshake() {
        for of_both in [None, Some(9)] {
            let sizes = if of_both.is_some() { [50, 194, 162] } else { [34, 194, 162] };
            for (message, size) in sizes.into_iter().enumerate() {
                for at in 0..size {
                    let Pair { mut dialler, mut listener, first } = pair(of_both, of_both);
                    let flip = |number: usize, frame: &Bytes| {
                        let mut bytes = frame.to_vec();
                        if number == message {
                            bytes[at] ^= 1 << (at % 8);
                        }
                        bytes
                    };
                    // A false ephemeral key in the first message shows when the second one is read.
                    let Ok(second) = listener.frame(&flip(0, &first)).map(reply) else { continue };
                    let Ok((third, _, _)) = dialler.frame(&flip(1, &second)).map(done) else { continue };
                    assert_eq!(message, 2, "byte {at} of message {message}");
                    is_refused(listener.frame(&flip(2, &third.unwrap())));
                }
            }
        }
    }

    #[test]
    fn a_frame_that_is_cut_or_has_a_tail_ends_the_handshake() {
        for message in 0..3 {
            for length in [0, 1, 2, 20, 33, 35, 49, 100, 161, 163, 193, 195, 800, 2000] {
                let Pair { mut dialler, mut listener, first } = pair(None, None);
                let cut = |number: usize, frame: &Bytes| {
                    let mut bytes = frame.to_vec();
                    if number == message {
                        bytes.resize(length, 0);
                    }
                    bytes
                };
                let Ok(second) = listener.frame(&cut(0, &first)).map(reply) else { continue };
                let Ok((third, _, _)) = dialler.frame(&cut(1, &second)).map(done) else { continue };
                assert_eq!(message, 2, "{length} bytes");
                is_refused(listener.frame(&cut(2, &third.unwrap())));
            }
        }
    }

    #[test]
    fn what_is_sent_back_to_its_sender_proves_nothing() {
        // To the dialler its own first message, and a whole listener's answer made from its own key.
        let Pair { mut dialler, first, .. } = pair(None, None);
        is_refused(dialler.frame(&first));
        // A listener that has only somebody else's proof as a dialler.
        let mut thief = LinkKey::new(&SecretKey::from_seed(&[2; KEY_LEN])).unwrap();
        thief.as_listener = thief.as_dialler;
        let (mut dialler, first) = Handshake::dial(link_key(1), None, None).unwrap();
        let mut listener = Handshake::listen(Arc::new(thief), None).unwrap();
        let second = reply(listener.frame(&body(&first)).unwrap());
        is_refused(dialler.frame(&second));
    }

    #[test]
    fn a_proof_holds_for_its_noise_key_only() {
        let mut thief = LinkKey::new(&SecretKey::from_seed(&[5; KEY_LEN])).unwrap();
        let robbed = link_key(2);
        (thief.public, thief.as_dialler, thief.as_listener) = (robbed.public, robbed.as_dialler, robbed.as_listener);
        let thief = Arc::new(thief);
        let (mut dialler, first) = Handshake::dial(Arc::clone(&thief), None, None).unwrap();
        let mut listener = Handshake::listen(link_key(1), None).unwrap();
        let second = reply(listener.frame(&body(&first)).unwrap());
        let third = done(dialler.frame(&second).unwrap()).0.unwrap();
        is_refused(listener.frame(&third));
        let (mut dialler, first) = Handshake::dial(link_key(1), None, None).unwrap();
        let mut listener = Handshake::listen(thief, None).unwrap();
        let second = reply(listener.frame(&body(&first)).unwrap());
        is_refused(dialler.frame(&second));
    }

    #[test]
    fn a_handshake_that_was_recorded_opens_nothing() {
        let Pair { mut dialler, mut listener, first } = pair(None, None);
        let second = reply(listener.frame(&first).unwrap());
        let third = done(dialler.frame(&second).unwrap()).0.unwrap();
        let mut other = Handshake::listen(link_key(2), None).unwrap();
        reply(other.frame(&first).unwrap());
        is_refused(other.frame(&third));
        let (mut other, _) = Handshake::dial(link_key(1), None, None).unwrap();
        is_refused(other.frame(&second));
        // Each message has its place.
        is_refused(listener.frame(&first));
    }

    #[test]
    fn messages_out_of_turn_and_plain_text_are_refused() {
        let Pair { mut dialler, mut listener, first } = pair(None, None);
        is_refused(listener.frame(&[0, 8, 1, 32, 1]));
        is_refused(listener.frame(&[]));
        is_refused(listener.frame(&[SECURE]));
        is_refused(listener.frame(&[SECURE, 3]));
        let second = reply(listener.frame(&first).unwrap());
        is_refused(dialler.frame(&[0, 8, 1, 32, 1]));
        let third = done(dialler.frame(&second).unwrap()).0.unwrap();
        is_refused(dialler.frame(&second));
        done(listener.frame(&third).unwrap());
        is_refused(listener.frame(&third));
        is_refused(listener.frame(&first));
    }

    #[test]
    fn records_that_are_altered_repeated_left_out_or_sent_back_do_not_open() {
        let refused = |transport: &mut Transport, input: BytesMut| {
            assert_eq!(opened(transport, input).unwrap_err().code(), "ERR_HYPER_INSECURE");
        };
        let length = sealed(&mut linked(None).0, b"hello").len();
        for at in 0..length {
            let (mut ours, mut theirs) = linked(None);
            let mut record = sealed(&mut ours, b"hello");
            record[at] ^= 0x80;
            let (mut input, mut out) = (record, BytesMut::new());
            // A longer record than there is waits for the rest.
            let result = theirs.open(&mut input, &mut out);
            assert!(out.is_empty() && (result.is_err() || at < PREFIX_LEN), "byte {at}");
        }
        let (mut ours, mut theirs) = linked(None);
        let record = sealed(&mut ours, b"hello");
        refused(&mut ours, record.clone());
        assert_eq!(opened(&mut theirs, record.clone()).unwrap(), b"hello");
        refused(&mut theirs, record);
        let (mut ours, mut theirs) = linked(None);
        sealed(&mut ours, b"left out");
        let second = sealed(&mut ours, b"second");
        refused(&mut theirs, second);
        for length in 0..=u16::try_from(TAG_LEN).unwrap() {
            let (_, mut theirs) = linked(None);
            let empty = [&length.to_be_bytes()[..], &[0; TAG_LEN][..usize::from(length)]].concat();
            refused(&mut theirs, BytesMut::from(&empty[..]));
        }
    }

    #[test]
    fn a_record_that_does_not_end_takes_as_much_memory_as_a_record() {
        let (_, mut theirs) = linked(None);
        let (mut input, mut out) = (BytesMut::from(&[0xff, 0xff][..]), BytesMut::new());
        for _ in 0..1000 {
            input.extend_from_slice(&[0; 60]);
            theirs.open(&mut input, &mut out).unwrap();
        }
        assert!(input.capacity() <= 2 * (MAX_RECORD + PREFIX_LEN) && out.capacity() == 0);
    }
}
