//! What the journal does beside appending: syncs, snapshots, retention.
//!
//! Three threads: with `process` durability one that syncs, and one that makes the next segment; and one for the rest, so
//! that a long rewrite delays neither. They end with the [`Background`], after finishing what waits. Or none, and
//! whoever opened the journal does that work step by step, by [`Upkeep`]: so does the simulator.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use veloz_core::limits::{JOURNAL_BACKGROUND_QUEUE_COUNT, JOURNAL_SYNC_INTERVAL_MS};
use veloz_core::state::ArchivedOrders;

use super::error::JournalError;
use super::retention::Keeper;
use super::segment::{Log, Segment, lock};
use super::snapshot::{Fold, Kept, Position};
use super::spare::Spare;
use super::storage::StorageFile;
use super::writer::{Durability, JournalConfig};
use crate::histogram::Histogram;

/// The active segment's way to the disk, shared by those who sync it.
#[derive(Debug)]
pub(super) struct Active {
    state: Mutex<ActiveFile>,
    /// Held by who syncs.
    syncing: Mutex<()>,
    failed: OnceLock<String>,
    sync_time: Histogram,
    /// The next segment, as soon as it is made.
    spare: Mutex<Option<Spare>>,
}

#[derive(Debug, Clone)]
struct ActiveFile {
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    written: u64,
    durable: u64,
    /// Since when something written waits for the disk.
    waiting_since: Option<Instant>,
    /// Up to where the writer wants space reserved before it needs it.
    reserve_to: Option<u64>,
    /// Up to where that was done.
    reserved: u64,
}

impl Active {
    /// All up to `end` is on the disk.
    pub(super) fn new(segment: &Arc<Segment>, file: &Arc<dyn StorageFile>, end: u64) -> Active {
        let state = ActiveFile {
            segment: Arc::clone(segment),
            file: Arc::clone(file),
            written: end,
            durable: end,
            waiting_since: None,
            reserve_to: None,
            reserved: 0,
        };
        Active {
            state: Mutex::new(state),
            syncing: Mutex::new(()),
            failed: OnceLock::new(),
            sync_time: Histogram::default(),
            spare: Mutex::new(None),
        }
    }

    /// The place of the next segment. While one is made, or space is reserved, this waits for it.
    pub(super) fn spare(&self) -> MutexGuard<'_, Option<Spare>> {
        lock(&self.spare)
    }

    /// Another segment became active; the last one is on the disk.
    pub(super) fn switch(&self, segment: &Arc<Segment>, file: &Arc<dyn StorageFile>, end: u64) {
        let mut state = lock(&self.state);
        state.segment = Arc::clone(segment);
        state.file = Arc::clone(file);
        state.written = end;
        state.durable = end;
        state.waiting_since = None;
        state.reserve_to = None;
        state.reserved = 0;
    }

    /// Notes what is written, and up to where space is to be reserved soon; gives up to where it was by now.
    pub(super) fn set_written(&self, end: u64, reserve_to: Option<u64>) -> u64 {
        let mut state = lock(&self.state);
        state.written = end;
        state.waiting_since.get_or_insert_with(Instant::now);
        state.reserve_to = reserve_to;
        state.reserved
    }

    /// Nothing is reserved any more. To be called under the lock of [`Active::spare`].
    pub(super) fn reserve_nothing(&self) {
        lock(&self.state).reserve_to = None;
    }

    /// Reserves what the writer wants before it needs it, once: there it would wait for the sync that is under way.
    /// Whether it works does not matter: the writer tries it again, and tells.
    fn reserve(&self) {
        // Not beside the end of a segment, which gives back what is reserved; and a sync does not wait for that, nor for
        // the making of the next one.
        let Ok(_alone) = self.spare.try_lock() else { return };
        let Some(to) = lock(&self.state).reserve_to.take() else { return };
        let ActiveFile { segment, file, .. } = self.state();
        if file.allocate(to).is_err() {
            return;
        }
        let mut state = lock(&self.state);
        if Arc::ptr_eq(&state.segment, &segment) {
            state.reserved = to;
        }
    }

    /// How long something written has been waiting for the disk.
    pub(super) fn sync_lag(&self) -> Duration {
        lock(&self.state).waiting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// How long syncs took.
    pub(super) fn sync_time(&self) -> &Histogram {
        &self.sync_time
    }

    fn state(&self) -> ActiveFile {
        lock(&self.state).clone()
    }

    /// Up to where the active segment is written.
    fn written(&self) -> u64 {
        lock(&self.state).written
    }

    /// Up to where the active segment is on the disk.
    pub(super) fn durable(&self) -> u64 {
        lock(&self.state).durable
    }

    /// Brings what is written to the disk: not after a failure, and not beside another one. A failed sync forgets
    /// what was to be written (as Linux does), and one that goes on after it or beside it says that all is well.
    pub(super) fn sync(&self, log: &Log) -> Result<(), JournalError> {
        let _alone = lock(&self.syncing);
        self.check()?;
        let ActiveFile { segment, file, written, durable, .. } = self.state();
        let begun = Instant::now();
        if written == durable {
            return Ok(());
        }
        let synced = file
            .sync()
            .map_err(|source| JournalError::io("sync", log.storage.path(&segment.name()))(source));
        synced.inspect_err(|error| self.poison(error))?;
        self.sync_time.observe(begun.elapsed());
        let mut state = lock(&self.state);
        if Arc::ptr_eq(&state.segment, &segment) {
            state.durable = state.durable.max(written);
            // What was written meanwhile waits for the next one.
            state.waiting_since = (state.written > state.durable).then_some(begun);
        }
        Ok(())
    }

    /// Nothing is appended after the first failure.
    pub(super) fn poison(&self, error: &JournalError) {
        if self.failed.set(error.to_string()).is_ok() {
            tracing::error!(%error, "the journal stops");
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failed.get().cloned()
    }

    pub(super) fn check(&self) -> Result<(), JournalError> {
        match self.failed.get() {
            None => Ok(()),
            Some(reason) => Err(JournalError::Poisoned { reason: reason.clone() }),
        }
    }
}

#[derive(Debug)]
enum Job {
    /// How snapshots are made from now on.
    Fold(Box<dyn Fold>),
    /// One that stands there.
    Snapshot(Position),
    /// A snapshot if it is time for one, then retention.
    Tend { position: Position, wall_ns: i64 },
    /// Answered by dropping the sender.
    Wait(#[expect(dead_code, reason = "its end is the answer")] Sender<()>),
}

/// What the journal and its [`Keeper`] tell each other.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// A [`Job::Tend`] waits already: one is enough.
    tend_waits: AtomicBool,
    /// Somebody waits for the end of the work.
    ending: AtomicBool,
    /// What went to the archive.
    archived: Mutex<Vec<ArchivedOrders>>,
    /// Why the last snapshot was not made, or retention not done.
    failure: Mutex<Option<String>>,
}

impl Word {
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(super) fn tell_archived(&self, orders: Option<ArchivedOrders>) {
        lock(&self.archived).extend(orders);
    }
}

/// The threads.
#[derive(Debug)]
pub(super) struct Background {
    jobs: Option<Sender<Job>>,
    /// Wakes the thread that syncs; dropping it ends that.
    syncs: Option<Sender<()>>,
    word: Arc<Word>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    /// The journal's end of the work, and the work itself.
    pub(super) fn new(
        log: &Arc<Log>,
        active: &Arc<Active>,
        config: &JournalConfig,
        snapshots: Vec<Kept>,
    ) -> (Background, Upkeep) {
        let (jobs, received) = bounded(JOURNAL_BACKGROUND_QUEUE_COUNT);
        let word = Arc::default();
        let keeper = Keeper::new(log, active, config, snapshots, &word);
        let segment_bytes = config.segment_bytes;
        let (log, active) = (Arc::clone(log), Arc::clone(active));
        let syncer = Syncer { log: Arc::clone(&log), active: Arc::clone(&active) };
        let preparer = Preparer { log, active, segment_bytes };
        let syncs = config.durability == Durability::Process;
        let upkeep = Upkeep { keeper, jobs: received, syncer, preparer, syncs };
        let (jobs, threads) = (Some(jobs), Vec::new());
        let background = Background { jobs, syncs: None, word, threads };
        (background, upkeep)
    }

    /// Gives the work to threads.
    pub(super) fn start(&mut self, upkeep: Upkeep) -> std::io::Result<()> {
        let Upkeep { keeper, jobs, syncer, preparer, syncs } = upkeep;
        let keep = move || {
            let mut keeper = keeper;
            keeper.give_way();
            jobs.iter().for_each(|job| keep(&mut keeper, job));
        };
        self.threads.push(spawn("journal-jobs", keep)?);
        if syncs {
            let (wake, woken) = bounded(1);
            let (ahead, due) = bounded(1);
            self.syncs = Some(wake);
            self.threads
                .push(spawn("journal-sync", move || syncer.sync_regularly(&woken, &ahead))?);
            let prepare = move || due.iter().for_each(|()| preparer.make_spare());
            self.threads.push(spawn("journal-ahead", prepare)?);
        }
        Ok(())
    }

    pub(super) fn fold_by(&self, fold: Box<dyn Fold>) {
        self.send(Job::Fold(fold));
    }

    pub(super) fn snapshot(&self, position: Position) -> bool {
        self.send(Job::Snapshot(position))
    }

    /// When one waits already, or too much else, a later call does it.
    pub(super) fn tend(&self, position: Position, wall_ns: i64) {
        if !self.word.tend_waits.swap(true, Ordering::AcqRel)
            && !self.send(Job::Tend { position, wall_ns })
        {
            self.word.tend_waits.store(false, Ordering::Release);
        }
    }

    /// What went to the archive since this was asked last, the oldest first.
    pub(super) fn take_archived(&self) -> Vec<ArchivedOrders> {
        std::mem::take(&mut *lock(&self.word.archived))
    }

    /// Why the last snapshot was not made, or retention not done, if that is so.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.word.failure).clone()
    }

    /// The next sync is not to wait for its time. One that was told so already need not be told again.
    pub(super) fn sync_soon(&self) {
        if let Some(syncs) = &self.syncs {
            let _ = syncs.try_send(());
        }
    }

    pub(super) fn wait(&self) {
        let (sender, done) = bounded(0);
        if let Some(jobs) = &self.jobs
            && jobs.send(Job::Wait(sender)).is_ok()
        {
            // It ends with an error, when the other side drops its end.
            let _ = done.recv();
        }
    }

    fn send(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }
}

impl Background {
    /// Ends the threads, after finishing what waits: nothing gives way any more, and retention is for the next start.
    pub(super) fn end(&mut self) {
        self.word.ending.store(true, Ordering::Release);
        self.jobs = None;
        self.syncs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal panicked");
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Does a job.
fn keep(keeper: &mut Keeper, job: Job) {
    let done = match job {
        Job::Fold(fold) => return keeper.fold_by(fold),
        Job::Wait(_) => return,
        Job::Snapshot(position) => keeper.snapshot(position),
        Job::Tend { position, wall_ns } => {
            keeper.word.tend_waits.store(false, Ordering::Release);
            if keeper.word.is_ending() {
                return;
            }
            keeper.tend(position, wall_ns)
        }
    };
    if let Err(error) = &done {
        // The log itself is as it was: this is tried again soon.
        tracing::warn!(%error, "the journal's background work failed");
    }
    *lock(&keeper.word.failure) = done.err().map(|error| error.to_string());
}

/// Brings to the disk what is written.
#[derive(Debug)]
struct Syncer {
    log: Arc<Log>,
    active: Arc<Active>,
}

/// Sees that the next segment is there in time.
#[derive(Debug)]
struct Preparer {
    log: Arc<Log>,
    active: Arc<Active>,
    segment_bytes: u64,
}

impl Syncer {
    fn sync_regularly(&self, woken: &Receiver<()>, ahead: &Sender<()>) {
        let interval = Duration::from_millis(JOURNAL_SYNC_INTERVAL_MS);
        while woken.recv_timeout(interval) != Err(RecvTimeoutError::Disconnected) {
            if self.active.sync_lag().is_zero() {
                continue; // nothing waits
            }
            // Beside this: the sync would come the later for it.
            let _ = ahead.try_send(());
            self.active.reserve();
            if self.active.sync(&self.log).is_err() {
                return; // poisoned, and told
            }
        }
    }
}

impl Preparer {
    /// Makes the next segment when the active one is half full. Where that fails, the writer tries it again when
    /// it needs one, and tells.
    fn make_spare(&self) {
        let mut spare = self.active.spare();
        if spare.is_none() && self.active.written() >= self.segment_bytes / 2 {
            *spare = Spare::make_ahead(&*self.log.storage).ok();
        }
    }
}

/// What a journal opened by [`Journal::open_without_threads`] has to have done for it.
///
/// [`Journal::open_without_threads`]: super::Journal::open_without_threads
#[derive(Debug)]
pub struct Upkeep {
    keeper: Keeper,
    jobs: Receiver<Job>,
    syncer: Syncer,
    preparer: Preparer,
    /// Whether anything is synced in the background.
    syncs: bool,
}

impl Upkeep {
    /// What a thread does every [`JOURNAL_SYNC_INTERVAL_MS`] milliseconds: brings to the disk what is written.
    ///
    /// # Errors
    /// When it cannot be, or anything failed before: the journal is poisoned then.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.syncer.active.check()?;
        if self.syncs {
            self.syncer.active.reserve();
            self.syncer.active.sync(&self.syncer.log)?;
            self.preparer.make_spare();
        }
        Ok(())
    }

    /// What another thread does all the time: makes a snapshot, or does what retention asks for. False when
    /// nothing waits.
    pub fn work(&mut self) -> bool {
        let job = self.jobs.try_recv();
        let worked = job.is_ok();
        if let Ok(job) = job {
            keep(&mut self.keeper, job);
        }
        worked
    }
}
