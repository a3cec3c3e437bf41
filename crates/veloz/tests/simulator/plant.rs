//! Faults planted on purpose, to see that the simulator finds what it is for. They are put between the parts,
//! never into one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use veloz::frame::frames;
use veloz::journal::{Bounds, JournalReader, LogError, LogReader, Read, Recovery};
use veloz::service::HealthBoard;
use veloz_core::state::State;
use veloz_core::types::EventId;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Nothing.
    Nothing,
    /// Events are seen that were never stored: writes get lost on their way.
    PublishBeforeAppend,
    /// A sync says that it is done before it is begun.
    SkipSync,
    /// A segment is left for the next one without being brought to the disk.
    SealWithoutSync,
    /// A snapshot relies on an archive that was not brought to the disk.
    ArchiveWithoutSync,
    /// A read of the log leaves out the first event of some reads, as if it had been compacted.
    DropAtSeam,
    /// A start replays all but the last step.
    ForgetLastStep,
    /// A start replays one step twice.
    ReplayTwice,
    /// Nobody is told that the journal failed.
    SilentHealth,
    /// A flipped bit is covered up by a new checksum.
    CoverUpFlip,
    /// An answer that was on its way when the gateway died is made up.
    InventAnswer,
}

impl Plant {
    pub(crate) const ALL: [Plant; 10] = [
        Plant::PublishBeforeAppend,
        Plant::SkipSync,
        Plant::SealWithoutSync,
        Plant::ArchiveWithoutSync,
        Plant::DropAtSeam,
        Plant::ForgetLastStep,
        Plant::ReplayTwice,
        Plant::SilentHealth,
        Plant::CoverUpFlip,
        Plant::InventAnswer,
    ];

    /// The state that a start goes on from.
    pub(crate) fn on_replay(self, recovery: &Recovery, state: State) -> State {
        let wanted = match self {
            Plant::ForgetLastStep => 0,
            Plant::ReplayTwice => 2,
            _ => return state,
        };
        // Not from a snapshot: all of the log, with the last step as often as wanted.
        let mut steps = Vec::new();
        let replayed = recovery.replay(|record| {
            steps.push((record.facts.to_vec(), record.frames.to_vec()));
            Ok::<(), std::convert::Infallible>(())
        });
        if replayed.is_err() || recovery.snapshot.is_some() {
            return state;
        }
        let mut state = State::default();
        let last = steps.len().saturating_sub(1);
        for (at, (facts, events)) in steps.iter().enumerate() {
            for _ in 0..if at == last { wanted } else { 1 } {
                apply(&mut state, facts, events);
            }
        }
        state
    }

    /// The log as the stream reads it.
    pub(crate) fn log(self, reader: Arc<JournalReader>) -> Arc<dyn LogReader> {
        if self == Plant::DropAtSeam { Arc::new(Leaky(reader)) } else { reader }
    }

    /// Where the service tells of trouble.
    pub(crate) fn health(self, board: Arc<HealthBoard>) -> Arc<HealthBoard> {
        if self == Plant::SilentHealth { Arc::default() } else { board }
    }
}

fn apply(state: &mut State, facts: &[u8], events: &[u8]) {
    for fact in veloz_core::state::facts_from_json(facts).unwrap_or_default() {
        state.apply_fact(&fact);
    }
    for frame in frames(events) {
        if let Ok(event) = veloz_core::event::Event::decode(frame.kind, frame.data) {
            state.apply_event(frame.id, &event);
        }
    }
}

/// A log that loses an event now and then.
struct Leaky(Arc<JournalReader>);

impl LogReader for Leaky {
    fn bounds(&self) -> Bounds {
        self.0.bounds()
    }

    fn read(&self, from: EventId, max_bytes: usize) -> Result<Read, LogError> {
        Ok(match self.0.read(from, max_bytes)? {
            Read::Frames { bytes, next, .. } if from.is_multiple_of(3) => {
                let first = frames(&bytes).next().map_or(0, |frame| frame.bytes.len());
                let rest: BytesMut = bytes.iter().skip(first).copied().collect();
                Read::Frames { bytes: Bytes::from(rest), next, compacted: true }
            }
            other => other,
        })
    }
}
