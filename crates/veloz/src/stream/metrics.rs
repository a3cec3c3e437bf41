//! What the stream counts. Plain atomics: anyone may read them at any time.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

/// Why a stream was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client went away.
    Peer,
    /// The socket took nothing for too long.
    Stalled,
    /// The client sent more after its request than is put up with.
    Input,
    /// The log could not be read.
    Log,
    /// What the log gave does not continue what was sent.
    Seam,
    /// The snapshot asked for did not come.
    Snapshot,
    /// The program stops.
    Shutdown,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [CloseReason; 7] = [
        CloseReason::Peer,
        CloseReason::Stalled,
        CloseReason::Input,
        CloseReason::Log,
        CloseReason::Seam,
        CloseReason::Snapshot,
        CloseReason::Shutdown,
    ];

    /// The name in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            CloseReason::Peer => "peer",
            CloseReason::Stalled => "stalled",
            CloseReason::Input => "input",
            CloseReason::Log => "log",
            CloseReason::Seam => "seam",
            CloseReason::Snapshot => "snapshot",
            CloseReason::Shutdown => "shutdown",
        }
    }
}

/// What the stream counts.
#[derive(Debug, Default)]
pub struct StreamMetrics {
    /// Connections that the stream has now, those not yet taken up included.
    pub connections: Count,
    /// Of these, level with the tail; looked at five times a second.
    pub level: Count,
    /// Of these, reading the log.
    pub behind: Count,
    /// Of these, with a socket that takes nothing just now.
    pub blocked: Count,
    /// Connections since the start.
    pub attached: Count,
    /// Events sent, each counted once for each subscriber.
    pub delivered_events: Count,
    /// Bytes sent.
    pub sent_bytes: Count,
    /// Writes to sockets.
    pub writes: Count,
    /// Gaps told.
    pub gaps: Count,
    /// Snapshots sent.
    pub snapshots: Count,
    /// Keep-alives sent.
    pub keep_alives: Count,
    /// Reads of the log for subscribers.
    pub log_reads: Count,
    /// Bytes of these.
    pub log_read_bytes: Count,
    /// Batches that did not follow what was published before; the log was read instead.
    pub refused_batches: Count,
    closes: [Count; CloseReason::ALL.len()],
}

impl StreamMetrics {
    /// Connections closed for that reason.
    pub fn closes(&self, reason: CloseReason) -> u64 {
        self.close_count(reason).map_or(0, Count::get)
    }

    pub(super) fn closed(&self, reason: CloseReason) {
        self.connections.sub(1);
        if let Some(count) = self.close_count(reason) {
            count.add(1);
        }
    }

    fn close_count(&self, reason: CloseReason) -> Option<&Count> {
        let at = CloseReason::ALL.iter().position(|known| *known == reason)?;
        self.closes.get(at)
    }
}
