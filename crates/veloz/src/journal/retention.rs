//! What the log keeps, and snapshots, on the background thread.
//!
//! Contract: market events go first. A sealed segment older than `market_age`, and the oldest ones
//! when the log is over `bytes`, are rewritten without their market frames; records keep their ids and
//! facts. Whole segments go when they are older than `order_age`, or when the log is still over `bytes`
//! after that. Nothing is touched that the older of the two kept snapshots does not cover: one of them
//! can be damaged and the start still needs nothing that is gone. Age goes by the wall clock at the append.
//!
//! Order under a crash: a rewritten segment is synced before it takes the old one's place; segments are
//! removed from the oldest on, each made durable before the next.

use std::sync::Arc;
use std::time::Duration;

use veloz_core::event::EventKind;
use veloz_core::limits::{JOURNAL_READ_MAX_BYTES, JOURNAL_REPLAY_BYTES, JOURNAL_SNAPSHOTS_COUNT};

use super::archive::Archived;
use super::aside::{Way, aside, aside_if};
use super::background::{Active, Word};
use super::error::JournalError;
use super::format::{
    RECORD_HEADER_BYTES, RecordHead, RecordRef, SEGMENT_RECORDS_START, SegmentHeader, len_u64,
    seal_record,
};
use super::scan::{Next, Scanner};
use super::segment::{Log, Segment, TEMPORARY_SUFFIX};
use super::snapshot::{self, Fold, Kept, Made, Position};
use super::storage::StorageFile;
use super::writer::{JournalConfig, snapshot_step};
use crate::frame::frames;

/// What the log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// The size of the segments together.
    pub bytes: u64,
    /// How long market events stay.
    pub market_age: Duration,
    /// How long everything else stays.
    pub order_age: Duration,
}

impl Default for RetentionConfig {
    fn default() -> RetentionConfig {
        const HOUR: Duration = Duration::from_secs(3600);
        RetentionConfig { bytes: 4 << 30, market_age: 24 * HOUR, order_age: 90 * 24 * HOUR }
    }
}

/// Does the background's work, one piece at a time.
#[derive(Debug)]
pub(super) struct Keeper {
    log: Arc<Log>,
    active: Arc<Active>,
    config: RetentionConfig,
    /// How much the log grows between two snapshots at least.
    snapshot_step: u64,
    /// How much a start may replay to save snapshots, as long as they are smaller.
    most_replayed: u64,
    /// From how many orders on closed ones go to the archive.
    archive_from: u64,
    pub(super) word: Arc<Word>,
    /// The valid snapshots on the disk, newest first.
    snapshots: Vec<Kept>,
    /// How they are made; none are without it.
    fold: Option<Box<dyn Fold>>,
    /// A segment was removed, and perhaps it is still there after a power cut.
    removal_is_pending: bool,
    /// Whether the long work gives way to every other thread.
    gives_way: bool,
}

impl Keeper {
    pub(super) fn new(
        log: &Arc<Log>,
        active: &Arc<Active>,
        config: &JournalConfig,
        snapshots: Vec<Kept>,
        word: &Arc<Word>,
    ) -> Keeper {
        if let Some(newest) = snapshots.first() {
            log.counts.snapshot_stands_at(newest.position.next_id);
        }
        Keeper {
            log: Arc::clone(log),
            active: Arc::clone(active),
            config: config.retention,
            snapshot_step: snapshot_step(config.segment_bytes),
            most_replayed: JOURNAL_REPLAY_BYTES.min(config.segment_bytes.saturating_mul(2)),
            archive_from: config.archive_from,
            word: Arc::clone(word),
            snapshots,
            fold: None,
            removal_is_pending: false,
            gives_way: false,
        }
    }

    /// Has threads that give way do the long work from now on.
    pub(super) fn give_way(&mut self) {
        self.gives_way = true;
    }

    pub(super) fn fold_by(&mut self, fold: Box<dyn Fold>) {
        self.fold = Some(fold);
    }

    /// Makes a snapshot when the log has grown by a step and by four times what the last one holds,
    /// or by as much where that is more than a start should replay: so a start reads little, and snapshots cost
    /// little beside the log. Then retention.
    pub(super) fn tend(&mut self, position: Position, wall_ns: i64) -> Result<(), JournalError> {
        // Whatever becomes of the snapshot: retention takes nothing that it needs.
        let made = self.snapshot_if_due(position);
        let kept = aside_if(self.gives_way, Way::Low, || self.retain(wall_ns));
        kept.unwrap_or(Ok(())).and(made)
    }

    fn snapshot_if_due(&mut self, to: Position) -> Result<(), JournalError> {
        let (from, least) = match self.snapshots.first() {
            Some(newest) => (newest.position, newest.bytes),
            None => (Position::start_of(1), 0),
        };
        let due =
            least.max(self.most_replayed.min(least.saturating_mul(4))).max(self.snapshot_step);
        if self.log.bytes_between(from, to) < due { Ok(()) } else { self.snapshot(to) }
    }

    /// Makes the snapshot that stands at `position`, from what is stored.
    pub(super) fn snapshot(&mut self, position: Position) -> Result<(), JournalError> {
        let newest = self.snapshots.first().map(|newest| newest.position);
        if self.fold.is_none() || newest.is_some_and(|newest| newest >= position) {
            return Ok(());
        }
        // A snapshot must never know more than the log on the disk.
        self.active.sync(&self.log)?;
        let Some(made) = self.make(position)? else { return Ok(()) };
        aside_if(self.may_give_way(), Way::Low, || self.write(position, made)).unwrap_or(Ok(()))
    }

    /// Stores a snapshot, and removes those that it makes one too many.
    fn write(&mut self, position: Position, made: Made) -> Result<(), JournalError> {
        let (archived, orders) = made.archived.unzip();
        let state = made.state;
        snapshot::write(&*self.log.storage, position, archived, &state)?;
        self.word.tell_archived(orders);
        self.snapshots.retain(|kept| kept.position.next_id != position.next_id);
        self.snapshots.insert(0, Kept { position, bytes: len_u64(state.len()) });
        self.snapshots.truncate(JOURNAL_SNAPSHOTS_COUNT);
        self.log.counts.snapshot_stands_at(position.next_id);
        snapshot::prune(&*self.log.storage, &self.snapshots)
    }

    /// The snapshot at `position`, but for its file: what it leaves to the archive is there.
    fn make(&mut self, position: Position) -> Result<Option<Made>, JournalError> {
        let Some(known) = self.replay(position)? else { return Ok(None) };
        let gives_way = self.may_give_way();
        let Some(fold) = self.fold.as_deref_mut() else { return Ok(None) };
        let (log, least) = (&*self.log, self.archive_from);
        let send = || snapshot::archive(log, known, position, fold, least);
        let Some(archived) = aside_if(gives_way, Way::Low, send).transpose()? else {
            return Ok(None);
        };
        let finish = || snapshot::finish(position, fold);
        let state = aside_if(gives_way, Way::Rest, finish).transpose()?;
        Ok(state.map(|state| Made { state, archived }))
    }

    /// Whether the next snapshot is late: a start would have too much to replay, or somebody waits for it.
    fn lateness(&self) -> impl Fn() -> bool + use<> {
        let (log, word) = (Arc::clone(&self.log), Arc::clone(&self.word));
        let newest = self.snapshots.first();
        let from = newest.map_or(Position::start_of(1), |newest| newest.position);
        let bytes_of_newest = newest.map_or(0, |newest| newest.bytes);
        let too_much = self.most_replayed.max(bytes_of_newest).saturating_mul(2);
        move || word.is_ending() || log.bytes_behind(from) > too_much
    }

    fn may_give_way(&self) -> bool {
        self.gives_way && !self.lateness()()
    }

    /// Makes the state at `position`; what the snapshot that it began with leaves to the archive. Where every processor
    /// is wanted for so long that it is late, it gives way no longer, and is made like anything else.
    fn replay(&mut self, position: Position) -> Result<Option<Archived>, JournalError> {
        let (gives_way, is_late) = (self.may_give_way(), self.lateness());
        let Some(fold) = self.fold.as_deref_mut() else { return Ok(None) };
        let (log, snapshots) = (&*self.log, &mut self.snapshots);
        if gives_way {
            let is_late = || {
                // A thread that gives way is still not taken from the processor before its time is over.
                std::thread::yield_now();
                is_late()
            };
            let made =
                aside(Way::Rest, || snapshot::replay_to(log, snapshots, position, fold, is_late));
            match made {
                Some(Ok(None)) => {}
                Some(made) => return made,
                // Told already; the next one is tried again.
                None => return Ok(None),
            }
        }
        snapshot::replay_to(log, snapshots, position, fold, || false)
    }

    fn retain(&mut self, wall_ns: i64) -> Result<(), JournalError> {
        let RetentionConfig { bytes, order_age, .. } = self.config;
        self.remove_while(|sealed_ns, _| wall_ns.saturating_sub(sealed_ns) >= nanos(order_age))?;
        for (segment, sealed_ns) in self.covered() {
            if wall_ns.saturating_sub(sealed_ns) < nanos(self.config.market_age) {
                break;
            }
            self.compact_or_tell(&segment);
        }
        for (segment, _) in self.covered() {
            if self.total_bytes() <= bytes {
                return Ok(());
            }
            self.compact_or_tell(&segment);
        }
        self.remove_while(|_, total| total > bytes)
    }

    /// The sealed segments that no start needs, oldest first, each with the wall clock when it was sealed.
    fn covered(&self) -> Vec<(Arc<Segment>, i64)> {
        let Some(oldest_snapshot) = self.snapshots.get(JOURNAL_SNAPSHOTS_COUNT - 1) else {
            return Vec::new();
        };
        let segments = self.log.segments();
        let sealed = segments.iter().zip(segments.iter().skip(1));
        sealed
            .take_while(|(segment, _)| {
                segment.header.first_id < oldest_snapshot.position.segment_id
            })
            .map(|(segment, next)| (Arc::clone(segment), next.header.created_ns))
            .collect()
    }

    fn total_bytes(&self) -> u64 {
        self.log.segments().iter().map(|segment| segment.end()).sum()
    }

    /// Removes the oldest segments while there is too much, told when a segment was sealed and how long the
    /// log is. No two removals are pending: after a power cut the later one might have happened alone.
    fn remove_while(&mut self, too_much: impl Fn(i64, u64) -> bool) -> Result<(), JournalError> {
        for (segment, sealed_ns) in self.covered() {
            if !too_much(sealed_ns, self.total_bytes()) {
                break;
            }
            self.finish_removal()?;
            let path = self.log.storage.path(&segment.name());
            self.log.remove_oldest(&segment).map_err(JournalError::io("remove", path))?;
            self.removal_is_pending = true;
            self.log.counts.removed();
            self.finish_removal()?;
        }
        Ok(())
    }

    fn finish_removal(&mut self) -> Result<(), JournalError> {
        if self.removal_is_pending {
            let storage = &*self.log.storage;
            storage.sync_dir().map_err(JournalError::io("sync", storage.path("")))?;
            self.removal_is_pending = false;
        }
        Ok(())
    }

    /// Rewrites a segment without its market frames. One that cannot be stays as it is: it must not keep
    /// the log from being trimmed.
    fn compact_or_tell(&self, segment: &Arc<Segment>) {
        if segment.header.compacted {
            return;
        }
        let temporary = format!("{}{TEMPORARY_SUFFIX}", segment.name());
        if let Err(error) = self.compact(segment, &temporary) {
            tracing::warn!(%error, "a segment of the journal cannot be compacted");
            // What was written so far only takes space; the next start removes it too.
            if let Err(error) = self.log.storage.remove(&temporary) {
                tracing::warn!(%error, temporary, "cannot remove it");
            }
        }
    }

    fn compact(&self, old: &Arc<Segment>, temporary: &str) -> Result<(), JournalError> {
        let storage = &*self.log.storage;
        let io = |action| JournalError::io(action, storage.path(temporary));
        let source = storage
            .open(&old.name())
            .map_err(JournalError::io("open", storage.path(&old.name())))?;
        let header = SegmentHeader { compacted: true, ..old.header };
        let file = storage.create(temporary).map_err(io("create"))?;
        file.write_at(&header.encode(), 0).map_err(io("write"))?;
        let mut rewrite = Rewrite::new(&*file);
        let mut scanner = Scanner::new(
            &*source,
            SEGMENT_RECORDS_START,
            old.end(),
            JOURNAL_READ_MAX_BYTES,
            Vec::new(),
        );
        loop {
            match scanner.next().map_err(io("read"))? {
                Next::Record(_, raw) => rewrite.add(raw.record).map_err(io("write"))?,
                Next::End => break,
                Next::Bad(offset, why) => {
                    let path = storage.path(&old.name());
                    return Err(JournalError::Damaged { path, offset, what: why.to_owned() });
                }
            }
        }
        let end = rewrite.finish().map_err(io("write"))?;
        file.sync().map_err(io("sync"))?;
        self.log.replace(old, Segment::new(header, end), temporary).map_err(io("rename"))?;
        self.log.counts.compacted();
        storage.sync_dir().map_err(JournalError::io("sync", storage.path("")))
    }
}

/// Writes the records of a compacted segment. A run of records with nothing left in them becomes one.
struct Rewrite<'f> {
    file: &'f dyn StorageFile,
    /// Where `out` begins in the file.
    offset: u64,
    out: Vec<u8>,
    /// Ids without anything left: the first, how many, the last append.
    empty: Option<(u64, u32, i64)>,
}

impl<'f> Rewrite<'f> {
    fn new(file: &'f dyn StorageFile) -> Rewrite<'f> {
        Rewrite { file, offset: SEGMENT_RECORDS_START, out: Vec::new(), empty: None }
    }

    fn add(&mut self, record: RecordRef<'_>) -> std::io::Result<()> {
        let kept = frames(record.frames).filter(|frame| frame.kind != EventKind::Market);
        if record.facts.is_empty() && kept.clone().next().is_none() {
            let (first_id, events, _) = self.empty.unwrap_or((record.first_id, 0, 0));
            if let Some(sum) = events.checked_add(record.events) {
                self.empty = Some((first_id, sum, record.wall_ns));
                return Ok(());
            }
        }
        self.flush_empty()?;
        let start = self.out.len();
        self.out.resize(start + RECORD_HEADER_BYTES, 0);
        self.out.extend_from_slice(record.facts);
        let mut stored = 0;
        for frame in kept {
            self.out.extend_from_slice(frame.bytes);
            stored += 1;
        }
        self.seal(start, record, stored)
    }

    fn flush_empty(&mut self) -> std::io::Result<()> {
        let Some((first_id, events, wall_ns)) = self.empty.take() else { return Ok(()) };
        let start = self.out.len();
        self.out.resize(start + RECORD_HEADER_BYTES, 0);
        self.seal(start, RecordRef { first_id, events, wall_ns, facts: &[], frames: &[] }, 0)
    }

    fn seal(&mut self, start: usize, record: RecordRef<'_>, stored: u32) -> std::io::Result<()> {
        let head = RecordHead {
            first_id: record.first_id,
            wall_ns: record.wall_ns,
            events: record.events,
            stored,
            facts_len: u32::try_from(record.facts.len()).unwrap_or(u32::MAX),
            durable: u32::try_from(self.offset).unwrap_or(u32::MAX),
        };
        let bytes = self.out.get_mut(start..).unwrap_or_default();
        seal_record(bytes, &head).map_err(std::io::Error::other)?;
        if self.out.len() >= JOURNAL_READ_MAX_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_at(&self.out, self.offset)?;
        self.offset += len_u64(self.out.len());
        self.out.clear();
        Ok(())
    }

    /// Where the records end.
    fn finish(mut self) -> std::io::Result<u64> {
        self.flush_empty()?;
        self.flush()?;
        Ok(self.offset)
    }
}

fn nanos(age: Duration) -> i64 {
    i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)
}
