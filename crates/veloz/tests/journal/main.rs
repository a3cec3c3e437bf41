//! The journal through its public face: what is stored comes back, whole, in order, or is refused.
#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests, which may"
)]

mod archive;
mod dir;
mod faults;
mod format;
mod memory;
mod reading;
mod recovery;
mod retention;
mod room;
mod seeking;
mod snapshots;
mod tools;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use veloz::frame::{frames, write_frame};
use veloz::journal::{
    Batch, Durability, Fold, FoldError, Journal, JournalConfig, JournalReader, LogReader, Read,
    RecordRef, Recovery, Snapshot,
};
use veloz_core::event::{ErrorEvent, Event, EventKind, Market};
use veloz_core::types::EventId;

use memory::MemoryStorage;

/// A kind of step by its number: one market event, one error event, both, or facts only.
fn add_step(batch: &mut Batch, next_id: &mut EventId, n: u64) {
    let facts = format!("{{\"n\":{n}}}");
    let (events, facts) = match n % 4 {
        0 => (vec![market(n)], ""),
        1 => (vec![market(n), error(n), market(n)], facts.as_str()),
        2 => (vec![], facts.as_str()),
        _ => (vec![error(n)], ""),
    };
    let first_id = *next_id;
    batch.step(first_id, u32::try_from(events.len()).expect("few"), facts.as_bytes(), |out| {
        for (id, event) in (first_id..).zip(&events) {
            write_frame(out, id, event);
        }
    });
    *next_id += events.len() as u64;
}

fn market(n: u64) -> Event {
    Event::Market(Market {
        symbol: "BTCUSDT".parse().expect("a symbol"),
        ts_ns: i64::try_from(n).expect("small"),
        price: "50000.5".parse().expect("a price"),
        trade_id: Some(n),
        qty: None,
        side: None,
        bid: None,
        ask: None,
    })
}

fn error(n: u64) -> Event {
    Event::Error(ErrorEvent {
        ts_ns: 1,
        message: "market_source_error".into(),
        detail: Some(format!("the {n}th").into()),
    })
}

fn small_segments() -> JournalConfig {
    JournalConfig {
        durability: Durability::Disk,
        segment_bytes: 4 << 10,
        ..JournalConfig::default()
    }
}

fn open(
    storage: &Arc<MemoryStorage>,
    config: JournalConfig,
) -> (Journal, Arc<JournalReader>, Recovery) {
    Journal::open_on(Arc::<MemoryStorage>::clone(storage), config)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A state that is the newest event's id; its snapshot is `text` with the id in the place of `#`.
#[derive(Debug)]
struct NewestId {
    text: &'static str,
    newest: EventId,
}

impl NewestId {
    fn as_text(text: &'static str) -> Box<NewestId> {
        Box::new(NewestId { text, newest: 0 })
    }

    fn snapshot(&self) -> String {
        self.text.replace('#', &self.newest.to_string())
    }
}

impl Fold for NewestId {
    fn begin(&mut self, snapshot: Option<&Snapshot>) -> Result<(), FoldError> {
        self.newest = 0;
        let (before, after) = self.text.split_once('#').unwrap_or((self.text, ""));
        if let Some(snapshot) = snapshot {
            let text = std::str::from_utf8(&snapshot.bytes)?;
            let inner = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            let id = inner.ok_or("another text")?;
            self.newest = if id.is_empty() { 0 } else { id.parse()? };
        }
        Ok(())
    }

    fn take(&mut self, record: &RecordRef<'_>) -> Result<(), FoldError> {
        let next_id = record.first_id + u64::from(record.events);
        // The steps behind a snapshot that says how far it goes, and no others.
        if self.text.contains('#') && record.first_id != self.newest + 1 {
            return Err(format!("{} after {}", record.first_id, self.newest).into());
        }
        self.newest = next_id - 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<u8>, FoldError> {
        Ok(self.snapshot().into_bytes())
    }
}

/// Waits for a condition that background work brings about.
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come about in time");
        std::thread::yield_now();
    }
}

/// A replayed step, owned.
#[derive(Clone, PartialEq, Eq)]
struct Step {
    first_id: EventId,
    events: u32,
    facts: Vec<u8>,
    frames: Vec<u8>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (facts, frames) = (self.facts.len(), self.frames.len());
        write!(f, "{}+{} ({facts} B of facts, {frames} B)", self.first_id, self.events)
    }
}

fn replayed(recovery: &Recovery) -> Vec<Step> {
    let mut steps = Vec::new();
    recovery
        .replay(|record| {
            steps.push(Step {
                first_id: record.first_id,
                events: record.events,
                facts: record.facts.to_vec(),
                frames: record.frames.to_vec(),
            });
            Ok::<(), Infallible>(())
        })
        .expect("replays");
    steps
}

/// All that a reader sees from an id on, with the ids; reads until the end.
fn read_all(log: &dyn LogReader, from: EventId, max_bytes: usize) -> Vec<(EventId, EventKind)> {
    let mut seen = Vec::new();
    let mut next_id = from;
    loop {
        match log.read(next_id, max_bytes).expect("reads") {
            Read::Frames { bytes, next, .. } => {
                let mut all = frames(&bytes);
                for frame in all.by_ref() {
                    assert!(
                        frame.id >= next_id && frame.id < next,
                        "{} in {next_id}..{next}",
                        frame.id
                    );
                    seen.push((frame.id, frame.kind));
                }
                assert!(all.rest().is_empty(), "whole frames");
                assert!(next > next_id, "a read goes on");
                next_id = next;
            }
            Read::AtEnd => return seen,
            other => panic!("{other:?} at {next_id}"),
        }
    }
}
