//! Finds what is stored: the segments, the end of the log, the snapshot to start from, and replays
//! the rest.
//!
//! Contract: whole steps only. A tail that was never finished is cut and told; damage anywhere else is
//! an error that names file and offset, and nothing is changed then.
//!
//! What tells one from the other: a record says up to where its segment was on the disk when it was
//! written. Bad bytes with a valid record behind them that says "all of this was on the disk" are
//! damage; without one they are a write that the crash cut short or reordered.
//!
//! Known limits: damage in the last write before a crash looks like a torn tail. A sealed segment is
//! checked when it is read or replayed, not at each start.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use veloz_core::limits::{JOURNAL_LOOKS_COUNT, JOURNAL_READ_MAX_BYTES, JOURNAL_SEGMENT_MAX_BYTES};
use veloz_core::types::EventId;

use super::archive::{self, OrderFiles};
use super::error::JournalError;
use super::format::{
    BadHeader, FORMAT_VERSION, Parsed, RawRecord, RecordRef, SEGMENT_HEADER_BYTES,
    SEGMENT_RECORDS_START, SegmentHeader, len_u64, offset_usize, parse_record, record_first_id,
};
use super::scan::{Next, Scanner};
use super::segment::{Log, Segment, TEMPORARY_SUFFIX, parse_segment_name, segment_name};
use super::snapshot::{Position, Snapshot};
use super::storage::{Storage, StorageFile};

/// The end of a write that a crash cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: String,
    /// Where the whole records end.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
}

/// What was found at the start, and the way to go on from it.
#[derive(Debug)]
pub struct Recovery {
    /// The newest valid snapshot of the state: none when the replay begins at the first event.
    pub snapshot: Option<Snapshot>,
    /// Damaged snapshots that were passed over, each with what is wrong with it.
    pub passed_over: Vec<String>,
    /// The unfinished write that was cut.
    pub torn: Option<TornTail>,
    /// The newest event in the log.
    pub newest: EventId,
    pub(super) log: Arc<Log>,
    pub(super) from: Position,
}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// The log could not be read.
    #[error(transparent)]
    Journal(JournalError),
    /// The callback refused a record.
    #[error("cannot apply the step at event {first_id}")]
    Apply {
        /// The record's first id.
        first_id: EventId,
        /// What the callback said.
        source: E,
    },
}

impl Recovery {
    /// The archive of closed orders.
    pub fn order_files(&self) -> OrderFiles {
        OrderFiles::new(&self.log.storage)
    }

    /// Cuts what is in the archive behind the orders of the snapshot: of an archiving that was never finished. To be
    /// done once the state is there, for a start that is refused changes nothing.
    ///
    /// # Errors
    /// When it cannot be cut.
    pub fn cut_archive(&self) -> Result<(), JournalError> {
        let archived = self.snapshot.as_ref().and_then(|snapshot| snapshot.archived);
        archive::cut(&*self.log.storage, archived.unwrap_or_default())
    }

    /// Gives every record behind the snapshot to `apply`, in order. Compacted records come without
    /// their market frames.
    ///
    /// # Errors
    /// When the log is damaged or `apply` refuses a record.
    pub fn replay<E>(
        &self,
        apply: impl FnMut(RecordRef<'_>) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        replay(&self.log, self.from, None, apply)
    }
}

/// Gives every record from one position on to `apply`, up to another or to the end of the log.
pub(super) fn replay<E>(
    log: &Log,
    from: Position,
    to: Option<Position>,
    mut apply: impl FnMut(RecordRef<'_>) -> Result<(), E>,
) -> Result<(), ReplayError<E>> {
    let Position { segment_id, mut offset, mut next_id } = from;
    let mut buffer = Vec::new();
    let segments = log.segments();
    let first = segments.partition_point(|segment| segment.header.first_id < segment_id);
    for segment in segments.get(first..).unwrap_or_default() {
        let first_id = segment.header.first_id;
        let end = match to {
            Some(to) if to.segment_id < first_id => break,
            Some(to) if to.segment_id == first_id => to.offset,
            _ => segment.end(),
        };
        let path = log.storage.path(&segment.name());
        let io = JournalError::io("read", path.clone());
        let damaged =
            |offset, what| ReplayError::Journal(JournalError::Damaged { path, offset, what });
        if first_id > next_id {
            return Err(damaged(0, missing_ids(next_id, first_id)));
        }
        let file = match log.storage.open(&segment.name()) {
            Ok(file) => file,
            Err(error) => return Err(ReplayError::Journal(io(error))),
        };
        let mut scanner = Scanner::new(&*file, offset, end, JOURNAL_READ_MAX_BYTES, buffer);
        loop {
            match scanner.next() {
                Ok(Next::Record(at, raw)) if raw.record.first_id != next_id => {
                    return Err(damaged(at, missing_ids(next_id, raw.record.first_id)));
                }
                Ok(Next::Record(_, raw)) => {
                    next_id = raw.record.next_id();
                    if raw.record.events == 0 && raw.record.facts.is_empty() {
                        continue; // a mark: see the writer
                    }
                    let first_id = raw.record.first_id;
                    apply(raw.record).map_err(|source| ReplayError::Apply { first_id, source })?;
                }
                Ok(Next::End) => break,
                Ok(Next::Bad(at, why)) => return Err(damaged(at, why.to_owned())),
                Err(error) => return Err(ReplayError::Journal(io(error))),
            }
        }
        buffer = scanner.into_buffer();
        offset = SEGMENT_RECORDS_START;
    }
    Ok(())
}

/// Whether what is found may be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The journal's owner: left-overs are removed, a torn tail is cut.
    Owner,
    /// Someone who looks on, perhaps while the owner writes.
    Reader,
}

/// The segments of a directory.
#[derive(Debug)]
pub(super) struct Found {
    /// By id; empty in an empty directory.
    pub segments: Vec<Arc<Segment>>,
    pub newest: EventId,
    pub torn: Option<TornTail>,
    /// Up to where the last segment is known to be on the disk.
    pub durable: u64,
}

/// Finds the segments and the end of the log.
pub(super) fn find_segments(storage: &dyn Storage, access: Access) -> Result<Found, JournalError> {
    let files = storage.list().map_err(JournalError::io("read", storage.path("")))?;
    let mut names = Vec::new();
    for (name, len) in files {
        if let Some(first_id) = parse_segment_name(&name) {
            names.push((first_id, len));
        } else if name.ends_with(TEMPORARY_SUFFIX) && access == Access::Owner {
            storage.remove(&name).map_err(JournalError::io("remove", storage.path(&name)))?;
        }
    }
    names.sort_unstable();
    drop_half_made(storage, access, &mut names)?;
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(names.len());
    for &(first_id, len) in &names {
        let header = match read_header(storage, first_id) {
            // Retention took it since the directory was listed, and with it all before it.
            Err(JournalError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && access == Access::Reader =>
            {
                segments.clear();
                continue;
            }
            header => header?,
        };
        if let Some(before) = segments.last().map(|segment| segment.header.first_id)
            && header.previous_id != before
        {
            let path = storage.path(&segment_name(header.previous_id));
            let what = format!("{} follows it", segment_name(first_id));
            return Err(JournalError::Missing { path, what });
        }
        segments.push(Arc::new(Segment::new(header, len)));
    }
    let Some(last) = segments.last() else {
        return Ok(Found { segments, newest: 0, torn: None, durable: 0 });
    };
    let TailFound { newest, torn, durable } = find_tail(storage, access, last)?;
    Ok(Found { segments, newest, torn, durable })
}

/// Forgets the last segment when a crash hit while it was made: no record was written to it yet.
fn drop_half_made(
    storage: &dyn Storage,
    access: Access,
    names: &mut Vec<(EventId, u64)>,
) -> Result<(), JournalError> {
    let Some(&(first_id, _)) = names.last() else { return Ok(()) };
    match read_header(storage, first_id) {
        Err(JournalError::Damaged { .. }) => {}
        Ok(_) => return Ok(()),
        Err(other) => return Err(other),
    }
    let name = segment_name(first_id);
    let file = storage.open(&name).map_err(JournalError::io("open", storage.path(&name)))?;
    let half_made = is_half_made(&*file).map_err(JournalError::io("read", storage.path(&name)))?;
    let alone_and_late = names.len() == 1 && first_id > 1;
    if alone_and_late || !half_made {
        return Ok(()); // damage: the caller meets it again and says so
    }
    names.pop();
    if access == Access::Owner {
        storage.remove(&name).map_err(JournalError::io("remove", storage.path(&name)))?;
        storage.sync_dir().map_err(JournalError::io("sync", storage.path("")))?;
    }
    Ok(())
}

/// Whether nothing is behind a header that is none.
pub(super) fn is_half_made(file: &dyn StorageFile) -> io::Result<bool> {
    Ok(read_rest(file, SEGMENT_RECORDS_START)?.iter().all(|&byte| byte == 0))
}

/// Reads and checks the header of a segment.
pub(super) fn read_header(
    storage: &dyn Storage,
    first_id: EventId,
) -> Result<SegmentHeader, JournalError> {
    let name = segment_name(first_id);
    let path = storage.path(&name);
    let file = storage.open(&name).map_err(JournalError::io("open", path.clone()))?;
    check_header(&*file, path, first_id)
}

/// The same of an open file.
pub(super) fn check_header(
    file: &dyn StorageFile,
    path: PathBuf,
    first_id: EventId,
) -> Result<SegmentHeader, JournalError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let len = file.read_at(&mut bytes, 0).map_err(JournalError::io("read", path.clone()))?;
    let damaged =
        |what: &str| JournalError::Damaged { path: path.clone(), offset: 0, what: what.to_owned() };
    match SegmentHeader::decode(bytes.get(..len).unwrap_or_default()) {
        Ok(header) if header.first_id == first_id => Ok(header),
        Ok(_) => Err(damaged("the header belongs to another segment")),
        Err(BadHeader::Damaged) => Err(damaged("the header is not one")),
        Err(BadHeader::Version(found)) => {
            Err(JournalError::Version { path, found, known: FORMAT_VERSION })
        }
    }
}

/// The end of the last segment.
struct TailFound {
    newest: EventId,
    torn: Option<TornTail>,
    durable: u64,
}

/// Finds the end of the last segment, sets it, and cuts what stands behind it.
fn find_tail(
    storage: &dyn Storage,
    access: Access,
    segment: &Segment,
) -> Result<TailFound, JournalError> {
    let name = segment.name();
    let path = storage.path(&name);
    let io = |action| JournalError::io(action, path.clone());
    let file = match access {
        Access::Owner => storage.open_for_write(&name).map_err(io("open"))?,
        Access::Reader => storage.open(&name).map_err(io("open"))?,
    };
    let len = file.size().map_err(io("read"))?;
    let mut next_id = segment.header.first_id;
    let (mut noted, mut durable) = (0, 0);
    let mut scanner =
        Scanner::new(&*file, SEGMENT_RECORDS_START, len, JOURNAL_READ_MAX_BYTES, Vec::new());
    let bad = loop {
        match scanner.next().map_err(io("read"))? {
            Next::Record(offset, raw) if raw.record.first_id != next_id => {
                let what = missing_ids(next_id, raw.record.first_id);
                return Err(JournalError::Damaged { path, offset, what });
            }
            Next::Record(offset, raw) => {
                segment.note(&mut noted, offset, next_id);
                durable = durable.max(u64::from(raw.durable));
                next_id = raw.record.next_id();
            }
            Next::End => break None,
            Next::Bad(offset, why) => break Some((offset, why)),
        }
    };
    let Some((offset, why)) = bad else {
        segment.set_end(len);
        return Ok(TailFound { newest: next_id - 1, torn: None, durable });
    };
    let torn_bytes = match judge_tail(&*file, offset, next_id, access).map_err(io("read"))? {
        Tail::Torn { bytes } => bytes,
        Tail::Damaged => {
            let what = format!("{why}, {AND_RECORDS_FOLLOW}");
            return Err(JournalError::Damaged { path, offset, what });
        }
    };
    segment.set_end(offset);
    // Reserved space stays: on a full disk there may be no other.
    if access == Access::Owner && torn_bytes > 0 {
        file.set_len(offset).map_err(io("cut"))?;
    }
    let torn = (torn_bytes > 0).then_some(TornTail { file: name, offset, bytes: torn_bytes });
    Ok(TailFound { newest: next_id - 1, torn, durable })
}

/// Writes again what stands between two offsets. A sync that failed may have left bytes in memory only that
/// no later sync brings to the disk: the system takes them for written.
pub(super) fn write_again(file: &dyn StorageFile, mut from: u64, to: u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    while from < to {
        let len = offset_usize(to - from).min(JOURNAL_READ_MAX_BYTES);
        bytes.resize(len, 0);
        let read = file.read_at(&mut bytes, from)?;
        if read < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&bytes, from)?;
        from += len_u64(len);
    }
    Ok(())
}

/// What tells damage at the end of the log from a write that a crash cut short.
pub(super) const AND_RECORDS_FOLLOW: &str = "and whole records follow";

/// What stands behind the last whole record of the last segment.
pub(super) enum Tail {
    /// A write that never finished; 0 bytes of it: reserved space, or nothing.
    Torn { bytes: u64 },
    /// It was on the disk once.
    Damaged,
}

/// Judges what stands at `offset`, where no record is, though the file goes on there.
pub(super) fn judge_tail(
    file: &dyn StorageFile,
    offset: u64,
    next_id: EventId,
    access: Access,
) -> io::Result<Tail> {
    let mut looks = 1;
    loop {
        let rest = read_rest(file, offset)?;
        if !whole_records(&rest, next_id).any(|raw| u64::from(raw.durable) > offset) {
            // Zeros are reserved space, not a torn write.
            let last = rest.iter().rposition(|&byte| byte != 0);
            return Ok(Tail::Torn { bytes: last.map_or(0, |last| len_u64(last) + 1) });
        }
        // Where another writes, a record can be there by now; a write can be seen half done, too.
        let is_written_now = record_first_id(&rest) == next_id
            && matches!(parse_record(&rest, len_u64(rest.len())), Parsed::Record(_));
        match access {
            Access::Reader if is_written_now => return Ok(Tail::Torn { bytes: 0 }),
            Access::Reader if looks < JOURNAL_LOOKS_COUNT => looks += 1,
            Access::Reader | Access::Owner => return Ok(Tail::Damaged),
        }
    }
}

/// The whole records that stand anywhere in `rest`, which follows the event before `next_id`.
pub(super) fn whole_records(rest: &[u8], next_id: EventId) -> impl Iterator<Item = RawRecord<'_>> {
    let possible = next_id..=next_id.saturating_add(JOURNAL_SEGMENT_MAX_BYTES);
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(bytes) = rest.get(at..).filter(|bytes| !bytes.is_empty()) {
            // The id first: it spares the checksum of nearly all that is no record.
            if possible.contains(&record_first_id(bytes))
                && let Parsed::Record(raw) = parse_record(bytes, len_u64(bytes.len()))
            {
                at += raw.len;
                return Some(raw);
            }
            at += 1;
        }
        None
    })
}

/// What stands from `offset` on, without the reserved space at the end: zeros are passed over in steps.
pub(super) fn read_rest(file: &dyn StorageFile, offset: u64) -> io::Result<Vec<u8>> {
    const STEP_BYTES: usize = 64 << 10;
    static ZEROS: [u8; STEP_BYTES] = [0; STEP_BYTES];
    let (mut rest, mut zeros, mut step) = (Vec::new(), 0, vec![0; STEP_BYTES]);
    loop {
        let read = file.read_at(&mut step, offset.saturating_add(len_u64(rest.len() + zeros)))?;
        let bytes = step.get(..read).unwrap_or_default();
        if ZEROS.starts_with(bytes) {
            zeros += read;
        } else {
            rest.resize(rest.len() + zeros, 0);
            rest.extend_from_slice(bytes);
            zeros = 0;
        }
        if read < STEP_BYTES {
            return Ok(rest);
        }
    }
}

pub(super) fn missing_ids(expected: EventId, found: EventId) -> String {
    format!("event {expected} should come here, event {found} does")
}
