//! The policy about whose logs are stored: converts it from JavaScript, and has the calls of [`Core`] for it.

use std::collections::HashMap;

use napi::bindgen_prelude::Either;
use napi_derive::napi;

use super::error::{thrown, Result};
use super::Core;
use crate::error::{self, quoted, Error};
use crate::hyperlog::trust::{Authors, Pin, Revoked, TrustPolicy, Unsigned};
use crate::node::{Digest, Key, LogId};

/// The state of a log up to one of its entries.
#[napi(object)]
pub struct JsPin {
    /// The log.
    pub log: String,
    /// Its last entry.
    pub seq: f64,
    /// 64 lowercase hex digits.
    pub digest: String,
}

/// An author who is no longer trusted.
#[napi(object)]
pub struct JsRevoked {
    /// The public key.
    pub key: String,
    /// Logs that are still stored, up to their pins. Without this field, what is stored stays, and nothing is added.
    pub logs: Option<Vec<JsPin>>,
}

/// Whose logs are stored.
#[napi(object)]
pub struct JsPolicy {
    /// Public keys whose sealed logs are stored; without it, those of all keys.
    pub authors: Option<Vec<String>>,
    /// Which logs without seals are stored: all (`accept`), none (`refuse`), or the pinned ones.
    pub unsigned: Option<Either<String, Vec<JsPin>>>,
    /// Authors whose keys are no longer trusted.
    pub revoked: Option<Vec<JsRevoked>>,
}

/// # Errors
/// `InvalidArgument` for an invalid pin.
fn pins(pins: &[JsPin]) -> error::Result<HashMap<LogId, Pin>> {
    pins.iter().map(pin).collect()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked to be a whole number.
fn pin(JsPin { log, seq, digest }: &JsPin) -> error::Result<(LogId, Pin)> {
    if !(1.0..=9_007_199_254_740_991.0).contains(seq) || seq.fract() != 0.0 {
        return Err(Error::InvalidArgument(format!("{seq} is not a seq at which log {} can be pinned", quoted(log))));
    }
    let digest = Key::from_hex(digest.as_bytes()).ok_or_else(|| {
        Error::InvalidArgument(format!("{} is not a digest: 64 lowercase hex digits expected", quoted(digest)))
    })?;
    Ok((log.as_str().into(), Pin { seq: *seq as u64, digest: Digest(digest.0) }))
}

impl JsPolicy {
    /// Converts the policy. `sealed` says whether the emitter has a key.
    ///
    /// # Errors
    /// `InvalidArgument` for an invalid policy.
    pub(super) fn to_policy(&self, sealed: bool) -> error::Result<TrustPolicy> {
        let authors = match &self.authors {
            None => Authors::All,
            Some(keys) => Authors::Only(keys.iter().map(|key| key.parse()).collect::<error::Result<_>>()?),
        };
        let unsigned = match &self.unsigned {
            None if sealed => Unsigned::Refuse,
            None => Unsigned::Accept,
            Some(Either::A(text)) if text == "accept" => Unsigned::Accept,
            Some(Either::A(text)) if text == "refuse" => Unsigned::Refuse,
            Some(Either::A(text)) => {
                let text = quoted(text);
                return Err(Error::InvalidArgument(format!("unsigned must be 'accept' or 'refuse', not {text}")));
            }
            Some(Either::B(pinned)) => Unsigned::Pinned(pins(pinned)?),
        };
        let revoked = self.revoked.iter().flatten().map(|revoked| {
            let at = revoked.logs.as_deref().map(pins).transpose()?;
            Ok((revoked.key.parse()?, at.map_or(Revoked::Here, Revoked::At)))
        });
        Ok(TrustPolicy { authors, unsigned, revoked: revoked.collect::<error::Result<_>>()? })
    }
}

#[napi]
impl Core {
    /// Sets whose logs are stored from now on. What is stored stays.
    #[napi(catch_unwind)]
    pub fn set_trust(&self, policy: JsPolicy) -> Result<()> {
        let emitter = self.emitter.borrow();
        let policy = policy.to_policy(emitter.public_key().is_some()).map_err(|error| thrown(&error))?;
        emitter.set_trust(policy);
        Ok(())
    }

    /// Every log without seals, with the pin for its present state.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)] // Seqs stay far below 2^53.
    pub fn pins(&self) -> Vec<JsPin> {
        let emitter = self.emitter.borrow();
        let pins = emitter.log().map(|log| log.pins()).unwrap_or_default();
        let js = |(log, pin): (LogId, Pin)| JsPin {
            log: log.to_string(),
            seq: pin.seq as f64,
            digest: pin.digest.to_string(),
        };
        pins.into_iter().map(js).collect()
    }
}
