//! Pages of the log, for those who would rather ask than listen.
//!
//! Contract: ids grow within a page; what retention took is told as `gap`; `next_after` asks on where
//! the page ended, whatever the filter hid. A page looks through a bounded part of the log: it may be
//! short, or empty, before the end.

use std::sync::Arc;

use veloz_core::limits::{HTTP_EVENTS_READ_BYTES, HTTP_EVENTS_SCAN_BYTES};
use veloz_core::types::EventId;

use super::control::{Gap, GapReason};
use super::filter::{Encoding, Filter};
use super::index::FrameMeta;
use crate::frame::{Frame, frames};
use crate::journal::{Bounds, LogId, LogReader, Read};

pub use crate::journal::LogError;

/// Whoever reads pages of a log.
#[derive(Clone)]
pub struct Pages {
    log: Arc<dyn LogReader>,
}

impl Pages {
    /// Of this log.
    pub fn new(log: Arc<dyn LogReader>) -> Pages {
        Pages { log }
    }

    /// The JSON of the page behind `after` (0: from the oldest retained) of at most `limit` events that
    /// pass the filter. Blocks.
    ///
    /// # Errors
    /// When the storage fails or is damaged.
    pub fn read(&self, after: EventId, limit: usize, filter: &Filter) -> Result<Vec<u8>, LogError> {
        let gap = Gap::at_start(after, self.log.bounds());
        read_page(self.log.as_ref(), after, gap, limit, filter)
    }

    /// The JSON of the page of whoever names an event of another log than `this`: nothing but that.
    pub fn of_another_log(&self, after: EventId, this: LogId) -> Result<Vec<u8>, LogError> {
        let gap = Gap::of_another_log(after, this, self.log.bounds());
        read_page(self.log.as_ref(), after, Some(gap), 0, &Filter::default())
    }
}

/// A page as it is written.
struct Page<'a> {
    json: Vec<u8>,
    count: usize,
    limit: usize,
    filter: &'a Filter,
    /// The first id that is not looked at yet.
    from: EventId,
    requested: EventId,
    gap: Option<Gap>,
}

fn read_page(
    log: &dyn LogReader,
    after: EventId,
    gap: Option<Gap>,
    limit: usize,
    filter: &Filter,
) -> Result<Vec<u8>, LogError> {
    let from = match gap {
        Some(Gap { reason: GapReason::Ahead, newest, .. }) => newest + 1,
        _ => (after + 1).max(log.bounds().oldest),
    };
    let json = b"{\"items\":[".to_vec();
    let mut page = Page { json, count: 0, limit, filter, from, requested: after, gap };
    let mut scanned_bytes = 0;
    while page.count < limit && scanned_bytes < HTTP_EVENTS_SCAN_BYTES {
        match log.read(page.from, HTTP_EVENTS_READ_BYTES)? {
            Read::Frames { bytes, next, compacted } => {
                scanned_bytes += bytes.len();
                page.take(&bytes, next, compacted, log);
            }
            Read::Trimmed(bounds) => page.trimmed(bounds),
            Read::AtEnd | Read::Ahead(_) => break,
        }
    }
    Ok(page.finish(log.bounds()))
}

impl Page<'_> {
    /// Takes frames that stand for the ids up to `next`, as many as the page has room for.
    fn take(&mut self, bytes: &[u8], next: EventId, compacted: bool, log: &dyn LogReader) {
        for frame in frames(bytes) {
            self.hole_until(frame.id, compacted, log);
            self.from = frame.id + 1;
            if !self.wants(&frame) {
                continue;
            }
            if self.count > 0 {
                self.json.push(b',');
            }
            let name = frame.kind.as_str();
            Encoding::Ndjson.write(&mut self.json, Some(frame.id), name, frame.data);
            // The line's end is no part of an array.
            self.json.pop();
            self.count += 1;
            if self.count == self.limit {
                return;
            }
        }
        self.hole_until(next, compacted, log);
        self.from = next;
    }

    fn wants(&self, frame: &Frame<'_>) -> bool {
        // Types first: most frames need no look at their text.
        self.filter.kinds.has(frame.kind)
            && FrameMeta::of(frame, 0)
                .is_some_and(|meta| self.filter.passes_frame(frame.bytes, &meta))
    }

    /// Tells of market events that were taken out, to those who asked for such.
    fn hole_until(&mut self, id: EventId, compacted: bool, log: &dyn LogReader) {
        if compacted && id > self.from && self.gap.is_none() && self.filter.wants_market() {
            self.gap(GapReason::Compacted, log.bounds());
        }
    }

    /// Retention was faster than the reading.
    fn trimmed(&mut self, bounds: Bounds) {
        if self.gap.is_none() && (self.count > 0 || self.requested > 0) {
            self.gap(GapReason::Trimmed, bounds);
        }
        self.from = self.from.max(bounds.oldest);
    }

    fn gap(&mut self, reason: GapReason, bounds: Bounds) {
        self.gap = Some(Gap::new(reason, self.requested, bounds));
    }

    fn finish(mut self, Bounds { oldest, newest }: Bounds) -> Vec<u8> {
        let next_after = self.from.saturating_sub(1);
        let end = format!("],\"oldest\":{oldest},\"newest\":{newest},\"next_after\":{next_after}");
        self.json.extend_from_slice(end.as_bytes());
        if let Some(gap) = self.gap {
            self.json.extend_from_slice(b",\"gap\":");
            // A struct of numbers always serializes.
            self.json.extend(serde_json::to_vec(&gap).unwrap_or_else(|_| b"{}".to_vec()));
        }
        self.json.push(b'}');
        self.json
    }
}
