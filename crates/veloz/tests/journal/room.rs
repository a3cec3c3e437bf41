//! A storage that fills, moves or turns read-only is met before it is too late, and it ends by itself.

use std::sync::Arc;

use veloz::journal::{
    Batch, DirStorage, Durability, Journal, JournalConfig, JournalError, LogReader, Room,
};
use veloz_core::limits::JOURNAL_PREALLOCATE_BYTES;

use crate::memory::{Faults, MemoryStorage};
use crate::{add_step, open, read_all, small_segments};

/// Appends until `enough`; gives the next id.
fn append(journal: &mut Journal, mut next_id: u64, enough: impl Fn(&Journal) -> bool) -> u64 {
    for n in 0..10_000_000 {
        if enough(journal) {
            return next_id;
        }
        let mut batch = Batch::new();
        // Some kilobytes: a segment of the smallest takes a few of them.
        for step in 0..10 {
            add_step(&mut batch, &mut next_id, n + step);
        }
        journal.append(&mut batch, 1).expect("appends");
    }
    panic!("it was never enough")
}

fn reserved(journal: &Journal) -> Option<(u64, &'static str, String)> {
    match journal.room() {
        Room::Reserve { bytes, shortage } => Some((bytes, shortage.code, shortage.message)),
        _ => None,
    }
}

/// A shortage is told while there is a reserve; it is filled into, and nothing of it is lost.
fn check(config: JournalConfig, faults: Faults, code: &str, message: &str) {
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, reader, _) = open(&storage, config);
    assert_eq!(journal.room(), Room::Plenty);
    let next_id = append(&mut journal, 1, |journal| journal.next_id() > 50);
    storage.set_faults(faults);
    journal.look_after(1).expect("goes on");
    let next_id = append(&mut journal, next_id, |journal| reserved(journal).is_some());
    let (bytes, told_code, told) = reserved(&journal).expect("short");
    assert!(bytes >= 7 << 20, "{bytes} are left");
    assert_eq!(told_code, code, "{told}");
    assert!(told.contains(message), "{told}");
    // What must not wait is stored all the same, and no segment is begun.
    let segments = storage.names(".vlz").len();
    let next_id = append(&mut journal, next_id, |journal| {
        reserved(journal).expect("still short").0 < bytes - 20_000
    });
    journal.look_after(1).expect("goes on");
    assert!(reserved(&journal).is_some(), "it is not over");
    assert_eq!((storage.names(".vlz").len(), storage.names(".tmp")), (segments, vec![]));
    storage.set_faults(Faults::default());
    journal.look_after(1).expect("goes on");
    assert_eq!(journal.room(), Room::Plenty, "it ends by itself");
    let next_id = append(&mut journal, next_id, |_| storage.names(".vlz").len() > segments + 1);
    assert_eq!(read_all(&*reader, 1, 1 << 20).len() as u64, next_id - 1);
    drop(journal);
    let (_, reader, recovery) = open(&storage, config);
    assert_eq!((reader.bounds().newest, recovery.torn), (next_id - 1, None));
}

#[test]
fn a_disk_that_fills() {
    let is_full = Faults { is_full: true, ..Faults::default() };
    // Full when the reserve is to be filled up; and when the next segment is to be made.
    check(JournalConfig::default(), is_full.clone(), "storage_full", "no space left in /memory");
    check(small_segments(), is_full, "storage_full", "no space left in /memory");
}

#[test]
fn a_directory_that_turns_read_only() {
    let faults = Faults { is_read_only: true, ..Faults::default() };
    check(small_segments(), faults, "storage_unavailable", "cannot write into /memory");
}

#[test]
fn a_directory_that_is_moved_away() {
    let faults = Faults { is_moved: true, ..Faults::default() };
    check(small_segments(), faults, "storage_unavailable", "put it back");
}

/// What is appended to a removed file ends with the process: that is found out by the next append after 50 ms, however
/// many there are, and by the next look.
#[test]
fn a_removed_file_stops_the_journal_in_time() {
    const MS: i64 = 1_000_000;
    for wall_ns in [1 + 50 * MS, 1 - 50 * MS] {
        let storage = Arc::<MemoryStorage>::default();
        let (mut journal, reader, _) = open(&storage, small_segments());
        let mut next_id = append(&mut journal, 1, |journal| journal.next_id() > 5);
        storage.set_faults(Faults { is_removed: true, ..Faults::default() });
        let mut batch = Batch::new();
        add_step(&mut batch, &mut next_id, 3);
        let error = journal.append(&mut batch, wall_ns).expect_err("is refused");
        assert!(matches!(error, JournalError::Removed { .. }), "{error}");
        assert_eq!(reader.bounds().newest, next_id - 2, "nobody sees it");
        assert!(journal.failure().is_some());
    }
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, _, _) = open(&storage, small_segments());
    storage.set_faults(Faults { is_removed: true, ..Faults::default() });
    let error = journal.look_after(1).expect_err("is found");
    assert!(matches!(error, JournalError::Removed { .. }), "{error}");
}

/// Little space is told long before there is none, and not over and over.
#[test]
fn little_space_is_told() {
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, _, _) = open(&storage, small_segments());
    let mut room = |free_bytes| {
        storage.set_faults(Faults { free_bytes: Some(free_bytes), ..Faults::default() });
        journal.look_after(1).expect("goes on");
        journal.room()
    };
    assert_eq!(room(300 << 20), Room::Plenty);
    assert_eq!(room(200 << 20), Room::Low { free_bytes: 200 << 20 });
    assert_eq!(room(300 << 20), Room::Low { free_bytes: 300 << 20 });
    assert_eq!(room(600 << 20), Room::Plenty);
}

/// What whoever owns the journal wants in reserve is there beside the usual, in every segment.
#[test]
fn more_is_reserved_when_more_is_wanted() {
    const MORE: u64 = 20 << 20;
    for config in [JournalConfig::default(), small_segments()] {
        let storage = Arc::<MemoryStorage>::default();
        let (mut journal, _, _) = open(&storage, config);
        assert!(journal.keep_reserved(MORE));
        let next_id = append(&mut journal, 1, |journal| journal.next_id() > 300);
        storage.set_faults(Faults { is_full: true, ..Faults::default() });
        assert!(!journal.keep_reserved(2 * MORE), "there is no more");
        let (bytes, code, _) = reserved(&journal).expect("short");
        assert_eq!(code, "storage_full");
        assert!(bytes >= MORE + (8 << 20), "{bytes} are left");
        let least = bytes - 20_000;
        append(&mut journal, next_id, |journal| reserved(journal).expect("short").0 < least);
        // Less is wanted than is there: but for the space it all goes on.
        journal.keep_reserved(0);
        storage.set_faults(Faults::default());
        journal.look_after(1).expect("goes on");
        assert_eq!(journal.room(), Room::Plenty);
    }
}

/// The reserve survives a crash: on a full disk there may be no other.
#[test]
fn the_reserve_is_kept_through_a_crash() {
    let home = tempfile::tempdir().expect("a directory");
    let (mut journal, _, _) = Journal::open(home.path(), JournalConfig::default()).expect("opens");
    append(&mut journal, 1, |journal| journal.next_id() > 50);
    let copy = tempfile::tempdir().expect("a directory");
    let name = "00000000000000000001.vlz";
    std::fs::copy(home.path().join(name), copy.path().join(name)).expect("copied");
    let reserved = std::fs::metadata(copy.path().join(name)).expect("there").len();
    assert!(reserved >= 8 << 20, "{reserved}");
    let (_journal, _, recovery) =
        Journal::open(copy.path(), JournalConfig::default()).expect("opens");
    assert_eq!((recovery.newest, &recovery.torn), (journal.next_id() - 1, &None));
    assert!(std::fs::metadata(copy.path().join(name)).expect("there").len() >= reserved);
}

/// Appends so many bytes.
fn grow(journal: &mut Journal, bytes: u64) {
    let (mut batch, mut grown) = (Batch::new(), 0);
    while grown < bytes {
        batch.clear();
        let mut next_id = journal.next_id();
        (0..100).for_each(|n| add_step(&mut batch, &mut next_id, n));
        journal.append(&mut batch, 1).expect("appends");
        grown += batch.size_bytes() as u64;
    }
}

/// Space is reserved in the background, before an append would have to, and given back at the end.
#[test]
fn space_is_reserved_ahead() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || {
        let storage = Arc::new(DirStorage::new(dir.path()));
        Journal::open_without_threads(storage, JournalConfig::default()).expect("opens")
    };
    let ((mut journal, ..), mut upkeep) = open();
    let segment = dir.path().join("00000000000000000001.vlz");
    let reserved = || std::fs::metadata(&segment).expect("there").len();
    grow(&mut journal, 1);
    let first = reserved();
    grow(&mut journal, JOURNAL_PREALLOCATE_BYTES / 4);
    upkeep.sync().expect("syncs");
    assert_eq!(reserved(), first, "there is enough");
    grow(&mut journal, JOURNAL_PREALLOCATE_BYTES / 2);
    assert_eq!(reserved(), first, "no append did it");
    upkeep.sync().expect("syncs");
    let more = reserved() - first;
    assert!(more >= JOURNAL_PREALLOCATE_BYTES / 2, "{more} bytes more");
    grow(&mut journal, JOURNAL_PREALLOCATE_BYTES / 2);
    assert_eq!(reserved() - first, more, "an append takes what is there");
    grow(&mut journal, JOURNAL_PREALLOCATE_BYTES / 4);
    let newest = journal.next_id() - 1;
    drop(journal);
    let end = reserved();
    assert!(end < first + more, "it is given back: {end}");
    upkeep.sync().expect("nothing is left to do");
    assert_eq!(reserved(), end, "and not taken again");
    assert_eq!(open().0.2.newest, newest);
}

/// A segment that is full ends when little of it waits for the disk, or when it is an eighth too large.
#[test]
fn a_segment_ends_later_where_the_disk_is_behind() {
    const SEGMENT_BYTES: u64 = 16 << 20;
    for syncs in [true, false] {
        let config = JournalConfig {
            durability: Durability::Process,
            segment_bytes: SEGMENT_BYTES,
            ..JournalConfig::default()
        };
        let storage = Arc::<MemoryStorage>::default();
        let opened = Journal::open_without_threads(Arc::<MemoryStorage>::clone(&storage), config);
        let ((mut journal, ..), mut upkeep) = opened.expect("opens");
        while storage.names(".vlz").len() < 2 {
            grow(&mut journal, 100_000);
            if syncs {
                upkeep.sync().expect("syncs");
            }
        }
        let size = storage.get(&storage.names(".vlz")[0]).len() as u64;
        let expected = if syncs { SEGMENT_BYTES } else { SEGMENT_BYTES / 8 * 9 };
        assert!((expected - 100_000..expected + 100_000).contains(&size), "{syncs}: {size}");
    }
}
