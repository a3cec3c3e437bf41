//! All subscribers of the stream, as a plain state machine: who gets a turn, and what it is given.
//!
//! Contract: nothing in here waits, reads a clock or knows a thread. Whoever drives it tells it the time, what
//! the connections say, and carries out the reads of the log that it wants. The program's driver is the
//! `event_loop`; the simulator drives it too. A connection is freed only inside of a call, and a new one takes
//! its place only in [`Hub::attach`], so that no word of the driver reaches the wrong one.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;
use veloz_core::limits::{
    STREAM_READS_IN_FLIGHT, STREAM_RING_SENDS, STREAM_SWEEP_SLICE_MS, STREAM_SWEEP_SLICES,
};
use veloz_core::types::EventId;

use super::catchup::{Done, Found, Job, Who};
use super::derive::Derived;
use super::desk::{Books, SnapshotFrames, Snapshots};
use super::metrics::{CloseReason, StreamMetrics};
use super::request::StreamRequest;
use super::ring::Ring;
use super::subscriber::{Next, Place, Subscriber, World};
use super::tail::{Inbox, Shared, Tail, Wake};
use super::window::{Batch, Fit, Window};
use super::{Attach, Snapshot, StateSource, StreamConfig};
use crate::journal::LogReader;

/// The table of subscribers gives its memory back when it is empty and has grown beyond this.
const KEPT_SUBSCRIBERS: usize = 256;
// A u32 is no larger than a usize on any system that has the standard library's sockets.
#[expect(clippy::as_conversions, reason = "no other way in a constant")]
const RING_SENDS: usize = STREAM_RING_SENDS as usize;

/// The way to a client. Reads and writes never wait: what cannot be done now fails with `WouldBlock`.
pub trait Connection: Read + Write {
    /// Ends it: in good order, so that what was written still goes out; or by a reset, and what was
    /// written and not taken is freed.
    fn end(&self, by_reset: bool);

    /// The socket, when it is one.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// How many subscribers are in which state.
#[derive(Default)]
struct Tally {
    level: u64,
    behind: u64,
    blocked: u64,
}

/// The subscribers, the newest events, and who waits for what.
pub struct Hub<C> {
    config: StreamConfig,
    log: Arc<dyn LogReader>,
    source: Arc<dyn StateSource>,
    shared: Arc<Shared>,
    /// Kept for its memory.
    inbox: Inbox,
    window: Window,
    derived: Derived,
    subscribers: Slab<Subscriber<C>>,
    ring: Option<Ring>,
    serial: u64,
    reads_wanted: VecDeque<Who>,
    reads_in_flight: usize,
    turns_wanted: Vec<Who>,
    snapshots: Snapshots,
    books: Books,
    /// The `data` of an `error` event that could not be stored: for everyone.
    notice: Option<Bytes>,
    now_ms: u64,
    sweep_slice: usize,
    sweep_ms: u64,
    tally: Tally,
    /// When a shutdown gives up on those who are not at the tail.
    drain_until_ms: Option<u64>,
}

/// What the driver does.
impl<C: Connection> Hub<C> {
    /// One without subscribers, behind the newest event of the log. `wake` is called, by any thread, when
    /// there is something for [`Hub::take_inbox`].
    pub fn new(
        config: StreamConfig,
        log: Arc<dyn LogReader>,
        source: Arc<dyn StateSource>,
        wake: Wake,
    ) -> Hub<C> {
        let next_id = log.bounds().newest.saturating_add(1);
        Hub {
            window: Window::new(next_id, config.block_bytes, config.window_bytes),
            shared: Arc::new(Shared::new(wake, config.window_bytes)),
            config,
            log,
            source,
            inbox: Inbox::default(),
            derived: Derived::default(),
            subscribers: Slab::new(),
            ring: None,
            serial: 0,
            reads_wanted: VecDeque::new(),
            reads_in_flight: 0,
            turns_wanted: Vec::new(),
            snapshots: Snapshots::default(),
            books: Books::default(),
            notice: None,
            now_ms: 0,
            sweep_slice: 0,
            sweep_ms: 0,
            tally: Tally::default(),
            drain_until_ms: None,
        }
    }

    /// The service's end.
    pub fn tail(&self) -> Tail {
        Tail { shared: Arc::clone(&self.shared) }
    }

    /// What is counted.
    pub fn metrics(&self) -> &StreamMetrics {
        &self.shared.metrics
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// Sends by it what goes to many, from the thread that opened it.
    pub(super) fn use_ring(&mut self, ring: Ring) {
        self.ring = Some(ring);
    }

    /// From here on it is that late, in milliseconds since any moment.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// The key that the next connection will have.
    pub fn next_key(&self) -> usize {
        self.subscribers.vacant_key()
    }

    /// Takes a connection, which is sent `head` first: its key until it is closed.
    pub fn attach(&mut self, connection: C, request: StreamRequest, head: Vec<u8>) -> usize {
        let start = request.start;
        if let Some(symbol) = request.book {
            self.books.watch(symbol);
        }
        self.serial += 1;
        let subscriber = Subscriber::new(connection, self.serial, request, self.now_ms);
        let who = Who { key: self.subscribers.insert(subscriber), serial: self.serial };
        self.turn(who, |subscriber, world| subscriber.start(start, head, world));
        who.key
    }

    /// A connection has something to read, or has room to write again.
    pub fn ready(&mut self, key: usize, readable: bool, writable: bool) {
        let Some(subscriber) = self.subscribers.get_mut(key) else { return };
        let who = Who { key, serial: subscriber.serial };
        if readable {
            let next = subscriber.on_readable();
            self.settle(who, next);
        }
        if writable {
            self.turn(who, |subscriber, world| {
                if !std::mem::replace(&mut subscriber.blocked, false) {
                    return Next::Wait;
                }
                subscriber.advance(world)
            });
        }
    }

    /// Takes what others brought: events, reads that are done, snapshots, books. Gives back the sockets
    /// that are to be attached.
    pub fn take_inbox(&mut self) -> Vec<(TcpStream, Attach)> {
        let mut inbox = std::mem::take(&mut self.inbox);
        self.shared.take(&mut inbox, !self.subscribers.is_empty());
        if let Some(next_id) = inbox.passed_to.filter(|next_id| *next_id > self.window.next_id()) {
            self.skip_to(next_id);
        }
        if !inbox.batches.is_empty() {
            inbox.batches.drain(..).for_each(|batch| self.on_batch(&batch));
            self.advance_all();
            if let Some(published) = inbox.published {
                self.shared.delivered(published);
            }
        }
        inbox.reads.drain(..).for_each(|done| self.on_read(done));
        if let Some(snapshot) = inbox.snapshot.take() {
            self.on_snapshot(snapshot);
        }
        if let Some(books) = inbox.books.take() {
            self.books.answered(books);
            self.turn_all(Subscriber::offer_book);
        }
        if let Some(notice) = inbox.notice.take() {
            self.notice = Some(notice);
            self.turn_all(Subscriber::offer_notice);
        }
        if inbox.shutdown && self.drain_until_ms.is_none() {
            self.drain_until_ms = Some(self.now_ms.saturating_add(self.config.drain_ms));
        }
        let sockets = std::mem::take(&mut inbox.sockets);
        inbox.clear();
        self.inbox = inbox;
        sockets
    }

    /// Whether somebody has more to send than one turn takes.
    pub fn has_turns(&self) -> bool {
        !self.turns_wanted.is_empty()
    }

    /// Gives those their next turn.
    pub fn take_turns(&mut self) {
        for who in std::mem::take(&mut self.turns_wanted) {
            self.turn(who, |subscriber, world| subscriber.advance(world));
        }
    }

    /// The next read of the log to carry out, as far as another may be under way: what came of it goes to
    /// [`Hub::read_done`].
    pub fn next_read(&mut self) -> Option<Job> {
        while self.reads_in_flight < STREAM_READS_IN_FLIGHT {
            let who = self.reads_wanted.pop_front()?;
            let wanted = self.subscribers.get_mut(who.key).filter(|s| s.serial == who.serial);
            let Some(subscriber) = wanted else { continue };
            self.reads_in_flight += 1;
            return Some(Job {
                who,
                from: subscriber.next_id,
                max_bytes: subscriber.read_bytes(&self.config),
                indexed: subscriber.is_derived(),
            });
        }
        None
    }

    /// A read of [`Hub::next_read`] could not be begun: who waits for it is closed.
    pub(super) fn refuse_read(&mut self, job: &Job) {
        self.reads_in_flight -= 1;
        self.close(job.who, CloseReason::Log);
    }

    /// Takes what a read of the log brought.
    pub fn read_done(&mut self, done: Done) {
        self.on_read(done);
    }

    /// Asks for the books that are watched, when it is time.
    pub fn ask_for_books(&mut self) {
        self.books.ask(self.now_ms, self.source.as_ref(), &self.shared);
    }

    /// When there is something to do though nobody says anything.
    pub fn due_ms(&self) -> Option<u64> {
        let sweep = (!self.subscribers.is_empty()).then_some(self.sweep_ms);
        [sweep, self.books.due_ms(), self.drain_until_ms].into_iter().flatten().min()
    }

    /// Looks at the timers of one slice of the subscribers, when it is time.
    pub fn sweep(&mut self) {
        if self.now_ms < self.sweep_ms || self.subscribers.is_empty() {
            return;
        }
        self.sweep_ms = self.now_ms.saturating_add(STREAM_SWEEP_SLICE_MS);
        for key in (self.sweep_slice..self.subscribers.capacity()).step_by(STREAM_SWEEP_SLICES) {
            let Some(subscriber) = self.subscribers.get(key) else { continue };
            match subscriber.place {
                Place::Level(_) => self.tally.level += 1,
                Place::Behind | Place::Snapshot => self.tally.behind += 1,
            }
            self.tally.blocked += u64::from(subscriber.blocked);
            let who = Who { key, serial: subscriber.serial };
            self.turn(who, Subscriber::tick);
        }
        self.sweep_slice = (self.sweep_slice + 1) % STREAM_SWEEP_SLICES;
        if self.sweep_slice == 0 {
            let tally = std::mem::take(&mut self.tally);
            self.shared.metrics.level.set(tally.level);
            self.shared.metrics.behind.set(tally.behind);
            self.shared.metrics.blocked.set(tally.blocked);
        }
        if self.subscribers.is_empty() && self.subscribers.capacity() > KEPT_SUBSCRIBERS {
            self.subscribers = Slab::new();
        }
    }

    /// Whether it was told to end.
    pub fn is_draining(&self) -> bool {
        self.drain_until_ms.is_some()
    }

    /// Once it was told to end: closes those who have all there is; whether nobody is left.
    pub fn drain(&mut self) -> bool {
        let Some(until_ms) = self.drain_until_ms else { return false };
        let late = self.now_ms >= until_ms;
        self.turn_all(|subscriber, world| {
            if late || subscriber.is_drained(world.window) {
                Next::Close(CloseReason::Shutdown)
            } else {
                Next::Wait
            }
        });
        self.subscribers.is_empty()
    }
}

impl<C: Connection> Hub<C> {
    /// The subscribers, and the world that they move in.
    fn split(&mut self) -> (&mut Slab<Subscriber<C>>, World<'_>) {
        let world = World {
            window: &mut self.window,
            derived: &mut self.derived,
            books: &mut self.books,
            notice: self.notice.as_ref(),
            config: &self.config,
            metrics: &self.shared.metrics,
            log: self.log.as_ref(),
            now_ms: self.now_ms,
        };
        (&mut self.subscribers, world)
    }

    /// Gives one subscriber a turn, and sees to what it wants next.
    fn turn(&mut self, who: Who, act: impl FnOnce(&mut Subscriber<C>, &mut World<'_>) -> Next) {
        let (subscribers, mut world) = self.split();
        let Some(subscriber) = subscribers.get_mut(who.key) else { return };
        if subscriber.serial == who.serial {
            let next = act(subscriber, &mut world);
            self.settle(who, next);
        }
    }

    /// Gives every subscriber a turn.
    fn turn_all(&mut self, mut act: impl FnMut(&mut Subscriber<C>, &mut World<'_>) -> Next) {
        let (subscribers, mut world) = self.split();
        let mut wants = Vec::new();
        for (key, subscriber) in subscribers {
            let next = act(subscriber, &mut world);
            if next != Next::Wait {
                wants.push((Who { key, serial: subscriber.serial }, next));
            }
        }
        for (who, next) in wants {
            self.settle(who, next);
        }
    }

    /// Gives every subscriber a turn to send: those who are owed the window's bytes with one system call for many
    /// of them, where that can be had and is worth it.
    fn advance_all(&mut self) {
        let from = self.config.ring_from;
        let Some(mut ring) = self.ring.take_if(|_| self.subscribers.len() >= from) else {
            return self.turn_all(|subscriber, world| subscriber.advance(world));
        };
        let (subscribers, mut world) = self.split();
        let (mut wants, mut state) = (Vec::new(), Ok(()));
        for first in (0..subscribers.capacity()).step_by(RING_SENDS) {
            let keys = first..first + RING_SENDS;
            let owed = |key| Some((key, subscribers.get(key)?.owed(&world)?));
            let (owing, sends): (Vec<_>, Vec<_>) = keys.clone().filter_map(owed).unzip();
            let mut written = Vec::new();
            if sends.len() >= from && state.is_ok() {
                (written, state) = ring.send(&sends);
                world.metrics.ring_writes.add(u64::try_from(written.len()).unwrap_or(u64::MAX));
            }
            let mut written = owing.into_iter().zip(written).peekable();
            for key in keys {
                let Some(subscriber) = subscribers.get_mut(key) else { continue };
                let next = match written.next_if(|(owing, _)| *owing == key) {
                    Some((_, written)) => subscriber.advance_written(written, &mut world),
                    None => subscriber.advance(&mut world),
                };
                if next != Next::Wait {
                    wants.push((Who { key, serial: subscriber.serial }, next));
                }
            }
        }
        match state {
            Ok(()) => self.ring = Some(ring),
            Err(error) => tracing::warn!(%error, "io_uring failed: each stream has its own send"),
        }
        for (who, next) in wants {
            self.settle(who, next);
        }
    }

    fn settle(&mut self, who: Who, next: Next) {
        match next {
            Next::Wait => {}
            Next::Turn => self.turns_wanted.push(who),
            Next::Read => {
                if let Some(subscriber) = self.subscribers.get_mut(who.key)
                    && !std::mem::replace(&mut subscriber.reading, true)
                {
                    self.reads_wanted.push_back(who);
                }
            }
            Next::Snapshot => self.snapshots.want(who, self.source.as_ref(), &self.shared),
            Next::Close(reason) => self.close(who, reason),
        }
    }

    fn close(&mut self, who: Who, reason: CloseReason) {
        let Some(subscriber) = self.subscribers.try_remove(who.key) else { return };
        // Counted first: who sees the end of its stream finds it counted.
        self.shared.metrics.closed(reason);
        subscriber.close(reason);
        if let Some(symbol) = subscriber.book() {
            self.books.unwatch(symbol);
        }
        if subscriber.place == Place::Snapshot {
            self.snapshots.forget(who);
        }
        tracing::debug!(reason = reason.as_str(), next_id = subscriber.next_id, "stream closed");
    }

    /// Appends to the window, after those who stand where it forgets have left it.
    fn on_batch(&mut self, batch: &Batch) {
        match self.window.fit(batch) {
            Fit::Next => {}
            Fit::Hole => self.skip_to(batch.first_id),
            Fit::Refused => {
                self.shared.metrics.refused_batches.add(1);
                tracing::error!(first_id = batch.first_id, "a batch does not follow the last one");
                return;
            }
        }
        self.window.push(batch);
        while let Some(limit) = self.window.excess() {
            self.turn_all(|subscriber, world| match subscriber.place {
                Place::Level(at) if at < limit => subscriber.leave_window(world),
                _ => Next::Wait,
            });
            self.window.forget_oldest();
        }
    }

    /// The window goes on behind a hole, which the log fills.
    fn skip_to(&mut self, next_id: EventId) {
        self.turn_all(|subscriber, world| subscriber.leave_window(world));
        self.window.restart(next_id);
    }

    fn on_read(&mut self, done: Done) {
        self.reads_in_flight -= 1;
        let metrics = &self.shared.metrics;
        metrics.log_reads.add(1);
        if let Found::Chunk(chunk) = &done.found {
            metrics.log_read_bytes.add(u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX));
        }
        if let Found::Failed(error) = &done.found {
            tracing::error!(%error, "a stream cannot read the log");
        }
        self.turn(done.who, |subscriber, world| {
            subscriber.reading = false;
            if !subscriber.awaits(done.from) {
                return subscriber.advance(world);
            }
            match &done.found {
                Found::Chunk(chunk) => subscriber.deliver(chunk, world),
                Found::Trimmed(bounds) | Found::Ahead(bounds) => {
                    subscriber.fell_off(*bounds, world)
                }
                // The window has more: what it was given must be in the log.
                Found::AtEnd => Next::Close(CloseReason::Seam),
                Found::Failed(_) => Next::Close(CloseReason::Log),
            }
        });
    }

    fn on_snapshot(&mut self, snapshot: Option<Snapshot>) {
        let served = self.snapshots.served(self.source.as_ref(), &self.shared);
        let mut frames = snapshot.map(SnapshotFrames::new);
        for who in served {
            self.turn(who, |subscriber, world| {
                let Some(frames) = &mut frames else { return Next::Close(CloseReason::Snapshot) };
                let bytes = frames.encoded(subscriber.encoding(), subscriber.filter());
                subscriber.give_snapshot(frames.last_id(), &bytes, world)
            });
        }
    }
}

impl<C> Drop for Hub<C> {
    /// An end that nobody asked for, by a panic too, is told: a gateway whose stream is dead is not well.
    fn drop(&mut self) {
        if self.drain_until_ms.is_none() {
            self.shared.shut_down();
            self.source.stream_failed();
        }
    }
}
