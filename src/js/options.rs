//! Settings from JavaScript, and the stores that they name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use napi_derive::napi;

use super::level::JsBridge;
use super::trust::JsTrust;
use crate::emitter::{Options, Source};
use crate::error::Result;
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::store::level::LevelStore;
use crate::store::memory::MemoryStore;
use crate::store::{Progress, Store};

/// Settings, checked by lib/options.js.
#[napi(object)]
pub struct CoreOptions {
    /// Folder of the embedded store; memory without it.
    pub path: Option<String>,
    /// Whether that store is only read, while another process may have it open for writing.
    pub read_only: Option<bool>,
    /// Largest event container, in bytes.
    pub max_event_size: Option<f64>,
    /// Bytes of unacknowledged emits.
    pub max_pending: Option<f64>,
    /// Pause before the first redial of a peer, in milliseconds.
    pub reconnect_timeout: Option<f64>,
    /// Whether events are encoded in standard protobuf.
    pub standard: bool,
    /// Who the emitter is, and whom it trusts.
    pub trust: Option<JsTrust>,
}

/// Where the log is kept.
pub(super) fn source(options: &CoreOptions, bridge: Option<Arc<JsBridge>>) -> Source {
    match (bridge, &options.path) {
        (Some(bridge), _) => Source::Opening(Box::new(move |progress| open_level(bridge, progress))),
        (None, Some(path)) => {
            let (path, read_only) = (PathBuf::from(path), options.read_only == Some(true));
            Source::Opening(Box::new(move |progress| {
                if read_only {
                    open_read_only(&path, progress)
                } else {
                    open_embedded(&path, progress)
                }
            }))
        }
        (None, None) => Source::Immediate(Arc::new(MemoryStore::new())),
    }
}

/// Opens the store in a Level database.
pub(super) fn open_level(bridge: Arc<JsBridge>, progress: Progress<'_>) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(LevelStore::open(bridge, progress)?))
}

/// Opens the store in a folder.
fn open_embedded(path: &Path, progress: Progress<'_>) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(EmbeddedStore::open(path, &EmbeddedOptions::default(), progress)?))
}

/// Opens the store in a folder that another process may have open.
pub(super) fn open_read_only(path: &Path, progress: Progress<'_>) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(EmbeddedStore::open_read_only(path, &EmbeddedOptions::default(), progress)?))
}

/// The core's own settings; its defaults where JavaScript gives none.
///
/// # Errors
/// `InvalidArgument` if the settings of trust are not valid.
pub(super) fn settings(options: &CoreOptions) -> Result<Options> {
    let mut settings = Options::default();
    settings.log.max_event_size = options.max_event_size.map_or(settings.log.max_event_size, size);
    // Peers may allow slightly larger events than we do.
    settings.log.max_incoming_size = settings.log.max_incoming_size.max(settings.log.max_event_size);
    settings.net.max_value = settings.log.max_incoming_size;
    settings.log.max_pending = options.max_pending.map_or(settings.log.max_pending, size);
    settings.net.reconnect_timeout_ms = options.reconnect_timeout.map_or(settings.net.reconnect_timeout_ms, number);
    settings.net.standard = options.standard;
    settings.net.trust = options.trust.as_ref().map(JsTrust::to_trust).transpose()?.unwrap_or_default();
    settings.seals = options.trust.as_ref().map(JsTrust::to_seals).transpose()?.unwrap_or_default();
    Ok(settings)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates, which is what is meant.
fn size(bytes: f64) -> usize {
    bytes as usize
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(value: f64) -> u64 {
    value as u64
}
