//! Cuts a damaged end off a log, when a person has said so.
//!
//! Contract: only what stands at or behind the first damage is taken away, and it stays in the
//! directory, in files that end in `.cut`. What is left can be started on, or nothing is done. The
//! caller owns the directory. A crash in between leaves the same damage, or the finished repair.

use std::ops::ControlFlow;
use std::path::PathBuf;

use veloz_core::types::EventId;

use super::dir::{DataDir, fork_stamp};
use super::error::JournalError;
use super::format::{RawRecord, SEGMENT_RECORDS_START, len_u64};
use super::inspect::{Inspection, Problem, Seen, StoredSnapshot};
use super::recovery::{read_rest, whole_records};
use super::segment::{parse_segment_name, segment_name};
use super::snapshot::{Position, snapshot_name};
use super::storage::{DirStorage, Storage};

/// What a repair would do.
#[derive(Debug)]
pub struct Repair {
    /// The damage.
    pub problem: Problem,
    /// The newest event that stays.
    pub newest: EventId,
    /// The newest event found behind it: there may have been more.
    pub newest_lost: EventId,
    /// A snapshot behind the damage is valid: the state is not lost yet, and would be.
    pub loses_state: bool,
    /// How many bytes go.
    pub bytes: u64,
    storage: DirStorage,
    cut: Position,
    /// Segments and snapshots that are behind the cut as a whole.
    aside: Vec<String>,
}

impl Repair {
    /// Looks for the first damage: none when the log is whole. With `cut_after` the cut is made behind
    /// the step of that event, which must be before the damage; otherwise right at the damage. `progress` is
    /// told how many bytes were read.
    ///
    /// # Errors
    /// When the directory cannot be read, or nothing to start from would be left.
    pub fn plan(
        dir: &DataDir,
        cut_after: Option<EventId>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<Repair>, JournalError> {
        let log = Inspection::open(dir.path())?;
        let Some((problem, whole, cut)) = find_cut(&log, cut_after, progress)? else {
            return Ok(None);
        };
        let Some(cut) = cut else {
            let what = match whole {
                Some(whole) => format!(
                    "the events that are whole before the damage end at {}: cut after that one or an \
                     older one that is retained",
                    whole.next_id - 1
                ),
                None => "nothing is whole before the damage: restore a backup".to_owned(),
            };
            return Err(JournalError::Repair { what });
        };
        can_start(&log, cut)?;
        let storage = DirStorage::new(dir.path());
        let (aside, bytes_aside) = behind(&storage, &log, cut)?;
        let (mut newest_lost, bytes) = lost(&storage, cut.segment_id, cut.offset)?;
        if let Some(last) = aside.iter().filter_map(|name| parse_segment_name(name)).max() {
            newest_lost = newest_lost.max(lost(&storage, last, SEGMENT_RECORDS_START)?.0);
        }
        Ok(Some(Repair {
            problem,
            newest: cut.next_id - 1,
            newest_lost: newest_lost.max(cut.next_id - 1),
            loses_state: log.snapshots().iter().any(|snapshot| is_behind(snapshot, cut)),
            bytes: bytes + bytes_aside,
            storage,
            cut,
            aside,
        }))
    }

    /// Does it; gives back where the bytes are now.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn carry_out(&self) -> Result<Vec<PathBuf>, JournalError> {
        let storage = &self.storage;
        // First: it says nothing wrong of a log that is not cut yet.
        fork_stamp(&storage.path(""), &storage.path(""), self.newest)?;
        let name = segment_name(self.cut.segment_id);
        let io = |action| JournalError::io(action, storage.path(&name));
        let file = storage.open_for_write(&name).map_err(io("open"))?;
        let rest = read_rest(&*file, self.cut.offset).map_err(io("read"))?;
        let mut kept = Vec::new();
        if !rest.is_empty() {
            let cut_name = free_name(storage, &format!("{name}.{}", self.cut.offset))?;
            let io = |action| JournalError::io(action, storage.path(&cut_name));
            let copy = storage.create(&cut_name).map_err(io("create"))?;
            copy.write_at(&rest, 0).map_err(io("write"))?;
            copy.sync().map_err(io("sync"))?;
            kept.push(storage.path(&cut_name));
        }
        // The newest first: until the last one is gone the damage is met again.
        for name in self.aside.iter().rev() {
            let cut_name = free_name(storage, name)?;
            let io = JournalError::io("rename", storage.path(name));
            storage.rename(name, &cut_name).map_err(io)?;
            kept.push(storage.path(&cut_name));
        }
        storage.sync_dir().map_err(JournalError::io("sync", storage.path("")))?;
        file.set_len(self.cut.offset).map_err(io("cut"))?;
        Ok(kept)
    }
}

type Cut = (Problem, Option<Position>, Option<Position>);

/// The first problem, the end of what is whole before it, and where to cut.
fn find_cut(
    log: &Inspection,
    cut_after: Option<EventId>,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<Cut>, JournalError> {
    let (mut problem, mut whole, mut cut, mut read) = (None, None, None, 0);
    log.walk(0, &mut |seen| {
        if let Seen::Record { start, end, .. } = &seen {
            read += end.offset - start.offset;
            progress(read);
        }
        match seen {
            Seen::Segment(_, position) | Seen::Record { end: position, .. } => {
                whole = Some(position);
                if cut_after.is_none_or(|id| position.next_id <= id.saturating_add(1)) {
                    cut = Some(position);
                }
            }
            Seen::Torn(_) => {}
            Seen::Problem(first) => {
                problem = Some(first);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if cut_after.is_some_and(|id| whole.is_some_and(|whole: Position| whole.next_id <= id)) {
        cut = None;
    }
    Ok(problem.map(|problem| (problem, whole, cut)))
}

/// Whether a start on what is left finds a state.
fn can_start(log: &Inspection, cut: Position) -> Result<(), JournalError> {
    let oldest = log.oldest_segment();
    let kept = |snapshot: &StoredSnapshot| {
        !is_behind(snapshot, cut) && snapshot.position.segment_id >= oldest
    };
    if oldest == 1 || log.snapshots().iter().any(kept) {
        return Ok(());
    }
    let what = format!(
        "a cut after event {} would leave no snapshot to start from: restore a backup",
        cut.next_id - 1
    );
    Err(JournalError::Repair { what })
}

fn is_behind(snapshot: &StoredSnapshot, cut: Position) -> bool {
    snapshot.position > cut
}

/// The files that go as a whole, oldest first, and their bytes.
fn behind(
    storage: &DirStorage,
    log: &Inspection,
    cut: Position,
) -> Result<(Vec<String>, u64), JournalError> {
    let files = storage.list().map_err(JournalError::io("read", storage.path("")))?;
    let snapshots: Vec<String> = log
        .snapshots()
        .iter()
        .filter(|snapshot| is_behind(snapshot, cut))
        .map(|snapshot| snapshot_name(snapshot.snapshot.at))
        .collect();
    let goes = |name: &String| {
        parse_segment_name(name).is_some_and(|first_id| first_id > cut.segment_id)
            || snapshots.contains(name)
    };
    let mut aside: Vec<(String, u64)> = files.into_iter().filter(|(name, _)| goes(name)).collect();
    aside.sort();
    let bytes = aside.iter().map(|(_, len)| len).sum();
    Ok((aside.into_iter().map(|(name, _)| name).collect(), bytes))
}

/// The newest event in a segment from `offset` on, as far as its records are whole, and the bytes used.
fn lost(
    storage: &DirStorage,
    first_id: EventId,
    offset: u64,
) -> Result<(EventId, u64), JournalError> {
    let name = segment_name(first_id);
    let io = JournalError::io("read", storage.path(&name));
    let read = storage.open(&name).and_then(|file| read_rest(&*file, offset));
    let rest = read.map_err(io)?;
    let newest = |raw: RawRecord<'_>| raw.record.next_id() - 1;
    let newest = whole_records(&rest, first_id).map(newest).max().unwrap_or_default();
    let used = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| len_u64(last) + 1);
    Ok((newest, used))
}

/// A name that no file has yet.
fn free_name(storage: &DirStorage, name: &str) -> Result<String, JournalError> {
    let files = storage.list().map_err(JournalError::io("read", storage.path("")))?;
    let taken = |name: &String| files.iter().any(|(taken, _)| taken == name);
    let (mut free, mut number) = (format!("{name}.cut"), 1_u64);
    while taken(&free) {
        number += 1;
        free = format!("{name}.{number}.cut");
    }
    Ok(free)
}
