//! What the simulator has found once, each by itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use veloz::frame::write_frame;
use veloz::journal::{
    Batch, Bounds, Durability, Journal, JournalConfig, JournalError, LogError, LogReader, Opened,
    Read, Upkeep,
};
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

/// The process dies in any call that changes something, is started again, and then the power goes: what the
/// second start showed is still there. The names of files have to be on the disk too.
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
            let ((journal, _, recovery), _) = open(&disk, Durability::Process).expect("it starts");
            disk.kill();
            drop(journal);
            let newest = after_power_cut(&disk);
            assert_eq!(newest, recovery.newest, "seed {seed}, call {dies_after}");
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
