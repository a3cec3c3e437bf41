//! What the simulator has found once, each by itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use veloz::frame::write_frame;
use veloz::journal::{
    Batch, Bounds, Durability, Journal, JournalConfig, JournalError, LogError, LogReader, Opened,
    Read, RetentionConfig, Upkeep,
};
use veloz::restore::StateFold;
use veloz::service::{HealthBoard, channel};
use veloz::stream::request::StreamRequest;
use veloz::stream::{Hub, StreamConfig};
use veloz_core::event::{ErrorEvent, Event};
use veloz_core::types::EventId;

use crate::disk::{Disk, Faults};
use crate::gateway::{Pipe, PipeEnd};

fn event() -> Event {
    Event::Error(ErrorEvent { ts_ns: 1, message: "a_code".into(), detail: None })
}

fn open(disk: &Disk, durability: Durability) -> Result<(Opened, Upkeep), JournalError> {
    let config = JournalConfig { durability, segment_bytes: 600, ..JournalConfig::default() };
    Journal::open_without_threads(disk.storage(), config)
}

fn append(journal: &mut Journal, events: u64) -> Result<(), JournalError> {
    for _ in 0..events {
        let (mut batch, id) = (Batch::new(), journal.next_id());
        batch.step(id, 1, b"", |out| write_frame(out, id, &event()));
        journal.append(&mut batch, 1)?;
    }
    Ok(())
}

/// The newest event after the power went, which the journal must have brought to the disk at its start.
fn after_power_cut(disk: &Disk) -> EventId {
    disk.cut_power();
    let ((_journal, _, recovery), _) = open(disk, Durability::Process).expect("it starts");
    recovery.newest
}

/// After a failed sync the system takes for written what is in memory only. A start reads it there and shows it,
/// so it has to be written again, or the next power cut takes what was seen.
#[test]
fn what_a_failed_sync_left_in_memory_is_written_again() {
    for seed in 0..50 {
        let disk = Disk::new(seed);
        let ((mut journal, ..), mut upkeep) = open(&disk, Durability::Process).expect("opens");
        append(&mut journal, 3).expect("appends");
        upkeep.sync().expect("syncs");
        append(&mut journal, 2).expect("appends");
        disk.set_faults(Faults { sync_fails: 1000, ..Faults::default() });
        upkeep.sync().expect_err("the sync fails");
        disk.kill();
        drop(journal);
        disk.set_faults(Faults::default());
        let ((journal, _, recovery), _) = open(&disk, Durability::Process).expect("it starts");
        assert_eq!(recovery.newest, 5);
        disk.kill();
        drop(journal);
        assert_eq!(after_power_cut(&disk), 5, "seed {seed}");
    }
}

/// And a sync after a failed one says that all is on the disk, though what was forgotten is not: no snapshot may take
/// its word, or it knows more than the log has after a power cut, and nothing starts any more.
#[test]
fn a_sync_after_a_failed_one_makes_no_snapshot() {
    for seed in 0..50 {
        let disk = Disk::new(seed);
        let ((mut journal, _, recovery), mut upkeep) =
            open(&disk, Durability::Process).expect("opens");
        journal.fold_by(StateFold::new(&recovery));
        append(&mut journal, 3).expect("appends");
        upkeep.sync().expect("syncs");
        append(&mut journal, 2).expect("appends");
        assert!(journal.snapshot().expect("nothing failed before"));
        disk.set_faults(Faults { sync_fails: 1000, ..Faults::default() });
        upkeep.sync().expect_err("the sync fails");
        disk.set_faults(Faults::default());
        while upkeep.work() {}
        disk.kill();
        drop(journal);
        assert!((3..=5).contains(&after_power_cut(&disk)), "seed {seed}");
    }
}

/// The process dies in any call that changes something, is started again, stores more, and then the power goes:
/// what it found and what it stored are still there. The names of files have to be on the disk too.
#[test]
fn what_a_start_shows_survives_a_power_cut() {
    for seed in 0..20 {
        for dies_after in 0..60 {
            let disk = Disk::new(seed);
            disk.set_faults(Faults { dies_after: Some(dies_after), ..Faults::default() });
            if let Ok(((mut journal, ..), _upkeep)) = open(&disk, Durability::Process) {
                // It dies somewhere in here, or not at all.
                let _ = append(&mut journal, 12);
                disk.kill();
            }
            disk.set_faults(Faults::default());
            let ((mut journal, ..), _) = open(&disk, Durability::Disk).expect("it starts");
            append(&mut journal, seed % 3).expect("appends");
            let newest = journal.next_id() - 1;
            disk.kill();
            drop(journal);
            assert_eq!(after_power_cut(&disk), newest, "seed {seed}, call {dies_after}");
        }
    }
}

/// Some segments cannot be removed, and some removals reach the disk late or not at all: whatever is left of the
/// log has no hole.
#[test]
fn retention_leaves_no_hole_when_it_fails() {
    let retention = RetentionConfig { bytes: 1000, ..RetentionConfig::default() };
    let config = JournalConfig { segment_bytes: 600, retention, ..JournalConfig::default() };
    for seed in 0..200 {
        let disk = Disk::new(seed);
        let opened = Journal::open_without_threads(disk.storage(), config);
        let ((mut journal, _, recovery), mut upkeep) = opened.expect("opens");
        journal.fold_by(StateFold::new(&recovery));
        append(&mut journal, 40).expect("appends");
        for round in 0..6 {
            // Names fail half of the time, then syncs of them, in turns.
            let faults = if round % 2 == 0 {
                Faults { name_fails: 500, ..Faults::default() }
            } else {
                Faults { sync_fails: 500, ..Faults::default() }
            };
            upkeep.sync().expect("syncs");
            disk.set_faults(faults);
            journal.tend(1);
            while upkeep.work() {}
            disk.set_faults(Faults::default());
            if append(&mut journal, 8).is_err() {
                break;
            }
        }
        disk.kill();
        drop(journal);
        if seed % 2 == 0 {
            disk.cut_power();
        }
        if let Err(error) = open(&disk, Durability::Process) {
            panic!("seed {seed}: {error}");
        }
    }
}

/// A log of which retention left one event.
struct Compacted;

impl LogReader for Compacted {
    fn bounds(&self) -> Bounds {
        Bounds { oldest: 10, newest: 20 }
    }

    fn read(&self, from: EventId, _: usize) -> Result<Read, LogError> {
        let mut bytes = Vec::new();
        if from <= 15 {
            write_frame(&mut bytes, 15, &event());
        }
        Ok(Read::Frames { bytes: bytes.into(), next: 21, compacted: true })
    }
}

/// A keep-alive has told a client that began at the oldest event where it stands: no gap may move it back.
#[test]
fn a_gap_does_not_move_a_cursor_back() {
    let (handle, _inbox) = channel(Arc::new(HealthBoard::default()));
    let config = StreamConfig::default();
    let mut hub = Hub::new(config.clone(), Arc::new(Compacted), Arc::new(handle), Box::new(|| ()));
    let query = "last_id=0&types=market,error";
    let request = StreamRequest::parse(Some(query), &HeaderMap::new()).expect("a request");
    let pipe = Rc::new(RefCell::new(Pipe { room: 1 << 16, ..Pipe::default() }));
    hub.attach(PipeEnd(Rc::clone(&pipe)), request, Vec::new());
    let job = hub.next_read().expect("it reads the log");
    for slice in 0..64 {
        hub.set_now_ms(config.keep_alive_ms + slice * 25);
        hub.sweep();
    }
    hub.read_done(job.run(&Compacted));
    let bytes: Vec<u8> = pipe.borrow().bytes.iter().copied().collect();
    let text = String::from_utf8(bytes).expect("text");
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["9", "9", "15"], "{text}");
}
