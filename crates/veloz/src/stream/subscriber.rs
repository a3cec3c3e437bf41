//! One connection: a socket and a position in the log.
//!
//! Contract: a subscriber owns no queue. Level with the tail it is sent the window's own bytes; behind,
//! what one read of the log brought, and what its socket does not take is dropped and read again.
//! What it does own are a few bytes of head, gap, snapshot or keep-alive (`pending`), which go out
//! first and only between whole frames.
//!
//! `place` says where the next byte comes from:
//!
//! - `Level`: from the window, at that position. In the journal's own form any byte's; in
//!   another form a frame's start, and `skip` bytes of that frame's derived form are sent already.
//! - `Behind`: from the log, event `next_id`, of which `skip` bytes are sent already.
//! - `Snapshot`: from nowhere before the snapshot that was asked for.

mod delivery;

use std::io::{self, ErrorKind};

use bytes::Bytes;
use veloz_core::event::EventKind;
use veloz_core::limits::{STREAM_IGNORED_INPUT_BYTES, STREAM_TURN_BYTES};
use veloz_core::types::{EventId, Symbol};

use super::StreamConfig;
use super::control::{self, Gap, GapReason};
use super::derive::Derived;
use super::desk::Books;
use super::filter::{Encoding, Filter};
use super::hub::Connection;
use super::metrics::{CloseReason, StreamMetrics};
use super::request::{Start, StreamRequest};
use super::window::Window;
use crate::journal::{Bounds, LogReader};

/// What a subscriber needs of the world to move on.
pub(super) struct World<'a> {
    pub(super) window: &'a mut Window,
    pub(super) derived: &'a mut Derived,
    pub(super) books: &'a mut Books,
    pub(super) notice: Option<&'a Bytes>,
    pub(super) config: &'a StreamConfig,
    pub(super) metrics: &'a StreamMetrics,
    pub(super) log: &'a dyn LogReader,
    pub(super) now_ms: u64,
}

impl World<'_> {
    /// The log's bounds. What this thread was given is in it, whatever its face says just now.
    fn bounds(&self) -> Bounds {
        let bounds = self.log.bounds();
        Bounds { newest: bounds.newest.max(self.window.next_id().saturating_sub(1)), ..bounds }
    }
}

/// What a subscriber wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until something happens.
    Wait,
    /// Another turn: there is more to send and the socket takes it.
    Turn,
    /// A read of the log.
    Read,
    /// A snapshot.
    Snapshot,
    /// To be closed.
    Close(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Level(u64),
    Behind,
    Snapshot,
}

/// What is not as most subscribers want it.
struct Wishes {
    filter: Filter,
    encoding: Encoding,
    snapshot: bool,
    ping: bool,
    book: Option<Symbol>,
}

static PLAIN: Wishes = Wishes {
    filter: Filter { kinds: super::filter::Kinds::ALL, symbols: Vec::new(), client_order_id: None },
    encoding: Encoding::Sse,
    snapshot: false,
    ping: false,
    book: None,
};

pub(super) struct Subscriber<C> {
    socket: C,
    pub(super) serial: u64,
    pub(super) place: Place,
    /// The event to go on with; at a level place perhaps an older one.
    pub(super) next_id: EventId,
    skip: usize,
    pending: Bytes,
    /// None: every event, in the journal's own form.
    wishes: Option<Box<Wishes>>,
    last_event_ms: u64,
    progress_ms: u64,
    read_bytes: usize,
    ignored_bytes: usize,
    book_version: u32,
    pub(super) blocked: bool,
    /// Whether a blocked socket was tried once more before it is given up.
    probed: bool,
    /// Whether a read is asked for.
    pub(super) reading: bool,
    /// Whether it started at the oldest event, whatever that is, and nothing is sent yet.
    from_oldest: bool,
    told_compacted: bool,
    told_notice: bool,
}

/// Whether what was sent was all there was to send.
enum Sent {
    All,
    Part(usize),
}

impl<C: Connection> Subscriber<C> {
    pub(super) fn new(
        socket: C,
        serial: u64,
        request: StreamRequest,
        now_ms: u64,
    ) -> Subscriber<C> {
        let StreamRequest { filter, encoding, snapshot, ping, book, .. } = request;
        let plain = filter.is_open() && encoding == Encoding::Sse && !snapshot && !ping;
        let wishes = Wishes { filter, encoding, snapshot, ping, book };
        Subscriber {
            socket,
            serial,
            place: Place::Behind,
            next_id: 0,
            skip: 0,
            pending: Bytes::new(),
            wishes: (!plain || book.is_some()).then(|| Box::new(wishes)),
            last_event_ms: now_ms,
            progress_ms: now_ms,
            read_bytes: STREAM_TURN_BYTES,
            ignored_bytes: 0,
            book_version: 0,
            blocked: false,
            probed: false,
            reading: false,
            from_oldest: false,
            told_compacted: false,
            told_notice: false,
        }
    }

    fn wishes(&self) -> &Wishes {
        self.wishes.as_deref().unwrap_or(&PLAIN)
    }

    /// Whether the window's bytes can be sent as they are.
    fn is_raw(&self) -> bool {
        let wishes = self.wishes();
        wishes.encoding == Encoding::Sse && wishes.filter.is_open()
    }

    /// Whether its reads must be indexed.
    pub(super) fn is_derived(&self) -> bool {
        !self.is_raw()
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.wishes().encoding
    }

    pub(super) fn book(&self) -> Option<Symbol> {
        self.wishes().book
    }

    pub(super) fn read_bytes(&self, config: &StreamConfig) -> usize {
        self.read_bytes.min(config.turn_bytes)
    }

    /// Sends the head and decides where the stream starts.
    pub(super) fn start(&mut self, start: Start, mut head: Vec<u8>, world: &mut World<'_>) -> Next {
        let encoding = self.encoding();
        let mut next = Next::Wait;
        match start {
            Start::Live => {
                self.next_id = world.window.next_id();
                if self.wishes().snapshot {
                    (self.place, next) = (Place::Snapshot, Next::Snapshot);
                } else {
                    // A client that is cut off before its first event can resume from here.
                    encoding.write_cursor(&mut head, self.next_id.saturating_sub(1));
                }
            }
            Start::After(id) => {
                let bounds = world.bounds();
                self.from_oldest = id == 0;
                self.next_id = if id == 0 { bounds.oldest } else { id.saturating_add(1) };
                if let Some(gap) = Gap::at_start(id, bounds) {
                    next = self.tell(&gap, &mut head, world);
                }
            }
            Start::OtherLog { after, this } => {
                let gap = Gap::of_another_log(after, this, world.bounds());
                next = self.tell(&gap, &mut head, world);
            }
        }
        self.pending = head.into();
        match self.advance(world) {
            close @ Next::Close(_) => close,
            other if next == Next::Wait => other,
            _ => next,
        }
    }

    /// Puts a gap into `out` and moves behind it.
    fn tell(&mut self, gap: &Gap, out: &mut Vec<u8>, world: &World<'_>) -> Next {
        world.metrics.gaps.add(1);
        control::write_gap(out, self.encoding(), gap);
        self.next_id = gap.id().saturating_add(1);
        self.place = Place::Behind;
        self.from_oldest = false;
        if self.wishes().snapshot {
            self.place = Place::Snapshot;
            return Next::Snapshot;
        }
        Next::Wait
    }

    /// Follows retention: the event to go on with is gone.
    pub(super) fn fell_off(&mut self, bounds: Bounds, world: &mut World<'_>) -> Next {
        if self.skip > 0 {
            return Next::Close(CloseReason::Seam);
        }
        if self.from_oldest {
            self.next_id = bounds.oldest;
            return self.advance(world);
        }
        let requested = self.next_id.saturating_sub(1);
        let reason =
            if self.next_id < bounds.oldest { GapReason::Trimmed } else { GapReason::Ahead };
        let gap = Gap::new(reason, requested, bounds);
        let mut out = Vec::new();
        let next = self.tell(&gap, &mut out, world);
        self.pending = out.into();
        match self.advance(world) {
            close @ Next::Close(_) => close,
            other if next == Next::Wait => other,
            _ => next,
        }
    }

    /// Sends the snapshot that it waits for, and goes on behind its cut.
    pub(super) fn give_snapshot(
        &mut self,
        last_id: EventId,
        frames: &Bytes,
        world: &mut World<'_>,
    ) -> Next {
        world.metrics.snapshots.add(1);
        self.pending = if self.pending.is_empty() {
            frames.clone()
        } else {
            [self.pending.as_ref(), frames.as_ref()].concat().into()
        };
        self.place = Place::Behind;
        self.next_id = last_id.saturating_add(1);
        self.advance(world)
    }

    /// Its filter, for a snapshot.
    pub(super) fn filter(&self) -> &Filter {
        &self.wishes().filter
    }

    /// Whether a frame that is no event can go out now: nothing else waits, no frame is half sent.
    fn may_speak(&self, world: &World<'_>) -> bool {
        !self.blocked
            && self.pending.is_empty()
            && self.skip == 0
            && match self.place {
                Place::Level(at) => at == world.window.end(),
                Place::Behind | Place::Snapshot => true,
            }
    }

    /// Looks at its clocks: a keep-alive after silence, the end of a socket that takes nothing.
    pub(super) fn tick(&mut self, world: &mut World<'_>) -> Next {
        if self.blocked {
            let idle_ms = world.now_ms.saturating_sub(self.progress_ms);
            if idle_ms < world.config.stall_ms || self.reading {
                return Next::Wait;
            }
            if self.probed {
                return Next::Close(CloseReason::Stalled);
            }
            // The kernel tells of room only when there is a lot: a slow reader may have made a little.
            self.probed = true;
            self.blocked = false;
            return self.advance(world);
        }
        if !self.told_notice && world.notice.is_some() {
            return self.offer_notice(world);
        }
        let silent_ms = world.now_ms.saturating_sub(self.last_event_ms);
        if silent_ms < world.config.keep_alive_ms || !self.may_speak(world) {
            return Next::Wait;
        }
        self.last_event_ms = world.now_ms;
        world.metrics.keep_alives.add(1);
        let (wishes, newest) = (self.wishes(), world.window.next_id().saturating_sub(1));
        let cursor = match self.place {
            Place::Level(_) => newest,
            Place::Behind | Place::Snapshot => self.next_id.saturating_sub(1),
        };
        let (moves_cursor, ping) = (!wishes.filter.is_open(), wishes.ping.then_some(newest));
        let mut out = Vec::new();
        control::write_keep_alive(&mut out, wishes.encoding, moves_cursor, cursor, ping);
        // From here on it has a position: a gap must not move it back to the beginning.
        self.from_oldest &= !moves_cursor && wishes.encoding != Encoding::Ndjson;
        self.speak(out.into(), world)
    }

    fn speak(&mut self, frame: Bytes, world: &World<'_>) -> Next {
        self.pending = frame;
        self.flush(world).map_or_else(Next::Close, |_| Next::Wait)
    }

    /// Sends the `error` event that could not be stored, once, unless something else is under way: then later.
    pub(super) fn offer_notice(&mut self, world: &mut World<'_>) -> Next {
        let Some(data) = world.notice.filter(|_| !self.told_notice && self.may_speak(world)) else {
            return Next::Wait;
        };
        self.told_notice = true;
        let Wishes { encoding, filter, .. } = self.wishes();
        if !filter.passes(EventKind::Error, None, None) {
            return Next::Wait;
        }
        let mut out = Vec::new();
        encoding.write(&mut out, None, EventKind::Error.as_str(), data);
        self.speak(out.into(), world)
    }

    /// Sends its book if that changed, unless there is something more important: then a later one.
    pub(super) fn offer_book(&mut self, world: &mut World<'_>) -> Next {
        let Wishes { book: Some(symbol), encoding, .. } = *self.wishes() else { return Next::Wait };
        let level = matches!(self.place, Place::Level(_));
        match world.books.frame(symbol, encoding) {
            Some((version, frame))
                if self.book_version != version && level && self.may_speak(world) =>
            {
                self.book_version = version;
                self.speak(frame, world)
            }
            _ => Next::Wait,
        }
    }

    /// Whether all that there is was sent.
    pub(super) fn is_drained(&self, window: &Window) -> bool {
        self.pending.is_empty()
            && match self.place {
                Place::Level(at) => at == window.end(),
                Place::Behind => self.next_id >= window.next_id(),
                Place::Snapshot => true,
            }
    }

    /// Reads and drops what the client sends; notices when it goes away.
    pub(super) fn on_readable(&mut self) -> Next {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Next::Close(CloseReason::Peer),
                Ok(n) => {
                    self.ignored_bytes += n;
                    if self.ignored_bytes > STREAM_IGNORED_INPUT_BYTES {
                        return Next::Close(CloseReason::Input);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Next::Close(reason_of(&error)),
            }
        }
    }

    /// Ends the connection: in good order, so that what the kernel holds still goes out; but a client
    /// that takes nothing is told by a reset, and what the kernel holds for it is freed.
    pub(super) fn close(&self, reason: CloseReason) {
        self.socket.end(matches!(reason, CloseReason::Stalled | CloseReason::Input));
    }

    /// Sends what is pending; whether nothing is left of it.
    fn flush(&mut self, world: &World<'_>) -> Result<bool, CloseReason> {
        if self.pending.is_empty() {
            return Ok(true);
        }
        let pending = std::mem::take(&mut self.pending);
        Ok(match self.send(&pending, world)? {
            Sent::All => true,
            Sent::Part(sent) => {
                self.pending = pending.slice(sent..);
                false
            }
        })
    }

    /// One write. After a part the socket is full: the kernel will tell when it has room.
    fn send(&mut self, bytes: &[u8], world: &World<'_>) -> Result<Sent, CloseReason> {
        if bytes.is_empty() {
            return Ok(Sent::All);
        }
        let written = self.socket.write(bytes);
        self.account(bytes, written, world)
    }

    /// What came of a write.
    fn account(
        &mut self,
        bytes: &[u8],
        mut written: io::Result<usize>,
        world: &World<'_>,
    ) -> Result<Sent, CloseReason> {
        let sent = loop {
            match written {
                Ok(sent) => break sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    written = self.socket.write(bytes);
                }
                Err(error) => return Err(reason_of(&error)),
            }
        };
        if sent > 0 || !self.probed {
            self.progress_ms = world.now_ms;
            self.probed = false;
        }
        world.metrics.writes.add(1);
        world.metrics.sent_bytes.add(u64::try_from(sent).unwrap_or(u64::MAX));
        self.blocked = sent < bytes.len();
        Ok(if self.blocked { Sent::Part(sent) } else { Sent::All })
    }
}

fn reason_of(error: &io::Error) -> CloseReason {
    match error.kind() {
        ErrorKind::TimedOut => CloseReason::Stalled,
        _ => CloseReason::Peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_subscriber_is_small() {
        let bytes = size_of::<Subscriber<mio::net::TcpStream>>();
        assert!(bytes <= 160, "{bytes}");
    }
}
