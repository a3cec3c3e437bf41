//! Reads the records of a segment one after the other, in large reads.

use std::io;

use veloz_core::limits::JOURNAL_RECORD_MAX_BYTES;

use super::format::{
    Parsed, RECORD_HEADER_BYTES, RawRecord, len_u64, offset_usize, parse_record, record_len,
};
use super::storage::StorageFile;

/// A walk through a segment from one record to the next.
pub(super) struct Scanner<'f> {
    file: &'f dyn StorageFile,
    /// What was read; only `buffer[cursor..filled]` is still to be looked at.
    buffer: Vec<u8>,
    cursor: usize,
    filled: usize,
    /// The offset of the next record.
    offset: u64,
    /// Where the records end.
    end: u64,
    /// How much the next read takes, and those after it.
    chunk: usize,
    later_chunk: usize,
}

/// What comes next.
pub(super) enum Next<'a> {
    /// A record, and where it begins.
    Record(u64, RawRecord<'a>),
    /// The end of what was to be read.
    End,
    /// No record, where, and why not.
    Bad(u64, &'static str),
}

impl<'f> Scanner<'f> {
    /// Walks from the record at `offset` up to `end`, in reads of about `chunk` bytes. `buffer` is
    /// scratch space: [`Scanner::into_buffer`] gives it back.
    pub(super) fn new(
        file: &'f dyn StorageFile,
        offset: u64,
        end: u64,
        chunk: usize,
        buffer: Vec<u8>,
    ) -> Scanner<'f> {
        Scanner { file, buffer, cursor: 0, filled: 0, offset, end, chunk, later_chunk: chunk }
    }

    /// The first read is to take all that is wanted: those after it take only so much.
    pub(super) fn then_by(self, later_chunk: usize) -> Scanner<'f> {
        Scanner { later_chunk, ..self }
    }

    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// The next record. After `End` or `Bad` the walk is over.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let remaining = self.end.saturating_sub(self.offset);
        if remaining == 0 {
            return Ok(Next::End);
        }
        self.fill(RECORD_HEADER_BYTES)?;
        let len = record_len(self.buffer.get(self.cursor..self.filled).unwrap_or_default());
        if len <= JOURNAL_RECORD_MAX_BYTES {
            self.fill(len)?;
        }
        let offset = self.offset;
        let unread = self.buffer.get(self.cursor..self.filled).unwrap_or_default();
        match parse_record(unread, remaining) {
            Parsed::Record(raw) => {
                self.cursor += raw.len;
                self.offset += len_u64(raw.len);
                Ok(Next::Record(offset, raw))
            }
            Parsed::Short(_) => Ok(Next::Bad(offset, "the record is cut short")),
            Parsed::Bad(why) => Ok(Next::Bad(offset, why)),
        }
    }

    /// Reads on until `needed` unread bytes are there, or as many as the file has.
    fn fill(&mut self, needed: usize) -> io::Result<()> {
        let unread = self.filled.saturating_sub(self.cursor);
        if unread >= needed {
            return Ok(());
        }
        self.buffer.copy_within(self.cursor..self.filled, 0);
        self.cursor = 0;
        self.filled = unread;
        let remaining = offset_usize(self.end.saturating_sub(self.offset));
        let target = needed.max(self.chunk).min(remaining);
        self.chunk = self.later_chunk;
        if self.buffer.len() < target {
            self.buffer.resize(target, 0);
        }
        let Some(space) = self.buffer.get_mut(unread..target) else { return Ok(()) };
        self.filled += self.file.read_at(space, self.offset.saturating_add(len_u64(unread)))?;
        Ok(())
    }
}
