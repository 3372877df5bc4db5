//! The capability record: what a 2.x peer says about itself in the `metadata` of its handshake (docs/design/wire.md).

use super::config::Config;
use super::extension::{log_id, WINDOW};
use super::twins::{Instance, Token};
use super::wire::{put_bytes, put_number, take_field, Value};
use crate::error::{Error, Result};
use crate::node::LogId;
use crate::schema::FINGERPRINT_LEN;

/// First bytes of our `metadata`. Any other `metadata` belongs to some other program.
pub const MAGIC: &[u8; 6] = b"hyper2";

/// Flag: this emitter writes standard protobuf payloads.
pub const STANDARD: u64 = 1;

/// Flag: this emitter verifies the seals of sealed logs, and passes on no row of them without a seal.
pub const SEALS: u64 = 2;

/// Longest name of a network, in bytes: it goes with every handshake.
pub const MAX_NETWORK_NAME: usize = 128;

/// What a 2.x peer says about itself in its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Highest version of the extension it speaks.
    pub version: u64,
    /// Sum of flags ([`STANDARD`], [`SEALS`]); unknown ones are ignored.
    pub flags: u64,
    /// Largest frame it accepts, in bytes.
    pub max_frame: u64,
    /// Bytes of batches it accepts before it grants more.
    pub window: u64,
    /// The log it appends to.
    pub log: LogId,
    /// Largest event container it stores, in bytes; `None` from peers of the first version.
    pub max_value: Option<u64>,
    /// The name of the network that it belongs to.
    pub network: Option<String>,
    /// The emitter's instance, and its token for this connection. Peers without this field carry rows on every link.
    pub twin: Option<(Instance, Token)>,
    /// Fingerprint of its schema, if it has one.
    pub schema: Option<[u8; FINGERPRINT_LEN]>,
}

impl Capability {
    /// Ours.
    #[must_use]
    pub fn ours(config: &Config, log: LogId) -> Self {
        Capability {
            version: config.version,
            flags: SEALS | if config.standard { STANDARD } else { 0 },
            max_frame: config.max_frame as u64,
            window: WINDOW,
            log,
            max_value: Some(config.max_value as u64),
            network: config.network.clone(),
            twin: config.twin,
            schema: config.schema.as_ref().map(|schema| schema.fingerprint()),
        }
    }

    /// The `metadata` bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_number(&mut out, 1, self.version);
        put_number(&mut out, 2, self.flags);
        put_number(&mut out, 3, self.max_frame);
        put_number(&mut out, 4, self.window);
        put_bytes(&mut out, 5, self.log.as_bytes());
        if let Some(max_value) = self.max_value {
            put_number(&mut out, 6, max_value);
        }
        if let Some(network) = &self.network {
            put_bytes(&mut out, 7, network.as_bytes());
        }
        if let Some((instance, token)) = self.twin {
            put_bytes(&mut out, 8, &instance.0);
            put_bytes(&mut out, 12, &token.0);
        }
        if let Some(fingerprint) = &self.schema {
            put_bytes(&mut out, 11, fingerprint);
        }
        out
    }

    /// Decodes `metadata`; `None` if it is not ours. Unknown fields belong to a later version, and are ignored.
    ///
    /// # Errors
    /// `Protocol` if it is ours and malformed.
    pub fn decode(metadata: &[u8]) -> Result<Option<Self>> {
        let Some(mut body) = metadata.strip_prefix(MAGIC) else { return Ok(None) };
        let (mut version, mut flags, mut max_frame, mut window) = (0, 0, 0, 0);
        let (mut log, mut max_value) = (None, None);
        let (mut network, mut instance, mut token, mut schema) = (None, None, None, None);
        while !body.is_empty() {
            match take_field(&mut body).ok_or_else(malformed)? {
                (1, Value::Number(number)) => version = number,
                (2, Value::Number(number)) => flags = number,
                (3, Value::Number(number)) => max_frame = number,
                (4, Value::Number(number)) => window = number,
                (5, Value::Bytes(bytes)) => log = Some(log_id(bytes)?),
                (6, Value::Number(number)) => max_value = Some(number),
                (7, Value::Bytes(bytes)) => network = Some(network_name(bytes)?),
                (8, Value::Bytes(bytes)) => instance = bytes.try_into().ok().map(Instance),
                (11, Value::Bytes(bytes)) => schema = bytes.try_into().ok(),
                (12, Value::Bytes(bytes)) => token = bytes.try_into().ok().map(Token),
                _ => {}
            }
        }
        match log {
            Some(log) if version > 0 && max_frame > 0 && window > 0 => {
                let twin = instance.zip(token);
                Ok(Some(Capability { version, flags, max_frame, window, log, max_value, network, twin, schema }))
            }
            _ => Err(malformed()),
        }
    }

    /// Whether the peer verifies seals.
    #[must_use]
    pub fn knows_seals(&self) -> bool {
        self.flags & SEALS != 0
    }

    /// Whether the peer writes standard protobuf payloads.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.flags & STANDARD != 0
    }
}

fn network_name(bytes: &[u8]) -> Result<String> {
    let name = std::str::from_utf8(bytes).ok().filter(|name| !name.is_empty() && name.len() <= MAX_NETWORK_NAME);
    name.map(str::to_owned).ok_or_else(malformed)
}

fn malformed() -> Error {
    Error::Protocol("undecodable capability record".into())
}
