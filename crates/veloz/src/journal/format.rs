//! The bytes of segments: headers and records. `docs/journal-format.md` is the same for people.
//!
//! Contract: little endian; every byte is under a crc32c; nothing here reads or writes a file.
//! [`parse_record`] accepts exactly what [`seal_record`] wrote.

use veloz_core::limits::JOURNAL_RECORD_MAX_BYTES;
use veloz_core::types::EventId;

use super::error::JournalError;

/// The version written; older ones are read.
pub(super) const FORMAT_VERSION: u32 = 1;
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
/// The offset of a segment's first record.
pub(super) const SEGMENT_RECORDS_START: u64 = 64;
pub(super) const RECORD_HEADER_BYTES: usize = 40;

const SEGMENT_MAGIC: [u8; 8] = *b"VELOZLOG";
const FLAG_COMPACTED: u32 = 1;
/// The bytes that a crc does not cover: itself.
const CRC_BYTES: usize = 4;

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Retention took the market events out.
    pub compacted: bool,
    /// The id of the first event; also the file's name.
    pub first_id: EventId,
    /// The segment before: 0 for the very first. Tells a missing file.
    pub previous_id: EventId,
    /// The wall clock at the append that created it; 0 for the very first.
    pub created_ns: i64,
}

/// Why a header is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Too short, no magic or a wrong checksum.
    Damaged,
    /// Whole, but of another version.
    Version(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        let flags = if self.compacted { FLAG_COMPACTED } else { 0 };
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&self.first_id.to_le_bytes());
        bytes.extend_from_slice(&self.previous_id.to_le_bytes());
        bytes.extend_from_slice(&self.created_ns.to_le_bytes());
        bytes.resize(SEGMENT_HEADER_BYTES - CRC_BYTES, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.try_into().unwrap_or([0; SEGMENT_HEADER_BYTES])
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        let header = bytes.first_chunk::<SEGMENT_HEADER_BYTES>().ok_or(BadHeader::Damaged)?;
        let (body, crc) = header.split_last_chunk::<CRC_BYTES>().ok_or(BadHeader::Damaged)?;
        let mut fields = Fields(body);
        if fields.take::<8>() != SEGMENT_MAGIC || crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(BadHeader::Damaged);
        }
        let version = fields.u32();
        if version != FORMAT_VERSION {
            return Err(BadHeader::Version(version));
        }
        Ok(SegmentHeader {
            compacted: fields.u32() & FLAG_COMPACTED != 0,
            first_id: fields.u64(),
            previous_id: fields.u64(),
            created_ns: i64::from_le_bytes(fields.take()),
        })
    }
}

/// One step as it is stored: what replay applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The id of its first event; the id that comes next when it has none.
    pub first_id: EventId,
    /// How many events it had when it was written.
    pub events: u32,
    /// The wall clock at the append.
    pub wall_ns: i64,
    /// The step's private facts.
    pub facts: &'a [u8],
    /// The step's frames: without the market events once retention took them out.
    pub frames: &'a [u8],
}

impl RecordRef<'_> {
    /// The id after its last event.
    pub fn next_id(&self) -> EventId {
        self.first_id.saturating_add(u64::from(self.events))
    }
}

/// A record with what only the journal needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawRecord<'a> {
    pub record: RecordRef<'a>,
    /// How many frames are stored: `events` but for a compacted record.
    pub stored: u32,
    /// Up to where the segment was on the disk when this was written: damage before that offset is
    /// damage, damage behind it may be a write that never finished.
    pub durable: u32,
    /// Bytes of the record.
    pub len: usize,
}

/// What stands at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    Record(RawRecord<'a>),
    /// That many bytes are needed to tell.
    Short(usize),
    Bad(&'static str),
}

/// The fixed part of a record but for its length and checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordHead {
    pub first_id: EventId,
    pub wall_ns: i64,
    pub events: u32,
    pub stored: u32,
    pub facts_len: u32,
    pub durable: u32,
}

/// Fills in the first [`RECORD_HEADER_BYTES`] of `record`.
pub(super) fn seal_record(record: &mut [u8], head: &RecordHead) -> Result<(), JournalError> {
    put_head(record, head)?;
    put_checksum(record, crc32c::crc32c(covered(record)));
    Ok(())
}

/// The same without the checksum: [`put_checksum`] comes last. Of many records, all heads first: a checksum is
/// taken over words that the head was not written in, and bytes just written have to be waited for then.
pub(super) fn put_head(record: &mut [u8], head: &RecordHead) -> Result<(), JournalError> {
    let bytes = record.len();
    let too_large = || JournalError::TooLarge {
        what: "a record",
        bytes: len_u64(bytes),
        max: len_u64(JOURNAL_RECORD_MAX_BYTES),
    };
    if bytes > JOURNAL_RECORD_MAX_BYTES {
        return Err(too_large());
    }
    let len = u32::try_from(bytes).map_err(|_| too_large())?;
    let header = record.first_chunk_mut::<RECORD_HEADER_BYTES>().ok_or_else(too_large)?;
    let mut rest: &mut [u8] = header;
    put(&mut rest, [0; CRC_BYTES]);
    put(&mut rest, len.to_le_bytes());
    put(&mut rest, head.first_id.to_le_bytes());
    put(&mut rest, head.wall_ns.to_le_bytes());
    put(&mut rest, head.events.to_le_bytes());
    put(&mut rest, head.stored.to_le_bytes());
    put(&mut rest, head.facts_len.to_le_bytes());
    put(&mut rest, head.durable.to_le_bytes());
    Ok(())
}

/// What the checksum of a record is of.
pub(super) fn covered(record: &[u8]) -> &[u8] {
    record.get(CRC_BYTES..).unwrap_or_default()
}

/// Fills in the checksum of a record whose head is there.
pub(super) fn put_checksum(record: &mut [u8], checksum: u32) {
    if let Some(crc) = record.first_chunk_mut::<CRC_BYTES>() {
        *crc = checksum.to_le_bytes();
    }
}

/// What the record at the start of `bytes` says its length is, unchecked; 0 when that is not there.
pub(super) fn record_len(bytes: &[u8]) -> usize {
    let mut fields = Fields(bytes);
    fields.u32();
    usize::try_from(fields.u32()).unwrap_or(usize::MAX)
}

/// What it says its first id is, unchecked.
pub(super) fn record_first_id(bytes: &[u8]) -> EventId {
    let mut fields = Fields(bytes);
    fields.u64();
    fields.u64()
}

/// How many events it says it has, unchecked.
pub(super) fn record_events(bytes: &[u8]) -> u64 {
    let mut fields = Fields(bytes);
    fields.u64();
    fields.u64();
    fields.u64();
    fields.u32().into()
}

/// Reads the record at the start of `bytes`; `remaining` is how long it can be.
pub(super) fn parse_record(bytes: &[u8], remaining: u64) -> Parsed<'_> {
    let Some(header) = bytes.first_chunk::<RECORD_HEADER_BYTES>() else {
        if remaining < len_u64(RECORD_HEADER_BYTES) {
            return Parsed::Bad("the record is cut short");
        }
        return Parsed::Short(RECORD_HEADER_BYTES);
    };
    let mut fields = Fields(header);
    let crc = fields.u32();
    let len = usize::try_from(fields.u32()).unwrap_or(usize::MAX);
    if !(RECORD_HEADER_BYTES..=JOURNAL_RECORD_MAX_BYTES).contains(&len) {
        return Parsed::Bad(if len == 0 { "no record is there" } else { "the length is wrong" });
    }
    if len_u64(len) > remaining {
        return Parsed::Bad("the record is cut short");
    }
    let (Some(covered), Some(payload)) =
        (bytes.get(CRC_BYTES..len), bytes.get(RECORD_HEADER_BYTES..len))
    else {
        return Parsed::Short(len);
    };
    if crc32c::crc32c(covered) != crc {
        return Parsed::Bad("the checksum does not match");
    }
    let first_id = fields.u64();
    let wall_ns = i64::from_le_bytes(fields.take());
    let events = fields.u32();
    let stored = fields.u32();
    let facts_len = usize::try_from(fields.u32()).unwrap_or(usize::MAX);
    let durable = fields.u32();
    let Some((facts, frames)) = payload.split_at_checked(facts_len) else {
        return Parsed::Bad("the lengths do not fit");
    };
    let record = RecordRef { first_id, events, wall_ns, facts, frames };
    Parsed::Record(RawRecord { record, stored, durable, len })
}

/// Reads fixed fields one after the other; what is not there reads as zeros.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.0 = rest;
                *head
            }
            None => [0; N],
        }
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((head, tail)) = std::mem::take(rest).split_first_chunk_mut::<N>() {
        *head = bytes;
        *rest = tail;
    }
}

/// A length as an offset.
pub(super) fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// An offset as a length.
pub(super) fn offset_usize(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_header_reads_back_and_refuses_each_flipped_bit() {
        let header =
            SegmentHeader { compacted: true, first_id: 17, previous_id: 3, created_ns: -5 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Err(BadHeader::Damaged), "bit {at}");
        }
    }

    #[test]
    fn a_record_reads_back_and_refuses_each_flipped_bit() {
        let mut bytes = vec![0; RECORD_HEADER_BYTES];
        bytes.extend_from_slice(b"{}id: 9");
        let head = RecordHead {
            first_id: 9,
            wall_ns: 77,
            events: 1,
            stored: 1,
            facts_len: 2,
            durable: 64,
        };
        seal_record(&mut bytes, &head).expect("fits");
        let record =
            RecordRef { first_id: 9, events: 1, wall_ns: 77, facts: b"{}", frames: b"id: 9" };
        let len = bytes.len();
        let raw = RawRecord { record, stored: 1, durable: 64, len };
        assert_eq!(parse_record(&bytes, 1000), Parsed::Record(raw));
        assert_eq!(parse_record(&bytes[..len - 1], 1000), Parsed::Short(len));
        assert!(matches!(parse_record(&bytes, len_u64(len) - 1), Parsed::Bad(_)));
        for at in 0..len * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let parsed = parse_record(&flipped, len_u64(len));
            assert!(matches!(parsed, Parsed::Bad(_)), "bit {at}: {parsed:?}");
        }
    }
}
