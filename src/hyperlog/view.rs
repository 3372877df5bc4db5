//! The log as replication sessions see it.

use super::Log;
use crate::node::{LogId, Seq};
use crate::protocol::LocalLog;
use crate::store::{LogHead, Position};

impl LocalLog for Log {
    fn log_id(&self) -> LogId {
        Log::log_id(self)
    }

    fn head(&self, log: &str) -> Option<LogHead> {
        self.with_state(|state| state.logs.get(log).cloned())
    }

    fn seq(&self, log: &str) -> Seq {
        Log::seq(self, log)
    }

    fn logs(&self) -> Vec<LogHead> {
        Log::logs(self)
    }

    fn end(&self) -> Position {
        Log::end(self)
    }
}
