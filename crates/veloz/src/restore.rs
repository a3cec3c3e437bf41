//! How the state comes out of the log: the reading side of a step.
//!
//! Contract: replay is this and nothing else, for a start and for a check of a log.

use veloz_core::event::Event;
use veloz_core::state::{State, facts_from_json};

use crate::frame::frames;
use crate::journal::RecordRef;

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
