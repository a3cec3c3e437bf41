//! Snapshots are made from what is stored, beside the writer, and never of more than that.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use veloz::journal::{Batch, Fold, FoldError, Journal, JournalConfig, RecordRef, Snapshot};

use crate::memory::{Faults, MemoryStorage};
use crate::{NewestId, add_step, open, replayed, small_segments};

fn append(journal: &mut Journal, next_id: &mut u64, steps: u64) -> bool {
    let mut rolled = false;
    for n in 0..steps {
        let mut batch = Batch::new();
        add_step(&mut batch, next_id, n);
        rolled |= journal.append(&mut batch, 1).expect("appends").rolled;
    }
    rolled
}

/// However long the log, a start replays the records of about one segment.
#[test]
fn what_a_start_replays_does_not_grow_with_the_log() {
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, _, _) = open(&storage, small_segments());
    journal.fold_by(NewestId::as_text("#"));
    let (mut next_id, mut most) = (1, 0);
    for _ in 0..60 {
        while !append(&mut journal, &mut next_id, 1) {}
        journal.wait_for_background();
        // As `kill -9` leaves it: nothing was closed.
        let (_, _, recovery) = open(&storage.after_crash(), small_segments());
        let at = recovery.snapshot.as_ref().expect("a snapshot").at;
        let steps = replayed(&recovery);
        let events: u64 = steps.iter().map(|step| u64::from(step.events)).sum();
        assert_eq!(at + events, next_id - 1);
        most = most.max(steps.len());
    }
    assert!(most < 30, "{most} of {next_id} events");
}

/// A large state is not written again for every segment: snapshots cost no more than the log.
#[test]
fn a_large_state_is_written_as_often_as_the_log_grows_by_it() {
    #[derive(Debug)]
    struct Large(u64);
    impl Fold for Large {
        fn begin(&mut self, snapshot: Option<&Snapshot>) -> Result<(), FoldError> {
            self.0 = u64::from(snapshot.is_some());
            Ok(())
        }
        fn take(&mut self, _: &RecordRef<'_>) -> Result<(), FoldError> {
            Ok(())
        }
        fn finish(&mut self) -> Result<Vec<u8>, FoldError> {
            Ok(vec![b'x'; 30 << 10])
        }
    }
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, _, _) = open(&storage, small_segments());
    journal.fold_by(Box::new(Large(0)));
    let mut next_id = 1;
    let (mut made, mut rolls, mut last) = (0, 0, String::new());
    while rolls < 40 {
        if !append(&mut journal, &mut next_id, 1) {
            continue;
        }
        rolls += 1;
        journal.wait_for_background();
        let newest = storage.names(".snap").pop().unwrap_or_default();
        made += u64::from(newest != last);
        last = newest;
    }
    // 40 segments of 4 KiB hold a state of 30 KiB five times over, and the first was early.
    assert!((4..=6).contains(&made), "{made} snapshots");
}

/// Where the background is kept from its work for so long that a start would have too much to replay, it no longer
/// gives way: the snapshot is begun again by a thread like any other.
#[test]
fn a_snapshot_that_is_late_no_longer_gives_way() {
    /// Is held up once, and says how nice the threads were that began with it.
    #[derive(Debug)]
    struct HeldUp {
        nice: Sender<i32>,
        go_on: Receiver<()>,
        held: bool,
    }
    impl Fold for HeldUp {
        fn begin(&mut self, _: Option<&Snapshot>) -> Result<(), FoldError> {
            self.nice.send(rustix::process::getpriority_process(None)?)?;
            Ok(())
        }
        fn take(&mut self, _: &RecordRef<'_>) -> Result<(), FoldError> {
            if !std::mem::replace(&mut self.held, true) {
                self.go_on.recv()?;
            }
            Ok(())
        }
        fn finish(&mut self) -> Result<Vec<u8>, FoldError> {
            Ok(Vec::new())
        }
    }
    let own = rustix::process::getpriority_process(None).expect("is known");
    let check = |steps_meanwhile, gives_way: bool| {
        let storage = Arc::<MemoryStorage>::default();
        let (mut journal, _, _) = open(&storage, small_segments());
        let ((nice, nices), (go_on, waits)) = (channel(), channel());
        journal.fold_by(Box::new(HeldUp { nice, go_on: waits, held: false }));
        let mut next_id = 1;
        append(&mut journal, &mut next_id, 40);
        assert!(journal.snapshot().expect("is taken"));
        let mut seen = vec![nices.recv().expect("it has begun")];
        append(&mut journal, &mut next_id, steps_meanwhile);
        go_on.send(()).expect("it waits");
        journal.wait_for_background();
        seen.extend(nices.try_iter());
        assert_eq!(seen.first(), Some(&19), "{seen:?}");
        assert_eq!(!seen.contains(&own), gives_way, "{seen:?}");
        assert!(!storage.names(".snap").is_empty());
    };
    check(0, true);
    check(400, false);
}

/// A snapshot that cannot be made or written leaves the log, and the snapshots before it, as they were.
#[test]
fn a_failed_snapshot_harms_nothing() {
    let storage = Arc::<MemoryStorage>::default();
    // No snapshot is due by itself.
    let (mut journal, _, _) = open(&storage, JournalConfig::default());
    journal.fold_by(NewestId::as_text("#"));
    let mut next_id = 1;
    append(&mut journal, &mut next_id, 10);
    assert!(journal.snapshot().expect("is taken"));
    journal.wait_for_background();
    let kept = storage.names(".snap");
    assert_eq!(kept.len(), 1);
    append(&mut journal, &mut next_id, 10);
    // No space for it: what was begun is taken away again.
    storage.set_faults(Faults { space_left: Some(49), ..Faults::default() });
    assert!(journal.snapshot().expect("is taken"));
    journal.wait_for_background();
    storage.set_faults(Faults::default());
    assert_eq!((storage.names(".snap"), storage.names(".tmp")), (kept.clone(), vec![]));
    // It cannot be made: the state does not follow from what is stored.
    journal.fold_by(NewestId::as_text("another #"));
    assert!(journal.snapshot().expect("is taken"));
    journal.wait_for_background();
    assert_eq!(storage.names(".snap"), kept);
    assert_eq!(journal.failure(), None);
    append(&mut journal, &mut next_id, 1);
    journal.fold_by(NewestId::as_text("#"));
    assert!(journal.snapshot().expect("is taken"));
    drop(journal);
    let (_, _, recovery) = open(&storage, JournalConfig::default());
    assert_eq!(recovery.snapshot.map(|snapshot| snapshot.at), Some(next_id - 1));
}

/// The newest snapshot was damaged meanwhile: the next is made from the one before it.
#[test]
fn a_damaged_snapshot_is_passed_over_when_the_next_is_made() {
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, _, _) = open(&storage, small_segments());
    journal.fold_by(NewestId::as_text("#"));
    let mut next_id = 1;
    for _ in 0..2 {
        append(&mut journal, &mut next_id, 7);
        assert!(journal.snapshot().expect("is taken"));
        journal.wait_for_background();
    }
    for _ in 0..2 {
        let name = storage.names(".snap").pop().expect("one");
        let mut bytes = storage.get(&name);
        bytes[48] ^= 1;
        storage.put(&name, &bytes);
        append(&mut journal, &mut next_id, 7);
        assert!(journal.snapshot().expect("is taken"));
        journal.wait_for_background();
        let newest = storage.names(".snap").pop().expect("one");
        assert_eq!(storage.get(&newest)[48..], *(next_id - 1).to_string().into_bytes());
        assert!(!storage.names(".snap").contains(&name), "it is kept no longer");
    }
}
