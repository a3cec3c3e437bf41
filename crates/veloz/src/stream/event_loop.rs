//! The stream's thread: who gets a turn.
//!
//! Contract: nothing in here waits but the one `poll`. A round is: what sockets say, what the inbox
//! brought (new events go to every level subscriber at once), those who had more to send than one
//! turn takes, and a slice of the timers. A socket is freed only between rounds' parts and a new one
//! takes its place only after the round's socket events, so that no event reaches the wrong one.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use veloz_core::limits::{STREAM_READS_IN_FLIGHT, STREAM_SWEEP_SLICE_MS, STREAM_SWEEP_SLICES};

use super::catchup::{Done, Found, Job, Pool, Who};
use super::control;
use super::derive::Derived;
use super::desk::{Books, SnapshotFrames, Snapshots};
use super::metrics::CloseReason;
use super::subscriber::{Next, Place, Subscriber, World};
use super::tail::{Inbox, Shared};
use super::window::{Batch, Fit, Window};
use super::{Attach, Snapshot, StateSource, StreamConfig};
use crate::journal::LogReader;

/// The token of the waker: no subscriber's.
pub(super) const WAKE: Token = Token(usize::MAX);
/// Socket events taken at once.
const EVENTS: usize = 1024;
/// The table of subscribers gives its memory back when it is empty and has grown beyond this.
const KEPT_SUBSCRIBERS: usize = 256;

/// How many subscribers are in which state.
#[derive(Default)]
struct Tally {
    level: u64,
    behind: u64,
    blocked: u64,
}

pub(super) struct EventLoop {
    poll: Poll,
    config: StreamConfig,
    log: Arc<dyn LogReader>,
    source: Arc<dyn StateSource>,
    shared: Arc<Shared>,
    pool: Pool,
    window: Window,
    derived: Derived,
    subscribers: Slab<Subscriber>,
    serial: u64,
    reads_wanted: VecDeque<Who>,
    reads_in_flight: usize,
    turns_wanted: Vec<Who>,
    snapshots: Snapshots,
    books: Books,
    rng: fastrand::Rng,
    started: Instant,
    now_ms: u64,
    sweep_slice: usize,
    sweep_ms: u64,
    tally: Tally,
    /// When a shutdown gives up on those who are not at the tail.
    drain_until_ms: Option<u64>,
}

impl EventLoop {
    pub(super) fn new(
        poll: Poll,
        config: StreamConfig,
        log: Arc<dyn LogReader>,
        source: Arc<dyn StateSource>,
        shared: Arc<Shared>,
    ) -> io::Result<EventLoop> {
        let next_id = log.bounds().newest.saturating_add(1);
        Ok(EventLoop {
            poll,
            pool: Pool::start(&log, &shared)?,
            window: Window::new(next_id, config.block_bytes, config.window_bytes),
            config,
            log,
            source,
            shared,
            derived: Derived::default(),
            subscribers: Slab::new(),
            serial: 0,
            reads_wanted: VecDeque::new(),
            reads_in_flight: 0,
            turns_wanted: Vec::new(),
            snapshots: Snapshots::default(),
            books: Books::default(),
            rng: fastrand::Rng::new(),
            started: Instant::now(),
            now_ms: 0,
            sweep_slice: 0,
            sweep_ms: 0,
            tally: Tally::default(),
            drain_until_ms: None,
        })
    }

    pub(super) fn run(mut self) {
        let (mut events, mut inbox) = (Events::with_capacity(EVENTS), Inbox::default());
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    tracing::error!(%error, "the stream cannot wait for its sockets: it ends");
                    return;
                }
                _ => {}
            }
            self.now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            for event in events.iter().filter(|event| event.token() != WAKE) {
                let ends = event.is_read_closed() || event.is_error();
                self.on_socket(event.token().0, event.is_readable() || ends, event.is_writable());
            }
            self.on_inbox(&mut inbox);
            for who in std::mem::take(&mut self.turns_wanted) {
                self.turn(who, |subscriber, world| subscriber.advance(world));
            }
            self.start_reads();
            self.books.ask(self.now_ms, self.source.as_ref(), &self.shared);
            self.sweep();
            if self.drain_until_ms.is_some_and(|until| self.drain(until)) {
                return;
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.turns_wanted.is_empty() {
            return Some(Duration::ZERO);
        }
        let sweep = (!self.subscribers.is_empty()).then_some(self.sweep_ms);
        let due = [sweep, self.books.due_ms(), self.drain_until_ms].into_iter().flatten().min()?;
        // One more than is missing: the clock's part of a millisecond is not counted.
        Some(Duration::from_millis(due.saturating_sub(self.now_ms) + 1))
    }

    /// Gives one subscriber a turn, and sees to what it wants next.
    fn turn(&mut self, who: Who, act: impl FnOnce(&mut Subscriber, &mut World<'_>) -> Next) {
        let mut world = World {
            window: &mut self.window,
            derived: &mut self.derived,
            books: &mut self.books,
            config: &self.config,
            metrics: &self.shared.metrics,
            log: self.log.as_ref(),
            now_ms: self.now_ms,
        };
        let Some(subscriber) = self.subscribers.get_mut(who.key) else { return };
        if subscriber.serial == who.serial {
            let next = act(subscriber, &mut world);
            self.settle(who, next);
        }
    }

    /// Gives every subscriber a turn.
    fn turn_all(&mut self, mut act: impl FnMut(&mut Subscriber, &mut World<'_>) -> Next) {
        let mut world = World {
            window: &mut self.window,
            derived: &mut self.derived,
            books: &mut self.books,
            config: &self.config,
            metrics: &self.shared.metrics,
            log: self.log.as_ref(),
            now_ms: self.now_ms,
        };
        let mut wants = Vec::new();
        for (key, subscriber) in &mut self.subscribers {
            let next = act(subscriber, &mut world);
            if next != Next::Wait {
                wants.push((Who { key, serial: subscriber.serial }, next));
            }
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
        let Some(mut subscriber) = self.subscribers.try_remove(who.key) else { return };
        // Counted first: who sees the end of its stream finds it counted.
        self.shared.metrics.closed(reason);
        subscriber.close(reason);
        if let Some(symbol) = subscriber.book() {
            self.books.unwatch(symbol);
        }
        if subscriber.place == Place::Snapshot {
            self.snapshots.forget(who);
        }
        // Dropping the socket takes it out of the epoll anyway.
        let _ = self.poll.registry().deregister(&mut subscriber.socket);
        tracing::debug!(reason = reason.as_str(), next_id = subscriber.next_id, "stream closed");
    }

    fn on_socket(&mut self, key: usize, readable: bool, writable: bool) {
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

    fn on_inbox(&mut self, inbox: &mut Inbox) {
        self.shared.take(inbox, !self.subscribers.is_empty());
        if !inbox.batches.is_empty() {
            inbox.batches.drain(..).for_each(|batch| self.on_batch(&batch));
            self.turn_all(|subscriber, world| subscriber.advance(world));
        }
        inbox.reads.drain(..).for_each(|done| self.on_read(done));
        if let Some(snapshot) = inbox.snapshot.take() {
            self.on_snapshot(snapshot);
        }
        if let Some(books) = inbox.books.take() {
            self.books.answered(books);
            self.turn_all(Subscriber::offer_book);
        }
        for (socket, attach) in inbox.sockets.drain(..) {
            if let Err(error) = self.on_attach(socket, attach) {
                tracing::warn!(%error, "cannot take a stream's socket");
                self.shared.metrics.closed(CloseReason::Peer);
            }
        }
        if inbox.shutdown && self.drain_until_ms.is_none() {
            self.drain_until_ms = Some(self.now_ms.saturating_add(self.config.drain_ms));
        }
        inbox.clear();
    }

    /// Appends to the window, after those who stand where it forgets have left it.
    fn on_batch(&mut self, batch: &Batch) {
        match self.window.fit(batch) {
            Fit::Next => {}
            Fit::Hole => {
                self.turn_all(|subscriber, world| subscriber.leave_window(world));
                self.window.restart(batch.first_id);
            }
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

    fn on_attach(&mut self, socket: TcpStream, attach: Attach) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        self.limit_silence(&socket)?;
        let mut socket = mio::net::TcpStream::from_std(socket);
        let entry = self.subscribers.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(key), interest)?;
        self.serial += 1;
        let Attach { request, http10, extra_headers } = attach;
        let quarter = self.config.retry_ms / 4;
        let retry_ms =
            self.rng.u64(self.config.retry_ms - quarter..=self.config.retry_ms + quarter);
        let head = control::head(request.encoding, http10, &extra_headers, retry_ms);
        let start = request.start;
        if let Some(symbol) = request.book {
            self.books.watch(symbol);
        }
        entry.insert(Subscriber::new(socket, self.serial, request, self.now_ms));
        let who = Who { key, serial: self.serial };
        self.turn(who, |subscriber, world| subscriber.start(start, head, world));
        Ok(())
    }

    /// A peer that vanished without a word is given up by the kernel, well after a slow one is by us.
    #[cfg(target_os = "linux")]
    fn limit_silence(&self, socket: &TcpStream) -> io::Result<()> {
        let limit_ms = u32::try_from(self.config.stall_ms.saturating_mul(2)).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(socket, limit_ms).map_err(io::Error::from)
    }

    #[cfg(not(target_os = "linux"))]
    fn limit_silence(&self, _: &TcpStream) -> io::Result<()> {
        Ok(())
    }

    fn start_reads(&mut self) {
        while self.reads_in_flight < STREAM_READS_IN_FLIGHT
            && let Some(who) = self.reads_wanted.pop_front()
        {
            let wanted = self.subscribers.get_mut(who.key).filter(|s| s.serial == who.serial);
            let Some(subscriber) = wanted else { continue };
            let job = Job {
                who,
                from: subscriber.next_id,
                max_bytes: subscriber.read_bytes(&self.config),
                indexed: subscriber.is_derived(),
            };
            if self.pool.read(job) {
                self.reads_in_flight += 1;
            } else {
                self.close(who, CloseReason::Log);
            }
        }
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

    /// Looks at the timers of one slice of the subscribers, when it is time.
    fn sweep(&mut self) {
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

    /// Closes those who have all there is; whether nobody is left.
    fn drain(&mut self, until_ms: u64) -> bool {
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

impl Drop for EventLoop {
    /// An end that nobody asked for, by a panic too, is told: a gateway whose stream is dead is not well.
    fn drop(&mut self) {
        if self.drain_until_ms.is_none() {
            self.shared.shut_down();
            self.source.stream_failed();
        }
    }
}
