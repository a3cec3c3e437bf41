//! Every cap of the system, by name, with its unit last.

// The core.

/// The recent order events that [`crate::state::State`] keeps for `GET /api/orders` and `/api/fills`.
pub const RECENT_ORDER_EVENTS_COUNT: usize = 1_000;

/// The most open orders there can be at once, whatever the risk settings allow: one step may close them
/// all, and it has to fit into one record of the journal.
pub const OPEN_ORDERS_COUNT: usize = 50_000;

/// The largest limit of the orders of a second that can be set: the time of each is kept.
pub const ORDERS_PER_SECOND_COUNT: usize = 10_000;

/// The depth updates of one instrument that wait for its snapshot; the oldest go first.
pub const BUFFERED_DEPTH_UPDATES_COUNT: usize = 4_096;

/// The levels of one side of one book; the worst go first.
pub const BOOK_SIDE_LEVELS_COUNT: usize = 20_000;

/// Levels of a book whose trades and quotes are waiting for an update that tells them; above it they are taken as told.
pub const BOOK_UNSETTLED_COUNT: usize = 1_024;

/// The longest line of a capture: a snapshot of 5,000 levels a side has about 350 kB.
pub const MAX_CAPTURE_LINE_BYTES: usize = 4 << 20;

/// What a capture is read in.
pub const CAPTURE_READ_BYTES: usize = 256 << 10;

/// The lines at the head of a capture that are looked at to learn its symbols.
pub const CAPTURE_HEAD_LINES: u64 = 1_000;

/// The instruments of one capture.
pub const CAPTURE_SYMBOLS_COUNT: usize = 1_024;

/// The messages that a market source hands over at once.
pub const MARKET_BATCH_MESSAGES: usize = 256;

/// The unreadable lines of one capture that are told one by one; more are told as a number at the end.
pub const TOLD_BAD_LINES_COUNT: u64 = 100;

/// The longest pause in a capture that is played as long as it was, in nanoseconds: a jump of the
/// recorder's clock must not stall a replay.
pub const MAX_REPLAY_PAUSE_NS: i64 = 60_000_000_000;

/// The largest list of an exchange's instruments.
pub const EXCHANGE_INFO_BYTES: usize = 256 << 20;

/// The orders to a replay (run, pause, step) that wait to be obeyed.
pub const REPLAY_CONTROLS_COUNT: usize = 16;
// The client.

/// The most doublings of a client's wait before it tries again.
pub const BACKOFF_DOUBLINGS_COUNT: u32 = 16;

/// The longest wait before a stream client tries again, when the server asks for no longer one.
pub const RECONNECT_MAX_MS: u64 = 30_000;

/// The first wait before a stream client tries again, until the server tells its `retry:`.
pub const RECONNECT_MIN_MS: u64 = 500;

/// The longest `Retry-After` that a client obeys before it tries again by itself.
pub const RETRY_AFTER_MAX_MS: u64 = 300_000;

/// How often an order is sent before its sender is told that it did not get through.
pub const ORDER_ATTEMPTS_COUNT: u32 = 5;

/// The longest `Retry-After` that the sender of an order waits for.
pub const ORDER_RETRY_AFTER_MAX_MS: u64 = 10_000;

/// The first wait before an order is sent again.
pub const ORDER_RETRY_MIN_MS: u64 = 100;

/// How long a client waits for a connection.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// How long a client waits for an answer: longer than a gateway waits for its venue.
pub const REQUEST_TIMEOUT_MS: u64 = 10_000;

/// The largest answer that a client takes.
pub const ANSWER_MAX_BYTES: usize = 64 << 20;

/// The largest block of a stream that a client takes.
pub const BLOCK_MAX_BYTES: usize = 1 << 20;

/// The silence between two keep-alives of a gateway, unless configured otherwise.
pub const KEEP_ALIVE_DEFAULT_MS: u64 = 10_000;

/// After how many missed keep-alives a client takes its connection for dead.
pub const KEEP_ALIVES_MISSED_COUNT: u32 = 3;

/// How often a stream client asks again for events that were skipped without a word.
pub const HOLE_RETRIES_COUNT: u32 = 3;
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

/// What `veloz events` reads of a log at once.
pub const EVENTS_READ_BYTES: usize = 1 << 20;
// The stream.

/// Encoded events that the stream keeps in memory; who is further behind reads the log.
pub const STREAM_WINDOW_BYTES: usize = 8 << 20;
/// The window is kept and dropped in pieces of about this size.
pub const STREAM_BLOCK_BYTES: usize = 512 << 10;
/// What one subscriber is given in one turn, from the window or in one read of the log.
pub const STREAM_TURN_BYTES: usize = 256 << 10;
/// Sends that the stream makes with one system call, at most: a power of two.
pub const STREAM_RING_SENDS: u32 = 1024;
/// What one of these sends, at most: of more bytes, the system call is a small part of the cost.
pub const STREAM_RING_SEND_BYTES: usize = 16 << 10;
/// Fewer sends than these are as cheap with a system call each.
pub const STREAM_RING_FROM: usize = 16;
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

// The journal.

/// The largest record of the journal: one step with its facts and frames.
pub const JOURNAL_RECORD_MAX_BYTES: usize = 64 * MIB;

/// The largest batch of the journal: what one append writes.
pub const JOURNAL_BATCH_MAX_BYTES: usize = 256 * MIB;

/// When a segment of the journal is full.
pub const JOURNAL_SEGMENT_BYTES: u64 = 128 << 20;

/// Into how many segments a log that is full is split at least, as far as they are not too small for it.
pub const JOURNAL_SEGMENTS_COUNT: u64 = 16;

/// The smallest segment that a gateway begins.
pub const JOURNAL_SEGMENT_MIN_BYTES: u64 = 4 << 20;

/// The largest segment size that can be configured: offsets in a segment are 32 bits wide.
pub const JOURNAL_SEGMENT_MAX_BYTES: u64 = 1 << 30;

/// What the active segment keeps reserved behind its end when the disk is full, beside what it takes to end every
/// open order.
pub const JOURNAL_RESERVE_BYTES: u64 = 8 << 20;

/// How much at a time is reserved beyond that, in a segment that is to grow so far.
pub const JOURNAL_PREALLOCATE_BYTES: u64 = 32 << 20;

/// And no more with little free on the disk: what is reserved is used up before anything is told.
pub const JOURNAL_PREALLOCATE_LOW_BYTES: u64 = 4 << 20;

/// And how much at least, where the segment should have ended.
pub const JOURNAL_PREALLOCATE_MIN_BYTES: u64 = 1 << 20;

/// With less than that free on the disk, it is told.
pub const JOURNAL_FREE_LOW_BYTES: u64 = 256 << 20;

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

/// How often a look at a directory that another process changes meanwhile is tried.
pub const JOURNAL_LOOKS_COUNT: usize = 5;

/// How much the log grows between two snapshots at least, or by a quarter of a segment where those are small.
pub const JOURNAL_SNAPSHOT_STEP_BYTES: u64 = 16 << 20;

/// What a start may replay so that fewer snapshots are made, as long as a snapshot is smaller; at most two segments.
pub const JOURNAL_REPLAY_BYTES: u64 = 64 << 20;

/// Snapshots kept beside the log.
pub const JOURNAL_SNAPSHOTS_COUNT: usize = 2;

/// The largest snapshot.
pub const JOURNAL_SNAPSHOT_MAX_BYTES: u64 = 4 << 30;

/// From how many orders on closed ones leave the snapshots, and the memory, for the archive.
pub const JOURNAL_ARCHIVE_FROM_ORDERS: u64 = 10_000;

/// How long written bytes may wait for the disk with `process` durability, at most half of what is
/// promised (100 ms), since a sync takes time too.
pub const JOURNAL_SYNC_INTERVAL_MS: u64 = 50;

/// So many bytes do not wait for that: the sooner a sync begins, the shorter it is.
pub const JOURNAL_SYNC_BYTES: u64 = 8 << 20;

/// Near the end of a segment it is fewer, but never fewer than that.
pub const JOURNAL_SYNC_MIN_BYTES: u64 = 512 << 10;

/// How long the file that is written may have been removed before an append finds out.
pub const JOURNAL_REMOVED_MS: u64 = 50;

/// Logs that a log is known to go on from.
pub const JOURNAL_EARLIER_LOGS_COUNT: usize = 100;

const MIB: usize = 1 << 20;
/// Levels a side of a book frame.
pub const STREAM_BOOK_LEVELS: usize = 20;

// External venues.

/// A venue that does not know an order proves nothing while the order is younger than this.
pub const VENUE_ORDER_YOUNG_MS: i64 = 5_000;
/// How long a request waits for a venue's first answer.
pub const VENUE_ANSWER_MS: i64 = 5_000;
/// Commands that wait to be told to a venue; more are refused.
pub const VENUE_QUEUE_COMMANDS: usize = 1_024;
/// What a venue said and was not taken yet; then the venue waits.
pub const VENUE_QUEUE_MESSAGES: usize = 1_024;
/// Messages of a venue taken into one batch.
pub const VENUE_BATCH_MESSAGES: usize = 256;
/// Between two questions about an order whose fate is not known, at first.
pub const VENUE_ASK_MS: i64 = 1_000;
/// The same, at last.
pub const VENUE_ASK_MAX_MS: i64 = 60_000;
/// Orders that a venue is asked about at once; the rest waits for the next look at all that is open.
pub const VENUE_ASKED_COUNT: usize = 4_096;
/// Between two looks at all that is open on a venue.
pub const VENUE_LIST_MS: i64 = 60_000;

/// The longest line of an external engine.
pub const ENGINE_LINE_MAX_BYTES: usize = MIB;
/// A text of an external engine (a reason, a message); what is longer is cut.
pub const ENGINE_TEXT_MAX_BYTES: usize = 1_024;
/// Questions that an external engine has not answered; more are not asked.
pub const ENGINE_QUESTIONS_COUNT: usize = 256;
/// The first pause before an external engine is started again.
pub const ENGINE_BACK_OFF_MS: u64 = 200;
/// The longest.
pub const ENGINE_BACK_OFF_MAX_MS: u64 = 10_000;
/// A simulated market that has not told its books by then is not waited for.
pub const MARKET_UP_MS: u64 = 2_000;
/// How often an external engine's process is looked at.
pub const ENGINE_LOOK_MS: u64 = 100;
/// An external engine that says nothing when it starts counts as working after this.
pub const ENGINE_UP_MS: u64 = 1_000;
/// An external engine that has not spoken for so long is asked for a sign of life.
pub const ENGINE_SIGN_MS: u64 = 1_000;
/// An external engine that does not react for so long has stalled.
pub const ENGINE_STALL_MS: u64 = 5_000;
/// Errors of an external engine that are told at once; then one for each interval.
pub const ENGINE_FAULTS_BURST: u32 = 20;
/// See above.
pub const ENGINE_FAULTS_INTERVAL_MS: u64 = 3_000;

// The engine protocol.

/// The longest line of the engine protocol, either way.
pub const PROTOCOL_LINE_MAX_BYTES: usize = 64 << 10;
/// Batches of lines that wait to be taken.
pub const PROTOCOL_QUEUE_BATCHES: usize = 16;
/// Commands of an engine's input taken into one batch.
pub const ENGINE_BATCH_LINES: usize = 256;
/// How long an engine whose output is full may take to stop.
pub const ENGINE_STOP_GRACE_MS: u64 = 2_000;

// The service.

/// Commands that wait for the service; more are refused.
pub const SERVICE_QUEUE_MESSAGES: usize = 4_096;
/// Commands taken into one batch.
pub const SERVICE_BATCH_INPUTS: usize = 256;
/// A batch of that size takes no more, so that it stays below the journal's limit.
pub const SERVICE_BATCH_BYTES: usize = 16 * MIB;
/// How long a busy service stays awake for the next message.
pub const SERVICE_SPIN_US: u64 = 100;
/// How often an idle service looks after itself.
pub const SERVICE_IDLE_MS: u64 = 250;
/// Batches of a market source that wait for the service; then the source waits.
pub const SERVICE_MARKET_QUEUE_BATCHES: usize = 16;
/// What of a reserve is kept for what nobody asks for: `error` events.
pub const SERVICE_KEPT_FOR_EVENTS_BYTES: usize = 64 << 10;
/// Between two looks at what retention takes.
pub const SERVICE_RETENTION_INTERVAL_MS: u64 = 10_000;

// Strategies in a replay.

/// The longest line of a strategy: the longest body of a request, and what is around it.
pub const STRATEGY_LINE_MAX_BYTES: usize = HTTP_BODY_BYTES + 1_024;
/// What a strategy may write in one turn.
pub const STRATEGY_TURN_BYTES: usize = 16 * MIB;
/// The commands of one turn.
pub const STRATEGY_TURN_COMMANDS: usize = 10_000;
/// The longest name that a strategy gives a request.
pub const STRATEGY_REQUEST_ID_MAX_BYTES: usize = 64;
/// The longest time between two turns by the timer: a day.
pub const STRATEGY_EVERY_MAX_MS: u64 = 86_400_000;
/// Events for a strategy that are written to it before its turn.
pub const STRATEGY_WRITE_BYTES: usize = 64 << 10;
/// How often a wait for a strategy looks whether it is to end.
pub const STRATEGY_LOOK_MS: u64 = 100;
/// How long a strategy that has closed its pipes may take to end.
pub const STRATEGY_EXIT_MS: u64 = 1_000;
/// The time buckets of a curve in a replay's picture.
pub const REPLAY_CURVE_BUCKETS: usize = 800;
/// The fills of one symbol that a replay's picture shows.
pub const REPLAY_SHOWN_FILLS: usize = 1_000;
/// The symbols whose prices a replay's picture shows.
pub const REPLAY_SHOWN_SYMBOLS: usize = 4;
