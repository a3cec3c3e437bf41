//! Where the frames are in a run of bytes, and what a filter needs to know of each.
//!
//! Contract: made once for bytes that many subscribers share, so that a filter never parses. A frame's
//! symbol and order are found by their keys: a key's quotes are never escaped and those inside a
//! text always are, so no text can be taken for a key.

use memchr::memmem;
use veloz_core::event::EventKind;
use veloz_core::types::EventId;

use crate::frame::{Frame, frames};

/// One frame's place and traits; offsets count from the start of the bytes indexed.
#[derive(Debug, Clone, Copy)]
pub struct FrameMeta {
    /// The event's number.
    pub id: EventId,
    /// Where the frame starts.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// The event's type.
    pub kind: EventKind,
    data: u32,
    symbol: Span,
    order: Span,
}

/// A short piece of the bytes; nothing when its length is 0.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    at: u32,
    len: u32,
}

impl Span {
    fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        (self.len > 0).then(|| slice(bytes, self.at, self.at + self.len))
    }
}

fn slice(bytes: &[u8], from: u32, to: u32) -> &[u8] {
    let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(0);
    bytes.get(range).unwrap_or_default()
}

impl FrameMeta {
    /// The event's symbol.
    pub fn symbol<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.symbol.of(bytes)
    }

    /// The event's client order id.
    pub fn order<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.order.of(bytes)
    }

    /// The event's JSON.
    pub fn data<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        // The two line ends of the blank line.
        slice(bytes, self.data, self.end.saturating_sub(2))
    }

    /// The whole frame.
    pub fn frame<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        slice(bytes, self.start, self.end)
    }

    /// Of a frame that starts there; `None` when offsets cannot count so far.
    pub fn of(frame: &Frame<'_>, start: u32) -> Option<FrameMeta> {
        let end = start.checked_add(u32::try_from(frame.bytes.len()).ok()?)?;
        let data = end.checked_sub(2)?.checked_sub(u32::try_from(frame.data.len()).ok()?)?;
        let find = |key: &[u8]| -> Option<Span> {
            let at = memmem::find(frame.data, key)? + key.len();
            let len = memchr::memchr(b'"', frame.data.get(at..)?)?;
            Some(Span { at: data + u32::try_from(at).ok()?, len: u32::try_from(len).ok()? })
        };
        let (has_symbol, has_order) = match frame.kind {
            EventKind::Market => (true, false),
            EventKind::OrderUpdate | EventKind::Fill | EventKind::OrderState => (true, true),
            EventKind::Account | EventKind::Error => (false, false),
        };
        let wanted = |wanted: bool, key| if wanted { find(key) } else { None }.unwrap_or_default();
        Some(FrameMeta {
            id: frame.id,
            start,
            end,
            kind: frame.kind,
            data,
            symbol: wanted(has_symbol, b"\"symbol\":\""),
            order: wanted(has_order, b"\"client_order_id\":\""),
        })
    }
}

/// Indexes whole frames; `None` when the bytes are anything else.
pub fn index(bytes: &[u8]) -> Option<Vec<FrameMeta>> {
    let mut metas = Vec::new();
    extend_index(&mut metas, bytes)?;
    Some(metas)
}

/// Indexes what follows the last frame indexed.
pub fn extend_index(metas: &mut Vec<FrameMeta>, bytes: &[u8]) -> Option<()> {
    let mut start = metas.last().map_or(0, |meta| meta.end);
    let mut rest = frames(bytes.get(usize::try_from(start).ok()?..)?);
    for frame in rest.by_ref() {
        let meta = FrameMeta::of(&frame, start)?;
        start = meta.end;
        metas.push(meta);
    }
    rest.rest().is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::write_frame;
    use crate::stream::testing::{event, log_bytes};
    use veloz_core::event::Event;

    #[test]
    fn the_index_finds_what_the_event_says() {
        let mut bytes = log_bytes(1..=12);
        let tricky = Event::Error(veloz_core::event::ErrorEvent {
            ts_ns: 1,
            message: "x\",\"symbol\":\"AAA\",\"client_order_id\":\"o-1\"".into(),
            detail: None,
        });
        write_frame(&mut bytes, 13, &tricky);
        let metas = index(&bytes).expect("whole frames");
        assert_eq!(metas.len(), 13);
        for (meta, id) in metas.iter().zip(1..) {
            let event = if id == 13 { tricky.clone() } else { event(id) };
            let mut frame = Vec::new();
            write_frame(&mut frame, id, &event);
            assert_eq!(meta.frame(&bytes), frame);
            assert_eq!(Event::decode(meta.kind, meta.data(&bytes)).expect("decodes"), event);
            let symbol = event.symbol();
            assert_eq!(meta.symbol(&bytes), symbol.as_ref().map(|s| s.as_str().as_bytes()));
            let order = event.client_order_id();
            assert_eq!(meta.order(&bytes), order.as_ref().map(|o| o.as_str().as_bytes()));
        }
        bytes.pop();
        assert!(index(&bytes).is_none());
    }
}
