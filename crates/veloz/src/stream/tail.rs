//! The ways into the stream's thread: what the service publishes, sockets, reads that are done.
//!
//! Contract: one short lock, one queue for each kind, each bounded; the thread is woken at most once
//! between two looks at them. A publisher never waits: when the stream's thread is late, the oldest
//! batches are dropped here, and subscribers read them from the log. While nobody is subscribed
//! nothing is woken, and nothing is kept: only how far the log went on.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use veloz_core::limits::STREAM_ATTACH_QUEUE_SOCKETS;
use veloz_core::types::{EventId, Symbol};

use super::catchup::Done;
use super::metrics::StreamMetrics;
use super::window::Batch;
use super::{Attach, AttachError, Snapshot};

/// What waits for the stream's thread.
#[derive(Default)]
pub(super) struct Inbox {
    /// The first event after those that were passed over while nobody was subscribed: before the batches.
    pub(super) passed_to: Option<EventId>,
    pub(super) batches: VecDeque<Batch>,
    batch_bytes: usize,
    /// When the oldest of these was published, somebody being subscribed.
    pub(super) published: Option<Instant>,
    pub(super) sockets: Vec<(TcpStream, Attach)>,
    /// At most as many as reads may be under way.
    pub(super) reads: Vec<Done>,
    /// At most one is asked for at a time; none in it when it was refused.
    pub(super) snapshot: Option<Option<Snapshot>>,
    /// At most one is asked for at a time.
    pub(super) books: Option<Vec<(Symbol, Bytes)>>,
    /// The `data` of an `error` event that could not be stored.
    pub(super) notice: Option<Bytes>,
    pub(super) shutdown: bool,
    /// Whether batches are worth a wake-up.
    watched: bool,
    woken: bool,
}

/// Wakes the stream's thread.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// What the stream's thread shares with all others.
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    wake: Wake,
    window_bytes: usize,
    pub(super) metrics: StreamMetrics,
}

impl Shared {
    pub(super) fn new(wake: Wake, window_bytes: usize) -> Shared {
        Shared { inbox: Mutex::default(), wake, window_bytes, metrics: StreamMetrics::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // Nothing in here panics while it holds the lock, and each queue is whole after each line.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut inbox: MutexGuard<'_, Inbox>) {
        let first = !std::mem::replace(&mut inbox.woken, true);
        drop(inbox);
        if first {
            (self.wake)();
        }
    }

    /// Takes what waits, in exchange for an empty inbox.
    pub(super) fn take(&self, into: &mut Inbox, watched: bool) {
        let mut inbox = self.lock();
        std::mem::swap(&mut *inbox, into);
        inbox.watched = watched || !into.sockets.is_empty();
        inbox.shutdown = into.shutdown;
        drop(inbox);
        if let Some(published) = into.published {
            self.metrics.publish_lag.observe(published.elapsed());
        }
    }

    /// What was published then has been sent to every level subscriber.
    pub(super) fn delivered(&self, published: Instant) {
        self.metrics.delivery_lag.observe(published.elapsed());
    }

    pub(super) fn read_done(&self, done: Done) {
        let mut inbox = self.lock();
        inbox.reads.push(done);
        self.wake(inbox);
    }

    pub(super) fn snapshot_done(&self, snapshot: Option<Snapshot>) {
        let mut inbox = self.lock();
        inbox.snapshot = Some(snapshot);
        self.wake(inbox);
    }

    pub(super) fn books_done(&self, books: Vec<(Symbol, Bytes)>) {
        let mut inbox = self.lock();
        inbox.books = Some(books);
        self.wake(inbox);
    }

    fn announce(&self, data: Bytes) {
        let mut inbox = self.lock();
        inbox.notice = Some(data);
        self.wake(inbox);
    }

    pub(super) fn shut_down(&self) {
        let mut inbox = self.lock();
        inbox.shutdown = true;
        self.wake(inbox);
    }

    pub(super) fn attach(&self, socket: TcpStream, attach: Attach) -> Result<(), AttachError> {
        let mut inbox = self.lock();
        if inbox.shutdown {
            return Err(AttachError::Ended);
        }
        if inbox.sockets.len() >= STREAM_ATTACH_QUEUE_SOCKETS {
            return Err(AttachError::Busy);
        }
        inbox.sockets.push((socket, attach));
        inbox.watched = true;
        self.metrics.attached.add(1);
        self.metrics.connections.add(1);
        self.wake(inbox);
        Ok(())
    }

    fn pass_over(&self, next_id: EventId) -> bool {
        let mut inbox = self.lock();
        if !inbox.watched {
            inbox.batches.clear();
            inbox.batch_bytes = 0;
            inbox.passed_to = Some(next_id);
        }
        !inbox.watched
    }

    fn publish(&self, batch: Batch) {
        let mut inbox = self.lock();
        inbox.batch_bytes += batch.bytes.len();
        inbox.batches.push_back(batch);
        while inbox.batch_bytes > self.window_bytes && inbox.batches.len() > 1 {
            let dropped = inbox.batches.pop_front().map_or(0, |batch| batch.bytes.len());
            inbox.batch_bytes -= dropped;
        }
        if inbox.watched {
            inbox.published.get_or_insert_with(Instant::now);
            self.wake(inbox);
        }
    }
}

impl Inbox {
    /// Empties what was taken, and keeps its memory for the next time.
    pub(super) fn clear(&mut self) {
        let (mut batches, mut sockets, mut reads) = (
            std::mem::take(&mut self.batches),
            std::mem::take(&mut self.sockets),
            std::mem::take(&mut self.reads),
        );
        batches.clear();
        sockets.clear();
        reads.clear();
        *self = Inbox { batches, sockets, reads, ..Inbox::default() };
    }
}

/// The service's end of the stream: where what is stored is made public.
#[derive(Clone)]
pub struct Tail {
    pub(super) shared: Arc<Shared>,
}

impl Tail {
    /// While nobody is subscribed: notes that all before `next_id` is in the log, where a later subscriber
    /// finds it. False while somebody is, who is to be shown it by [`Tail::publish`].
    pub fn pass_over(&self, next_id: EventId) -> bool {
        self.shared.pass_over(next_id)
    }

    /// Publishes the frames of `count` events from `first_id` on, which the log holds already. Never
    /// waits for a subscriber.
    pub fn publish(&self, frames: Bytes, first_id: EventId, count: u64) {
        self.shared.publish(Batch { first_id, count, bytes: frames });
    }

    /// Shows every subscriber, from now on each new one too, an `error` event without an id: one that could
    /// not be stored, since nothing can be. `data` is its JSON.
    pub fn announce(&self, data: Bytes) {
        self.shared.announce(data);
    }
}
