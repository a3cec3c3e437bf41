//! What is in the log, against what was in it.

use veloz::frame::frames;
use veloz::journal::{JournalReader, LogReader, Read};
use veloz_core::event::EventKind;
use veloz_core::types::EventId;

use crate::truth::{Check, Truth};

/// Takes what is new in the log.
pub(crate) fn extend(truth: &mut Truth, reader: &JournalReader) -> Check {
    loop {
        match reader.read(truth.newest() + 1, 1 << 16) {
            Ok(Read::Frames { bytes, .. }) if !bytes.is_empty() => truth.extend(&bytes)?,
            Ok(Read::AtEnd) => return Ok(()),
            other => return Err(format!("behind {} the log has {other:?}", truth.newest())),
        }
    }
}

/// Everything in the log is what it was, and nothing is missing that retention may not take.
pub(crate) fn confirm(truth: &Truth, reader: &JournalReader) -> Check {
    let mut next_id = reader.bounds().oldest;
    while next_id <= truth.newest() {
        let read = reader.read(next_id, 1 << 16);
        let Ok(Read::Frames { bytes, next, .. }) = read else {
            return Err(format!("at {next_id} the log has {read:?}"));
        };
        for frame in frames(&bytes).take_while(|frame| frame.id <= truth.newest()) {
            missing_is_market(truth, next_id..frame.id)?;
            truth.confirm(&frame)?;
            next_id = frame.id + 1;
        }
        missing_is_market(truth, next_id..next.min(truth.newest() + 1))?;
        next_id = next;
    }
    Ok(())
}

fn missing_is_market(truth: &Truth, ids: std::ops::Range<EventId>) -> Check {
    for id in ids {
        if truth.get(id).is_some_and(|stored| stored.kind != EventKind::Market) {
            return Err(format!("event {id} is no longer in the log"));
        }
    }
    Ok(())
}

/// Whether retention has taken nothing.
pub(crate) fn is_whole(reader: &JournalReader) -> bool {
    let mut next_id = 1;
    loop {
        match reader.read(next_id, 1 << 16) {
            Ok(Read::Frames { next, compacted: false, .. }) => next_id = next,
            Ok(Read::AtEnd) => return true,
            _ => return false,
        }
    }
}
