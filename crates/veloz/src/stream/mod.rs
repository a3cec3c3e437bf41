//! The stream: what is stored, sent to everybody who listens.
//!
//! One thread with one epoll serves every subscriber. The service publishes encoded frames through the
//! [`Tail`]; the HTTP layer checks a request and hands its socket over through the [`StreamHandle`]; from
//! then on the stream's thread writes the response, head and all.
//!
//! Contract (section 1 of the project's): a subscriber sees every event from where it starts, in
//! order, once, or is told of a `gap`. It is a position in the log: memory does not grow with its lag, and a slow
//! one delays nobody.
//!
//! To read it in one sitting, in this order: `request` (what a client may ask), `filter`, `control` (the
//! frames that are no events), `tail` (the ways in), `window` (the newest bytes, shared), `subscriber` (one
//! connection), `hub` (who gets a turn), `ring` (many sends at once), `event_loop` (the thread that drives it),
//! `catchup` (reads of the log), `desk` (snapshots and books).
//!
//! Known limits: Linux and other systems that mio knows; plain sockets (TLS ends in front); the body
//! ends with the connection, so it has neither length nor chunks.

pub mod control;
pub mod filter;
pub mod index;
pub mod metrics;
pub mod page;
pub mod request;

mod catchup;
mod derive;
mod desk;
mod event_loop;
mod hub;
mod ring;
mod subscriber;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
mod window;

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use veloz_core::event::Event;
use veloz_core::limits::{
    STREAM_BLOCK_BYTES, STREAM_DRAIN_MS, STREAM_KEEP_ALIVE_MS, STREAM_RETRY_MS, STREAM_RING_FROM,
    STREAM_STALL_MS, STREAM_TURN_BYTES, STREAM_WINDOW_BYTES,
};
use veloz_core::types::{EventId, Symbol};

use self::event_loop::EventLoop;
use self::metrics::{StreamCollector, StreamMetrics};
use self::request::StreamRequest;
use self::tail::Shared;
use crate::journal::LogReader;

pub use self::catchup::{Done, Job};
pub use self::hub::{Connection, Hub};
pub use self::tail::{Tail, Wake};

/// How the stream behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Silence before a keep-alive.
    pub keep_alive_ms: u64,
    /// The reconnection time told to clients; each is told up to a quarter more or less.
    pub retry_ms: u64,
    /// How long a socket may take nothing.
    pub stall_ms: u64,
    /// How long a shutdown waits for subscribers to reach the tail.
    pub drain_ms: u64,
    /// Encoded events kept in memory.
    pub window_bytes: usize,
    /// The window's pieces.
    pub block_bytes: usize,
    /// What one subscriber is given in one turn.
    pub turn_bytes: usize,
    /// From how many sends at once on they are made by io_uring, where the kernel permits it.
    pub ring_from: usize,
}

impl Default for StreamConfig {
    fn default() -> StreamConfig {
        StreamConfig {
            keep_alive_ms: STREAM_KEEP_ALIVE_MS,
            retry_ms: STREAM_RETRY_MS,
            stall_ms: STREAM_STALL_MS,
            drain_ms: STREAM_DRAIN_MS,
            window_bytes: STREAM_WINDOW_BYTES,
            block_bytes: STREAM_BLOCK_BYTES,
            turn_bytes: STREAM_TURN_BYTES,
            ring_from: STREAM_RING_FROM,
        }
    }
}

/// One consistent cut of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The newest event that the state knows.
    pub last_id: EventId,
    /// The current `market` of each symbol, `account`, an `order_state` of each open order.
    pub events: Vec<Event>,
}

/// Whoever has the state and the books. The calls come from the stream's thread and must not block;
/// the reply may come from any thread. At most one of each is asked for at a time.
pub trait StateSource: Send + Sync {
    /// Asks for a snapshot.
    fn snapshot(&self, reply: SnapshotReply);

    /// Asks for the books of these symbols, best 20 levels a side, as the `data` of a `book` frame.
    fn books(&self, symbols: &[Symbol], reply: BooksReply);

    /// The stream's thread ended though nobody shut it down: nothing is sent any more.
    fn stream_failed(&self);
}

/// Where a snapshot is to be sent. Dropped unsent, it refuses: who waits is closed, and will come again.
pub struct SnapshotReply {
    shared: Option<Arc<Shared>>,
}

impl SnapshotReply {
    /// Sends the snapshot. Events up to its `last_id` may be published before or after.
    pub fn send(mut self, snapshot: Snapshot) {
        if let Some(shared) = self.shared.take() {
            shared.snapshot_done(Some(snapshot));
        }
    }
}

impl Drop for SnapshotReply {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.snapshot_done(None);
        }
    }
}

/// Where books are to be sent. Dropped unsent, it says that none changed.
pub struct BooksReply {
    shared: Option<Arc<Shared>>,
}

impl BooksReply {
    /// Sends the JSON of each book; a symbol without a book is left out.
    pub fn send(mut self, books: Vec<(Symbol, Bytes)>) {
        if let Some(shared) = self.shared.take() {
            shared.books_done(books);
        }
    }
}

impl Drop for BooksReply {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.books_done(Vec::new());
        }
    }
}

/// What comes with a socket.
#[derive(Debug, Clone, Default)]
pub struct Attach {
    /// What the client asks for.
    pub request: StreamRequest,
    /// Whether it speaks HTTP/1.0.
    pub http10: bool,
    /// More header lines of the response (CORS), each ended by CR LF.
    pub extra_headers: String,
}

/// Why a socket was not taken; it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Too many wait already.
    #[error("too many new streams at once")]
    Busy,
    /// The stream is ending, or has failed.
    #[error("the stream has ended")]
    Ended,
}

/// The HTTP layer's end of the stream.
#[derive(Clone)]
pub struct StreamHandle {
    shared: Arc<Shared>,
}

impl StreamHandle {
    /// Hands over a socket on which the request was read and nothing was answered yet. Counted as a connection
    /// from here on until it is closed.
    ///
    /// # Errors
    /// When the stream cannot take it: the socket is then closed.
    pub fn attach(&self, socket: TcpStream, attach: Attach) -> Result<(), AttachError> {
        self.shared.attach(socket, attach)
    }

    /// Shows what the stream counts on `registry`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(StreamCollector(Arc::clone(&self.shared))));
    }

    /// What the stream counts.
    pub fn metrics(&self) -> &StreamMetrics {
        &self.shared.metrics
    }
}

/// The running stream.
pub struct Stream {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Stream {
    /// Starts the stream behind the newest event of the log.
    ///
    /// # Errors
    /// When the system gives no epoll or no thread.
    pub fn start(
        config: StreamConfig,
        log: Arc<dyn LogReader>,
        source: Arc<dyn StateSource>,
    ) -> io::Result<Stream> {
        let event_loop = EventLoop::new(config, log, source)?;
        let shared = Arc::clone(event_loop.shared());
        let thread =
            std::thread::Builder::new().name("stream".into()).spawn(move || event_loop.run())?;
        Ok(Stream { shared, thread })
    }

    /// The service's end.
    pub fn tail(&self) -> Tail {
        Tail { shared: Arc::clone(&self.shared) }
    }

    /// The HTTP layer's end.
    pub fn handle(&self) -> StreamHandle {
        StreamHandle { shared: Arc::clone(&self.shared) }
    }

    /// Ends the stream: takes no more sockets, sends everyone what is published already, for as long
    /// as configured at most, closes them, and returns. Blocks.
    pub fn shut_down(self) {
        self.shared.shut_down();
        if self.thread.join().is_err() {
            tracing::error!("the stream's thread ended by a panic");
        }
    }
}
