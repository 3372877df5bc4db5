//! Sealed logs: a log whose id names the key of its only writer, and the seals that the writer puts on it.
//!
//! A seal is a signature over the log's id, a seq and the log's digest there. The digest runs over the keys of all entries up
//! to that seq, so one seal proves all of them, and one per commit is enough (docs/design/log.md, "Sealed logs").

use std::str::FromStr;

use super::key::{base32, PublicKey, SecretKey, PREFIX, SIGNATURE_LEN};
use crate::error::{Error, Result};
use crate::event::{following, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use crate::node::{Digest, LogId, Seq};

/// Most rows between two seals of a log, the sealed row included.
pub const MAX_SEAL_ROWS: usize = 1024;

/// Bytes of values after which a seal is due: the row that reaches them is sealed.
pub const MAX_SEAL_BYTES: usize = 256 * 1024;

/// Length in bytes of the part of an event id that names the owner of a sealed log.
pub const OWNER_TAG_LEN: usize = 8;

/// The beginning of the message that a seal signs.
const CONTEXT: &[u8] = b"hyperemitter log 1\0";

/// Characters of a public key's text.
const KEY_TEXT: usize = 60;

/// Random bytes in a log id, which distinguish the logs of one key.
const SUFFIX_BYTES: usize = 5;
const SUFFIX_TEXT: usize = 8;

/// Whether a log id claims to name a key. Such an id belongs to a sealed log, or is invalid.
#[must_use]
pub fn claims_owner(log: &str) -> bool {
    log.starts_with(PREFIX)
}

/// The text of the key in a sealed log's id, without a check that it is a valid key.
#[must_use]
pub fn author_of(log: &str) -> Option<&str> {
    let (key, suffix) = log.split_once('.')?;
    (claims_owner(key) && key.len() == KEY_TEXT && is_suffix(suffix)).then_some(key)
}

/// The key that a log's id names; `None` if the log is not a sealed one.
///
/// # Errors
/// `InvalidArgument` if the id begins like that of a sealed log, but is not valid.
pub fn owner_of(log: &str) -> Result<Option<PublicKey>> {
    if !claims_owner(log) {
        return Ok(None);
    }
    match author_of(log) {
        Some(key) => PublicKey::from_str(key).map(Some),
        None => Err(Error::InvalidArgument(format!(
            "{log:?} is not a log id: ids that begin with {PREFIX} must name a key"
        ))),
    }
}

fn is_suffix(text: &str) -> bool {
    text.len() == SUFFIX_TEXT && text.bytes().all(|c| c.is_ascii_lowercase() || (b'2'..=b'7').contains(&c))
}

/// A new id for a log of this key.
///
/// # Errors
/// `Internal` if the system has no randomness.
pub fn new_sealed_log_id(key: &PublicKey) -> Result<LogId> {
    let mut random = [0; SUFFIX_BYTES];
    getrandom::fill(&mut random).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    Ok(format!("{key}.{}", base32(&random)).into())
}

/// The prefix of the ids of all events in this key's logs. A node's key does not cover its log, so without the prefix somebody
/// could store another emitter's node in a log of their own first.
#[must_use]
pub fn owner_tag(key: &PublicKey) -> [u8; OWNER_TAG_LEN] {
    let hash = blake3::hash(key.as_bytes());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The message that a seal signs.
fn message(log: &str, seq: Seq, digest: &Digest) -> Vec<u8> {
    let mut message = Vec::with_capacity(CONTEXT.len() + 4 + log.len() + 8 + digest.0.len());
    message.extend_from_slice(CONTEXT);
    // A log id has at most 256 bytes.
    message.extend_from_slice(&u32::try_from(log.len()).unwrap_or(u32::MAX).to_le_bytes());
    message.extend_from_slice(log.as_bytes());
    message.extend_from_slice(&seq.to_le_bytes());
    message.extend_from_slice(&digest.0);
    message
}

/// The seal of a log that has this digest after `seq` entries.
#[must_use]
pub fn seal(key: &SecretKey, log: &str, seq: Seq, digest: &Digest) -> [u8; SIGNATURE_LEN] {
    key.sign(&message(log, seq, digest))
}

/// Whether `seal` is a valid seal of the owner for a log that has this digest after `seq` entries.
#[must_use]
pub fn is_sealed(owner: &PublicKey, log: &str, seq: Seq, digest: &Digest, seal: &[u8]) -> bool {
    owner.verifies(&message(log, seq, digest), seal)
}

/// Counts the rows of a log since its last seal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealSpan {
    rows: usize,
    bytes: usize,
}

impl SealSpan {
    /// Adds a row with a value of this size. Returns whether that row has to be sealed.
    pub fn add(&mut self, value: usize) -> bool {
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(value);
        self.rows >= MAX_SEAL_ROWS || self.bytes >= MAX_SEAL_BYTES
    }

    /// Adds the row with this value. Returns whether that row has to be sealed. A batch is sealed only at its end, so that the seal
    /// covers all of it.
    pub fn is_due(&mut self, value: &[u8]) -> bool {
        self.add(value.len()) && (following(value) == 0 || self.is_over())
    }

    /// Whether a seal is overdue even if a batch of the largest size was begun just before the seal was due.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rows >= MAX_SEAL_ROWS + MAX_BATCH_EVENTS || self.bytes >= MAX_SEAL_BYTES + MAX_BATCH_BYTES
    }

    /// Starts counting anew, because the row added last is sealed.
    pub fn sealed(&mut self) {
        *self = SealSpan::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[3; 32])
    }

    #[test]
    fn the_id_of_a_sealed_log_names_its_key() {
        let public = key().public();
        let [one, two] = [(); 2].map(|()| new_sealed_log_id(&public).unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), KEY_TEXT + 1 + SUFFIX_TEXT);
        assert_eq!(owner_of(&one).unwrap(), Some(public));
        assert_eq!(author_of(&one), Some(&*public.to_string()));
        assert_eq!(
            (owner_of("cjld2cjxh0000qzrmn831i7rn").unwrap(), author_of("cjld2cjxh0000qzrmn831i7rn")),
            (None, None)
        );
    }

    #[test]
    fn an_id_that_only_begins_like_that_of_a_sealed_log_is_none() {
        let good = new_sealed_log_id(&key().public()).unwrap();
        let weak = format!("{PREFIX}{}.aaaaaaaa", base32(&[0; 32]));
        let bad = [
            PREFIX.to_owned(),
            good[..KEY_TEXT].to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{good}a"),
            good.to_ascii_uppercase().replacen("ED25519", "ed25519", 1),
            good.replace('.', "!"),
            format!("{}.AAAAAAAA", &good[..KEY_TEXT]),
            weak,
        ];
        for id in bad {
            assert!(owner_of(&id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_seal_is_of_one_log_one_seq_one_digest_and_one_key() {
        let (key, digest) = (key(), Digest([7; 32]));
        let public = key.public();
        let [log, other] = [(); 2].map(|()| new_sealed_log_id(&public).unwrap());
        let sealed = seal(&key, &log, 5, &digest);
        assert!(is_sealed(&public, &log, 5, &digest, &sealed));
        assert!(!is_sealed(&public, &other, 5, &digest, &sealed));
        assert!(!is_sealed(&public, &log, 6, &digest, &sealed));
        assert!(!is_sealed(&public, &log, 5, &Digest([8; 32]), &sealed));
        assert!(!is_sealed(&SecretKey::from_seed(&[4; 32]).public(), &log, 5, &digest, &sealed));
        assert!(!is_sealed(&public, &log, 5, &digest, &sealed[..63]) && !is_sealed(&public, &log, 5, &digest, &[]));
    }

    /// A test vector of the signed bytes, for other implementations.
    #[test]
    fn what_is_signed_is_written_down() {
        let signed = message("ab", 0x0102, &Digest([9; 32]));
        let mut expected = b"hyperemitter log 1\0\x02\0\0\0ab\x02\x01\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(&[9; 32]);
        assert_eq!(signed, expected);
    }

    #[test]
    fn a_row_is_sealed_after_so_many_rows_or_bytes() {
        let due = |size: usize| {
            let mut span = SealSpan::default();
            (1..).find(|_| span.add(size)).unwrap()
        };
        assert_eq!([0, 38, 1024, MAX_SEAL_BYTES - 1, MAX_SEAL_BYTES, 8 << 20].map(due), [1024, 1024, 256, 2, 1, 1]);
        let mut span = SealSpan::default();
        span.add(MAX_SEAL_BYTES - 1);
        span.sealed();
        assert!(!span.add(MAX_SEAL_BYTES - 1));
    }
}
