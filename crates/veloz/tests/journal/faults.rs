//! Full disks and failed syncs: the journal stops, and nothing half stored is ever seen.

use std::sync::Arc;

use veloz::journal::{Batch, Durability, Journal, JournalConfig, JournalError, LogReader};

use crate::memory::{Faults, MemoryStorage};
use crate::{add_step, open, read_all, replayed, small_segments};

fn append(journal: &mut Journal, next_id: u64, steps: u64) -> Result<u64, JournalError> {
    let (mut batch, mut next_id) = (Batch::new(), next_id);
    for n in 0..steps {
        add_step(&mut batch, &mut next_id, n);
    }
    journal.append(&mut batch, 1).map(|appended| appended.newest)
}

/// The disk fills at any byte of a batch: none of the batch is ever seen, and nothing is stored after it.
#[test]
fn a_full_disk_stops_the_journal_and_leaves_nothing_half_stored() {
    let config = JournalConfig { segment_bytes: 1 << 20, ..small_segments() };
    for space_left in (0..3000).step_by(7) {
        let storage = Arc::<MemoryStorage>::default();
        let (mut journal, reader, _) = open(&storage, config);
        let newest = append(&mut journal, 1, 10).expect("appends");
        storage.set_faults(Faults { space_left: Some(space_left), ..Faults::default() });
        let stored = match append(&mut journal, newest + 1, 12) {
            Ok(stored) => stored,
            Err(error) => {
                assert!(matches!(error, JournalError::Full { .. }), "{error}");
                assert!(error.to_string().contains("no space left in /memory"), "{error}");
                assert!(journal.failure().is_some());
                storage.set_faults(Faults::default());
                let again = append(&mut journal, newest + 1, 1).expect_err("stays stopped");
                assert!(matches!(again, JournalError::Poisoned { .. }), "{again}");
                newest
            }
        };
        assert_eq!(reader.bounds().newest, stored);
        assert_eq!(read_all(&*reader, 1, 1000).len() as u64, stored);
        storage.set_faults(Faults::default());
        drop(journal);
        let (mut journal, reader, _) = open(&storage, config);
        assert_eq!(reader.bounds().newest, stored, "{space_left}");
        append(&mut journal, stored + 1, 5).expect("goes on after a restart");
    }
}

#[test]
fn a_failed_sync_stops_the_journal_before_anyone_saw_it() {
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, reader, _) = open(&storage, small_segments());
    let newest = append(&mut journal, 1, 10).expect("appends");
    storage.set_faults(Faults { sync_fails: true, ..Faults::default() });
    let error = append(&mut journal, newest + 1, 3).expect_err("fails");
    assert!(error.to_string().contains("cannot sync /memory/"), "{error}");
    assert_eq!(reader.bounds().newest, newest);
    storage.set_faults(Faults::default());
    append(&mut journal, newest + 1, 3).expect_err("stays stopped");
    drop(journal);
    let (_, reader, recovery) = open(&storage, small_segments());
    assert_eq!(reader.bounds().newest, newest);
    assert_eq!(replayed(&recovery).len(), 10);
}

/// With `process` the sync is in the background: its failure is met by the next append.
#[test]
fn a_failed_sync_in_the_background_is_told() {
    let storage = Arc::<MemoryStorage>::default();
    let config = JournalConfig { durability: Durability::Process, ..small_segments() };
    let (mut journal, _, _) = open(&storage, config);
    storage.set_faults(Faults { sync_fails: true, ..Faults::default() });
    let newest = append(&mut journal, 1, 3).expect("appends");
    crate::wait_until(|| journal.failure().is_some());
    let error = append(&mut journal, newest + 1, 3).expect_err("fails");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}

#[test]
fn written_bytes_reach_the_disk_without_another_append() {
    let storage = Arc::<MemoryStorage>::default();
    let config = JournalConfig { durability: Durability::Process, ..small_segments() };
    let (mut journal, _, _) = open(&storage, config);
    let newest = append(&mut journal, 1, 10).expect("appends");
    crate::wait_until(|| {
        // Seed 0 of the cut takes pages away: all are there only when all were synced.
        let (_, reader, _) = open(&storage.after_power_cut(0), config);
        reader.bounds().newest == newest
    });
}

#[test]
fn a_batch_out_of_order_is_refused() {
    for first_id in [0, 1, 6, 8, 1 << 60] {
        let (mut journal, _, _) = open(&Arc::default(), small_segments());
        let newest = append(&mut journal, 1, 5).expect("appends");
        assert_eq!(newest, 6);
        let error = append(&mut journal, first_id, 1).expect_err("is refused");
        assert!(matches!(error, JournalError::OutOfOrder { expected: 7, .. }), "{error}");
    }
}
