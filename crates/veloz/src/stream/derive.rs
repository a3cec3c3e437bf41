//! The bytes that a filter or another encoding makes of frames, and where in them a write stopped.
//!
//! Contract: the same frames and the same wishes give the same bytes, so a frame's id and the count
//! of its bytes already sent are all that a subscriber must remember. Pure.

use veloz_core::types::EventId;

use super::filter::{Encoding, Filter};
use super::index::FrameMeta;

/// Where a derived write stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    /// The frame to go on with.
    pub(super) id: EventId,
    /// Where it starts, in the bytes indexed.
    pub(super) start: u32,
    /// How many of its derived bytes are sent.
    pub(super) skip: usize,
    /// Frames wholly sent.
    pub(super) sent: u64,
}

/// Derived bytes; the same one serves every subscriber of a thread, one after another.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) bytes: Vec<u8>,
    /// Each frame's end in `bytes`, its id and its start.
    ends: Vec<(usize, EventId, u32)>,
}

impl Derived {
    /// Derives what passes, until it is `max_bytes` long. Returns how many frames were looked at.
    pub(super) fn fill(
        &mut self,
        (encoding, filter): (Encoding, &Filter),
        bytes: &[u8],
        metas: &[FrameMeta],
        max_bytes: usize,
    ) -> usize {
        self.bytes.clear();
        self.ends.clear();
        let open = filter.is_open();
        for (looked_at, meta) in metas.iter().enumerate() {
            if self.bytes.len() >= max_bytes {
                return looked_at;
            }
            if open || filter.passes_frame(bytes, meta) {
                if encoding == Encoding::Sse {
                    self.bytes.extend_from_slice(meta.frame(bytes));
                } else {
                    let data = meta.data(bytes);
                    encoding.write(&mut self.bytes, Some(meta.id), meta.kind.as_str(), data);
                }
                self.ends.push((self.bytes.len(), meta.id, meta.start));
            }
        }
        metas.len()
    }

    /// How many frames passed.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.ends.len()).unwrap_or(u64::MAX)
    }

    /// Where a write of the first `sent` bytes stopped; none when that is all of them.
    pub(super) fn stop(&self, sent: usize) -> Option<Stop> {
        let whole = self.ends.partition_point(|(end, ..)| *end <= sent);
        let &(_, id, start) = self.ends.get(whole)?;
        let before = whole.checked_sub(1).and_then(|i| self.ends.get(i)).map_or(0, |end| end.0);
        Some(Stop {
            id,
            start,
            skip: sent - before,
            sent: u64::try_from(whole).unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::index;
    use crate::stream::testing::log_bytes;
    use veloz_core::event::EventKind;

    /// Cut at any byte and gone on from what was remembered, the bytes are the same.
    #[test]
    fn any_cut_can_be_mended() {
        let log = log_bytes(1..=24);
        let metas = index::index(&log).expect("whole frames");
        let fills = super::super::filter::Kinds::NONE.with(EventKind::Fill);
        for encoding in [Encoding::Sse, Encoding::SseUnnamed, Encoding::Ndjson] {
            for filter in [Filter::default(), Filter { kinds: fills, ..Filter::default() }] {
                let mut whole = Derived::default();
                assert_eq!(whole.fill((encoding, &filter), &log, &metas, usize::MAX), 24);
                for cut in 0..=whole.bytes.len() {
                    let Some(stop) = whole.stop(cut) else {
                        assert_eq!(cut, whole.bytes.len());
                        continue;
                    };
                    let from = metas.iter().position(|m| m.start == stop.start).expect("a frame");
                    assert_eq!(metas[from].id, stop.id);
                    let mut rest = Derived::default();
                    rest.fill((encoding, &filter), &log, &metas[from..], usize::MAX);
                    assert_eq!(rest.bytes[stop.skip..], whole.bytes[cut..]);
                    assert_eq!(stop.sent + rest.count(), whole.count());
                }
            }
        }
    }

    #[test]
    fn it_stops_at_its_limit() {
        let log = log_bytes(1..=24);
        let metas = index::index(&log).expect("whole frames");
        let mut derived = Derived::default();
        let filter = Filter::default();
        assert_eq!(derived.fill((Encoding::Sse, &filter), &log, &metas, 1), 1);
        assert_eq!(derived.bytes, metas[0].frame(&log));
    }
}
