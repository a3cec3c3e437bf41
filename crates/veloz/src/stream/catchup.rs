//! Reads of the log for subscribers that are behind the window, so that the stream's thread never
//! waits for the disk.
//!
//! Contract: a few threads, a few reads at once, whoever asked first is read for first. What a read brings is
//! checked here, off the stream's thread: whole frames, ids without a hole unless the log says that
//! market events are missing.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use veloz_core::limits::{STREAM_READ_THREADS, STREAM_READS_IN_FLIGHT};
use veloz_core::types::EventId;

use super::index::{FrameMeta, index};
use super::tail::Shared;
use crate::frame::frames;
use crate::journal::{Bounds, LogError, LogReader, Read};

/// A subscriber: its place in the table, and a number that no other one ever has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) key: usize,
    pub(super) serial: u64,
}

/// A read of the log that a subscriber waits for.
pub struct Job {
    pub(super) who: Who,
    pub(super) from: EventId,
    pub(super) max_bytes: usize,
    /// Whether the frames are wanted one by one.
    pub(super) indexed: bool,
}

/// Frames of the log.
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    /// Empty unless asked for.
    pub(super) metas: Vec<FrameMeta>,
    /// The id of the first frame, if there is any.
    pub(super) first: Option<EventId>,
    pub(super) count: u64,
    /// Where to read on.
    pub(super) next: EventId,
    pub(super) compacted: bool,
}

impl Chunk {
    /// The first of its frames alone.
    pub(super) fn first_frame(&self) -> Option<Chunk> {
        let frame = frames(&self.bytes).next()?;
        Some(Chunk {
            bytes: self.bytes.slice(..frame.bytes.len()),
            metas: self.metas.iter().take(1).copied().collect(),
            first: Some(frame.id),
            count: 1,
            next: frame.id.saturating_add(1),
            compacted: false,
        })
    }
}

/// What a read brought.
pub(super) enum Found {
    Chunk(Chunk),
    AtEnd,
    Trimmed(Bounds),
    Ahead(Bounds),
    Failed(LogError),
}

/// A read that is done.
pub struct Done {
    pub(super) who: Who,
    pub(super) from: EventId,
    pub(super) found: Found,
}

/// The threads that read.
pub(super) struct Pool {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn start(log: &Arc<dyn LogReader>, shared: &Arc<Shared>) -> io::Result<Pool> {
        let (jobs, queue) = crossbeam_channel::bounded(STREAM_READS_IN_FLIGHT);
        let mut pool = Pool { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..STREAM_READ_THREADS {
            let (queue, log, shared) = (queue.clone(), Arc::clone(log), Arc::clone(shared));
            let thread = std::thread::Builder::new()
                .name("stream-read".into())
                .spawn(move || work(&queue, log.as_ref(), &shared))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Starts a read, or gives it back. The caller keeps count: there is room for
    /// [`STREAM_READS_IN_FLIGHT`].
    pub(super) fn read(&self, job: Job) -> Result<(), Job> {
        let Some(jobs) = &self.jobs else { return Err(job) };
        jobs.try_send(job).map_err(|error| error.into_inner())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Receiver<Job>, log: &dyn LogReader, shared: &Shared) {
    for job in queue {
        shared.read_done(job.run(log));
    }
}

impl Job {
    /// Reads. Blocks.
    pub fn run(&self, log: &dyn LogReader) -> Done {
        let found = match log.read(self.from, self.max_bytes) {
            Ok(Read::Frames { bytes, next, compacted }) => {
                chunk(self, bytes, next, compacted).map_or_else(Found::Failed, Found::Chunk)
            }
            Ok(Read::AtEnd) => Found::AtEnd,
            Ok(Read::Trimmed(bounds)) => Found::Trimmed(bounds),
            Ok(Read::Ahead(bounds)) => Found::Ahead(bounds),
            Err(error) => Found::Failed(error),
        };
        Done { who: self.who, from: self.from, found }
    }
}

fn chunk(job: &Job, bytes: Bytes, next: EventId, compacted: bool) -> Result<Chunk, LogError> {
    if !compacted
        && !job.indexed
        && let Some(count) = whole_run(&bytes, job.from, next)
    {
        let first = Some(job.from);
        return Ok(Chunk { bytes, metas: vec![], first, count, next, compacted });
    }
    let damaged =
        |what: &str| LogError::Damaged(format!("a read from {} to {next} gave {what}", job.from));
    let (mut count, mut first, mut expected) = (0, None, job.from);
    let mut all = frames(&bytes);
    for frame in all.by_ref() {
        if frame.id < expected || (frame.id > expected && !compacted) {
            return Err(damaged("other events than asked for"));
        }
        first = first.or(Some(frame.id));
        expected = frame.id + 1;
        count += 1;
    }
    if !all.rest().is_empty() {
        return Err(damaged("half a frame"));
    }
    if next <= job.from || next < expected || (next > expected && !compacted) {
        return Err(damaged("another end than its last event"));
    }
    let metas =
        if job.indexed { index(&bytes).ok_or_else(|| damaged("no frames"))? } else { vec![] };
    Ok(Chunk { bytes, metas, first, count, next, compacted })
}

/// How many events there are, if the bytes begin with the event `from` and end with that before `next`. What
/// is between them is under the log's checksums and its chain of ids, and need not be looked at again.
fn whole_run(bytes: &[u8], from: EventId, next: EventId) -> Option<u64> {
    let last_at = memchr::memmem::rfind(bytes, b"\n\nid: ").map_or(0, |end| end + 2);
    let mut last = frames(bytes.get(last_at..)?);
    let ends = last.next()?.id.checked_add(1) == Some(next) && last.rest().is_empty();
    let begins = frames(bytes).next()?.id == from;
    (begins && ends).then(|| next.saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::log_bytes;

    #[test]
    fn a_whole_run_is_told_by_its_ends() {
        let check = |bytes: Vec<u8>, next, count| assert_eq!(whole_run(&bytes, 5, next), count);
        check(log_bytes(5..=8), 9, Some(4));
        check(log_bytes(5..=5), 6, Some(1));
        check(log_bytes(4..=8), 9, None);
        check(log_bytes(6..=8), 9, None);
        check(log_bytes(5..=8), 8, None);
        check(log_bytes(5..=8), 10, None);
        check(vec![], 6, None);
        let mut half = log_bytes(5..=8);
        half.pop();
        check(half, 9, None);
    }

    #[test]
    fn a_chunk_is_checked() {
        let check = |bytes: Vec<u8>, next, compacted, good: bool| {
            let job = Job { who: Who { key: 0, serial: 0 }, from: 5, max_bytes: 1, indexed: true };
            let chunk = chunk(&job, bytes.into(), next, compacted);
            assert_eq!(chunk.is_ok(), good, "{next} {:?}", chunk.err());
        };
        check(log_bytes(5..=8), 9, false, true);
        check(log_bytes([5, 8]), 9, true, true);
        check(log_bytes([7, 8]), 12, true, true);
        check(vec![], 12, true, true);
        check(log_bytes(5..=8), 8, false, false);
        check(log_bytes(5..=8), 10, false, false);
        check(log_bytes(4..=8), 9, true, false);
        check(log_bytes(6..=8), 9, false, false);
        check(log_bytes([5, 7]), 8, false, false);
        check(log_bytes([7, 6]), 8, true, false);
        check(vec![], 5, true, false);
        check(log_bytes(5..=5)[..9].to_vec(), 6, false, false);
    }
}
