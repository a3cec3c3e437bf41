//! Every cap in the system, by name, with its unit last.

// The stream.

/// Encoded events that the stream keeps in memory; who is further behind reads the log.
pub const STREAM_WINDOW_BYTES: usize = 8 << 20;
/// The window is kept and dropped in pieces of about this size.
pub const STREAM_BLOCK_BYTES: usize = 512 << 10;
/// What one subscriber is given in one turn, from the window or in one read of the log.
pub const STREAM_TURN_BYTES: usize = 256 << 10;
/// The smallest read of the log, for subscribers that take little.
pub const STREAM_MIN_READ_BYTES: usize = 16 << 10;
/// Reads of the log under way for all subscribers together.
pub const STREAM_READS_IN_FLIGHT: usize = 8;
/// Threads that read the log for subscribers.
pub const STREAM_READ_THREADS: usize = 2;
/// Sockets handed over that wait for the stream's thread.
pub const STREAM_ATTACH_QUEUE_SOCKETS: usize = 4096;
/// What a client may send after its request, all of it ignored, before it is closed.
pub const STREAM_IGNORED_INPUT_BYTES: usize = 64 << 10;
/// Symbols in one filter.
pub const STREAM_FILTER_SYMBOLS: usize = 64;
/// Silence on a connection before a keep-alive.
pub const STREAM_KEEP_ALIVE_MS: u64 = 10_000;
/// The reconnection time told to clients, before jitter.
pub const STREAM_RETRY_MS: u64 = 3_000;
/// A socket that takes nothing for so long is closed.
pub const STREAM_STALL_MS: u64 = 60_000;
/// How long a shutdown waits for subscribers to reach the tail.
pub const STREAM_DRAIN_MS: u64 = 5_000;
/// The timers of subscribers are looked at in slices, one in this time.
pub const STREAM_SWEEP_SLICE_MS: u64 = 25;
/// In so many slices every subscriber's turn comes.
pub const STREAM_SWEEP_SLICES: usize = 8;
/// The least time between two book frames.
pub const STREAM_BOOK_INTERVAL_MS: u64 = 100;
