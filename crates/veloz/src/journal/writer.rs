//! The one who appends.
//!
//! Contract: one write a batch. When [`Journal::append`] returns, the batch is stored as the
//! configured durability says, and readers see it; before that they do not. After a failed write or
//! sync the journal is poisoned: every later append fails, and nothing that failed is ever seen here.
//! What may be left of a failed batch is cut off at once, where the storage still allows it.
//!
//! Known limit: opening the next segment syncs the end of the last one on the appending thread: what was
//! appended since the background last did, which it does the more often the nearer that end is.

use std::path::Path;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use veloz_core::limits::{
    JOURNAL_ARCHIVE_FROM_ORDERS, JOURNAL_BATCH_MAX_BYTES, JOURNAL_INDEX_STRIDE_BYTES,
    JOURNAL_REMOVED_MS, JOURNAL_RESERVE_BYTES, JOURNAL_SEGMENT_BYTES, JOURNAL_SEGMENT_MAX_BYTES,
    JOURNAL_SNAPSHOT_STEP_BYTES, JOURNAL_SYNC_BYTES, JOURNAL_SYNC_MIN_BYTES,
};
use veloz_core::state::ArchivedOrders;
use veloz_core::types::EventId;

use super::background::{Active, Background, Upkeep};
use super::batch::Batch;
use super::error::JournalError;
use super::format::{SEGMENT_RECORDS_START, SegmentHeader, len_u64};
use super::metrics::JournalCollector;
use super::reader::JournalReader;
use super::recovery::{Access, Recovery, find_segments, write_again};
use super::retention::RetentionConfig;
use super::room::{Reserve, Room};
use super::segment::{Log, Segment};
use super::snapshot::{self, Fold, Position, Snapshots};
use super::spare::{self, Spare};
use super::storage::{DirStorage, Identity, Storage, StorageFile};

/// What "stored" means when an append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives the end of the process, and reaches the disk within 100 ms.
    Process,
    /// It is on the disk.
    Disk,
}

/// How the journal stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalConfig {
    /// What "stored" means.
    pub durability: Durability,
    /// When a segment is full; at most [`JOURNAL_SEGMENT_MAX_BYTES`].
    pub segment_bytes: u64,
    /// What the log keeps.
    pub retention: RetentionConfig,
    /// From how many orders on closed ones leave the snapshots for the archive.
    pub archive_from: u64,
}

impl Default for JournalConfig {
    fn default() -> JournalConfig {
        JournalConfig {
            durability: Durability::Process,
            segment_bytes: JOURNAL_SEGMENT_BYTES,
            retention: RetentionConfig::default(),
            archive_from: JOURNAL_ARCHIVE_FROM_ORDERS,
        }
    }
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The newest event.
    pub newest: EventId,
    /// A new segment was begun.
    pub rolled: bool,
}

/// The log, for the one thread that writes it. Dropping it syncs and waits for the background.
#[derive(Debug)]
pub struct Journal {
    log: Arc<Log>,
    active: Arc<Active>,
    background: Background,
    config: JournalConfig,
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    next_id: EventId,
    /// Where the records end; the file goes on with reserved zeros.
    end: u64,
    reserve: Reserve,
    /// The next segment could not be begun: this one grows on.
    roll_failed: bool,
    /// Up to where the index was last extended.
    noted: u64,
    /// Where the last mark ends: nothing to mark when that is the end.
    marked: u64,
    /// Where the end was when the background was last told to sync.
    sync_asked: u64,
    /// Bytes appended since the background last looked after the log.
    untended: u64,
    /// The wall clock when the file was last seen to have its name.
    linked_ns: i64,
}

/// A journal, its reading side, and what was found.
pub type Opened = (Journal, Arc<JournalReader>, Recovery);

impl Journal {
    /// Opens the log in a directory that the caller has locked, or begins an empty one.
    ///
    /// # Errors
    /// When the log is damaged or the storage fails: nothing is changed then.
    pub fn open(dir: &Path, config: JournalConfig) -> Result<Opened, JournalError> {
        Journal::open_on(Arc::new(DirStorage::new(dir)), config)
    }

    /// The same on any storage.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        config: JournalConfig,
    ) -> Result<Opened, JournalError> {
        let (opened, upkeep) = Journal::open_without_threads(storage, config)?;
        let (mut journal, reader, recovery) = opened;
        let path = journal.log.storage.path("");
        journal.background.start(upkeep).map_err(JournalError::io("start a thread for", path))?;
        Ok((journal, reader, recovery))
    }

    /// The same without threads: whoever opens it does their work, by the [`Upkeep`].
    /// [`Journal::wait_for_background`] is not for such a one.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_without_threads(
        storage: Arc<dyn Storage>,
        mut config: JournalConfig,
    ) -> Result<(Opened, Upkeep), JournalError> {
        config.segment_bytes = config.segment_bytes.min(JOURNAL_SEGMENT_MAX_BYTES);
        let mut found = find_segments(&*storage, Access::Owner)?;
        let snapshots = snapshot::load(&*storage)?;
        let from = replay_start(&*storage, &found.segments, found.newest, &snapshots)?;
        let segment = match found.segments.last() {
            Some(segment) => Arc::clone(segment),
            None => {
                let segment = first_segment(&*storage)?;
                found.segments.push(Arc::clone(&segment));
                segment
            }
        };
        let name = segment.name();
        let file =
            storage.open_for_write(&name).map_err(JournalError::io("open", storage.path(&name)))?;
        let end = segment.end();
        // What a crash left reserved may be all that a full disk has.
        let size = file.size().map_err(JournalError::io("read", storage.path(&name)))?;
        let allocated = if size > end && file.allocate(size).is_ok() { size } else { end };
        // What is read from now on must not be lost again: it may be on its way to the disk only, and
        // so may the name of its file.
        write_again(&*file, found.durable, end)
            .map_err(JournalError::io("write", storage.path(&name)))?;
        file.sync().map_err(JournalError::io("sync", storage.path(&name)))?;
        storage.sync_dir().map_err(JournalError::io("sync", storage.path("")))?;
        let log = Arc::new(Log::new(storage, found.segments, found.newest));
        let active = Arc::new(Active::new(&segment, &file, end));
        let (background, upkeep) = Background::new(&log, &active, &config, snapshots.kept);
        let mut journal = Journal {
            log: Arc::clone(&log),
            active,
            background,
            config,
            segment,
            file,
            next_id: found.newest + 1,
            end,
            reserve: Reserve::new(allocated, JOURNAL_RESERVE_BYTES),
            roll_failed: false,
            noted: end,
            marked: end,
            sync_asked: end,
            untended: 0,
            linked_ns: i64::MIN,
        };
        journal.look();
        let recovery = Recovery {
            snapshot: snapshots.newest,
            passed_over: snapshots.passed_over,
            torn: found.torn,
            newest: found.newest,
            log: Arc::clone(&log),
            from,
        };
        Ok(((journal, Arc::new(JournalReader::live(log)), recovery), upkeep))
    }

    /// The id of the next event.
    pub fn next_id(&self) -> EventId {
        self.next_id
    }

    /// Shows what there is to measure of the journal on `registry`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let (log, active) = (Arc::clone(&self.log), Arc::clone(&self.active));
        registry.register_collector(Box::new(JournalCollector { log, active }));
    }

    /// Why nothing can be appended any more, if that is so. A sync in the background can fail too.
    pub fn failure(&self) -> Option<String> {
        self.active.failure()
    }

    /// Why the last snapshot was not made, or retention not done, if that is so: it is tried again.
    pub fn upkeep_failure(&self) -> Option<String> {
        self.background.failure()
    }

    /// What can still be appended, as of the last look or append.
    pub fn room(&self) -> Room {
        self.reserve.room(self.end)
    }

    /// Whether there is no more than the reserve.
    pub fn is_short(&self) -> bool {
        self.reserve.is_short()
    }

    /// From now on so many bytes are kept in reserve beside the usual ones, in every segment. False when they cannot
    /// be: there is a shortage then, until they can.
    pub fn keep_reserved(&mut self, bytes: u64) -> bool {
        self.reserve.wanted = JOURNAL_RESERVE_BYTES.saturating_add(bytes);
        if !self.reserve.is_short() && !self.reserve.is_full(self.end) {
            self.fill_reserve();
        }
        !self.reserve.is_short()
    }

    /// Looks whether the storage is still there and has space, and ends a shortage where that can be: to
    /// be called regularly.
    ///
    /// # Errors
    /// When the journal failed; it is stopped then.
    pub fn look_after(&mut self, wall_ns: i64) -> Result<(), JournalError> {
        self.active.check()?;
        let looked =
            self.check_linked(wall_ns).and_then(|()| match self.look() && self.roll_failed {
                true => self.roll(wall_ns).map(drop),
                false => Ok(()),
            });
        looked.inspect_err(|error| self.active.poison(error))
    }

    /// Stores the batch and shows it to the readers. The batch stays as it is: its frames can be
    /// published now.
    ///
    /// # Errors
    /// When it cannot be stored, or anything failed before.
    pub fn append(&mut self, batch: &mut Batch, wall_ns: i64) -> Result<Appended, JournalError> {
        self.active.check()?;
        if batch.is_empty() {
            return Ok(Appended { newest: self.next_id - 1, rolled: false });
        }
        self.try_append(batch, wall_ns).inspect_err(|error| self.active.poison(error))
    }

    /// Brings everything appended to the disk.
    ///
    /// # Errors
    /// When it cannot be, or anything failed before.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.active.sync(&self.log)
    }

    /// From now on snapshots of the state are made by `fold`, in the background, as the log grows. Without
    /// it there are none, and retention takes nothing.
    pub fn fold_by(&self, fold: Box<dyn Fold>) {
        self.background.fold_by(fold);
    }

    /// Makes a snapshot of the state as it is after everything appended, in the background: for a quick
    /// start after a clean end. False when too much waits there already: ask again later.
    ///
    /// # Errors
    /// When anything failed before.
    pub fn snapshot(&self) -> Result<bool, JournalError> {
        self.active.check()?;
        Ok(self.background.snapshot(self.position()))
    }

    /// Makes a snapshot if it is time for one, and applies the retention by that wall clock, in the
    /// background.
    pub fn tend(&mut self, wall_ns: i64) {
        self.untended = 0;
        self.background.tend(self.position(), wall_ns);
    }

    /// Orders that went to the archive since this was asked last, the oldest first: whoever has the state may forget
    /// them.
    pub fn take_archived(&self) -> Vec<ArchivedOrders> {
        self.background.take_archived()
    }

    /// Waits until the background has done what it was given.
    pub fn wait_for_background(&self) {
        self.background.wait();
    }

    /// Behind everything appended.
    fn position(&self) -> Position {
        let (segment_id, next_id) = (self.segment.header.first_id, self.next_id);
        Position { segment_id, offset: self.end, next_id }
    }

    fn try_append(&mut self, batch: &mut Batch, wall_ns: i64) -> Result<Appended, JournalError> {
        let next_id = batch.check_order(self.next_id)?;
        let size = len_u64(batch.size_bytes());
        if batch.size_bytes() > JOURNAL_BATCH_MAX_BYTES {
            let max = len_u64(JOURNAL_BATCH_MAX_BYTES);
            return Err(JournalError::TooLarge { what: "a batch", bytes: size, max });
        }
        // A segment is named by its first id: it needs an event before another one can begin.
        let rolled = self.end + size > self.config.segment_bytes
            && self.next_id > self.segment.header.first_id
            && !self.reserve.is_short()
            && self.may_seal()
            && self.roll(wall_ns)?;
        self.write(batch, wall_ns)?;
        if self.end + size >= self.noted + JOURNAL_INDEX_STRIDE_BYTES {
            for (start, first_id) in batch.offsets() {
                self.segment.note(&mut self.noted, self.end + len_u64(start), first_id);
            }
        }
        self.end += size;
        self.next_id = next_id;
        self.segment.set_end(self.end);
        self.log.set_newest(next_id - 1);
        if !self.reserve.is_short() {
            self.fill_reserve();
        }
        self.untended += size;
        if rolled || self.untended >= snapshot_step(self.config.segment_bytes) {
            self.tend(wall_ns);
        }
        self.sync_in_time();
        Ok(Appended { newest: next_id - 1, rolled })
    }

    /// Whether the active segment, which is full, may end now: an append that begins the next one waits until all of it
    /// is on the disk, so where the disk is behind it goes on for a while.
    fn may_seal(&self) -> bool {
        let behind = self.end - self.active.durable();
        let over = self.end.saturating_sub(self.config.segment_bytes);
        behind <= 2 * JOURNAL_SYNC_MIN_BYTES || over >= self.config.segment_bytes / 8
    }

    /// Has the background sync when much waits for it: the less, the nearer the end of the segment, so that little
    /// is left to sync when the next one is begun.
    fn sync_in_time(&mut self) {
        let left = self.config.segment_bytes.saturating_sub(self.end);
        let enough = (left / 2).clamp(JOURNAL_SYNC_MIN_BYTES, JOURNAL_SYNC_BYTES);
        if self.end - self.sync_asked >= enough {
            self.sync_asked = self.end;
            self.background.sync_soon();
        }
    }

    /// Writes the batch at the end of the file; what is left of a failed write is cut off.
    fn write(&mut self, batch: &mut Batch, wall_ns: i64) -> Result<(), JournalError> {
        let durable = u32::try_from(self.active.durable()).unwrap_or(u32::MAX);
        let bytes = batch.seal(wall_ns, durable)?;
        let end = self.end + len_u64(bytes.len());
        let done = self
            .reserve
            .hold(&*self.file, end)
            .map_err(|error| self.failed("reserve space in", error))
            .and_then(|()| {
                self.file.write_at(bytes, self.end).map_err(|error| self.failed("write", error))
            })
            .and_then(|()| self.check_linked_in_time(wall_ns))
            .and_then(|()| {
                let wanted = self.reserve.wants(end, self.config.segment_bytes);
                let reserved = self.active.set_written(end, wanted);
                self.reserve.allocated = self.reserve.allocated.max(reserved);
                match self.config.durability {
                    Durability::Process => Ok(()),
                    Durability::Disk => self.active.sync(&self.log),
                }
            });
        // Nobody saw it, so it must not be there after a restart. The first error is the one to tell,
        // whether the cut works or not.
        if done.is_err()
            && let Err(cut) = self.file.set_len(self.end)
        {
            tracing::error!(%cut, "cannot cut off a failed append");
        }
        done
    }

    /// What is written to a file without a name is gone with this process, and nobody could know: it is looked for,
    /// but not after each append, since that would be a sixteenth of its time.
    fn check_linked_in_time(&mut self, wall_ns: i64) -> Result<(), JournalError> {
        const INTERVAL_NS: u64 = JOURNAL_REMOVED_MS * 1_000_000;
        // A clock that was set back is a reason to look.
        if wall_ns.abs_diff(self.linked_ns) < INTERVAL_NS {
            Ok(())
        } else {
            self.check_linked(wall_ns)
        }
    }

    fn check_linked(&mut self, wall_ns: i64) -> Result<(), JournalError> {
        self.linked_ns = wall_ns;
        match self.file.identity() {
            Ok(Some(Identity { links: 0, .. })) => {
                Err(JournalError::Removed { path: self.log.storage.path(&self.segment.name()) })
            }
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed("look at", error)),
        }
    }

    /// The error of a failed call on the active segment's file.
    fn failed(&self, action: &'static str, error: std::io::Error) -> JournalError {
        JournalError::io(action, self.log.storage.path(&self.segment.name()))(error)
    }

    /// Looks at the storage; true when it could take another segment.
    fn look(&mut self) -> bool {
        let usable = self.reserve.look(&*self.log.storage, &self.segment.name(), &*self.file);
        if usable && !self.roll_failed {
            self.fill_reserve();
        }
        usable
    }

    fn fill_reserve(&mut self) {
        let full = self.config.segment_bytes;
        let mut filled = self.reserve.fill(&*self.file, self.end, full);
        // What was set aside for the next segment is of more use here.
        if filled.is_err() && self.active.spare().take().is_some() {
            spare::discard(&*self.log.storage);
            filled = self.reserve.fill(&*self.file, self.end, full);
        }
        if let Err(error) = filled {
            let error = self.failed("reserve space in", error);
            self.reserve.fall_short(&error);
        }
    }

    /// Seals the active segment and begins the next. False when the next one cannot be made: then the
    /// active one goes on, with what is reserved for it.
    fn roll(&mut self, wall_ns: i64) -> Result<bool, JournalError> {
        let header = SegmentHeader {
            compacted: false,
            first_id: self.next_id,
            previous_id: self.segment.header.first_id,
            created_ns: wall_ns,
        };
        let storage = &*self.log.storage;
        // Held until the spare has its name: another one is made under the same.
        let active = Arc::clone(&self.active);
        let mut spare = active.spare();
        let made = self.next_segment(spare.take(), header);
        self.roll_failed = made.is_err();
        let next = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(%error, "the next segment cannot be made");
                self.reserve.fall_short(&error);
                return Ok(false);
            }
        };
        let path = storage.path(&self.segment.name());
        // Not sealed beside or after a sync that failed: what the seal syncs would be taken for all of it.
        self.active.sync(&self.log)?;
        self.file.set_len(self.end).map_err(JournalError::io("seal", path))?;
        Spare::place(storage, header)?;
        self.file = next.file;
        self.reserve = Reserve::new(next.allocated, self.reserve.wanted);
        self.segment = Arc::new(Segment::new(header, SEGMENT_RECORDS_START));
        self.end = SEGMENT_RECORDS_START;
        self.noted = 0;
        (self.marked, self.sync_asked) = (self.end, self.end);
        self.active.switch(&self.segment, &self.file, self.end);
        drop(spare);
        self.log.push(Arc::clone(&self.segment));
        self.look();
        Ok(true)
    }

    /// A segment with that header, on the disk: the one that the background made, or one made now.
    fn next_segment(
        &self,
        spare: Option<Spare>,
        header: SegmentHeader,
    ) -> Result<Spare, JournalError> {
        let storage = &*self.log.storage;
        let spare = match spare {
            Some(spare) => spare.check(storage).map(|()| spare),
            None => Spare::make(storage),
        };
        let mut spare = spare?;
        spare.reserve(storage, self.reserve.wanted)?;
        spare.begin(storage, header).map(|()| spare)
    }

    /// Syncs, says so in a mark, and gives back the reserved space: not where there is no other, for the next start
    /// needs some, nor what is kept for what stands and has to be ended some time. A mark is a record without events and facts: by it a later start knows that all before it was
    /// on the disk.
    fn close(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        if self.marked != self.end {
            let mut mark = Batch::new();
            mark.step(self.next_id, 0, &[], |_| {});
            self.write(&mut mark, 0)?;
            self.end += len_u64(mark.size_bytes());
            self.segment.set_end(self.end);
            self.sync()?;
        }
        if self.reserve.is_short() || self.reserve.wanted > JOURNAL_RESERVE_BYTES {
            return Ok(());
        }
        let _alone = self.active.spare();
        self.active.reserve_nothing();
        let path = self.log.storage.path(&self.segment.name());
        self.file.set_len(self.end).map_err(JournalError::io("seal", path))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the journal was not closed cleanly");
        }
        self.background.end();
        if self.active.spare().take().is_some() {
            spare::discard(&*self.log.storage);
        }
    }
}

fn first_segment(storage: &dyn Storage) -> Result<Arc<Segment>, JournalError> {
    let header = SegmentHeader { compacted: false, first_id: 1, previous_id: 0, created_ns: 0 };
    Spare::make(storage)?.begin(storage, header)?;
    Spare::place(storage, header)?;
    Ok(Arc::new(Segment::new(header, SEGMENT_RECORDS_START)))
}

/// A snapshot is due when the log has grown by that.
pub(super) fn snapshot_step(segment_bytes: u64) -> u64 {
    JOURNAL_SNAPSHOT_STEP_BYTES.min(segment_bytes / 4)
}

/// Where a replay begins: behind the newest snapshot, or at the first event.
fn replay_start(
    storage: &dyn Storage,
    segments: &[Arc<Segment>],
    newest: EventId,
    snapshots: &Snapshots,
) -> Result<Position, JournalError> {
    let oldest = segments.first().map_or(1, |segment| segment.header.first_id);
    let Some(position) = snapshots.kept.first().map(|newest| newest.position) else {
        if oldest == 1 {
            return Ok(Position::start_of(1));
        }
        let mut what =
            format!("the log begins at event {oldest} and no snapshot before it is valid");
        for why in &snapshots.passed_over {
            what.push_str("; ");
            what.push_str(why);
        }
        return Err(JournalError::Missing { path: storage.path("*.snap"), what });
    };
    let held = segments.iter().find(|segment| segment.header.first_id == position.segment_id);
    if position.next_id <= newest + 1 && held.is_some_and(|held| position.offset <= held.end()) {
        return Ok(position);
    }
    let name = snapshot::snapshot_name(position.next_id.saturating_sub(1));
    let what = format!(
        "{} holds events up to {}, the log ends at {newest}",
        storage.path(&name).display(),
        position.next_id.saturating_sub(1),
    );
    Err(JournalError::Missing { path: storage.path("the end of the log"), what })
}
