//! Reads the log from any position, on any thread, beside the writer.
//!
//! Contract: frames come in the order of their ids, none twice, none missing that retention did not
//! take; checksums and the chain of ids are verified on the way. Nothing beyond the published newest id
//! is shown. Memory a read takes is about `max_bytes`, whatever the lag.
//!
//! One call may come back with no bytes and `compacted`: a long stretch of which nothing is left.
//! `next` is past it, so that a loop over reads always goes on.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use veloz_core::limits::{
    JOURNAL_INDEX_STRIDE_BYTES, JOURNAL_LOOKS_COUNT, JOURNAL_READ_MAX_BYTES,
    JOURNAL_READ_MIN_BYTES, JOURNAL_READ_SKIP_MAX_BYTES,
};
use veloz_core::types::EventId;

use super::error::JournalError;
use super::format::{RawRecord, offset_usize};
use super::log::{Bounds, LogError, LogReader, Read};
use super::recovery::{Access, find_segments, missing_ids, read_header};
use super::scan::{Next, Scanner};
use super::seek;
use super::segment::{Located, Log, Place};
use super::storage::{DirStorage, Storage};
use crate::frame::frames;

/// The log for readers.
#[derive(Debug)]
pub struct JournalReader {
    log: Arc<Log>,
    /// Another process may own the directory and replace or remove files.
    offline: bool,
}

impl JournalReader {
    pub(super) fn live(log: Arc<Log>) -> JournalReader {
        JournalReader { log, offline: false }
    }

    /// Reads a directory without owning it, as it is now: a server may be writing there. Nothing is
    /// changed; an unfinished write at the end is left out.
    ///
    /// # Errors
    /// When the log is damaged or cannot be read.
    pub fn open_offline(dir: &Path) -> Result<JournalReader, JournalError> {
        let storage: Arc<dyn Storage> = Arc::new(DirStorage::new(dir));
        let log = Arc::new(Log::new(storage, Vec::new(), 0));
        let reader = JournalReader { log, offline: true };
        reader.look_again()?;
        Ok(reader)
    }

    /// Offline: takes over what the directory holds now.
    fn look_again(&self) -> Result<(), JournalError> {
        let mut tries = 1;
        loop {
            match find_segments(&*self.log.storage, Access::Reader) {
                Ok(found) => {
                    self.log.replace_all(found.segments, found.newest);
                    return Ok(());
                }
                // A write seen half done, or a file gone since the directory was read.
                Err(_) if tries < JOURNAL_LOOKS_COUNT => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn read_once(&self, from: EventId, max_bytes: usize) -> Result<Read, LogError> {
        let bounds = self.log.bounds();
        if from > bounds.newest {
            let at_end = from == bounds.newest + 1;
            return Ok(if at_end { Read::AtEnd } else { Read::Ahead(bounds) });
        }
        let mut taken = Taken::new(from, max_bytes, bounds.newest);
        let mut skipped = 0;
        while taken.out.is_empty() && taken.next <= bounds.newest {
            let located = match self.log.locate(taken.next) {
                Ok(Some(located)) => located,
                // It was removed since: what was passed over until now is gone as well.
                Ok(None) => return Ok(Read::Trimmed(self.log.bounds())),
                Err(error) => return Err(LogError::Io(error)),
            };
            if self.offline {
                self.check_unchanged(&located)?;
            }
            let before = taken.next;
            skipped += self.read_segment(&located, &mut taken)?;
            if taken.next == before {
                return Err(LogError::Damaged(format!("event {before} is not where it must be")));
            }
            if skipped > JOURNAL_READ_SKIP_MAX_BYTES {
                break;
            }
        }
        Ok(Read::Frames {
            bytes: Bytes::from(taken.out),
            next: taken.next,
            compacted: taken.compacted,
        })
    }

    /// Takes what is wanted from one segment; gives the bytes looked at.
    fn read_segment(&self, located: &Located, taken: &mut Taken) -> Result<u64, LogError> {
        let segment = &located.segment;
        let behind = located.next_first_id.unwrap_or(taken.newest + 1);
        let Place { offset: start, first_id: mut next_id } =
            seek::find(&*located.file, segment, behind, taken.next)?;
        // The frames, a third more for the headers between short ones, and the way from the index.
        let chunk = taken
            .max_bytes
            .saturating_add(taken.max_bytes / 3)
            .saturating_add(offset_usize(JOURNAL_INDEX_STRIDE_BYTES))
            .clamp(JOURNAL_READ_MIN_BYTES, JOURNAL_READ_MAX_BYTES);
        let end = segment.end();
        let mut scanner = Scanner::new(&*located.file, start, end, chunk, take_scratch())
            .then_by(JOURNAL_READ_MIN_BYTES);
        taken.out.reserve(
            taken
                .max_bytes
                .min(JOURNAL_READ_MAX_BYTES)
                .min(offset_usize(end.saturating_sub(start))),
        );
        let damaged = |offset, what| {
            let path = self.log.storage.path(&segment.name());
            LogError::from(JournalError::Damaged { path, offset, what })
        };
        let mut noted = start;
        let stopped_at = loop {
            match scanner.next()? {
                Next::Record(at, raw) if raw.record.first_id != next_id => {
                    return Err(damaged(at, missing_ids(next_id, raw.record.first_id)));
                }
                Next::Record(at, raw) => {
                    segment.note(&mut noted, at, next_id);
                    next_id = raw.record.next_id();
                    if !taken.take(&raw) {
                        break at;
                    }
                }
                Next::Bad(at, why) => return Err(damaged(at, why.to_owned())),
                Next::End => match located.next_first_id {
                    Some(expected) if expected != next_id => {
                        return Err(damaged(end, missing_ids(next_id, expected)));
                    }
                    _ => break end,
                },
            }
        };
        give_scratch(scanner.into_buffer());
        Ok(stopped_at.saturating_sub(start))
    }

    fn check_unchanged(&self, located: &Located) -> Result<(), LogError> {
        let header = read_header(&*self.log.storage, located.segment.header.first_id)?;
        if header == located.segment.header {
            return Ok(());
        }
        Err(LogError::Damaged("a segment was replaced meanwhile".to_owned()))
    }
}

impl LogReader for JournalReader {
    fn bounds(&self) -> Bounds {
        self.log.bounds()
    }

    fn read(&self, from: EventId, max_bytes: usize) -> Result<Read, LogError> {
        let mut tries = 1;
        loop {
            match self.read_once(from, max_bytes) {
                Err(_) if self.offline && tries < JOURNAL_LOOKS_COUNT => {
                    tries += 1;
                    self.look_again()?;
                }
                other => return other,
            }
        }
    }
}

/// What a read has so far.
struct Taken {
    out: Vec<u8>,
    max_bytes: usize,
    newest: EventId,
    next: EventId,
    compacted: bool,
}

impl Taken {
    fn new(from: EventId, max_bytes: usize, newest: EventId) -> Taken {
        Taken { out: Vec::new(), max_bytes, newest, next: from, compacted: false }
    }

    /// Takes the record's frames from `next` on. False when that is enough.
    fn take(&mut self, raw: &RawRecord<'_>) -> bool {
        let record = &raw.record;
        if record.next_id() <= self.next {
            return true;
        }
        if record.first_id > self.newest {
            return false;
        }
        let whole = record.first_id == self.next && raw.stored == record.events;
        if whole && self.fits(record.frames.len()) {
            self.out.extend_from_slice(record.frames);
            self.next = record.next_id();
            return true;
        }
        for frame in frames(record.frames) {
            if frame.id < self.next {
                continue;
            }
            let missing = frame.id > self.next;
            if !self.out.is_empty() && !self.fits(frame.bytes.len()) {
                self.compacted |= missing;
                self.next = frame.id;
                return false;
            }
            self.compacted |= missing;
            self.out.extend_from_slice(frame.bytes);
            self.next = frame.id + 1;
        }
        self.compacted |= self.next < record.next_id();
        self.next = record.next_id();
        true
    }

    fn fits(&self, more: usize) -> bool {
        self.out.len().saturating_add(more) <= self.max_bytes
    }
}

thread_local! {
    /// What the storage is read into, used again by the next read of the thread.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn take_scratch() -> Vec<u8> {
    SCRATCH.with(RefCell::take)
}

fn give_scratch(buffer: Vec<u8>) {
    // A single huge record must not hold its memory for ever.
    if buffer.len() <= JOURNAL_READ_MAX_BYTES {
        SCRATCH.with(|scratch| scratch.replace(buffer));
    }
}
