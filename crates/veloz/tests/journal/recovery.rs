//! What a start finds after cuts, flipped bits, lost files and lost power.

use std::sync::Arc;

use proptest::prelude::*;
use veloz::journal::{Batch, Durability, Journal, JournalConfig, JournalError, LogReader, Storage};

use crate::memory::MemoryStorage;
use crate::{Step, add_step, open, read_all, replayed, small_segments};

const SEGMENT: &str = ".vlz";

fn large_segments() -> JournalConfig {
    JournalConfig { segment_bytes: 1 << 20, ..small_segments() }
}

/// A log of `steps` steps, one append each, left as a crash leaves it, and its steps.
fn crashed_log(config: JournalConfig, steps: u64) -> (Arc<MemoryStorage>, Vec<Step>) {
    let storage = Arc::new(MemoryStorage::default());
    let (mut journal, _, _) = open(&storage, config);
    let (mut batch, mut next_id) = (Batch::new(), 1);
    for n in 0..steps {
        batch.clear();
        add_step(&mut batch, &mut next_id, n);
        journal.append(&mut batch, i64::try_from(n).expect("small")).expect("appends");
    }
    let crashed = storage.after_crash();
    let (_, _, recovery) = open(&crashed.after_crash(), config);
    (crashed, replayed(&recovery))
}

/// Where the records of a segment's file end.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).expect("not empty") + 1
}

fn count_events(steps: &[Step]) -> u64 {
    steps.iter().map(|step| u64::from(step.events)).sum()
}

#[test]
fn a_restart_continues_the_ids_and_replays_all_steps() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut batch, mut next_id) = (Batch::new(), 1);
    let mut newest = 0;
    for run in 0..3 {
        let (mut journal, reader, recovery) =
            Journal::open(dir.path(), small_segments()).expect("opens");
        assert_eq!(recovery.torn, None);
        assert_eq!(recovery.newest, newest);
        assert_eq!(replayed(&recovery).len(), run * 40);
        assert_eq!(journal.next_id(), next_id);
        for n in 0..40 {
            batch.clear();
            add_step(&mut batch, &mut next_id, n);
            newest = journal.append(&mut batch, 1).expect("appends").newest;
        }
        let ids: Vec<u64> = read_all(&*reader, 1, 1000).iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, (1..next_id).collect::<Vec<_>>());
        assert_eq!(reader.bounds().newest, next_id - 1);
    }
    let files = std::fs::read_dir(dir.path()).expect("lists").count();
    assert!(files > 3, "it rolled");
}

/// Cuts the last segment at every byte: what comes back is the longest run of whole steps.
#[test]
fn a_cut_at_any_byte_leaves_whole_steps() {
    let (log, all) = crashed_log(small_segments(), 60);
    let name = log.names(SEGMENT).pop().expect("a segment");
    let whole = log.get(&name);
    let mut counts = Vec::new();
    for len in 0..=used(&whole) {
        let cut = log.after_crash();
        cut.put(&name, &whole[..len]);
        let (mut journal, reader, recovery) = open(&cut, small_segments());
        let steps = replayed(&recovery);
        assert_eq!(steps[..], all[..steps.len()], "cut at {len}");
        counts.push(steps.len());
        let events = count_events(&steps);
        assert_eq!(reader.bounds().newest, events);
        // And it goes on from there.
        let (mut batch, mut next_id) = (Batch::new(), events + 1);
        add_step(&mut batch, &mut next_id, 3);
        journal.append(&mut batch, 1).expect("appends");
        assert_eq!(read_all(&*reader, 1, 1 << 20).len() as u64, events + 1);
    }
    assert!(counts.is_sorted(), "more bytes, more steps");
    assert_eq!(counts.last(), Some(&all.len()));
}

/// Flips a bit of each byte: a whole step behind it makes it damage, told with file and offset.
#[test]
fn a_flipped_byte_in_the_middle_is_refused_and_told() {
    let (log, all) = crashed_log(large_segments(), 12);
    let name = log.names(SEGMENT).pop().expect("a segment");
    let whole = log.get(&name);
    let mut torn = 0;
    for at in 0..used(&whole) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let harmed = log.after_crash();
        harmed.put(&name, &bytes);
        match Journal::open_on(harmed.clone(), large_segments()) {
            Err(JournalError::Damaged { path, offset, .. }) => {
                assert!(path.ends_with(&name));
                assert!(offset as usize <= at, "{offset} tells {at}");
                assert_eq!(harmed.get(&name), bytes, "nothing was changed");
            }
            Err(other) => panic!("byte {at}: {other}"),
            // Nothing stands behind the last step: it looks like a write that was cut short.
            Ok((_, _, recovery)) => {
                torn += 1;
                assert!(recovery.torn.is_some(), "byte {at}");
                assert_eq!(replayed(&recovery)[..], all[..all.len() - 1]);
            }
        }
    }
    assert!(torn > 0 && torn < 400, "only in the last step: {torn}");
}

/// After a clean end the last step is no exception: a mark stands behind it.
#[test]
fn a_flipped_byte_in_the_last_step_of_a_closed_log_is_refused() {
    let storage = Arc::new(MemoryStorage::default());
    let (mut journal, _, _) = open(&storage, large_segments());
    let (mut batch, mut next_id) = (Batch::new(), 1);
    add_step(&mut batch, &mut next_id, 3);
    journal.append(&mut batch, 1).expect("appends");
    drop(journal);
    let name = storage.names(SEGMENT).pop().expect("a segment");
    let mut bytes = storage.get(&name);
    bytes[120] ^= 1;
    storage.put(&name, &bytes);
    let error = Journal::open_on(storage, large_segments()).expect_err("must be refused");
    assert!(matches!(error, JournalError::Damaged { offset: 64, .. }), "{error}");
}

#[test]
fn damage_and_holes_in_older_segments_are_refused() {
    let check = |harm: fn(&MemoryStorage, &[String]), expected: &str| {
        let (log, _) = crashed_log(small_segments(), 200);
        let names = log.names(SEGMENT);
        assert!(names.len() >= 4);
        harm(&log, &names);
        let told = match Journal::open_on(log, small_segments()) {
            Err(error) => error.to_string(),
            Ok((_, _, recovery)) => recovery
                .replay(|_| Ok::<(), std::convert::Infallible>(()))
                .expect_err("must be refused")
                .to_string(),
        };
        assert!(told.contains(expected), "{told:?} names {expected:?}");
        assert!(told.contains("/memory"), "{told:?} names the place");
    };
    check(|log, names| log.remove(&names[1]).expect("removes"), "is missing");
    check(|log, names| log.remove(&names[0]).expect("removes"), "is missing");
    check(
        |log, names| {
            let mut bytes = log.get(&names[1]);
            bytes[100] ^= 1;
            log.put(&names[1], &bytes);
        },
        "damaged at offset 64",
    );
    check(
        |log, names| {
            let bytes = log.get(&names[1]);
            log.put(&names[1], &bytes[..bytes.len() - 1]);
        },
        "cut short",
    );
    check(|log, names| log.put(&names[1], b""), "the header is not one");
    check(|log, names| log.put(&names[2], &log.get(&names[1])), "another segment");
}

/// A crash while a segment is made leaves no record: with any part of its header it is made again.
#[test]
fn a_half_made_segment_is_made_again() {
    let (log, all) = crashed_log(small_segments(), 60);
    let header = log.get(&log.names(SEGMENT)[0])[..64].to_vec();
    let name = format!("{:020}{SEGMENT}", count_events(&all) + 1);
    for len in 0..64 {
        let mut half = header[..len].to_vec();
        half.resize(len * 20, 0); // space may be reserved already
        let log = log.after_crash();
        log.put(&name, &half);
        let (_, reader, recovery) = open(&log, small_segments());
        assert_eq!(replayed(&recovery), all);
        assert_eq!(reader.bounds().newest, count_events(&all));
        assert!(!log.names(SEGMENT).contains(&name));
    }
}

/// The power goes at any moment: the log starts with whole steps, whatever part of what was not synced
/// reached the disk, and with `disk` every append that returned is there.
#[test]
fn a_power_cut_loses_nothing_that_was_stored() {
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let storage = Arc::new(MemoryStorage::default());
        let on_disk = seed % 2 == 0;
        let durability = if on_disk { Durability::Disk } else { Durability::Process };
        let config = JournalConfig { durability, ..small_segments() };
        let (mut journal, _, _) = open(&storage, config);
        let mut next_id = 1;
        let mut stored = 0;
        for _ in 0..random.usize(1..12) {
            let mut batch = Batch::new();
            for _ in 0..random.usize(1..30) {
                add_step(&mut batch, &mut next_id, random.u64(0..100));
            }
            let newest = journal.append(&mut batch, 1).expect("appends").newest;
            stored = if on_disk { newest } else { 0 };
        }
        // A batch that is written and not yet synced, as the cut finds it.
        let mut batch = Batch::new();
        for n in 0..random.u64(0..40) {
            add_step(&mut batch, &mut next_id, n);
        }
        storage.set_faults(crate::memory::Faults {
            sync_fails: true,
            cut_fails: true,
            ..Default::default()
        });
        let unfinished = journal.append(&mut batch, 1);
        assert!(batch.is_empty() || !on_disk || unfinished.is_err());
        let after = storage.after_power_cut(seed);
        let (_, reader, recovery) = Journal::open_on(after, small_segments())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let events = count_events(&replayed(&recovery));
        assert!(events >= stored, "seed {seed}: {stored} were stored, {events} are there");
        assert_eq!(read_all(&*reader, 1, 4000).len() as u64, events, "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any batches, any sizes of segments: each step comes back once, in order, after any restarts.
    #[test]
    fn what_is_appended_comes_back(
        batches in prop::collection::vec(prop::collection::vec(0u64..100, 1..20), 1..30),
        segment_bytes in 200u64..20_000,
        restart_every in 1usize..10,
        on_disk in any::<bool>(),
    ) {
        let storage = Arc::new(MemoryStorage::default());
        let durability = if on_disk { Durability::Disk } else { Durability::Process };
        let config = JournalConfig { segment_bytes, durability, ..small_segments() };
        let mut next_id = 1;
        let mut count = 0;
        for chunk in batches.chunks(restart_every) {
            let (mut journal, reader, recovery) = open(&storage, config);
            prop_assert_eq!(replayed(&recovery).len(), count);
            for steps in chunk {
                let mut batch = Batch::new();
                for &n in steps {
                    add_step(&mut batch, &mut next_id, n);
                    count += 1;
                }
                journal.append(&mut batch, 5).expect("appends");
            }
            let ids: Vec<u64> = read_all(&*reader, 1, 700).iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(ids, (1..next_id).collect::<Vec<_>>());
        }
    }
}
