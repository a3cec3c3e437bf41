//! How the state comes out of the log: the reading side of a step.
//!
//! Contract: replay is this and nothing else, for a start, for snapshots and for a check of a log.

use veloz_core::event::Event;
use veloz_core::state::{State, facts_from_json};

use crate::frame::frames;
use crate::journal::{Fold, FoldError, RecordRef, Recovery, ReplayError};

/// Applies a step as it was stored.
///
/// # Errors
/// When its facts or events are not what this version writes.
pub(crate) fn apply(state: &mut State, record: &RecordRef<'_>) -> Result<(), serde_json::Error> {
    for fact in facts_from_json(record.facts)? {
        state.apply_fact(&fact);
    }
    for frame in frames(record.frames) {
        state.apply_event(frame.id, &Event::decode(frame.kind, frame.data)?);
    }
    Ok(())
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The snapshot is sound, and not what this version writes.
    #[error("the snapshot was written by another version: start that one, or restore a backup")]
    Snapshot(#[source] serde_json::Error),
    /// The log could not be read, or is not what this version writes.
    #[error(transparent)]
    Replay(#[from] ReplayError<serde_json::Error>),
}

/// The state that a log leads to: its newest snapshot, and what came after it.
///
/// # Errors
/// When the log is damaged, or was written by another version.
pub fn state(recovery: &Recovery) -> Result<State, RestoreError> {
    let mut state = match &recovery.snapshot {
        Some(snapshot) => {
            serde_json::from_slice(&snapshot.bytes).map_err(RestoreError::Snapshot)?
        }
        None => State::default(),
    };
    recovery.replay(|record| apply(&mut state, &record))?;
    Ok(state)
}

/// The state for the journal's snapshots.
#[derive(Debug, Default)]
pub struct StateFold {
    state: State,
}

impl Fold for StateFold {
    fn begin(&mut self, snapshot: Option<&[u8]>) -> Result<(), FoldError> {
        self.state = match snapshot {
            Some(bytes) => serde_json::from_slice(bytes)?,
            None => State::default(),
        };
        Ok(())
    }

    fn take(&mut self, record: &RecordRef<'_>) -> Result<(), FoldError> {
        Ok(apply(&mut self.state, record)?)
    }

    fn finish(&mut self) -> Result<Vec<u8>, FoldError> {
        Ok(serde_json::to_vec(&std::mem::take(&mut self.state))?)
    }
}
