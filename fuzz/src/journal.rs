//! Recovery: whatever is in a data directory, it is refused with the name of a file, or read; and what is read was
//! written once, in order, and reads the same again.
//!
//! The first byte says how the rest is taken: as the bytes of a segment; of a snapshot; as edits of a sound log (file,
//! offset, what to flip); as edits of which a new checksum hides the most. So the code behind the checksums is met too.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use veloz::frame::{frames, write_frame};
use veloz::journal::{Batch, Inspection, Journal, JournalConfig, LogReader, Read, Storage};
use veloz::restore::{self, StateFold};
use veloz_core::event::{ErrorEvent, Event, Market};
use veloz_core::types::EventId;

use memory::MemoryStorage;

#[path = "../../crates/veloz/tests/journal/memory.rs"]
#[allow(dead_code, reason = "shared with the tests of the journal, which use more of it")]
pub(crate) mod memory;

const SEGMENT: &str = "00000000000000000001.vlz";
const SNAPSHOT: &str = "00000000000000000012.snap";
const RECORDS_START: usize = 64;

fn config() -> JournalConfig {
    JournalConfig { segment_bytes: 1500, ..JournalConfig::default() }
}

/// The files of a sound log, and its frames.
struct Sound {
    files: BTreeMap<String, Vec<u8>>,
    frames: BTreeMap<EventId, Vec<u8>>,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let storage = Arc::<MemoryStorage>::default();
        let (mut frames, mut batch) = (BTreeMap::new(), Batch::new());
        let opened = Journal::open_without_threads(as_storage(&storage), config());
        let ((mut journal, _, recovery), mut upkeep) = opened.expect("an empty log opens");
        journal.fold_by(StateFold::new(&recovery));
        for step in 0..24_u64 {
            let id = journal.next_id();
            let mut frame = Vec::new();
            write_frame(&mut frame, id, &event(step));
            batch.clear();
            let facts =
                if step.is_multiple_of(3) { b"[{\"Source\":\"sim\"}]".as_slice() } else { b"" };
            batch.step(id, 1, facts, |out| out.extend_from_slice(&frame));
            frames.insert(id, frame);
            journal.append(&mut batch, 1).expect("memory takes it");
            if step == 12 {
                journal.snapshot().expect("it is sound");
                while upkeep.work() {}
            }
        }
        drop(journal);
        let names = [".vlz", ".snap"].map(|suffix| storage.names(suffix)).concat();
        let files = names.into_iter().map(|name| (name.clone(), storage.get(&name))).collect();
        Sound { files, frames }
    })
}

fn as_storage(storage: &Arc<MemoryStorage>) -> Arc<dyn Storage> {
    Arc::<MemoryStorage>::clone(storage)
}

fn event(n: u64) -> Event {
    if n.is_multiple_of(2) {
        return Event::Error(ErrorEvent { ts_ns: 1, message: "a_code".into(), detail: None });
    }
    Event::Market(Market {
        symbol: "BTCUSDT".parse().expect("a symbol"),
        ts_ns: 7,
        price: "50000.5".parse().expect("a price"),
        trade_id: Some(n),
        qty: None,
        side: None,
        bid: None,
        ask: None,
    })
}

/// See the module.
pub fn check(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    let mut files = sound().files.clone();
    match mode % 4 {
        0 => {
            files = BTreeMap::from([(SEGMENT.to_owned(), rest.to_vec())]);
        }
        1 => {
            files.insert(SNAPSHOT.to_owned(), rest.to_vec());
        }
        2 => edit(&mut files, rest),
        _ => {
            edit(&mut files, rest);
            let sealed = files.iter_mut().filter(|(name, _)| name.ends_with(".vlz"));
            sealed.for_each(|(_, bytes)| seal(bytes));
        }
    }
    let storage = Arc::<MemoryStorage>::default();
    files.iter().for_each(|(name, bytes)| storage.put(name, bytes));
    look(&storage);
    let invents = |first: &[u8]| {
        frames(first).any(|f| sound().frames.get(&f.id).is_none_or(|was| was != f.bytes))
    };
    let honest = mode % 4 != 3;
    let Some(first) = open(&storage, honest) else { return };
    if mode % 4 == 1 || mode % 4 == 2 {
        assert!(!invents(&first), "events that were never written: {first:?}");
    }
    let again = open(&storage, honest).expect("what was recovered opens again");
    assert_eq!(first, again, "a recovered log reads otherwise the second time");
}

/// Opens, replays, and reads all; none when it is refused. `honest`: no checksum was made to fit.
fn open(storage: &Arc<MemoryStorage>, honest: bool) -> Option<Vec<u8>> {
    let ((journal, reader, recovery), _upkeep) =
        match Journal::open_without_threads(as_storage(storage), config()) {
            Ok(opened) => opened,
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("/memory/"), "an error that names no file: {told}");
                return None;
            }
        };
    // Sound records that make no sense are refused here, or change nothing.
    let _ = restore::state(&recovery);
    let (mut all, mut next_id) = (Vec::new(), reader.bounds().oldest);
    while let Ok(Read::Frames { bytes, next, .. }) = reader.read(next_id, 700) {
        assert!(next > next_id, "a read that does not go on");
        let ids: Vec<EventId> = frames(&bytes).map(|frame| frame.id).collect();
        let fit = ids.is_sorted() && ids.iter().all(|id| (next_id..next).contains(id));
        assert!(fit || !honest, "{ids:?} in {next_id}..{next}");
        all.extend_from_slice(&bytes);
        next_id = next;
    }
    drop(journal);
    Some(all)
}

/// The tools look at everything, and never fall over.
fn look(storage: &Arc<MemoryStorage>) {
    if let Ok(inspection) = Inspection::open_on(as_storage(storage)) {
        let _ = inspection.walk(0, &mut |_| std::ops::ControlFlow::Continue(()));
    }
}

/// Four bytes an edit: the file, the offset (two), what to flip; 0 cuts the file there.
pub(crate) fn edit(files: &mut BTreeMap<String, Vec<u8>>, edits: &[u8]) {
    for edit in edits.chunks_exact(4) {
        let [file, high, low, flip] = edit else { continue };
        let (nth, at) =
            (usize::from(*file) % files.len(), usize::from(*high) << 8 | usize::from(*low));
        let Some(bytes) = files.values_mut().nth(nth).filter(|bytes| !bytes.is_empty()) else {
            continue;
        };
        let at = at % bytes.len();
        match flip {
            0 => bytes.truncate(at),
            flip => bytes[at] ^= flip,
        }
    }
}

/// Gives the header and every record the checksum of what they hold now.
fn seal(bytes: &mut [u8]) {
    if let Some(header) = bytes.get_mut(..RECORDS_START) {
        let sum = crc32c::crc32c(&header[..60]);
        header[60..].copy_from_slice(&sum.to_le_bytes());
    }
    let mut at = RECORDS_START;
    while let Some(&[a, b, c, d]) = bytes.get(at + 4..at + 8) {
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some(record) = bytes.get_mut(at..at.saturating_add(len)).filter(|_| len >= 40) else {
            return;
        };
        let sum = crc32c::crc32c(&record[4..]);
        record[..4].copy_from_slice(&sum.to_le_bytes());
        at += len;
    }
}
