//! Ed25519 keys, and the one text form of a public key: `ed25519-` and 52 characters of base32 (RFC 4648, lower case, no
//! padding).

use std::fmt;
use std::str::FromStr;

use base32::Alphabet;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::error::{quoted, Error, Result};

/// What the text form of a public key begins with.
pub const PREFIX: &str = "ed25519-";

/// Bytes of a public key, and of the seed that a secret key is made from.
pub const KEY_LEN: usize = 32;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// An Ed25519 key in PKCS#8 (RFC 8410, version 1): these bytes, then the seed. Node.js and OpenSSL write exactly this.
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

const BASE32: Alphabet = Alphabet::Rfc4648Lower { padding: false };

/// Base32 in the alphabet of RFC 4648, lower case, without padding.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    base32::encode(BASE32, bytes)
}

/// A public key: a point of the curve that is not of small order, because a signature under such a point can be valid for many
/// messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; KEY_LEN]);

impl PublicKey {
    /// Checks the bytes of a key.
    ///
    /// # Errors
    /// `InvalidArgument` if they are not a point of the curve, or are a point of small order.
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Result<Self> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(PublicKey(bytes)),
            _ => Err(Error::InvalidArgument(format!("{PREFIX}{} is not a usable Ed25519 key", base32(&bytes)))),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Whether `signature` was made over `message` by the owner of this key. The check is strict (RFC 8032; neither the key nor the
    /// signature's point may be of small order), so that all implementations agree.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(&self.0), Signature::from_slice(signature)) else {
            return false;
        };
        key.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", base32(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads the text form. Only the canonical text of a key is accepted.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| !digits.bytes().any(|c| c.is_ascii_uppercase()));
        let bytes = digits.and_then(|digits| base32::decode(BASE32, digits).filter(|bytes| base32(bytes) == digits));
        let Some(bytes) = bytes.and_then(|bytes| bytes.try_into().ok()) else {
            return Err(Error::InvalidArgument(format!(
                "{} is not a public key: one is {PREFIX} and 52 characters, as `hypem key` prints it",
                quoted(text)
            )));
        };
        PublicKey::from_bytes(bytes)
    }
}

/// A secret key. Its bytes are overwritten when it is dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; KEY_LEN]) -> Self {
        SecretKey(SigningKey::from_bytes(seed))
    }

    /// A new key.
    ///
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
        Ok(SecretKey::from_seed(&seed))
    }

    /// Reads a private key in PKCS#8, DER, as `KeyObject.export({ format: 'der', type: 'pkcs8' })` writes it.
    ///
    /// # Errors
    /// `InvalidArgument` if it is something else.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let seed = der.strip_prefix(&PKCS8_PREFIX).and_then(|seed| <&[u8; KEY_LEN]>::try_from(seed).ok());
        let seed = seed.ok_or_else(|| Error::InvalidArgument("the identity is not an Ed25519 key in PKCS#8".into()))?;
        Ok(SecretKey::from_seed(seed))
    }

    /// The same in PKCS#8, DER.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + KEY_LEN));
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(self.0.as_bytes());
        der
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a message. A signed message begins with a text that names its purpose, so that no signature can be used for another
    /// purpose.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; KEY_LEN])
    }

    /// RFC 8032, 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn hex(text: &str) -> [u8; KEY_LEN] {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_public_key_is_that_of_rfc_8032() {
        let key = SecretKey::from_seed(&hex(SEED));
        assert_eq!(key.public().as_bytes(), &hex(PUBLIC));
    }

    #[test]
    fn a_key_has_one_text() {
        let public = key().public();
        let text = public.to_string();
        assert_eq!((text.len(), text.parse::<PublicKey>().unwrap()), (60, public));
        // 52 characters hold 260 bits; the last four are zero.
        let last = text.chars().last().unwrap();
        assert!("aq".contains(last), "{last}");
        let others = [
            text.to_uppercase(),
            format!("{PREFIX}{}", text[PREFIX.len()..].to_uppercase()),
            format!("{text}===="),
            text[..59].to_owned(),
            format!("{text}a"),
            format!("{}b", &text[..59]),
            text[PREFIX.len()..].to_owned(),
            String::new(),
        ];
        for other in others {
            assert!(other.parse::<PublicKey>().is_err(), "{other}");
        }
    }

    #[test]
    fn keys_of_small_order_and_points_off_the_curve_are_refused() {
        let mut one = [0; KEY_LEN];
        one[0] = 1;
        for weak in [[0; KEY_LEN], one, hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")] {
            assert_eq!(PublicKey::from_bytes(weak).unwrap_err().code(), "ERR_HYPER_INVALID_ARG");
        }
        let mut off = [0; KEY_LEN];
        off[0] = 2;
        assert!(PublicKey::from_bytes(off).is_err());
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_message() {
        let (key, other) = (key(), SecretKey::generate().unwrap());
        let signature = key.sign(b"message");
        assert!(key.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"massage", &signature) && !other.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"message", &signature[..63]) && !key.public().verifies(b"message", &[]));
        for at in 0..SIGNATURE_LEN {
            let mut bad = signature;
            bad[at] ^= 1;
            assert!(!key.public().verifies(b"message", &bad), "byte {at}");
        }
    }

    #[test]
    fn pkcs8_is_what_node_writes() {
        let key = key();
        let der = key.to_pkcs8();
        assert_eq!(der.len(), 48);
        assert_eq!(SecretKey::from_pkcs8(&der).unwrap().public(), key.public());
        for bad in [&der[..47], &der[1..], b"", &[&der[..], &[0]].concat()] {
            assert!(SecretKey::from_pkcs8(bad).is_err());
        }
    }

    #[test]
    fn a_secret_key_is_not_printed() {
        let shown = format!("{:?}", key());
        assert!(shown.ends_with(&key().public().to_string()) && !shown.contains("07"), "{shown}");
    }
}
