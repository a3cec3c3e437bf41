//! What retention takes, what it leaves, and that a start never misses it.

use std::sync::Arc;
use std::time::Duration;

use veloz::journal::{
    Batch, Journal, JournalConfig, JournalError, JournalReader, LogReader, Read, RetentionConfig,
    Storage,
};
use veloz_core::event::EventKind;

use crate::memory::MemoryStorage;
use crate::{NewestId, add_step, open, read_all, replayed, small_segments};

const DAY_NS: i64 = 86_400_000_000_000;

fn config(bytes: u64, market_days: u64, order_days: u64) -> JournalConfig {
    let day = Duration::from_secs(86_400);
    let (market_age, order_age) = (
        day * u32::try_from(market_days).expect("small"),
        day * u32::try_from(order_days).expect("small"),
    );
    JournalConfig {
        retention: RetentionConfig { bytes, market_age, order_age },
        ..small_segments()
    }
}

/// One step an hour for that many hours, snapshots as it rolls, all of it retained at the end.
fn a_log_of_hours(
    storage: &Arc<MemoryStorage>,
    config: JournalConfig,
    hours: u64,
) -> (Journal, Arc<JournalReader>, u64) {
    let (mut journal, reader, _) = open(storage, config);
    journal.fold_by(NewestId::as_text("#"));
    let (mut batch, mut next_id) = (Batch::new(), 1);
    for hour in 0..hours {
        batch.clear();
        add_step(&mut batch, &mut next_id, hour);
        let wall_ns = i64::try_from(hour).expect("small") * (DAY_NS / 24);
        let appended = journal.append(&mut batch, wall_ns).expect("appends");
        if appended.rolled {
            journal.wait_for_background();
        }
    }
    journal.tend(i64::try_from(hours).expect("small") * (DAY_NS / 24));
    journal.wait_for_background();
    (journal, reader, next_id - 1)
}

fn kinds(reader: &JournalReader, kind: EventKind) -> Vec<u64> {
    let all = read_all(reader, reader.bounds().oldest, 2000);
    all.iter().filter(|(_, found)| *found == kind).map(|(id, _)| *id).collect()
}

/// The same steps, nothing taken out.
fn all_kinds(hours: u64, kind: EventKind) -> Vec<u64> {
    let forever = config(u64::MAX, 10_000, 10_000);
    let (_journal, reader, _) = a_log_of_hours(&Arc::default(), forever, hours);
    kinds(&reader, kind)
}

#[test]
fn market_events_go_first_and_nothing_else_with_them() {
    for config in [config(u64::MAX, 5, 10_000), config(70 << 10, 10_000, 10_000)] {
        let storage = Arc::default();
        let (_journal, reader, newest) = a_log_of_hours(&storage, config, 500);
        assert_eq!(reader.bounds().oldest, 1, "no whole segment went");
        assert_eq!(kinds(&reader, EventKind::Error), all_kinds(500, EventKind::Error));
        let market = kinds(&reader, EventKind::Market);
        let all = all_kinds(500, EventKind::Market);
        assert!(!market.is_empty() && market.len() < all.len());
        assert_eq!(market[..], all[all.len() - market.len()..], "the newest stay");
        // From any id on, what is missing is told.
        for from in 1..=newest {
            let Read::Frames { bytes, next, compacted } = reader.read(from, 300).expect("reads")
            else {
                panic!("no frames at {from}")
            };
            let found = veloz::frame::frames(&bytes).count() as u64;
            assert_eq!(compacted, found < next - from, "{from}..{next}");
        }
    }
}

#[test]
fn old_or_too_many_segments_go_whole() {
    for config in [config(u64::MAX, 2, 8), config(20 << 10, 10_000, 10_000)] {
        let storage = Arc::<MemoryStorage>::default();
        let (journal, reader, newest) = a_log_of_hours(&storage, config, 500);
        let bounds = reader.bounds();
        assert!(bounds.oldest > 1 && bounds.newest == newest);
        assert_eq!(reader.read(bounds.oldest - 1, 10).expect("reads"), Read::Trimmed(bounds));
        let size: usize = storage.names(".vlz").iter().map(|name| storage.get(name).len()).sum();
        assert!(size as u64 <= config.retention.bytes.saturating_add(16 << 10), "{size}");
        drop(journal);
        // What is left starts from a snapshot, and its ids go on.
        let (journal, reader, recovery) = open(&storage, config);
        assert_eq!(reader.bounds(), bounds);
        assert_eq!(journal.next_id(), newest + 1);
        let snapshot = recovery.snapshot.as_ref().expect("a snapshot");
        let events: u64 = replayed(&recovery).iter().map(|step| u64::from(step.events)).sum();
        assert_eq!(snapshot.at + events, newest);
    }
}

#[test]
fn facts_survive_compaction() {
    let storage = Arc::default();
    let config = config(u64::MAX, 0, 10_000);
    let (mut journal, _, _) = open(&storage, config);
    journal.fold_by(NewestId::as_text("#"));
    let (mut batch, mut next_id) = (Batch::new(), 1);
    for n in 0..400 {
        batch.clear();
        // Three steps with a market event and nothing else, one with facts too.
        add_step(&mut batch, &mut next_id, u64::from(n % 4 == 3));
        let appended = journal.append(&mut batch, n).expect("appends");
        if appended.rolled {
            journal.tend(n);
            journal.wait_for_background();
        }
    }
    drop(journal);
    for name in storage.names(".snap") {
        storage.remove(&name).expect("removes");
    }
    let (_, _, recovery) = open(&storage, config);
    let steps = replayed(&recovery);
    assert_eq!(steps.iter().filter(|step| !step.facts.is_empty()).count(), 100);
    assert_eq!(steps.iter().map(|step| u64::from(step.events)).sum::<u64>(), next_id - 1);
    assert!(steps.len() < 300, "runs of market steps are one record: {}", steps.len());
}

#[test]
fn without_two_snapshots_nothing_is_touched() {
    let storage = Arc::default();
    let (mut journal, reader, _) = open(&storage, config(0, 0, 0));
    let (mut batch, mut next_id) = (Batch::new(), 1);
    for n in 0..200 {
        batch.clear();
        add_step(&mut batch, &mut next_id, n);
        journal.append(&mut batch, 0).expect("appends");
    }
    journal.fold_by(NewestId::as_text("#"));
    assert!(journal.snapshot().expect("is taken"));
    journal.tend(i64::MAX);
    journal.wait_for_background();
    assert_eq!(read_all(&*reader, 1, 1000).len() as u64, next_id - 1);
}

#[test]
fn a_damaged_snapshot_costs_a_longer_replay_only() {
    let storage = Arc::<MemoryStorage>::default();
    let forever = config(u64::MAX, 10_000, 10_000);
    let (journal, _, newest) = a_log_of_hours(&storage, forever, 300);
    drop(journal);
    let names = storage.names(".snap");
    assert_eq!(names.len(), 2);
    let mut harmed = 0;
    let mut last_at = u64::MAX;
    loop {
        let (_, _, recovery) = open(&storage.after_crash(), forever);
        assert_eq!(recovery.passed_over.len(), harmed);
        let at = recovery.snapshot.as_ref().map_or(0, |snapshot| {
            assert_eq!(snapshot.bytes, snapshot.at.to_string().into_bytes());
            snapshot.at
        });
        assert!(at < last_at);
        last_at = at;
        let events: u64 = replayed(&recovery).iter().map(|step| u64::from(step.events)).sum();
        assert_eq!(at + events, newest);
        let Some(name) = names.iter().rev().nth(harmed) else { break };
        let mut bytes = storage.get(name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        storage.put(name, &bytes);
        harmed += 1;
    }
    assert_eq!(last_at, 0, "at last the whole log is replayed");
}

/// A position is more than an id: steps without events stand between two ids.
#[test]
fn a_snapshot_between_steps_without_events_replays_each_once() {
    let storage = Arc::<MemoryStorage>::default();
    let (mut journal, _, _) = open(&storage, small_segments());
    let append = |journal: &mut Journal, facts: &[u8]| {
        let mut batch = Batch::new();
        batch.step(1, 0, facts, |_| {});
        journal.append(&mut batch, 0).expect("appends");
    };
    journal.fold_by(NewestId::as_text("state"));
    append(&mut journal, b"before");
    assert!(journal.snapshot().expect("is taken"));
    append(&mut journal, b"after");
    drop(journal);
    let (_, _, recovery) = open(&storage, small_segments());
    assert_eq!(recovery.snapshot.as_ref().map(|snapshot| snapshot.at), Some(0));
    let facts: Vec<_> = replayed(&recovery).into_iter().map(|step| step.facts).collect();
    assert_eq!(facts, [b"after".to_vec()]);
}

#[test]
fn a_start_without_what_it_needs_is_refused() {
    let check = |harm: fn(&MemoryStorage)| {
        let storage = Arc::<MemoryStorage>::default();
        let trimmed = config(20 << 10, 10_000, 10_000);
        drop(a_log_of_hours(&storage, trimmed, 500));
        harm(&storage);
        let error = Journal::open_on(storage, trimmed).expect_err("must be refused");
        assert!(matches!(error, JournalError::Missing { .. }), "{error}");
    };
    check(|storage| {
        for name in storage.names(".snap") {
            storage.remove(&name).expect("removes");
        }
    });
    check(|storage| {
        for name in storage.names(".vlz") {
            storage.remove(&name).expect("removes");
        }
    });
}

/// Damage in an old segment is told, and does not keep the log from being trimmed.
#[test]
fn a_damaged_old_segment_is_trimmed_all_the_same() {
    let storage = Arc::<MemoryStorage>::default();
    let forever = config(u64::MAX, 10_000, 10_000);
    drop(a_log_of_hours(&storage, forever, 500));
    let name = storage.names(".vlz").remove(0);
    let mut bytes = storage.get(&name);
    bytes[200] ^= 1;
    storage.put(&name, &bytes);
    let (mut journal, reader, _) = open(&storage, config(20 << 10, 10_000, 10_000));
    assert!(reader.read(1, 1000).is_err(), "it is told");
    journal.tend(0);
    journal.wait_for_background();
    assert!(reader.bounds().oldest > 1);
    assert!(storage.names(".tmp").is_empty());
}
