//! Settings of a log.

use std::time::Duration;

use super::writer::BATCH_PATIENCE;

/// Settings of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Largest container accepted from `append`, in bytes.
    pub max_event_size: usize,
    /// Largest value accepted from peers, in bytes. It is above `max_event_size`, so that peers' limits may differ a little.
    pub max_incoming_size: usize,
    /// Bytes of unacknowledged appends.
    pub max_pending: usize,
    /// How long an incomplete batch is held back while events of other logs wait for it.
    pub batch_patience: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            max_event_size: 8 << 20,
            max_incoming_size: 32 << 20,
            max_pending: 256 << 20,
            batch_patience: BATCH_PATIENCE,
        }
    }
}
