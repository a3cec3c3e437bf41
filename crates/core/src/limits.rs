//! Every cap of the core, by name, with its unit last.

/// The recent order events that [`crate::state::State`] keeps for `GET /api/orders` and `/api/fills`.
pub const RECENT_ORDER_EVENTS_COUNT: usize = 1_000;

/// The most open orders there can be at once, whatever the risk settings allow.
pub const OPEN_ORDERS_COUNT: usize = 100_000;

/// The depth updates of one instrument that wait for its snapshot; the oldest go first.
pub const BUFFERED_DEPTH_UPDATES_COUNT: usize = 4_096;

/// The levels of one side of one book; the worst go first.
pub const BOOK_SIDE_LEVELS_COUNT: usize = 20_000;

// The HTTP API.

/// The longest body of a request.
pub const HTTP_BODY_BYTES: usize = 64 << 10;
/// What is read and thrown away of a longer one, so that its sender sees the answer.
pub const HTTP_BODY_DRAIN_BYTES: usize = 1 << 20;
/// The time for a whole body.
pub const HTTP_BODY_MS: u64 = 10_000;
/// The longest request head.
pub const HTTP_HEAD_BYTES: usize = 32 << 10;
/// The most fields in a request head.
pub const HTTP_HEAD_FIELDS: usize = 100;
/// The time for a whole request head, from its first byte (on a new connection, from the start).
pub const HTTP_HEAD_MS: u64 = 10_000;
/// The time between two requests of a connection, and for taking an answer.
pub const HTTP_IDLE_MS: u64 = 75_000;
/// The time a client has to take the last answer before its connection is closed.
pub const HTTP_LINGER_MS: u64 = 1_000;
/// What is read and thrown away in that time.
pub const HTTP_LINGER_BYTES: usize = 1 << 20;
/// Refused connections that are given that time at once; more are closed without an answer.
pub const HTTP_LINGERING_CONNECTIONS: usize = 64;
/// Connections that wait to be accepted.
pub const HTTP_BACKLOG_CONNECTIONS: u32 = 4_096;
/// Connections beyond the configured number that are taken for requests, never for streams.
pub const HTTP_REQUEST_CONNECTIONS: usize = 16;
/// File handles that are not for connections: the journal, the market source, logs.
pub const HTTP_RESERVED_HANDLES: usize = 128;
/// What a client that comes too early is told to wait.
pub const HTTP_RETRY_AFTER_S: u32 = 1;
/// The most items in one page of any list.
pub const HTTP_PAGE_ITEMS: usize = 1_000;
/// The most levels a side in an answer with a book.
pub const HTTP_BOOK_LEVELS: usize = 1_000;
/// The most lines of a capture that one request steps.
pub const HTTP_REPLAY_STEP_LINES: u64 = 10_000_000;
/// What one read of the log takes for a page of events.
pub const HTTP_EVENTS_READ_BYTES: usize = 256 << 10;
/// What is looked through for one page of events.
pub const HTTP_EVENTS_SCAN_BYTES: usize = 16 << 20;
/// Pages of events that are read at once; more wait.
pub const HTTP_EVENTS_READS: usize = 2;
