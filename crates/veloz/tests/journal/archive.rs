//! The archive of closed orders: its files as earlier versions wrote them, what they are made anew from, and what is
//! said of damage.

use std::sync::Arc;

use veloz::journal::{Batch, Durability, Journal, JournalConfig, Recovery};
use veloz::restore::{self, StateFold};
use veloz::service;
use veloz_core::engine::{Engine, EngineConfig, Step};
use veloz_core::input::{CancelOrder, Input, NewOrder};
use veloz_core::instrument::Instrument;
use veloz_core::order::TimeInForce;
use veloz_core::state::State;
use veloz_core::types::{ClientOrderId, Side, Symbol};

use crate::memory::MemoryStorage;

const SEGMENT: &str = "00000000000000000001.vlz";
const SNAPSHOT: &str = "00000000000000000019.snap";
const RECORDS: &str = "orders.archive";
const NAMES: &str = "orders.names";
const PLACE_BYTES: usize = 132;

fn config() -> JournalConfig {
    JournalConfig { archive_from: 1, durability: Durability::Disk, ..JournalConfig::default() }
}

fn open(storage: &Arc<MemoryStorage>) -> (Journal, Recovery) {
    let (journal, _, recovery) =
        Journal::open_on(Arc::<MemoryStorage>::clone(storage), config()).expect("opens");
    (journal, recovery)
}

fn id(name: &str) -> ClientOrderId {
    name.parse().expect("a name")
}

fn order(name: &str, time_in_force: TimeInForce) -> Input {
    let symbol = "BTCUSDT".parse().expect("a symbol");
    let (qty, price) = ("0.01".parse().expect("a number"), "20000".parse().expect("a number"));
    Input::NewOrder(NewOrder {
        time_in_force,
        ..NewOrder::limit(id(name), symbol, Side::Buy, qty, price)
    })
}

/// What the fixtures hold: a log of five orders, four of them closed, with two snapshots: one order was open when the
/// others left for the archive at the first, and left at the second.
fn written() -> Arc<MemoryStorage> {
    let storage = Arc::default();
    let (mut journal, recovery) = open(&storage);
    journal.fold_by(StateFold::new(&recovery));
    let mut engine = Engine::new(engine_config());
    let mut step = Step::default();
    engine.start(1_000, &mut step);
    store(&step, engine.state(), &mut journal);
    let cancel = CancelOrder { client_order_id: id("open"), symbol: None };
    let inputs = [
        order("open", TimeInForce::Gtc),
        order("a", TimeInForce::Ioc),
        order("b", TimeInForce::Fok),
        order("stays", TimeInForce::Gtc),
        Input::Cancel(cancel),
        order("c", TimeInForce::Ioc),
    ];
    for (at, input) in inputs.iter().enumerate() {
        engine.step(2_000, input, &mut step).expect("is taken");
        store(&step, engine.state(), &mut journal);
        if at == 3 {
            assert!(journal.snapshot().expect("is taken"));
            journal.wait_for_background();
        }
    }
    assert!(journal.snapshot().expect("is taken"));
    journal.wait_for_background();
    drop(journal);
    storage
}

fn engine_config() -> EngineConfig {
    let symbol: Symbol = "BTCUSDT".parse().expect("a symbol");
    EngineConfig {
        instruments: Instrument::for_symbol(symbol).into_iter().collect(),
        balances: vec![("USDT".parse().expect("an asset"), "100000".parse().expect("money"))],
        ..EngineConfig::default()
    }
}

/// Appends a step that led to a state.
fn store(step: &Step, state: &State, journal: &mut Journal) {
    let mut batch = Batch::new();
    let events = u64::try_from(step.events.len()).expect("few");
    service::record(step, state.last_event_id() + 1 - events, &mut Vec::new(), &mut batch);
    journal.append(&mut batch, 1_700_000_000_000_000_000).expect("appends");
}

/// All of the state.
fn state(storage: &Arc<MemoryStorage>) -> String {
    let state = restore::state(&open(storage).1).unwrap_or_else(|error| panic!("{error}"));
    let all = serde_json::to_string(&state.with_all_in_memory()).expect("JSON");
    assert_eq!(state.archive_failure(), None);
    all
}

fn copy(storage: &MemoryStorage, but: &[&str]) -> Arc<MemoryStorage> {
    let copy = Arc::new(MemoryStorage::default());
    for name in storage.names("").into_iter().filter(|name| !but.contains(&name.as_str())) {
        copy.put(&name, &storage.get(&name));
    }
    copy
}

#[test]
fn version_2_reads_as_it_was_written_and_is_written_as_before() {
    let fixture = Arc::new(MemoryStorage::default());
    fixture.put(SEGMENT, include_bytes!("fixtures/v2/00000000000000000001.vlz"));
    fixture.put(SNAPSHOT, include_bytes!("fixtures/v2/00000000000000000019.snap"));
    fixture.put(RECORDS, include_bytes!("fixtures/v2/orders.archive"));
    fixture.put(NAMES, include_bytes!("fixtures/v2/orders.names"));
    let now = written();
    for name in [RECORDS, NAMES] {
        assert_eq!(now.get(name), fixture.get(name), "{name}: a new format needs a new version");
    }
    let from_event_1 = copy(&fixture, &[SNAPSHOT, RECORDS, NAMES]);
    assert_eq!(state(&fixture), state(&from_event_1));
    assert_eq!(state(&fixture), state(&now));
}

#[test]
fn names_and_archive_are_made_anew_from_each_other_and_the_log() {
    let sound = written();
    let all = state(&sound);
    for (missing, is_back) in [(NAMES, true), (RECORDS, false)] {
        let broken = copy(&sound, &[missing]);
        assert_eq!(state(&broken), all, "{missing}");
        let again = broken.names("").contains(&missing.to_owned());
        assert_eq!(again, is_back, "{missing}");
        if again {
            assert_eq!(broken.get(missing), sound.get(missing));
        }
    }
    // What is behind the orders of the snapshot was never finished.
    let torn = copy(&sound, &[]);
    for name in [RECORDS, NAMES] {
        torn.put(name, &[sound.get(name), vec![7; 100]].concat());
    }
    assert_eq!(state(&torn), all);
    for name in [RECORDS, NAMES] {
        assert_eq!(torn.get(name), sound.get(name), "{name} is cut");
    }
}

/// A start that is refused changes nothing: another version may know what this one does not.
#[test]
fn a_start_that_is_refused_leaves_the_archive_as_it_is() {
    let storage = copy(&written(), &[]);
    let (mut journal, recovery) = open(&storage);
    let mut batch = Batch::new();
    batch.step(recovery.newest + 1, 0, b"[{\"unheard_of\":1}]", |_| {});
    journal.append(&mut batch, 1_700_000_000_000_000_000).expect("appends");
    drop(journal);
    let behind: Vec<_> = [RECORDS, NAMES]
        .map(|name| {
            storage.put(name, &[storage.get(name), vec![7; 100]].concat());
            storage.get(name)
        })
        .into();
    assert!(restore::state(&open(&storage).1).is_err());
    assert_eq!([RECORDS, NAMES].map(|name| storage.get(name)).to_vec(), behind);
}

#[test]
fn every_flipped_byte_is_found() {
    let sound = written();
    let all = state(&sound);
    for (name, bytes) in [(RECORDS, sound.get(RECORDS)), (NAMES, sound.get(NAMES))] {
        for at in 0..bytes.len() {
            let broken = copy(&sound, &[]);
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            broken.put(name, &bytes);
            let state = restore::state(&open(&broken).1).unwrap_or_else(|error| panic!("{error}"));
            let now = serde_json::to_string(&state.with_all_in_memory()).expect("JSON");
            let Some(failure) = state.archive_failure() else {
                // The names are made anew, and what was open has an empty place.
                assert_eq!(now, all, "{name} {at}");
                continue;
            };
            let place = at / PLACE_BYTES * PLACE_BYTES;
            let told = failure.contains(name) && failure.contains(&format!("offset {place}:"));
            assert!(told, "{at}: {failure}");
        }
    }
}

/// Where all that came is still open, nothing goes, and the snapshot is one all the same.
#[test]
fn orders_that_stay_have_their_places() {
    let storage = written();
    for name in ["more", "and more"] {
        let (mut journal, recovery) = open(&storage);
        assert_eq!(recovery.passed_over, Vec::<String>::new());
        journal.fold_by(StateFold::new(&recovery));
        let state = restore::state(&recovery).unwrap_or_else(|error| panic!("{error}"));
        let mut engine = Engine::restore(engine_config(), state);
        let mut step = Step::default();
        let input = order(&name.replace(' ', "-"), TimeInForce::Gtc);
        engine.step(3_000, &input, &mut step).expect("is taken");
        store(&step, engine.state(), &mut journal);
        assert!(journal.snapshot().expect("is taken"));
        journal.wait_for_background();
        assert_eq!(journal.take_archived().len(), 1);
    }
    let (_journal, recovery) = open(&storage);
    assert_eq!(recovery.passed_over, Vec::<String>::new());
    let state = restore::state(&recovery).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((state.archived_count(), state.orders_in_memory()), (7, 3));
    assert_eq!(storage.get(RECORDS).len(), 7 * PLACE_BYTES);
}
