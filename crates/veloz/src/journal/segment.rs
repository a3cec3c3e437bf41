//! What is known in memory about the segments, shared by the writer, the readers and the background.
//!
//! Order guarantee: a segment's end is published before the newest id, both after the bytes are stored;
//! whoever sees an id finds its bytes. A file is opened under the same lock under which another takes
//! its place or it is removed, so that an index is never used on another file.
//!
//! The index of a segment that was sealed before the start grows as it is read: see [`super::seek`].

use std::io;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use veloz_core::limits::{JOURNAL_INDEX_STRIDE_BYTES, JOURNAL_OPEN_SEGMENTS_COUNT};
use veloz_core::types::EventId;

use super::format::{SEGMENT_RECORDS_START, SegmentHeader};
use super::log::Bounds;
use super::metrics::Counts;
use super::snapshot::Position;
use super::storage::{Storage, StorageFile};

const SEGMENT_SUFFIX: &str = ".vlz";
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";
/// So that names sort as their ids do.
const ID_DIGITS_COUNT: usize = 20;

/// A file's name: the id, then what the file is.
pub(super) fn id_name(id: EventId, suffix: &str) -> String {
    format!("{id:0width$}{suffix}", width = ID_DIGITS_COUNT)
}

/// The id of such a name.
pub(super) fn parse_id_name(name: &str, suffix: &str) -> Option<EventId> {
    let digits = name.strip_suffix(suffix)?;
    let all = digits.len() == ID_DIGITS_COUNT && digits.bytes().all(|b| b.is_ascii_digit());
    if all { digits.parse().ok() } else { None }
}

/// The name of the segment that begins with that id.
pub(super) fn segment_name(first_id: EventId) -> String {
    id_name(first_id, SEGMENT_SUFFIX)
}

/// The first id of the segment of that name.
pub(super) fn parse_segment_name(name: &str) -> Option<EventId> {
    parse_id_name(name, SEGMENT_SUFFIX)
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub header: SegmentHeader,
    /// Where its records end, as far as they may be read.
    end: AtomicU64,
    /// Removed or replaced: its handle is not kept.
    retired: AtomicBool,
    /// Some of its records, in order: both numbers grow.
    index: RwLock<Vec<Place>>,
}

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub offset: u64,
    pub first_id: EventId,
}

impl Segment {
    pub(super) fn new(header: SegmentHeader, end: u64) -> Segment {
        let start = Place { first_id: header.first_id, offset: SEGMENT_RECORDS_START };
        Segment {
            header,
            end: AtomicU64::new(end),
            retired: AtomicBool::new(false),
            index: RwLock::new(vec![start]),
        }
    }

    pub(super) fn name(&self) -> String {
        segment_name(self.header.first_id)
    }

    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// What the index knows of the way to `id`: a record at or before its own, and one behind it.
    pub(super) fn around(&self, id: EventId) -> (Place, Option<Place>) {
        let index = read_lock(&self.index);
        let after = index.partition_point(|place| place.first_id <= id);
        let start = Place { offset: SEGMENT_RECORDS_START, first_id: self.header.first_id };
        let before = after.checked_sub(1).and_then(|at| index.get(at));
        (before.copied().unwrap_or(start), index.get(after).copied())
    }

    /// Takes a record into the index when none there is near it. `noted` is where a walk was when it last did, so
    /// that it need not ask for each.
    pub(super) fn note(&self, noted: &mut u64, offset: u64, first_id: EventId) {
        if offset >= noted.saturating_add(JOURNAL_INDEX_STRIDE_BYTES) {
            self.note_found(Place { offset, first_id });
            *noted = offset;
        }
    }

    /// The same of a single record.
    pub(super) fn note_found(&self, place: Place) {
        let mut index = write_lock(&self.index);
        let at = index.partition_point(|known| known.offset < place.offset);
        // Two records can have one first id (the first has no events): the earlier is the one to find.
        let fits_behind = |before: &Place| {
            place.offset >= before.offset + JOURNAL_INDEX_STRIDE_BYTES
                && place.first_id > before.first_id
        };
        let fits_before = |after: &Place| {
            after.offset >= place.offset + JOURNAL_INDEX_STRIDE_BYTES
                && after.first_id > place.first_id
        };
        if at.checked_sub(1).and_then(|before| index.get(before)).is_none_or(fits_behind)
            && index.get(at).is_none_or(fits_before)
        {
            index.insert(at, place);
        }
    }
}

/// The segments of a log.
#[derive(Debug)]
pub(super) struct Log {
    pub storage: Arc<dyn Storage>,
    segments: RwLock<Vec<Arc<Segment>>>,
    newest: AtomicU64,
    handles: Mutex<Vec<Handle>>,
    pub counts: Counts,
}

#[derive(Debug)]
struct Handle {
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
}

/// A segment that can be read.
pub(super) struct Located {
    pub segment: Arc<Segment>,
    pub file: Arc<dyn StorageFile>,
    /// The first id of the segment behind it: none for the active one.
    pub next_first_id: Option<EventId>,
}

impl Log {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        segments: Vec<Arc<Segment>>,
        newest: EventId,
    ) -> Log {
        Log {
            storage,
            segments: RwLock::new(segments),
            newest: AtomicU64::new(newest),
            handles: Mutex::new(Vec::new()),
            counts: Counts::default(),
        }
    }

    pub(super) fn newest(&self) -> EventId {
        self.newest.load(Ordering::Acquire)
    }

    pub(super) fn set_newest(&self, newest: EventId) {
        self.newest.store(newest, Ordering::Release);
    }

    pub(super) fn bounds(&self) -> Bounds {
        // The oldest first: it can only grow behind our back, and never past the newest.
        let first = read_lock(&self.segments).first().map(|segment| segment.header.first_id);
        let newest = self.newest();
        Bounds { oldest: first.unwrap_or(newest + 1), newest }
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        read_lock(&self.segments).clone()
    }

    /// How much of the log stands between two positions.
    pub(super) fn bytes_between(&self, from: Position, to: Position) -> u64 {
        let end = self.bytes_of(from.segment_id..to.segment_id) + to.offset;
        end.saturating_sub(from.offset)
    }

    /// How much of the log stands behind a position.
    pub(super) fn bytes_behind(&self, from: Position) -> u64 {
        self.bytes_of(from.segment_id..).saturating_sub(from.offset)
    }

    /// How much the segments of such first ids have.
    fn bytes_of(&self, ids: impl RangeBounds<EventId>) -> u64 {
        let segments = read_lock(&self.segments);
        let those = segments.iter().filter(|segment| ids.contains(&segment.header.first_id));
        those.map(|segment| segment.end()).sum()
    }

    pub(super) fn push(&self, segment: Arc<Segment>) {
        write_lock(&self.segments).push(segment);
    }

    /// Takes over what another look at the directory found.
    pub(super) fn replace_all(&self, segments: Vec<Arc<Segment>>, newest: EventId) {
        let old = std::mem::replace(&mut *write_lock(&self.segments), segments);
        self.set_newest(newest);
        for segment in old {
            self.retire(&segment);
        }
    }

    /// The segment that holds `id`, opened. None when it is older than all of them.
    pub(super) fn locate(&self, id: EventId) -> io::Result<Option<Located>> {
        let segments = read_lock(&self.segments);
        let after = segments.partition_point(|segment| segment.header.first_id <= id);
        let Some(segment) = after.checked_sub(1).and_then(|at| segments.get(at)) else {
            return Ok(None);
        };
        let next_first_id = segments.get(after).map(|segment| segment.header.first_id);
        let file = self.handle(segment)?;
        Ok(Some(Located { segment: Arc::clone(segment), file, next_first_id }))
    }

    /// Puts a rewritten segment in the place of the old one, files and all.
    pub(super) fn replace(&self, old: &Arc<Segment>, new: Segment, file: &str) -> io::Result<()> {
        let mut segments = write_lock(&self.segments);
        if let Some(place) = segments.iter_mut().find(|segment| Arc::ptr_eq(segment, old)) {
            self.storage.rename(file, &old.name())?;
            *place = Arc::new(new);
        }
        drop(segments);
        self.retire(old);
        Ok(())
    }

    /// Removes the file of the oldest segment and forgets it. One that cannot be removed stays: a later one
    /// must not go before it.
    pub(super) fn remove_oldest(&self, oldest: &Arc<Segment>) -> io::Result<()> {
        let mut segments = write_lock(&self.segments);
        if segments.first().is_some_and(|first| Arc::ptr_eq(first, oldest)) {
            self.storage.remove(&oldest.name())?;
            segments.remove(0);
        }
        drop(segments);
        self.retire(oldest);
        Ok(())
    }

    fn retire(&self, segment: &Arc<Segment>) {
        segment.retired.store(true, Ordering::Release);
        lock(&self.handles).retain(|handle| !Arc::ptr_eq(&handle.segment, segment));
    }

    fn handle(&self, segment: &Arc<Segment>) -> io::Result<Arc<dyn StorageFile>> {
        let mut handles = lock(&self.handles);
        if let Some(at) = handles.iter().position(|handle| Arc::ptr_eq(&handle.segment, segment)) {
            // The last used one stands last; the first makes room.
            let handle = handles.remove(at);
            let file = Arc::clone(&handle.file);
            handles.push(handle);
            return Ok(file);
        }
        drop(handles);
        let file = self.storage.open(&segment.name())?;
        let mut handles = lock(&self.handles);
        if !segment.retired.load(Ordering::Acquire) {
            if handles.len() >= JOURNAL_OPEN_SEGMENTS_COUNT {
                handles.remove(0);
            }
            handles.push(Handle { segment: Arc::clone(segment), file: Arc::clone(&file) });
        }
        Ok(file)
    }
}

// What these locks guard is whole after each statement, so a panic elsewhere does not spoil it.

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read_lock<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write_lock<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
