//! Reading from any position with any budget, offline, and beside a writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use veloz::frame::frames;
use veloz::journal::{
    Batch, Bounds, Durability, Journal, JournalConfig, JournalReader, LogReader, Read,
    RetentionConfig,
};

use crate::memory::MemoryStorage;
use crate::{NewestId, add_step, open, read_all, small_segments};

/// A log of many small segments, and its newest id.
fn log_of(steps: u64) -> (Journal, Arc<JournalReader>, u64) {
    let (mut journal, reader, _) = open(&Arc::new(MemoryStorage::default()), small_segments());
    let (mut batch, mut next_id) = (Batch::new(), 1);
    for n in 0..steps {
        add_step(&mut batch, &mut next_id, n);
        if n % 3 == 0 {
            journal.append(&mut batch, 1).expect("appends");
            batch.clear();
        }
    }
    if !batch.is_empty() {
        journal.append(&mut batch, 1).expect("appends");
    }
    (journal, reader, next_id - 1)
}

#[test]
fn every_id_is_read_from_with_any_budget() {
    let (_journal, reader, newest) = log_of(150);
    for max_bytes in [0, 1, 150, 1000, 5000, 1 << 20] {
        for from in 1..=newest {
            let Read::Frames { bytes, next, compacted } =
                reader.read(from, max_bytes).expect("reads")
            else {
                panic!("no frames at {from}")
            };
            let ids: Vec<u64> = frames(&bytes).map(|frame| frame.id).collect();
            assert_eq!(ids, (from..next).collect::<Vec<_>>());
            assert!(!compacted);
            assert!(ids.len() == 1 || bytes.len() <= max_bytes, "{} of {max_bytes}", bytes.len());
        }
        let ids: Vec<u64> = read_all(&*reader, 1, max_bytes).iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, (1..=newest).collect::<Vec<_>>());
    }
}

#[test]
fn positions_outside_the_log_are_told() {
    let empty = open(&Arc::new(MemoryStorage::default()), small_segments());
    assert_eq!(empty.1.bounds(), Bounds { oldest: 1, newest: 0 });
    let (_journal, reader, newest) = log_of(20);
    let bounds = Bounds { oldest: 1, newest };
    let check = |reader: &JournalReader, from, expected| {
        assert_eq!(reader.read(from, 1000).expect("reads"), expected, "from {from}");
    };
    check(&empty.1, 0, Read::Trimmed(Bounds { oldest: 1, newest: 0 }));
    check(&empty.1, 1, Read::AtEnd);
    check(&empty.1, 2, Read::Ahead(Bounds { oldest: 1, newest: 0 }));
    check(&reader, 0, Read::Trimmed(bounds));
    check(&reader, newest + 1, Read::AtEnd);
    check(&reader, newest + 2, Read::Ahead(bounds));
    check(&reader, u64::MAX, Read::Ahead(bounds));
}

#[test]
fn an_offline_reader_sees_what_is_there_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = JournalConfig { durability: Durability::Process, ..small_segments() };
    let (mut journal, _, _) = Journal::open(dir.path(), config).expect("opens");
    let (mut batch, mut next_id) = (Batch::new(), 1);
    for n in 0..60 {
        batch.clear();
        add_step(&mut batch, &mut next_id, n);
        journal.append(&mut batch, 1).expect("appends");
        if n % 10 == 0 {
            let offline = JournalReader::open_offline(dir.path()).expect("opens offline");
            assert_eq!(offline.bounds(), Bounds { oldest: 1, newest: next_id - 1 });
            let read = read_all(&offline, 1, 500);
            assert_eq!(read.len() as u64, next_id - 1);
        }
    }
    let nothing = tempfile::tempdir().expect("a directory");
    let offline = JournalReader::open_offline(nothing.path()).expect("opens offline");
    assert_eq!(offline.bounds(), Bounds { oldest: 1, newest: 0 });
    assert_eq!(std::fs::read_dir(nothing.path()).expect("lists").count(), 0);
    JournalReader::open_offline(&nothing.path().join("none")).expect_err("is not there");
}

/// Readers at their own pace beside a writer that rolls, compacts and trims: every id once, in order,
/// or told that it is gone.
#[test]
fn readers_beside_the_writer_miss_nothing_untold() {
    let config = JournalConfig {
        durability: Durability::Disk,
        segment_bytes: 8 << 10,
        retention: RetentionConfig {
            bytes: 100 << 10,
            market_age: Duration::from_nanos(400),
            order_age: Duration::from_secs(3600),
        },
        ..JournalConfig::default()
    };
    let (mut journal, reader, _) = open(&Arc::new(MemoryStorage::default()), config);
    let done = AtomicBool::new(false);
    journal.fold_by(NewestId::as_text("#"));
    let newest = thread::scope(|scope| {
        let readers: Vec<_> = [100, 3000, 50_000]
            .into_iter()
            .map(|max_bytes| {
                scope.spawn({
                    let (reader, done) = (&reader, &done);
                    move || follow(reader, done, max_bytes)
                })
            })
            .collect();
        let (mut batch, mut next_id) = (Batch::new(), 1);
        let mut rolls = 0;
        for n in 0..6000 {
            batch.clear();
            add_step(&mut batch, &mut next_id, n);
            let appended =
                journal.append(&mut batch, i64::try_from(n).expect("small")).expect("appends");
            if appended.rolled {
                rolls += 1;
                if rolls % 4 == 0 {
                    // Else the writer is so much faster that snapshots are put off again and again.
                    journal.wait_for_background();
                }
            }
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            let seen = reader.join().expect("a reader does not panic");
            assert_eq!(seen, next_id, "it came to the end");
        }
        next_id - 1
    });
    journal.wait_for_background();
    let bounds = reader.bounds();
    assert!(bounds.oldest > 1 && bounds.newest == newest, "{bounds:?}: something was trimmed");
    assert!(
        matches!(reader.read(bounds.oldest, 1000), Ok(Read::Frames { compacted: true, .. })),
        "something was compacted"
    );
}

/// Follows the log to its end and gives the id where it stopped.
fn follow(reader: &JournalReader, done: &AtomicBool, max_bytes: usize) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut next_id = 1;
    loop {
        assert!(Instant::now() < deadline, "stuck at {next_id}");
        let finished = done.load(Ordering::Acquire);
        match reader.read(next_id, max_bytes).expect("reads") {
            Read::Frames { bytes, next, compacted } => {
                let mut expected = next_id;
                for frame in frames(&bytes) {
                    assert!(frame.id == expected || compacted && frame.id > expected);
                    expected = frame.id + 1;
                }
                assert!(next == expected || compacted && next > expected);
                assert!(next > next_id);
                next_id = next;
            }
            Read::AtEnd if finished => return next_id,
            Read::AtEnd => thread::yield_now(),
            Read::Trimmed(bounds) => {
                assert!(bounds.oldest > next_id);
                next_id = bounds.oldest;
            }
            Read::Ahead(bounds) => panic!("{next_id} is ahead of {bounds:?}"),
        }
    }
}
