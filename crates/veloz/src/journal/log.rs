//! The face of the log for those who read it.

use bytes::Bytes;
use veloz_core::types::EventId;

/// Which events are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest event retained; `newest + 1` when none is.
    pub oldest: EventId,
    /// The newest event that may be seen; 0 before the first.
    pub newest: EventId,
}

/// What a read from a position found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Whole frames, in order.
    Frames {
        /// The frames' bytes, as they are sent.
        bytes: Bytes,
        /// The id after the last event that these bytes stand for: where to read on.
        next: EventId,
        /// Whether ids are missing in `from..next`: market events that retention took out.
        compacted: bool,
    },
    /// The position is right behind the newest event.
    AtEnd,
    /// The position is before the oldest event retained.
    Trimmed(Bounds),
    /// The position is beyond `newest + 1`: that id was never issued here.
    Ahead(Bounds),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The storage failed.
    #[error("cannot read the log: {0}")]
    Io(#[from] std::io::Error),
    /// What is stored is not what was written.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

/// A log that can be read from any position, by any thread, while another appends.
pub trait LogReader: Send + Sync {
    /// The oldest and the newest event.
    fn bounds(&self) -> Bounds;

    /// Reads frames from `from` on: at least one event, then as many as fit in about `max_bytes`.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    fn read(&self, from: EventId, max_bytes: usize) -> Result<Read, LogError>;
}
