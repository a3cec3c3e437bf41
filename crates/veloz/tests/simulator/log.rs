//! What is in the log, against what was in it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use veloz::frame::frames;
use veloz::journal::{JournalReader, LogReader, Read};
use veloz::stream::filter::{Filter, Kinds};
use veloz::stream::page::Pages;
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

/// A page of `GET /api/events`.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<Item<'a>>,
    next_after: EventId,
    gap: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Item<'a> {
    id: EventId,
    event: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A page has every event behind `after`, as it is stored, or tells of those that are gone. One that cannot be
/// read for the disk's sake says nothing.
pub(crate) fn check_page(
    truth: &Truth,
    reader: &Arc<JournalReader>,
    after: EventId,
    kinds: Kinds,
) -> Check {
    let pages = Pages::new(Arc::<JournalReader>::clone(reader));
    let filter = Filter { kinds, ..Filter::default() };
    let Ok(json) = pages.read(after, 40, &filter) else { return Ok(()) };
    let page: Page<'_> = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let oldest = reader.bounds().oldest;
    let check_skipped = |ids: std::ops::Range<EventId>| {
        for id in ids {
            let Some(stored) = truth.get(id).filter(|stored| kinds.has(stored.kind)) else {
                continue;
            };
            let gone = id < oldest || stored.kind == EventKind::Market;
            if !gone || (page.gap.is_none() && after > 0 && id > after) {
                return Err(format!("a page behind {after} leaves out event {id}"));
            }
        }
        Ok(())
    };
    let mut next_id = after + 1;
    for Item { id, event, data } in &page.items {
        let stored = truth.get(*id).ok_or("a page has an event that is not stored")?;
        if stored.kind.as_str() != event || stored.data != data.get().as_bytes() {
            return Err(format!("a page has another event {id} than the stored one"));
        }
        if *id < next_id {
            return Err(format!("a page has event {id} twice"));
        }
        check_skipped(next_id..*id)?;
        next_id = id + 1;
    }
    check_skipped(next_id..(page.next_after + 1).max(next_id))
}
