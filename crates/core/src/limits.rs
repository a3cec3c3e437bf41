//! Every cap in the system, in one place, its unit last in the name.

/// The largest record of the journal: one step with its facts and frames.
pub const JOURNAL_RECORD_MAX_BYTES: usize = 64 * MIB;

/// The largest batch of the journal: what one append writes.
pub const JOURNAL_BATCH_MAX_BYTES: usize = 256 * MIB;

/// When a segment of the journal is full.
pub const JOURNAL_SEGMENT_BYTES: u64 = 64 << 20;

/// The largest segment size that can be configured: offsets in a segment are 32 bits wide.
pub const JOURNAL_SEGMENT_MAX_BYTES: u64 = 1 << 30;

/// How far ahead of its end the active segment reserves space.
pub const JOURNAL_PREALLOCATE_BYTES: u64 = 4 << 20;

/// One entry of a segment's index stands for about this much of the segment.
pub const JOURNAL_INDEX_STRIDE_BYTES: u64 = 32 << 10;

/// The most that one read of the journal takes from the storage at once.
pub const JOURNAL_READ_MAX_BYTES: usize = MIB;

/// The least that one read of the journal takes from the storage at once, where there is as much.
pub const JOURNAL_READ_MIN_BYTES: usize = 64 << 10;

/// How much of compacted segments one read looks through for an event before it reports what it has.
pub const JOURNAL_READ_SKIP_MAX_BYTES: u64 = 16 << 20;

/// Segments that the readers keep open at once.
pub const JOURNAL_OPEN_SEGMENTS_COUNT: usize = 32;

/// Work for the journal's background thread that may wait.
pub const JOURNAL_BACKGROUND_QUEUE_COUNT: usize = 4;

/// Snapshots kept beside the log.
pub const JOURNAL_SNAPSHOTS_COUNT: usize = 2;

/// The largest snapshot.
pub const JOURNAL_SNAPSHOT_MAX_BYTES: u64 = 4 << 30;

/// How long written bytes may wait for the disk with `process` durability, at most half of what is
/// promised (100 ms), since a sync takes time too.
pub const JOURNAL_SYNC_INTERVAL_MS: u64 = 50;

const MIB: usize = 1 << 20;
