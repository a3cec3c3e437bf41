//! Snapshots of the state beside the log: one file each, named by the newest event they hold.
//!
//! Contract: a snapshot is whole or not there (written aside, synced, renamed), and never newer than
//! the log on the disk (the log is synced first). The newest two are kept, so that a damaged one costs
//! a longer replay and nothing else. Snapshots are not the truth: replay makes them again.
//!
//! They are made from what is stored, in the background: the newest snapshot, the records behind it, a
//! new snapshot. Whoever appends has no part in it. While one is made its state is in memory once, and
//! once more as text.

use std::fmt::Debug;

use veloz_core::limits::{JOURNAL_SNAPSHOT_MAX_BYTES, JOURNAL_SNAPSHOTS_COUNT};
use veloz_core::state::ArchivedOrders;
use veloz_core::types::EventId;

use super::archive::{Archived, OrderWriter};
use super::error::JournalError;
use super::format::{FORMAT_VERSION, Fields, RecordRef, SEGMENT_RECORDS_START, len_u64};
use super::recovery::{ReplayError, replay};
use super::segment::Log;
use super::segment::{TEMPORARY_SUFFIX, id_name, parse_id_name};
use super::storage::Storage;

const SNAPSHOT_MAGIC: [u8; 8] = *b"VELOZSNP";
const SNAPSHOT_SUFFIX: &str = ".snap";
const SNAPSHOT_HEADER_BYTES: usize = 48;
/// The version of one that leaves closed orders to the archive.
const ARCHIVED_VERSION: u32 = 2;
const ARCHIVED_HEADER_BYTES: usize = 64;

/// How the state comes out of the log: what snapshots are made by.
pub trait Fold: Debug + Send {
    /// Begins with the state of a snapshot, or with that before the first event.
    ///
    /// # Errors
    /// When the snapshot is none.
    fn begin(&mut self, snapshot: Option<&Snapshot>) -> Result<(), FoldError>;

    /// Takes the next step.
    ///
    /// # Errors
    /// When it is none.
    fn take(&mut self, record: &RecordRef<'_>) -> Result<(), FoldError>;

    /// Sends closed orders to the archive, where there are `least` orders or an archive is in use, and tells which;
    /// without one the state holds all.
    ///
    /// # Errors
    /// When the archive does not take them.
    fn archive(
        &mut self,
        least: u64,
        into: &mut OrderWriter<'_>,
    ) -> Result<Option<ArchivedOrders>, FoldError> {
        let _ = (least, into);
        Ok(None)
    }

    /// Gives the state as a snapshot holds it, and forgets it.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self) -> Result<Vec<u8>, FoldError>;
}

/// Why a state cannot be made.
pub type FoldError = Box<dyn std::error::Error + Send + Sync>;

/// A snapshot of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The newest event it holds.
    pub at: EventId,
    /// What it leaves to the archive, if anything.
    pub archived: Option<Archived>,
    /// The state.
    pub bytes: Vec<u8>,
}

/// A position between two records. The id alone is not one: steps without events have no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment, by its first id.
    pub segment_id: EventId,
    /// The offset in it.
    pub offset: u64,
    /// The id that comes next.
    pub next_id: EventId,
}

impl Position {
    /// Before the first record of the segment that begins with `first_id`.
    pub(super) fn start_of(first_id: EventId) -> Position {
        Position { segment_id: first_id, offset: SEGMENT_RECORDS_START, next_id: first_id }
    }
}

/// A valid snapshot on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// Where it stands.
    pub position: Position,
    /// How long its state is.
    pub bytes: u64,
}

/// The snapshots of a directory.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    pub newest: Option<Snapshot>,
    /// Each valid one, newest first, as many as are kept.
    pub kept: Vec<Kept>,
    /// What is wrong with the others.
    pub passed_over: Vec<String>,
}

/// Reads the newest valid snapshots.
pub(super) fn load(storage: &dyn Storage) -> Result<Snapshots, JournalError> {
    let mut found = Snapshots::default();
    for at in list(storage)? {
        if found.kept.len() == JOURNAL_SNAPSHOTS_COUNT {
            break;
        }
        let name = snapshot_name(at);
        let why = match read(storage, &name, at) {
            Ok(Ok((position, snapshot))) => {
                found.kept.push(Kept { position, bytes: len_u64(snapshot.bytes.len()) });
                found.newest.get_or_insert(snapshot);
                continue;
            }
            Ok(Err(why)) => why.to_owned(),
            Err(error) => error.to_string(),
        };
        found.passed_over.push(format!("{}: {why}", storage.path(&name).display()));
    }
    Ok(found)
}

/// Stores a snapshot that stands at `position`. The log must be on the disk up to there.
pub(super) fn write(
    storage: &dyn Storage,
    position: Position,
    archived: Option<Archived>,
    bytes: &[u8],
) -> Result<(), JournalError> {
    let name = snapshot_name(position.next_id.saturating_sub(1));
    let temporary = format!("{name}{TEMPORARY_SUFFIX}");
    let io = |action| JournalError::io(action, storage.path(&temporary));
    let file = storage.create(&temporary).map_err(io("create"))?;
    let header = encode_header(position, archived, bytes);
    let written = file
        .write_at(&header, 0)
        .and_then(|()| file.write_at(bytes, len_u64(header.len())))
        .map_err(io("write"))
        .and_then(|()| file.sync().map_err(io("sync")));
    if let Err(error) = written {
        // What was written so far only takes space; the next start removes it too.
        if let Err(error) = storage.remove(&temporary) {
            tracing::warn!(%error, temporary, "cannot remove it");
        }
        return Err(error);
    }
    storage.rename(&temporary, &name).map_err(io("rename"))?;
    storage.sync_dir().map_err(JournalError::io("sync", storage.path("")))
}

/// Why the way to a snapshot ended before.
enum Stopped {
    GivenUp,
    Failed(FoldError),
}

/// How many records are replayed between two looks at whether to give up.
const RECORDS_BETWEEN_LOOKS: u32 = 16;

/// A snapshot that is made, but for its file. What it leaves to the archive is on the disk.
pub(super) struct Made {
    pub state: Vec<u8>,
    pub archived: Option<(Archived, ArchivedOrders)>,
}

/// The state at a position, from the newest snapshot and what is stored behind it; `None` when it was given up on
/// the way. What turns out to be none on the way is no longer kept.
pub(super) fn replay_to(
    log: &Log,
    kept: &mut Vec<Kept>,
    to: Position,
    fold: &mut dyn Fold,
    give_up: impl Fn() -> bool,
) -> Result<Option<Archived>, JournalError> {
    // Before the state is read, which may be large.
    if give_up() {
        return Ok(None);
    }
    let (from, known) = begin(log, kept, fold)?;
    let mut records: u32 = 0;
    let replayed = replay(log, from, Some(to), |record| {
        records = records.wrapping_add(1);
        if records.is_multiple_of(RECORDS_BETWEEN_LOOKS) && give_up() {
            return Err(Stopped::GivenUp);
        }
        fold.take(&record).map_err(Stopped::Failed)
    });
    match replayed {
        Ok(()) => {}
        Err(ReplayError::Apply { source: Stopped::GivenUp, .. }) => return Ok(None),
        Err(ReplayError::Apply { first_id, source: Stopped::Failed(source) }) => {
            return Err(unmade(source, first_id));
        }
        Err(ReplayError::Journal(error)) => return Err(error),
    }
    Ok(Some(known))
}

/// Sends orders of the state at a position to the archive, behind what is there already.
pub(super) fn archive(
    log: &Log,
    known: Archived,
    at: Position,
    fold: &mut dyn Fold,
    archive_from: u64,
) -> Result<Option<(Archived, ArchivedOrders)>, JournalError> {
    let mut writer = OrderWriter::new(&*log.storage, known);
    let sent = fold.archive(archive_from, &mut writer);
    match sent.map_err(|source| unmade(source, at.next_id))? {
        Some(orders) => Ok(Some((writer.finish()?, orders))),
        None => Ok(None),
    }
}

/// The state at a position, as its snapshot holds it.
pub(super) fn finish(at: Position, fold: &mut dyn Fold) -> Result<Vec<u8>, JournalError> {
    let state = fold.finish().map_err(|source| unmade(source, at.next_id))?;
    if len_u64(state.len()) > JOURNAL_SNAPSHOT_MAX_BYTES {
        return Err(JournalError::TooLarge {
            what: "a snapshot",
            bytes: len_u64(state.len()),
            max: JOURNAL_SNAPSHOT_MAX_BYTES,
        });
    }
    Ok(state)
}

/// Begins with the newest snapshot that can be read; gives the position where it stands, and what it leaves to the
/// archive.
fn begin(
    log: &Log,
    kept: &mut Vec<Kept>,
    fold: &mut dyn Fold,
) -> Result<(Position, Archived), JournalError> {
    let (mut next, mut unreadable) = (0, None);
    while let Some(Kept { position, .. }) = kept.get(next).copied() {
        let at = position.next_id.saturating_sub(1);
        let name = snapshot_name(at);
        match read(&*log.storage, &name, at) {
            Ok(Ok((position, snapshot))) => {
                // Where this one can be read, the others are lost.
                kept.drain(..next);
                fold.begin(Some(&snapshot)).map_err(|source| unmade(source, position.next_id))?;
                return Ok((position, snapshot.archived.unwrap_or_default()));
            }
            Ok(Err(why)) => {
                tracing::warn!(name, why, "a damaged snapshot is passed over");
                kept.remove(next);
            }
            Err(error) => {
                tracing::warn!(%error, "a snapshot that cannot be read is passed over");
                unreadable = Some(error);
                next += 1;
            }
        }
    }
    let oldest = log.bounds().oldest;
    if oldest > 1 {
        let what = format!("the log begins at event {oldest} and no snapshot before it is valid");
        let missing = JournalError::Missing { path: log.storage.path("*.snap"), what };
        return Err(unreadable.unwrap_or(missing));
    }
    fold.begin(None).map_err(|source| unmade(source, 1))?;
    Ok((Position::start_of(1), Archived::default()))
}

fn unmade(source: FoldError, at: EventId) -> JournalError {
    JournalError::Unmade { at, source }
}

/// Removes all snapshots but those to keep.
pub(super) fn prune(storage: &dyn Storage, keep: &[Kept]) -> Result<(), JournalError> {
    for at in list(storage)? {
        if keep.iter().all(|kept| kept.position.next_id != at.saturating_add(1)) {
            let name = snapshot_name(at);
            storage.remove(&name).map_err(JournalError::io("remove", storage.path(&name)))?;
        }
    }
    Ok(())
}

/// Where that snapshot is, for messages.
pub(super) fn snapshot_name(at: EventId) -> String {
    id_name(at, SNAPSHOT_SUFFIX)
}

/// The ids of the snapshots, newest first.
pub(super) fn list(storage: &dyn Storage) -> Result<Vec<EventId>, JournalError> {
    let files = storage.list().map_err(JournalError::io("read", storage.path("")))?;
    let mut ids: Vec<EventId> =
        files.iter().filter_map(|(name, _)| parse_id_name(name, SNAPSHOT_SUFFIX)).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    Ok(ids)
}

/// Where a snapshot stands, and it.
pub(super) type Whole = (Position, Snapshot);

/// Reads one; when it is none, why not.
pub(super) fn read(
    storage: &dyn Storage,
    name: &str,
    at: EventId,
) -> Result<Result<Whole, &'static str>, JournalError> {
    let io = |action| JournalError::io(action, storage.path(name));
    let file = storage.open(name).map_err(io("open"))?;
    let len = file.size().map_err(io("read"))?;
    let Some(len) = usize::try_from(len).ok().filter(|_| len <= JOURNAL_SNAPSHOT_MAX_BYTES) else {
        return Ok(Err("it is too large"));
    };
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0).map_err(io("read"))?;
    bytes.truncate(read);
    let mut fields = Fields(&bytes);
    if fields.take::<8>() != SNAPSHOT_MAGIC {
        return Ok(Err("it is not a snapshot"));
    }
    let (version, _crc) = (fields.u32(), fields.u32());
    let position =
        Position { segment_id: fields.u64(), offset: fields.u64(), next_id: fields.u64() };
    let (archived, header_bytes) = match version {
        FORMAT_VERSION => (None, SNAPSHOT_HEADER_BYTES),
        ARCHIVED_VERSION => {
            let archived = Archived { orders: fields.u64(), names_crc: fields.u32() };
            (Some(archived), ARCHIVED_HEADER_BYTES)
        }
        _ => return Ok(Err("it has another format version")),
    };
    let state = bytes.split_off(header_bytes.min(bytes.len()));
    if encode_header(position, archived, &state) != bytes {
        return Ok(Err("the checksum does not match"));
    }
    if position.next_id != at.saturating_add(1) {
        return Ok(Err("it stands at another event than its name says"));
    }
    if let Some(archived) = &archived
        && !super::archive::holds(storage, archived)?
    {
        return Ok(Err("orders.archive does not have all the orders that it leaves to it"));
    }
    Ok(Ok((position, Snapshot { at, archived, bytes: state })))
}

fn encode_header(position: Position, archived: Option<Archived>, state: &[u8]) -> Vec<u8> {
    let mut fields = Vec::with_capacity(ARCHIVED_HEADER_BYTES);
    fields.extend_from_slice(&position.segment_id.to_le_bytes());
    fields.extend_from_slice(&position.offset.to_le_bytes());
    fields.extend_from_slice(&position.next_id.to_le_bytes());
    if let Some(Archived { orders, names_crc }) = archived {
        fields.extend_from_slice(&orders.to_le_bytes());
        fields.extend_from_slice(&names_crc.to_le_bytes());
        fields.extend_from_slice(&[0; 4]);
    }
    fields.extend_from_slice(&len_u64(state.len()).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&fields), state);
    let version = if archived.is_some() { ARCHIVED_VERSION } else { FORMAT_VERSION };
    let mut header = Vec::with_capacity(ARCHIVED_HEADER_BYTES);
    header.extend_from_slice(&SNAPSHOT_MAGIC);
    header.extend_from_slice(&version.to_le_bytes());
    header.extend_from_slice(&crc.to_le_bytes());
    header.append(&mut fields);
    header
}
