//! How events reach a subscriber: from the window, or from what was read of the log.
//!
//! Contract: the next byte sent is always the one behind the last, whichever way it comes. The seam from the log to
//! the window is an id looked up in the window's own frames, so it cannot be off by one.

use std::io;
use std::os::fd::BorrowedFd;

use veloz_core::limits::{STREAM_MIN_READ_BYTES, STREAM_RING_SEND_BYTES, STREAM_TURN_BYTES};
use veloz_core::types::EventId;

use super::{Next, Place, Sent, Subscriber, World};
use crate::stream::catchup::Chunk;
use crate::stream::control::{Gap, GapReason};
use crate::stream::hub::Connection;
use crate::stream::metrics::CloseReason;
use crate::stream::window::locate_in;

impl<C: Connection> Subscriber<C> {
    /// Sends what it can: first what is pending, then from where it stands.
    pub(in crate::stream) fn advance(&mut self, world: &mut World<'_>) -> Next {
        if self.blocked {
            return Next::Wait;
        }
        match self.flush(world) {
            Ok(true) => {}
            Ok(false) => return Next::Wait,
            Err(reason) => return Next::Close(reason),
        }
        if self.place == Place::Behind {
            let next = self.try_join(world);
            if next != Next::Turn {
                return next;
            }
        }
        match self.place {
            Place::Level(at) if at == world.window.end() => Next::Wait,
            Place::Level(at) if self.is_raw() => self.advance_raw(at, world),
            Place::Level(at) => self.advance_derived(at, world),
            Place::Behind | Place::Snapshot => Next::Wait,
        }
    }

    /// Joins the window when the next event is in it.
    fn try_join(&mut self, world: &World<'_>) -> Next {
        if self.next_id > world.window.next_id() {
            // A snapshot's cut that this thread has not heard of yet.
            return Next::Wait;
        }
        let Some(mut at) = world.window.position(self.next_id) else {
            return if self.reading { Next::Wait } else { Next::Read };
        };
        if self.is_raw() {
            at += u64::try_from(std::mem::take(&mut self.skip)).unwrap_or(u64::MAX);
        }
        self.place = Place::Level(at);
        self.from_oldest = false;
        self.told_compacted = false;
        Next::Turn
    }

    /// What [`Subscriber::advance`] would send and where to, when that is nothing but a few bytes of the window.
    pub(in crate::stream) fn owed<'a>(
        &'a self,
        world: &'a World<'_>,
    ) -> Option<(BorrowedFd<'a>, &'a [u8])> {
        let Place::Level(at) = self.place else { return None };
        if self.blocked || !self.pending.is_empty() || at == world.window.end() || !self.is_raw() {
            return None;
        }
        let bytes = turn_at(at, world);
        let small = bytes.len() <= STREAM_RING_SEND_BYTES;
        small.then_some((self.socket.descriptor()?, bytes))
    }

    /// As [`Subscriber::advance`], when what it owed was written already.
    pub(in crate::stream) fn advance_written(
        &mut self,
        written: io::Result<usize>,
        world: &mut World<'_>,
    ) -> Next {
        let Place::Level(at) = self.place else { return Next::Close(CloseReason::Seam) };
        let bytes = turn_at(at, world);
        let sent = self.account(bytes, written, world);
        self.pass(at, bytes.len(), sent, world)
    }

    fn advance_raw(&mut self, at: u64, world: &mut World<'_>) -> Next {
        let bytes = turn_at(at, world);
        let sent = self.send(bytes, world);
        self.pass(at, bytes.len(), sent, world)
    }

    /// Moves on from `at` by what was sent of `length` bytes of the window.
    fn pass(
        &mut self,
        at: u64,
        length: usize,
        sent: Result<Sent, CloseReason>,
        world: &World<'_>,
    ) -> Next {
        let (sent, next) = match sent {
            Ok(Sent::All) => (length, Next::Turn),
            Ok(Sent::Part(sent)) => (sent, Next::Wait),
            Err(reason) => return Next::Close(reason),
        };
        let at = at + u64::try_from(sent).unwrap_or(u64::MAX);
        self.place = Place::Level(at);
        if sent > 0 {
            self.last_event_ms = world.now_ms;
        }
        if at < world.window.end() {
            return next;
        }
        world.metrics.delivered_events.add(world.window.next_id().saturating_sub(self.next_id));
        self.next_id = world.window.next_id();
        Next::Wait
    }

    fn advance_derived(&mut self, at: u64, world: &mut World<'_>) -> Next {
        let wishes = self.wishes();
        let Some(run) = world.window.run_at(at) else { return Next::Close(CloseReason::Seam) };
        let form = (wishes.encoding, &wishes.filter);
        let seen = world.derived.fill(form, run.bytes, run.metas, world.config.turn_bytes);
        let Some(last) = seen.checked_sub(1).and_then(|i| run.metas.get(i)) else {
            return Next::Close(CloseReason::Seam);
        };
        let (start, end, next_id) = (run.start, run.start + u64::from(last.end), last.id + 1);
        match self.send_derived(world) {
            Err(reason) => Next::Close(reason),
            Ok(Some(frame_at)) => {
                self.place = Place::Level(start + u64::from(frame_at));
                Next::Wait
            }
            Ok(None) => {
                self.next_id = next_id;
                self.place = Place::Level(end);
                if end < world.window.end() { Next::Turn } else { Next::Wait }
            }
        }
    }

    /// Sends what is derived. Where the frame starts to go on with, when not all of it is taken.
    fn send_derived(&mut self, world: &World<'_>) -> Result<Option<u32>, CloseReason> {
        let derived = &world.derived;
        let bytes = derived.bytes.get(self.skip..).ok_or(CloseReason::Seam)?;
        let sent = match self.send(bytes, world)? {
            Sent::All => derived.bytes.len(),
            Sent::Part(sent) => self.skip + sent,
        };
        if sent > self.skip {
            self.last_event_ms = world.now_ms;
        }
        let Some(stop) = derived.stop(sent) else {
            self.skip = 0;
            world.metrics.delivered_events.add(derived.count());
            return Ok(None);
        };
        world.metrics.delivered_events.add(stop.sent);
        (self.next_id, self.skip) = (stop.id, stop.skip);
        Ok(Some(stop.start))
    }

    /// Whether what was read from `from` on is still what it waits for. It is not when the socket is
    /// full meanwhile: then it is dropped, and read again when there is room.
    pub(in crate::stream) fn awaits(&self, from: EventId) -> bool {
        self.place == Place::Behind
            && self.next_id == from
            && !self.blocked
            && self.pending.is_empty()
    }

    /// Sends what was read of the log, and goes on.
    pub(in crate::stream) fn deliver(&mut self, chunk: &Chunk, world: &mut World<'_>) -> Next {
        if self.skip > 0 && chunk.first != Some(self.next_id) {
            // Half a frame is sent, and retention has taken it.
            return Next::Close(CloseReason::Seam);
        }
        if chunk.compacted && !self.told_compacted && self.wishes().filter.wants_market() {
            if let (true, Some(first)) = (self.skip > 0, chunk.first_frame()) {
                // The rest of a frame that is half sent goes before the gap.
                return self.deliver(&first, world);
            }
            let next = self.tell_compacted(world);
            if next != Next::Turn {
                return next;
            }
        }
        self.from_oldest = false;
        let sent = if self.is_raw() {
            self.deliver_raw(chunk, world)
        } else {
            let form = (self.encoding(), &self.wishes().filter);
            world.derived.fill(form, &chunk.bytes, &chunk.metas, usize::MAX);
            self.send_derived(world).map(|at| at.is_none())
        };
        match sent {
            Err(reason) => Next::Close(reason),
            Ok(false) => {
                self.read_bytes = (self.read_bytes / 2).max(STREAM_MIN_READ_BYTES);
                Next::Wait
            }
            Ok(true) => {
                self.read_bytes = self.read_bytes.saturating_mul(2).min(STREAM_TURN_BYTES);
                self.next_id = chunk.next;
                self.advance(world)
            }
        }
    }

    fn tell_compacted(&mut self, world: &mut World<'_>) -> Next {
        let requested = if self.from_oldest { 0 } else { self.next_id.saturating_sub(1) };
        let (next_id, mut out) = (self.next_id, Vec::new());
        let gap = Gap::new(GapReason::Compacted, requested, world.bounds());
        let next = self.tell(&gap, &mut out, world);
        self.next_id = next_id;
        self.told_compacted = true;
        self.pending = out.into();
        match self.flush(world) {
            Err(reason) => Next::Close(reason),
            Ok(false) => next,
            Ok(true) if next == Next::Wait => Next::Turn,
            Ok(true) => next,
        }
    }

    fn deliver_raw(&mut self, chunk: &Chunk, world: &World<'_>) -> Result<bool, CloseReason> {
        let bytes = chunk.bytes.get(self.skip..).ok_or(CloseReason::Seam)?;
        let part = match self.send(bytes, world)? {
            // The usual way: no frame has to be looked for.
            Sent::All => None,
            Sent::Part(sent) => Some(self.skip + sent),
        };
        if part != Some(self.skip) {
            self.last_event_ms = world.now_ms;
        }
        let Some(stop) = part.and_then(|sent| locate_in(&chunk.bytes, sent)) else {
            self.skip = 0;
            world.metrics.delivered_events.add(chunk.count);
            return Ok(true);
        };
        world.metrics.delivered_events.add(stop.frames);
        (self.next_id, self.skip) = (stop.id, stop.skip);
        Ok(false)
    }

    /// Leaves the window, parts of which are about to go, for the log.
    pub(in crate::stream) fn leave_window(&mut self, world: &World<'_>) -> Next {
        let Place::Level(at) = self.place else { return Next::Wait };
        let Some((id, skip)) = world.window.locate(at) else {
            return Next::Close(CloseReason::Seam);
        };
        if self.is_raw() {
            world.metrics.delivered_events.add(id.saturating_sub(self.next_id));
            self.skip = skip;
        }
        self.next_id = id;
        self.place = Place::Behind;
        Next::Wait
    }
}

/// The bytes of the window that are sent in one turn.
fn turn_at<'a>(at: u64, world: &'a World<'_>) -> &'a [u8] {
    let all = world.window.at(at);
    all.get(..world.config.turn_bytes).unwrap_or(all)
}
