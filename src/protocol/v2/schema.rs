//! Tells a peer with another schema what ours is, and compares.

use super::V2;
use crate::error::Error;
use crate::protocol::common::Common;
use crate::protocol::extension::Extension;
use crate::schema::{unreadable, Schema, MAX_SCHEMA};

impl V2 {
    /// Sends our schema, if the peer's capability record shows another one.
    pub(super) fn tell_schema(&mut self, common: &mut Common) {
        let Some(ours) = common.config.schema.clone() else { return };
        if self.capability.schema.is_some_and(|theirs| theirs != ours.fingerprint()) {
            self.say(common, &Extension::Schema(&ours.text));
        }
    }

    /// The peer's schema. Each side compares by itself, because neither takes the other's word. Only the first one of a session is
    /// looked at. One that is too large, or in a form of a later version, is passed over: nothing depends on it.
    pub(super) fn on_schema(&mut self, common: &mut Common, text: &[u8]) {
        let Some(ours) = common.config.schema.clone() else { return };
        if std::mem::replace(&mut self.schema_seen, true) || text.len() > MAX_SCHEMA {
            return;
        }
        let Ok(theirs) = Schema::parse(text) else { return };
        let found = unreadable(&ours.schema, &theirs).with_reverse(unreadable(&theirs, &ours.schema));
        if !found.is_empty() {
            let differences = found.in_words("the peer's is", "ours");
            common.report(Error::SchemaDrift { log: self.capability.log.to_string(), differences });
        }
    }
}
