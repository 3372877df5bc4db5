//! The view of the log that replication sessions get.

use super::Log;
use crate::node::{LogId, Seq};
use crate::protocol::LocalLog;
use crate::row::{LogHead, Position};
use crate::store::log_set::{Bucket, Prefix, PARTS};

impl LocalLog for Log {
    fn log_id(&self) -> LogId {
        Log::log_id(self)
    }

    fn head(&self, log: &str) -> Option<LogHead> {
        self.with_state(|state| state.logs.head(log))
    }

    fn seq(&self, log: &str) -> Seq {
        Log::seq(self, log)
    }

    fn logs(&self) -> Vec<LogHead> {
        Log::logs(self)
    }

    fn bucket(&self, prefix: Prefix) -> Bucket {
        self.with_set(|set| set.bucket(prefix))
    }

    fn parts(&self, prefix: Prefix) -> [Bucket; PARTS] {
        self.with_set(|set| set.parts(prefix))
    }

    fn logs_in(&self, prefix: Prefix) -> Vec<LogHead> {
        self.with_set(|set| set.logs_in(prefix))
    }

    fn adoptions(&self) -> u64 {
        Log::adoptions(self)
    }

    fn forged_from(&self) -> Option<Seq> {
        Log::forged_from(self)
    }

    fn end(&self) -> Position {
        Log::end(self)
    }
}
