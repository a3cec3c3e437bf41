//! A look at all that a directory holds, without owning it: what the tools for the log stand on.
//!
//! Contract: nothing is changed. Every checksum, the chain of the ids, the chain of the files and the
//! form of every frame is checked. What is wrong is told, one problem a segment, and the walk goes on
//! with the next one. A server may be writing meanwhile: what it adds after the look began may or may
//! not be seen, what its retention removes is passed over.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use veloz_core::limits::JOURNAL_READ_MAX_BYTES;
use veloz_core::types::EventId;

use super::archive::OrderFiles;
use super::error::JournalError;
use super::format::{RawRecord, RecordRef, SEGMENT_RECORDS_START, SegmentHeader, len_u64};
use super::recovery::{
    AND_RECORDS_FOLLOW, Access, Tail, TornTail, check_header, is_half_made, judge_tail, missing_ids,
};
use super::scan::{Next, Scanner};
use super::segment::{parse_segment_name, segment_name};
use super::snapshot::{self, Position, Snapshot};
use super::storage::{DirStorage, Storage, StorageFile};
use crate::frame::frames;

/// The files of a log, as they were when it was opened.
#[derive(Debug)]
pub struct Inspection {
    storage: Arc<dyn Storage>,
    /// First id and length, by id.
    segments: Vec<(EventId, u64)>,
    snapshots: Vec<StoredSnapshot>,
    problems: Vec<Problem>,
}

/// A valid snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The file.
    pub path: PathBuf,
    /// Where the replay goes on.
    pub position: Position,
    /// It.
    pub snapshot: Snapshot,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl Problem {
    /// Damage with its place; any other error as one of the file that was looked at.
    pub fn of(error: &JournalError, file: &Path) -> Problem {
        match error {
            JournalError::Damaged { path, offset, what } => {
                Problem { path: path.clone(), offset: *offset, what: what.clone() }
            }
            error => Problem { path: file.to_path_buf(), offset: 0, what: error.to_string() },
        }
    }
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The file.
    pub path: PathBuf,
    /// Its first id.
    pub first_id: EventId,
    /// Its length: that of the active one with reserved space.
    pub bytes: u64,
    /// Retention took the market events out.
    pub compacted: bool,
    /// The newest one: it may grow.
    pub active: bool,
}

/// What a walk meets, in the order of the log.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A segment begins, and where its first record does.
    Segment(&'a SegmentInfo, Position),
    /// A record.
    Record {
        /// Where it begins.
        start: Position,
        /// Where it ends.
        end: Position,
        /// What is in it.
        record: RecordRef<'a>,
    },
    /// The log ends with a write that a crash cut short, or that is under way: the next start cuts it off.
    Torn(TornTail),
    /// Something is wrong; the rest of that segment is passed over.
    Problem(Problem),
}

/// What is told of each thing met; `Break` ends the walk.
pub(super) type Visit<'v> = dyn FnMut(Seen<'_>) -> ControlFlow<()> + 'v;

impl Inspection {
    /// Looks at a directory.
    ///
    /// # Errors
    /// When it cannot be read or holds no log.
    pub fn open(dir: &Path) -> Result<Inspection, JournalError> {
        Inspection::open_on(Arc::new(DirStorage::new(dir)))
    }

    /// The same on any storage.
    ///
    /// # Errors
    /// As [`Inspection::open`].
    pub fn open_on(storage: Arc<dyn Storage>) -> Result<Inspection, JournalError> {
        // Snapshots first: the log that is seen then reaches up to them.
        let (mut snapshots, mut problems) = (Vec::new(), Vec::new());
        for at in snapshot::list(&*storage)? {
            let name = snapshot::snapshot_name(at);
            let path = storage.path(&name);
            match snapshot::read(&*storage, &name, at) {
                Ok(Ok((position, snapshot))) => {
                    snapshots.push(StoredSnapshot { path, position, snapshot });
                }
                Ok(Err(what)) => problems.push(Problem { path, offset: 0, what: what.to_owned() }),
                Err(JournalError::Io { source, .. }) if is_gone(&source) => {}
                Err(error) => return Err(error),
            }
        }
        let files = storage.list().map_err(JournalError::io("read", storage.path("")))?;
        let mut segments: Vec<_> = files
            .iter()
            .filter_map(|(name, len)| Some((parse_segment_name(name)?, *len)))
            .collect();
        segments.sort_unstable();
        if segments.is_empty() {
            return Err(JournalError::NoLog { dir: storage.path("") });
        }
        Ok(Inspection { storage, segments, snapshots, problems })
    }

    /// The valid snapshots, newest first.
    pub fn snapshots(&self) -> &[StoredSnapshot] {
        &self.snapshots
    }

    /// The archive of closed orders.
    pub fn order_files(&self) -> OrderFiles {
        OrderFiles::new(&self.storage)
    }

    /// What is wrong with the others.
    pub fn snapshot_problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The first id of the oldest segment.
    pub(super) fn oldest_segment(&self) -> EventId {
        self.segments.first().map_or(1, |(first_id, _)| *first_id)
    }

    /// The length of all segments together.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, len)| len).sum()
    }

    /// Walks through the log, from the segment that holds the event after `after` on.
    ///
    /// # Errors
    /// When a file cannot be read, or is of a later version. What is damaged is told to `visit`.
    pub fn walk(&self, after: EventId, visit: &mut Visit<'_>) -> Result<(), JournalError> {
        let first = self.segments.partition_point(|(id, _)| *id <= after.saturating_add(1));
        let wanted = self.segments.get(first.saturating_sub(1)..).unwrap_or_default();
        let mut walk = Walk { storage: &*self.storage, before: None, next_id: None, visit };
        for (at, (first_id, _)) in wanted.iter().enumerate() {
            let active = at + 1 == wanted.len();
            if walk.segment(*first_id, active)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

struct Walk<'w, 'v> {
    storage: &'w dyn Storage,
    /// The segment before, when it was seen.
    before: Option<EventId>,
    /// The id that must come next, when it is known.
    next_id: Option<EventId>,
    visit: &'w mut Visit<'v>,
}

/// A segment that is walked through.
struct Current<'w> {
    info: &'w SegmentInfo,
    file: &'w dyn StorageFile,
    end: Position,
}

impl Walk<'_, '_> {
    fn segment(
        &mut self,
        first_id: EventId,
        active: bool,
    ) -> Result<ControlFlow<()>, JournalError> {
        let name = segment_name(first_id);
        let path = self.storage.path(&name);
        let io = |action| JournalError::io(action, path.clone());
        let file = match self.storage.open(&name) {
            Ok(file) => file,
            Err(error) if is_gone(&error) => {
                // Retention removed it since the directory was listed, and all before it.
                (self.before, self.next_id) = (None, None);
                return Ok(ControlFlow::Continue(()));
            }
            Err(error) => return Err(io("open")(error)),
        };
        let header = match check_header(&*file, path.clone(), first_id) {
            Ok(header) => header,
            Err(JournalError::Damaged { path, offset, what }) => {
                if active && self.before.is_some() && is_half_made(&*file).map_err(io("read"))? {
                    let bytes = file.size().map_err(io("read"))?;
                    return Ok((self.visit)(Seen::Torn(TornTail { file: name, offset, bytes })));
                }
                (self.before, self.next_id) = (Some(first_id), None);
                return Ok((self.visit)(Seen::Problem(Problem { path, offset, what })));
            }
            Err(error) => return Err(error),
        };
        if let Some(problem) = self.break_in_the_chain(&header, &path)
            && (self.visit)(Seen::Problem(problem)).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        let bytes = file.size().map_err(io("read"))?;
        let info = SegmentInfo { path, first_id, bytes, compacted: header.compacted, active };
        let start =
            Position { segment_id: first_id, offset: SEGMENT_RECORDS_START, next_id: first_id };
        if (self.visit)(Seen::Segment(&info, start)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut current = Current { info: &info, file: &*file, end: start };
        let done =
            self.records(&mut current).map_err(JournalError::io("read", info.path.clone()))?;
        self.before = Some(first_id);
        Ok(done)
    }

    fn break_in_the_chain(&self, header: &SegmentHeader, path: &Path) -> Option<Problem> {
        let before = self.before?;
        if header.previous_id != before {
            let path = self.storage.path(&segment_name(header.previous_id));
            let what = format!("it is missing: {} follows it", segment_name(header.first_id));
            return Some(Problem { path, offset: 0, what });
        }
        let next_id = self.next_id.filter(|next_id| *next_id != header.first_id)?;
        let what = missing_ids(next_id, header.first_id);
        Some(Problem { path: path.to_path_buf(), offset: 0, what })
    }

    /// Walks through the records of a segment, and judges what is behind them.
    fn records(&mut self, current: &mut Current<'_>) -> io::Result<ControlFlow<()>> {
        self.next_id = None;
        let (offset, what) = match self.whole_records(current)? {
            Stop::End => {
                self.next_id = Some(current.end.next_id);
                return Ok(ControlFlow::Continue(()));
            }
            Stop::Enough => return Ok(ControlFlow::Break(())),
            Stop::Bad(offset, why) if current.info.active => {
                match judge_tail(current.file, offset, current.end.next_id, Access::Reader)? {
                    Tail::Torn { bytes: 0 } => return Ok(ControlFlow::Continue(())),
                    Tail::Torn { bytes } => {
                        let file = segment_name(current.info.first_id);
                        return Ok((self.visit)(Seen::Torn(TornTail { file, offset, bytes })));
                    }
                    Tail::Damaged => (offset, format!("{why}, {AND_RECORDS_FOLLOW}")),
                }
            }
            Stop::Bad(offset, why) => (offset, why.to_owned()),
            Stop::Wrong(offset, what) => (offset, what),
        };
        let path = current.info.path.clone();
        Ok((self.visit)(Seen::Problem(Problem { path, offset, what })))
    }

    /// Walks as far as there are records.
    fn whole_records(&mut self, current: &mut Current<'_>) -> io::Result<Stop> {
        let Current { info, file, end } = current;
        let len = file.size()?;
        let mut scanner = Scanner::new(*file, end.offset, len, JOURNAL_READ_MAX_BYTES, Vec::new());
        loop {
            let (offset, raw) = match scanner.next()? {
                Next::Record(offset, raw) => (offset, raw),
                Next::End => return Ok(Stop::End),
                Next::Bad(offset, why) => return Ok(Stop::Bad(offset, why)),
            };
            let record = raw.record;
            if record.first_id != end.next_id {
                return Ok(Stop::Wrong(offset, missing_ids(end.next_id, record.first_id)));
            }
            if let Some(why) = bad_frames(&raw, info.compacted) {
                return Ok(Stop::Wrong(offset, why.to_owned()));
            }
            let start = *end;
            end.offset += len_u64(raw.len);
            end.next_id = record.next_id();
            if (self.visit)(Seen::Record { start, end: *end, record }).is_break() {
                return Ok(Stop::Enough);
            }
        }
    }
}

/// Why a walk through a segment stops.
enum Stop {
    End,
    /// The visitor has seen enough.
    Enough,
    /// No record is there.
    Bad(u64, &'static str),
    /// A whole record that does not belong there.
    Wrong(u64, String),
}

/// What is wrong with the frames of a record whose checksum is right.
fn bad_frames(raw: &RawRecord<'_>, compacted: bool) -> Option<&'static str> {
    let record = &raw.record;
    let (mut next_id, mut count) = (record.first_id, 0);
    let mut all = frames(record.frames);
    for frame in all.by_ref() {
        if frame.id < next_id || (frame.id > next_id && !compacted) {
            return Some("the frames' ids do not follow one another");
        }
        next_id = frame.id.saturating_add(1);
        count += 1;
    }
    if !all.rest().is_empty() {
        return Some("the record's frames are none");
    }
    let whole = compacted || raw.stored == record.events;
    if count != raw.stored || next_id > record.next_id() || !whole {
        return Some("the record has another number of frames than it says");
    }
    None
}

pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
