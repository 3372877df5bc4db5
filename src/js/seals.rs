//! Whose logs are stored: from JavaScript's form into the core's, and the calls of [`Core`] about it.

use std::collections::HashMap;

use napi::bindgen_prelude::Either;
use napi_derive::napi;

use super::error::{thrown, Result};
use super::Core;
use crate::error::{self, quoted, Error};
use crate::hyperlog::trust::{Authors, Pin, Revoked, TrustPolicy, Unsigned};
use crate::node::{Digest, Key, LogId};

/// How far a log goes, and its digest there.
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
    /// Logs that are still taken, up to their pins; without it what is stored here stays, and nothing comes to it.
    pub logs: Option<Vec<JsPin>>,
}

/// Whose logs are stored.
#[napi(object)]
pub struct JsPolicy {
    /// Public keys whose sealed logs are; everybody's without it.
    pub authors: Option<Vec<String>>,
    /// Which logs without seals are: `accept`, `refuse`, or the pinned ones.
    pub unsigned: Option<Either<String, Vec<JsPin>>>,
    /// Authors who are frozen.
    pub revoked: Option<Vec<JsRevoked>>,
}

/// # Errors
/// `InvalidArgument` for what is no pin.
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
    /// `sealed`: the emitter has a key.
    ///
    /// # Errors
    /// `InvalidArgument` for what makes no sense.
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
    /// Whose logs are stored from now on. What is stored stays.
    #[napi(catch_unwind)]
    pub fn set_trust(&self, policy: JsPolicy) -> Result<()> {
        let emitter = self.emitter.borrow();
        let policy = policy.to_policy(emitter.public_key().is_some()).map_err(|error| thrown(&error))?;
        emitter.set_trust(policy);
        Ok(())
    }

    /// Every log without seals, as others can pin it.
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
