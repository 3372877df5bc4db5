//! Converts identity, rights and streams from JavaScript to the core.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use zeroize::Zeroizing;

use super::seals::JsPolicy;
use crate::emitter::{Origin, Use};
use crate::error::{quoted, Error, Result};
use crate::hyperlog;
use crate::identity::noise::{LinkKey, SECRET_LEN};
use crate::identity::{PublicKey, SecretKey};
use crate::net::rights::{Peers, Plain, Right, Trust};
use crate::net::{Dial, Security};

/// The identity of an emitter, and whom it trusts.
#[napi(object)]
pub struct JsTrust {
    /// An Ed25519 key: PKCS#8, DER.
    pub identity: Option<Buffer>,
    /// The secret of its group.
    pub secret: Option<Buffer>,
    /// The network that it belongs to.
    pub network: Option<String>,
    /// Who may connect; without it, see `asks`.
    pub peers: Option<Vec<JsPeerRight>>,
    /// JavaScript decides who may connect, whenever an `admit` notice asks.
    pub asks: Option<bool>,
    /// Whose plain links are accepted.
    pub plain: Option<JsPlain>,
    /// Whose logs are stored.
    pub logs: Option<JsPolicy>,
}

/// A peer and its right.
#[napi(object)]
pub struct JsPeerRight {
    /// Its public key.
    pub key: String,
    /// `read` or `write`.
    pub right: String,
}

/// Whose plain links are accepted, and what they may do.
#[napi(object)]
pub struct JsPlain {
    /// `read` or `write`; without it no plain links are accepted.
    pub right: Option<String>,
    /// Addresses or subnets (an address with a number of bits); without them, plain links from all addresses are accepted.
    pub from: Option<Vec<String>>,
}

/// How a peer is dialled.
#[napi(object)]
pub struct JsDial {
    /// The public key that the peer must have; without it, any accepted key.
    pub key: Option<String>,
    /// Dials in plain text, although this emitter has an identity; this is the right that the peer gets.
    pub plain: Option<String>,
    /// Whether JavaScript makes the connections.
    pub carried: Option<bool>,
}

/// One end of a connection.
#[napi(object)]
pub struct JsAddress {
    /// An IP address.
    pub address: String,
    /// Its port.
    pub port: u16,
}

/// A stream that JavaScript carries.
#[napi(object)]
pub struct JsStream {
    /// Our end of it.
    pub local: Option<JsAddress>,
    /// The peer's.
    pub remote: Option<JsAddress>,
    /// What protects it: `tls`, or `stream` for anything else.
    pub security: Option<String>,
    /// What the peer may do, if JavaScript has authenticated it.
    pub right: Option<String>,
    /// Whether our side is the one that dialled.
    pub dialled: Option<bool>,
    /// The public key that the peer has to prove; without it, any accepted key.
    pub key: Option<String>,
    /// Number of the `dial` notice that it answers.
    pub dial: Option<f64>,
}

impl JsTrust {
    /// # Errors
    /// `InvalidArgument` for what makes no sense.
    pub(super) fn to_trust(&self) -> Result<Trust> {
        let identity = self.identity.as_deref().map(SecretKey::from_pkcs8).transpose()?;
        let identity = identity.as_ref().map(LinkKey::new).transpose()?.map(Arc::new);
        let secret = self.secret.as_deref().map(|secret| {
            <[u8; SECRET_LEN]>::try_from(secret).map(|secret| Arc::new(Zeroizing::new(secret))).map_err(|_| {
                Error::InvalidArgument(format!("the secret has {} bytes, but must have {SECRET_LEN}", secret.len()))
            })
        });
        if identity.is_none() && (self.secret.is_some() || self.peers.is_some() || self.asks == Some(true)) {
            return Err(Error::InvalidArgument("secret and peers need an identity".to_owned()));
        }
        Ok(Trust {
            identity,
            secret: secret.transpose()?,
            peers: peers(self.peers.as_deref(), self.asks)?,
            plain: self.plain.as_ref().map(JsPlain::to_plain).transpose()?,
            network: self.network.clone(),
        })
    }
}

impl JsTrust {
    /// The key that seals the log, and whose logs are stored.
    ///
    /// # Errors
    /// `InvalidArgument` for what makes no sense.
    pub(super) fn to_seals(&self) -> Result<hyperlog::Trust> {
        let identity = self.identity.as_deref().map(SecretKey::from_pkcs8).transpose()?;
        let none = JsPolicy { authors: None, unsigned: None, revoked: None };
        let policy = self.logs.as_ref().unwrap_or(&none).to_policy(identity.is_some())?;
        Ok(hyperlog::Trust { identity, policy })
    }
}

/// # Errors
/// `InvalidArgument` for what is no key or no right.
pub(super) fn peers(listed: Option<&[JsPeerRight]>, asks: Option<bool>) -> Result<Peers> {
    match (listed, asks) {
        (_, Some(true)) => Ok(Peers::Asked),
        (None, _) => Ok(Peers::Unlisted),
        (Some(listed), _) => {
            let peers = listed.iter().map(|peer| Ok((peer.key.parse()?, peer.right.parse()?)));
            Ok(Peers::Listed(peers.collect::<Result<_>>()?))
        }
    }
}

impl JsPlain {
    /// # Errors
    /// `InvalidArgument` for what is no right or no address.
    pub(super) fn to_plain(&self) -> Result<Plain> {
        let Some(right) = &self.right else { return Ok(Plain::Nobody) };
        let right = right.parse()?;
        match &self.from {
            None => Ok(Plain::Anybody(right)),
            Some(from) => Ok(Plain::From(from.iter().map(|from| from.parse()).collect::<Result<_>>()?, right)),
        }
    }
}

impl JsDial {
    /// # Errors
    /// `InvalidArgument` for what is no key or no right.
    pub(super) fn to_dial(&self, known: bool) -> Result<Dial> {
        Ok(Dial {
            known,
            key: key(self.key.as_deref())?,
            plain: right(self.plain.as_deref())?,
            carried: self.carried == Some(true),
        })
    }
}

impl JsAddress {
    fn to_address(&self) -> Option<SocketAddr> {
        // A link-local address has its interface behind it, which is not part of it.
        let address = self.address.split('%').next()?.parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(address, self.port))
    }
}

impl JsStream {
    /// # Errors
    /// `InvalidArgument` for what is no key or no right.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Numbers of questions are whole.
    pub(super) fn to_use(&self) -> Result<(Origin, Use)> {
        let address = |address: &Option<JsAddress>| address.as_ref().and_then(JsAddress::to_address);
        let security = match self.security.as_deref() {
            Some("tls") => Security::Tls,
            _ => Security::Stream,
        };
        let vouched = right(self.right.as_deref())?.map(|right| (security, right));
        let origin = Origin { ends: address(&self.local).zip(address(&self.remote)), vouched };
        let purpose = match self.dial {
            Some(question) => Use::Dial(question as u64),
            None => Use::Link { dialled: self.dialled == Some(true), key: key(self.key.as_deref())? },
        };
        Ok((origin, purpose))
    }
}

pub(super) fn right(text: Option<&str>) -> Result<Option<Right>> {
    text.map(str::parse).transpose()
}

fn key(text: Option<&str>) -> Result<Option<PublicKey>> {
    text.map(str::parse).transpose()
}

/// The error for a connection that JavaScript could not make, with the system's name for it, if it is one we know.
pub(super) fn dial_error(target: &str, message: String, system: Option<&str>, insecure: bool) -> Error {
    if insecure {
        return Error::Insecure(message);
    }
    let system = system.and_then(|name| SYSTEM.into_iter().find(|known| *known == name));
    Error::Connect { target: target.to_owned(), reason: message, system }
}

/// The system's names for failed connections.
const SYSTEM: [&str; 14] = [
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "EACCES",
    "ENOTFOUND",
    "ECONNREFUSED",
    "ECONNRESET",
    "ECONNABORTED",
    "EPIPE",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOMEM",
    "EMFILE",
    "ENFILE",
];

/// Names a stream in an error.
pub(super) fn no_stream(id: u32) -> Error {
    Error::Internal(format!("there is no stream {}", quoted(&id.to_string())))
}
