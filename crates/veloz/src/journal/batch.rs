//! What one append writes: records built in place, in one buffer that is used again.

use veloz_core::types::EventId;

use super::checksum::{LANES, checksums};
use super::error::JournalError;
use super::format::{RECORD_HEADER_BYTES, RecordHead, covered, put_checksum, put_head};

/// Steps that are stored together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    first_id: EventId,
    events: u32,
    start: usize,
    frames_start: usize,
    end: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds a step: `frames` writes the frames of its `events` events. A step without events has the id
    /// that comes next as its `first_id`.
    pub fn step(
        &mut self,
        first_id: EventId,
        events: u32,
        facts: &[u8],
        frames: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        self.bytes.resize(start + RECORD_HEADER_BYTES, 0);
        self.bytes.extend_from_slice(facts);
        let frames_start = self.bytes.len();
        frames(&mut self.bytes);
        self.records.push(Entry { first_id, events, start, frames_start, end: self.bytes.len() });
    }

    /// Whether it holds no step.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many bytes it will take in the log.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The frames of each step: what is published once the batch is stored.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().filter_map(|entry| self.bytes.get(entry.frames_start..entry.end))
    }

    /// Empties it; the buffer stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    /// The id that comes after it when it goes on at `next_id`.
    pub(super) fn check_order(&self, mut next_id: EventId) -> Result<EventId, JournalError> {
        for entry in &self.records {
            if entry.first_id != next_id {
                return Err(JournalError::OutOfOrder { expected: next_id, got: entry.first_id });
            }
            next_id += u64::from(entry.events);
        }
        Ok(next_id)
    }

    /// Fills in the headers and gives the bytes to write.
    pub(super) fn seal(&mut self, wall_ns: i64, durable: u32) -> Result<&[u8], JournalError> {
        for entry in &self.records {
            let record = self.bytes.get_mut(entry.start..entry.end).unwrap_or_default();
            let facts_len = entry.frames_start - entry.start - RECORD_HEADER_BYTES;
            let head = RecordHead {
                first_id: entry.first_id,
                wall_ns,
                events: entry.events,
                stored: entry.events,
                facts_len: u32::try_from(facts_len).unwrap_or(u32::MAX),
                durable,
            };
            put_head(record, &head)?;
        }
        let (groups, rest) = self.records.as_chunks::<LANES>();
        for group in groups {
            let record = |entry: &Entry| self.bytes.get(entry.start..entry.end);
            let records = group.each_ref().map(|entry| record(entry).unwrap_or_default());
            for (entry, checksum) in group.iter().zip(checksums(records.map(covered))) {
                put_checksum(self.bytes.get_mut(entry.start..).unwrap_or_default(), checksum);
            }
        }
        for entry in rest {
            let record = self.bytes.get_mut(entry.start..entry.end).unwrap_or_default();
            put_checksum(record, crc32c::crc32c(covered(record)));
        }
        Ok(&self.bytes)
    }

    /// Where each record begins in [`Batch::seal`]'s bytes, with its first id.
    pub(super) fn offsets(&self) -> impl Iterator<Item = (usize, EventId)> {
        self.records.iter().map(|entry| (entry.start, entry.first_id))
    }
}
