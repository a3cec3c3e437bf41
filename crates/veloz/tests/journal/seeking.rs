//! An event is found without reading the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use veloz::frame::{frames, write_frame};
use veloz::journal::{
    Batch, Durability, Identity, Journal, JournalConfig, JournalReader, LogReader, Read, Storage,
    StorageFile,
};
use veloz_core::event::{ErrorEvent, Event};

use crate::market;

/// A directory that counts what is read from it.
#[derive(Debug)]
struct Counted {
    dir: veloz::journal::DirStorage,
    read_bytes: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountedFile {
    file: Arc<dyn StorageFile>,
    read_bytes: Arc<AtomicU64>,
}

impl Counted {
    fn new(dir: &Path) -> Arc<Counted> {
        let dir = veloz::journal::DirStorage::new(dir);
        Arc::new(Counted { dir, read_bytes: Arc::default() })
    }

    fn of(&self, file: io::Result<Arc<dyn StorageFile>>) -> io::Result<Arc<dyn StorageFile>> {
        let read_bytes = Arc::clone(&self.read_bytes);
        Ok(Arc::new(CountedFile { file: file?, read_bytes }))
    }

    fn take(&self) -> u64 {
        self.read_bytes.swap(0, Ordering::Relaxed)
    }
}

impl Storage for Counted {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path(name)
    }
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.dir.list()
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.of(self.dir.open(name))
    }
    fn open_for_write(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.of(self.dir.open_for_write(name))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.of(self.dir.create(name))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.dir.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.dir.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.dir.sync_dir()
    }
}

impl StorageFile for CountedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(bytes, offset)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn identity(&self) -> io::Result<Option<Identity>> {
        self.file.identity()
    }
}

const SEGMENT_BYTES: u64 = 16 << 20;

/// Three segments of it, as `kill -9` leaves them: no index is in memory when it is opened again. Gives the newest
/// event.
fn fill(dir: &Path, mut step: impl FnMut(&mut Batch, &mut u64)) -> u64 {
    let config = JournalConfig {
        durability: Durability::Process,
        segment_bytes: SEGMENT_BYTES,
        ..JournalConfig::default()
    };
    let (mut journal, _, _) = Journal::open(dir, config).expect("opens");
    let (mut batch, mut next_id, mut rolls, mut unsynced) = (Batch::new(), 1, 0, 0);
    while rolls < 3 {
        batch.clear();
        for _ in 0..20 {
            step(&mut batch, &mut next_id);
        }
        rolls += u32::from(journal.append(&mut batch, 1).expect("appends").rolled);
        // Where the disk is behind a segment ends later: it would not be the same log each time.
        unsynced += batch.size_bytes();
        if unsynced > 256 << 10 {
            journal.sync().expect("syncs");
            unsynced = 0;
        }
    }
    next_id - 1
}

/// Every lookup finds its event; gives the most and the sum of what they read from the storage.
fn look_up(dir: &Path, newest: u64, lookups: u32) -> (u64, u64) {
    let storage = Counted::new(dir);
    let (journal, reader, _) =
        Journal::open_on(Arc::clone(&storage) as Arc<dyn Storage>, JournalConfig::default())
            .expect("opens");
    let mut random = fastrand::Rng::with_seed(7);
    storage.take();
    let (mut most, mut sum) = (0, 0);
    for _ in 0..lookups {
        let id = random.u64(1..=newest);
        let bytes = first_frames(&reader, id);
        assert_eq!(frames(&bytes).next().map(|frame| frame.id), Some(id));
        let read = storage.take();
        most = most.max(read);
        sum += read;
    }
    drop(journal);
    (most, sum)
}

fn first_frames(reader: &JournalReader, id: u64) -> bytes::Bytes {
    match reader.read(id, 1).expect("reads") {
        Read::Frames { bytes, compacted: false, .. } => bytes,
        other => panic!("{other:?} at {id}"),
    }
}

#[test]
fn a_place_is_found_without_reading_the_segment() {
    let home = tempfile::tempdir().expect("a directory");
    let newest = fill(home.path(), |batch, next_id| {
        batch.step(*next_id, 1, &[], |out| write_frame(out, *next_id, &market(*next_id)));
        *next_id += 1;
    });
    let (most, sum) = look_up(home.path(), newest, 200);
    assert!(most <= 512 << 10, "{most} bytes for one lookup");
    assert!(sum <= 200 * (256 << 10), "{} bytes for each lookup", sum / 200);
}

/// Steps of facts only, huge steps and steps of many events: nothing is where its number lets one expect it.
#[test]
fn a_place_is_found_among_steps_of_every_size() {
    let home = tempfile::tempdir().expect("a directory");
    let mut random = fastrand::Rng::with_seed(3);
    let newest = fill(home.path(), |batch, next_id| {
        let first_id = *next_id;
        let (events, text_bytes) = match random.u8(0..200) {
            0 => (1, 1_500_000),
            1..20 => (0, 0),
            20..60 => (random.u32(1..400), 1),
            _ => (random.u32(1..3), random.usize(0..3_000)),
        };
        let event = Event::Error(ErrorEvent {
            ts_ns: 1,
            message: "market_source_error".into(),
            detail: Some("x".repeat(text_bytes).into()),
        });
        batch.step(first_id, events, b"[]", |out| {
            (first_id..).take(events as usize).for_each(|id| write_frame(out, id, &event));
        });
        *next_id += u64::from(events);
    });
    let (most, _) = look_up(home.path(), newest, 500);
    assert!(most < SEGMENT_BYTES / 2, "{most} bytes for one lookup");
}

/// A step may be longer than all the way there is to look at, as when many orders are taken back at once.
#[test]
fn a_place_in_a_long_step_is_found_at_once() {
    const EVENTS: u64 = 3_000;
    let home = tempfile::tempdir().expect("a directory");
    let (mut journal, _, _) = Journal::open(home.path(), JournalConfig::default()).expect("opens");
    let (mut batch, mut long_bytes) = (Batch::new(), 0);
    batch.step(1, 1, &[], |out| write_frame(out, 1, &market(1)));
    batch.step(2, u32::try_from(EVENTS).expect("small"), &[], |out| {
        (2..).take(EVENTS as usize).for_each(|id| write_frame(out, id, &market(id)));
        long_bytes = out.len() as u64;
    });
    journal.append(&mut batch, 1).expect("appends");
    drop(journal);
    let (most, _) = look_up(home.path(), EVENTS + 1, 50);
    assert!(most < long_bytes * 3 / 2, "{most} bytes for one lookup in {long_bytes}");
}
