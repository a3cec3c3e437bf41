//! The archive of closed orders: whatever stands in its files, a start is refused with the name of a file, or every order
//! is as it was, or one of them is refused with file and offset. None is ever taken for not there.
//!
//! The first byte says how the rest is taken: as the file of the records; as that of the names; as edits of sound ones
//! (file, offset, what to flip); as edits of which a new checksum hides the most.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use veloz::journal::{Journal, JournalConfig, Storage};
use veloz::restore;
use veloz_core::state::State;
use veloz_core::types::ClientOrderId;

use super::journal::edit;
use super::journal::memory::MemoryStorage;

const RECORDS: &str = "orders.archive";
const NAMES: &str = "orders.names";
const RECORD_BYTES: usize = 128;
const PLACE_BYTES: usize = RECORD_BYTES + 4;

/// A log and its two snapshots' newest, and what is beside them.
const LOG: [(&str, &[u8]); 2] = [
    (
        "00000000000000000001.vlz",
        include_bytes!("../../crates/veloz/tests/journal/fixtures/v2/00000000000000000001.vlz"),
    ),
    (
        "00000000000000000019.snap",
        include_bytes!("../../crates/veloz/tests/journal/fixtures/v2/00000000000000000019.snap"),
    ),
];
const ARCHIVE: [(&str, &[u8]); 2] = [
    (RECORDS, include_bytes!("../../crates/veloz/tests/journal/fixtures/v2/orders.archive")),
    (NAMES, include_bytes!("../../crates/veloz/tests/journal/fixtures/v2/orders.names")),
];

/// What sound files give: the names of the orders, and all of the state.
fn sound() -> &'static (Vec<ClientOrderId>, String) {
    static SOUND: OnceLock<(Vec<ClientOrderId>, String)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let files = ARCHIVE.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
        let state = start(&files.into()).expect("it is sound");
        (state.orders().map(|order| order.client_order_id()).collect(), whole(&state))
    })
}

/// See the module.
pub fn check(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    let (names, all) = sound();
    let sound = ARCHIVE.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
    let mut files = BTreeMap::from(sound);
    match mode % 4 {
        0 => drop(files.insert(RECORDS.to_owned(), rest.to_vec())),
        1 => drop(files.insert(NAMES.to_owned(), rest.to_vec())),
        2 => edit(&mut files, rest),
        _ => {
            edit(&mut files, rest);
            seal(files.get_mut(RECORDS).expect("it is one of them"));
        }
    }
    let Some(state) = start(&files) else { return };
    for name in names {
        let is_there = state.order(name).is_some();
        assert!(is_there || told(&state), "{name} is taken for not there");
    }
    let now = whole(&state);
    assert!(mode % 4 == 3 || now == *all || told(&state), "another state, and nobody says so");
}

/// The state that a start has; none when it is refused.
fn start(archive: &BTreeMap<String, Vec<u8>>) -> Option<State> {
    let storage = Arc::<MemoryStorage>::default();
    LOG.iter().for_each(|(name, bytes)| storage.put(name, bytes));
    archive.iter().for_each(|(name, bytes)| storage.put(name, bytes));
    let storage: Arc<dyn Storage> = storage;
    let config = JournalConfig { archive_from: 1, ..JournalConfig::default() };
    let opened = Journal::open_without_threads(storage, config);
    let ((_journal, _, recovery), _upkeep) = opened.expect("the log itself is sound");
    match restore::state(&recovery) {
        Ok(state) => Some(state),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(RECORDS) || error.contains(NAMES), "names no file: {error}");
            None
        }
    }
}

fn whole(state: &State) -> String {
    serde_json::to_string(&state.with_all_in_memory()).expect("a state is JSON")
}

/// Whether the archive says which record is none.
fn told(state: &State) -> bool {
    let failure = state.archive_failure();
    failure.is_some_and(|told| told.contains(RECORDS) && told.contains("offset "))
}

/// Gives every place the checksum of what it holds now.
fn seal(bytes: &mut [u8]) {
    for (position, place) in (0_u64..).zip(bytes.chunks_exact_mut(PLACE_BYTES)) {
        let (record, sum) = place.split_at_mut(RECORD_BYTES);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&position.to_le_bytes()), record);
        sum.copy_from_slice(&crc.to_le_bytes());
    }
}
