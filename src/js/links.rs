//! The calls of [`Core`] for links: who may connect, dialling, and streams that JavaScript carries.

use std::sync::Arc;

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::error::{thrown, Result};
use super::trust::{dial_error, no_stream, peers, right, JsDial, JsPeerRight, JsPlain, JsStream};
use super::Core;
use crate::identity::{PublicKey, SecretKey};
use crate::net::pipe::Carried;
use crate::schema::ToldSchema;

/// What is to be sent over a stream.
#[napi(object)]
pub struct JsCarried {
    /// These bytes.
    pub bytes: Option<Buffer>,
    /// Whether the stream has to be ended, because no more bytes will come.
    pub end: bool,
}

#[napi]
impl Core {
    /// This emitter's public key.
    #[napi(catch_unwind)]
    pub fn public_key(&self) -> Option<String> {
        self.emitter.borrow().public_key().map(|key| key.to_string())
    }

    /// Sets which peers may connect: the listed ones, or those that JavaScript admits when it is asked.
    #[napi(catch_unwind)]
    pub fn set_peers(&self, listed: Option<Vec<JsPeerRight>>, asks: Option<bool>) -> Result<()> {
        let peers = peers(listed.as_deref(), asks).map_err(|error| thrown(&error))?;
        self.emitter.borrow().set_peers(peers);
        Ok(())
    }

    /// Sets which plain links are accepted.
    #[napi(catch_unwind)]
    pub fn set_plain(&self, plain: Option<JsPlain>) -> Result<()> {
        let plain = plain.as_ref().map(JsPlain::to_plain).transpose().map_err(|error| thrown(&error))?;
        self.emitter.borrow().set_plain(plain);
        Ok(())
    }

    /// Answers an `admit` notice with the peer's right; without a right it is refused.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Numbers of questions are whole.
    pub fn admit(&self, question: f64, granted: Option<String>) -> Result<()> {
        let granted = right(granted.as_deref()).map_err(|error| thrown(&error))?;
        self.emitter.borrow().admit(question as u64, granted);
        Ok(())
    }

    /// Dials a peer and keeps the link up. Network notices report its progress; the last one is `gaveUp`.
    #[napi(catch_unwind)]
    pub fn connect(&self, host: String, port: u16, known: bool, how: Option<JsDial>) -> Result<()> {
        let how = how.unwrap_or(JsDial { key: None, plain: None, carried: None });
        let dial = how.to_dial(known).map_err(|error| thrown(&error))?;
        self.emitter.borrow().connect(host, port, dial);
        Ok(())
    }

    /// Answers a `dial` notice of the link `target`: there is no connection.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn dial_failed(
        &self,
        question: f64,
        target: String,
        message: String,
        system: Option<String>,
        insecure: Option<bool>,
    ) {
        let error = dial_error(&target, message, system.as_deref(), insecure == Some(true));
        self.emitter.borrow().dial_failed(question as u64, error);
    }

    /// Sets the schema that peers of new links are told; none without a text.
    #[napi(catch_unwind)]
    pub fn set_schema(&self, text: Option<String>) -> Result<()> {
        let schema = text.map(|text| ToldSchema::new(text.into())).transpose().map_err(|error| thrown(&error))?;
        self.emitter.borrow().set_schema(schema.map(Arc::new));
        Ok(())
    }

    /// Ends a link because its peer has lost the right that JavaScript had vouched for.
    #[napi(catch_unwind)]
    pub fn revoke(&self, link: String) {
        self.emitter.borrow().revoke(&link);
    }

    /// Takes a stream, whose bytes JavaScript carries under this number.
    #[napi(catch_unwind)]
    pub fn open_stream(&self, id: u32, stream: JsStream) -> Result<()> {
        let (origin, purpose) = stream.to_use().map_err(|error| thrown(&error))?;
        let carrier = self.emitter.borrow().open_stream(id, origin, purpose);
        self.desk.borrow_mut().streams.insert(id, carrier);
        Ok(())
    }

    /// Passes on bytes that a stream has received. Returns whether it can take more; if not, a `stream` notice says when it can.
    #[napi(catch_unwind)]
    pub fn stream_write(&self, id: u32, bytes: &[u8]) -> bool {
        self.desk.borrow().streams.get(&id).is_some_and(|carrier| carrier.write(bytes))
    }

    /// Takes what has to be sent over a stream. To be called until it returns neither bytes nor an end.
    #[napi(catch_unwind)]
    pub fn stream_read(&self, id: u32) -> Result<JsCarried> {
        let desk = self.desk.borrow();
        let carrier = desk.streams.get(&id).ok_or_else(|| thrown(&no_stream(id)))?;
        Ok(match carrier.read() {
            Carried::Bytes(bytes) => JsCarried { bytes: Some(Buffer::from(bytes.as_ref())), end: false },
            Carried::Nothing => JsCarried { bytes: None, end: false },
            Carried::End => JsCarried { bytes: None, end: true },
        })
    }

    /// The readable side of a stream has ended.
    #[napi(catch_unwind)]
    pub fn stream_end(&self, id: u32) {
        if let Some(carrier) = self.desk.borrow().streams.get(&id) {
            carrier.end();
        }
    }

    /// A stream is closed, with or without an error. Its number is free again.
    #[napi(catch_unwind)]
    pub fn stream_fail(&self, id: u32, message: Option<String>) {
        let carrier = self.desk.borrow_mut().streams.remove(&id);
        if let (Some(carrier), Some(message)) = (carrier, message) {
            carrier.fail(message);
        }
    }
}

/// The text form of the public half of a private key (PKCS#8, DER).
///
/// # Errors
/// `ERR_HYPER_INVALID_ARG` if it is not such a key.
#[napi(js_name = "publicKey", catch_unwind)]
pub fn public_key(identity: &[u8]) -> Result<String> {
    let key = SecretKey::from_pkcs8(identity).map_err(|error| thrown(&error))?;
    Ok(key.public().to_string())
}

/// Checks the text form of a public key.
///
/// # Errors
/// `ERR_HYPER_INVALID_ARG` if it is not a public key.
#[napi(js_name = "checkPublicKey", catch_unwind)]
pub fn check_public_key(text: String) -> Result<()> {
    text.parse::<PublicKey>().map(|_| ()).map_err(|error| thrown(&error))
}
