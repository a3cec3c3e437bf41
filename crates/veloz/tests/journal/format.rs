//! Logs written by each version of the program stay readable: `fixtures/` holds one of each.

use std::sync::Arc;

use veloz::journal::Batch;

use crate::memory::MemoryStorage;
use crate::{NewestId, add_step, open, replayed, small_segments};

const SEGMENT: &str = "00000000000000000001.vlz";
const SNAPSHOT: &str = "00000000000000000005.snap";

/// What the fixtures hold: four steps, a snapshot, two more, closed.
fn written() -> Arc<MemoryStorage> {
    let storage = Arc::default();
    let (mut journal, _, _) = open(&storage, small_segments());
    journal.fold_by(NewestId::as_text("{}"));
    let mut next_id = 1;
    for n in 0..6 {
        let mut batch = Batch::new();
        add_step(&mut batch, &mut next_id, n);
        journal.append(&mut batch, 1_700_000_000_000_000_000).expect("appends");
        if n == 3 {
            assert!(journal.snapshot().expect("is taken"));
        }
    }
    drop(journal);
    storage
}

#[test]
fn version_1_reads_as_it_was_written_and_is_written_as_before() {
    let fixture = Arc::new(MemoryStorage::default());
    fixture.put(SEGMENT, include_bytes!("fixtures/v1.vlz"));
    fixture.put(SNAPSHOT, include_bytes!("fixtures/v1.snap"));
    let now = written();
    for name in [SEGMENT, SNAPSHOT] {
        assert_eq!(now.get(name), fixture.get(name), "{name}: a new format needs a new version");
    }
    let (_, _, recovery) = open(&fixture, small_segments());
    assert_eq!(recovery.snapshot.as_ref().map(|snapshot| snapshot.at), Some(5));
    assert_eq!(replayed(&recovery), replayed(&open(&now, small_segments()).2));
    assert_eq!(recovery.newest, 9);
}
