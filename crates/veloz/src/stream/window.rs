//! The newest events, encoded, as the stream's thread holds them: what every level subscriber shares.
//!
//! Contract: one run of bytes without a hole, of whole frames in order of their ids, addressed by a position that
//! only grows. It is kept in blocks, each contiguous, so that all that waits for a subscriber is
//! one write. Only the stream's thread touches it: nothing in here is locked or counted.
//! Known limit: a batch is never split, so a block is larger than its size by up to one batch.

use std::collections::VecDeque;

use bytes::Bytes;
use veloz_core::types::EventId;

use super::index::{FrameMeta, extend_index};
use crate::frame::frames;

/// What the service published at once.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) first_id: EventId,
    pub(super) count: u64,
    pub(super) bytes: Bytes,
}

/// How a batch fits the end of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It follows.
    Next,
    /// Events between are missing: they were dropped from the queue, and the log has them.
    Hole,
    /// It does not say what its publisher says of it, or was there before.
    Refused,
}

/// Frames and their index, as found at a position.
pub(super) struct Run<'a> {
    /// The position of the first byte.
    pub(super) start: u64,
    pub(super) bytes: &'a [u8],
    /// The frames from the position on.
    pub(super) metas: &'a [FrameMeta],
}

struct Block {
    start: u64,
    first_id: EventId,
    bytes: Vec<u8>,
    /// Where each batch starts.
    marks: Vec<(usize, EventId)>,
    /// Made when the first subscriber needs it.
    metas: Vec<FrameMeta>,
}

pub(super) struct Window {
    blocks: VecDeque<Block>,
    /// Of the blocks dropped, one to fill again.
    spare: Option<Block>,
    block_bytes: usize,
    max_bytes: usize,
    held_bytes: usize,
    end: u64,
    next_id: EventId,
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl Window {
    pub(super) fn new(next_id: EventId, block_bytes: usize, max_bytes: usize) -> Window {
        Window {
            blocks: VecDeque::new(),
            spare: None,
            block_bytes,
            max_bytes,
            held_bytes: 0,
            end: 0,
            next_id,
        }
    }

    /// The id that the next event will have.
    pub(super) fn next_id(&self) -> EventId {
        self.next_id
    }

    /// The position behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn fit(&self, batch: &Batch) -> Fit {
        let first = frames(&batch.bytes).next().map(|frame| frame.id);
        if first != Some(batch.first_id) || batch.count == 0 || batch.first_id < self.next_id {
            Fit::Refused
        } else if batch.first_id == self.next_id {
            Fit::Next
        } else {
            Fit::Hole
        }
    }

    /// Appends a batch that fits.
    pub(super) fn push(&mut self, batch: &Batch) {
        if self.blocks.back().is_none_or(|block| block.bytes.len() >= self.block_bytes) {
            let mut block = self.spare.take().unwrap_or_else(|| Block {
                start: 0,
                first_id: 0,
                bytes: Vec::new(),
                marks: Vec::new(),
                metas: Vec::new(),
            });
            (block.start, block.first_id) = (self.end, batch.first_id);
            self.blocks.push_back(block);
        }
        if let Some(block) = self.blocks.back_mut() {
            block.marks.push((block.bytes.len(), batch.first_id));
            block.bytes.extend_from_slice(&batch.bytes);
            self.held_bytes += batch.bytes.len();
            self.end += to_u64(batch.bytes.len());
            self.next_id = batch.first_id.saturating_add(batch.count);
        }
    }

    /// The position below which the window is about to forget, when it holds too much. Whoever
    /// stands below it must be moved to the log first; then [`Window::forget_oldest`].
    pub(super) fn excess(&self) -> Option<u64> {
        let oldest = self.blocks.front()?;
        (self.held_bytes > self.max_bytes && self.blocks.len() > 1)
            .then(|| oldest.start + to_u64(oldest.bytes.len()))
    }

    /// Drops the oldest block.
    pub(super) fn forget_oldest(&mut self) {
        let Some(mut block) = self.blocks.pop_front() else { return };
        self.held_bytes -= block.bytes.len();
        // A block that one huge batch blew up is not kept.
        if block.bytes.capacity() <= self.block_bytes.saturating_mul(4) {
            block.bytes.clear();
            block.marks.clear();
            block.metas.clear();
            self.spare = Some(block);
        }
    }

    /// Starts again, empty, behind a hole. Nobody may stand in the window.
    pub(super) fn restart(&mut self, next_id: EventId) {
        while !self.blocks.is_empty() {
            self.forget_oldest();
        }
        self.next_id = next_id;
    }

    fn block_at(&self, position: u64) -> Option<usize> {
        self.blocks.iter().rposition(|block| block.start <= position)
    }

    /// The bytes at a position, as far as they are contiguous; empty at the end.
    pub(super) fn at(&self, position: u64) -> &[u8] {
        self.block_at(position)
            .and_then(|i| self.blocks.get(i))
            .and_then(|block| block.bytes.get(to_usize(position - block.start)..))
            .unwrap_or_default()
    }

    /// The frames from a position on that is the start of one; none at the end or when it is not.
    pub(super) fn run_at(&mut self, position: u64) -> Option<Run<'_>> {
        let block = self.block_at(position).and_then(|i| self.blocks.get_mut(i))?;
        extend_index(&mut block.metas, &block.bytes)?;
        let at = u32::try_from(position - block.start).ok()?;
        let first = block.metas.binary_search_by_key(&at, |meta| meta.start).ok()?;
        Some(Run { start: block.start, bytes: &block.bytes, metas: block.metas.get(first..)? })
    }

    /// The frame at a position, and how many of its bytes are before it.
    pub(super) fn locate(&self, position: u64) -> Option<(EventId, usize)> {
        if position == self.end {
            return Some((self.next_id, 0));
        }
        let block = self.blocks.get(self.block_at(position)?)?;
        let at = to_usize(position - block.start);
        let mark = block.marks.partition_point(|(start, _)| *start <= at).checked_sub(1)?;
        let (start, _) = block.marks.get(mark)?;
        let found = locate_in(block.bytes.get(*start..)?, at - start)?;
        Some((found.id, found.skip))
    }

    /// The position of an event; none when it is not here.
    pub(super) fn position(&self, id: EventId) -> Option<u64> {
        if id == self.next_id {
            return Some(self.end);
        }
        let i = self.blocks.iter().rposition(|block| block.first_id <= id)?;
        let block = self.blocks.get(i)?;
        let mark = block.marks.partition_point(|(_, first)| *first <= id).checked_sub(1)?;
        let mut at = block.marks.get(mark)?.0;
        for frame in frames(block.bytes.get(at..)?) {
            if frame.id == id {
                return Some(block.start + to_u64(at));
            }
            at += frame.bytes.len();
        }
        None
    }
}

/// A byte's place in a run of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located {
    /// The frame it is of.
    pub(super) id: EventId,
    /// How many of that frame's bytes are before it.
    pub(super) skip: usize,
    /// How many whole frames are before that one.
    pub(super) frames: u64,
}

/// Finds the frame that a byte belongs to; none behind the last.
pub(super) fn locate_in(bytes: &[u8], at: usize) -> Option<Located> {
    let mut start = 0;
    for (frame, before) in frames(bytes).zip(0..) {
        if at < start + frame.bytes.len() {
            return Some(Located { id: frame.id, skip: at - start, frames: before });
        }
        start += frame.bytes.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::log_bytes;

    fn batch(from: EventId, count: u64) -> Batch {
        Batch { first_id: from, count, bytes: log_bytes(from..=from + count - 1).into() }
    }

    /// Every byte of the window is found by its position, and every position by its id.
    #[test]
    fn positions_and_ids_agree() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut window = Window::new(10, 700, 3000);
        let (mut all, mut oldest) = (Vec::new(), 0);
        for _ in 0..60 {
            let next = batch(window.next_id(), rng.u64(1..6));
            assert_eq!(window.fit(&next), Fit::Next);
            window.push(&next);
            all.extend_from_slice(&next.bytes);
            while let Some(limit) = window.excess() {
                window.forget_oldest();
                oldest = limit;
            }
        }
        assert_eq!(window.end(), to_u64(all.len()));
        assert!(oldest > 0 && window.held_bytes <= 3000 + 700);
        let mut at = 0;
        for frame in frames(&all) {
            let position = to_u64(at);
            let wanted = (position >= oldest).then_some(position);
            assert_eq!(window.position(frame.id), wanted);
            if wanted.is_some() {
                for skip in [0, 1, frame.bytes.len() - 1] {
                    let here = position + to_u64(skip);
                    assert_eq!(window.locate(here), Some((frame.id, skip)));
                    assert!(all[at + skip..].starts_with(window.at(here)));
                }
                let run = window.run_at(position).expect("a run");
                assert_eq!(run.metas[0].frame(run.bytes), frame.bytes);
                assert!(window.run_at(position + 1).is_none());
            }
            at += frame.bytes.len();
        }
        assert_eq!(window.locate(window.end()), Some((window.next_id(), 0)));
        assert!(window.at(window.end()).is_empty() && window.run_at(window.end()).is_none());
        assert_eq!(window.position(window.next_id() + 1), None);
    }

    #[test]
    fn what_does_not_fit() {
        let mut window = Window::new(1, 100, 1000);
        window.push(&batch(1, 3));
        let check = |window: &Window, batch: Batch, wanted| assert_eq!(window.fit(&batch), wanted);
        check(&window, batch(4, 1), Fit::Next);
        check(&window, batch(3, 2), Fit::Refused);
        check(&window, batch(6, 1), Fit::Hole);
        check(&window, Batch { first_id: 4, ..batch(5, 1) }, Fit::Refused);
        check(&window, Batch { count: 0, ..batch(4, 1) }, Fit::Refused);
        check(&window, Batch { bytes: Bytes::new(), ..batch(4, 1) }, Fit::Refused);
        let end = window.end();
        window.restart(6);
        assert_eq!((window.next_id(), window.end(), window.held_bytes), (6, end, 0));
        window.push(&batch(6, 2));
        assert_eq!(window.position(6), Some(end));
        assert_eq!(window.position(3), None);
    }
}
