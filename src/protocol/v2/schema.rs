//! Sends our schema to peers that have another one, and compares theirs with ours.

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

    /// The peer's schema has arrived. Each side compares the schemas itself, because neither trusts the other's result. Only the
    /// first schema in a session is examined. A schema that is too large, or in the form of a later version, is ignored, because
    /// nothing depends on it.
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
