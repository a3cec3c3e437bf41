//! The frame: one event's bytes as they are stored in the journal and sent by the stream.
//!
//! Contract: `id: N`, `event: KIND`, one `data:` line of compact JSON, a blank line, each ended by one
//! LF. The JSON holds no line end (strings escape control characters), so the first one ends it.
//! [`write_frame`] is the only writer and [`frames`] the only reader of that form.

use veloz_core::digits::write_number;
use veloz_core::event::{Event, EventKind};
use veloz_core::types::EventId;

/// A frame, borrowed from the bytes it was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The event's number.
    pub id: EventId,
    /// The event's type.
    pub kind: EventKind,
    /// The event's JSON.
    pub data: &'a [u8],
    /// The whole frame, with its blank line.
    pub bytes: &'a [u8],
}

/// Appends the frame of an event.
pub fn write_frame(out: &mut Vec<u8>, id: EventId, event: &Event) {
    out.extend_from_slice(b"id: ");
    write_number(out, id);
    out.extend_from_slice(b"\nevent: ");
    out.extend_from_slice(event.kind().as_str().as_bytes());
    out.extend_from_slice(b"\ndata: ");
    event.encode(out);
    out.extend_from_slice(b"\n\n");
}

/// The frames in `bytes`, in order. It stops at the first bytes that are no whole frame: [`Frames::rest`]
/// tells how many are left.
pub fn frames(bytes: &[u8]) -> Frames<'_> {
    Frames { rest: bytes }
}

/// The iterator of [`frames`].
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// What was not read: empty after a clean end.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (frame, rest) = split_frame(self.rest)?;
        self.rest = rest;
        Some(frame)
    }
}

fn split_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let after_id = bytes.strip_prefix(b"id: ")?;
    let (id, after_id) = split_line(after_id)?;
    let (kind, after_kind) = split_line(after_id.strip_prefix(b"event: ")?)?;
    let (data, rest) = split_line(after_kind.strip_prefix(b"data: ")?)?;
    let rest = rest.strip_prefix(b"\n")?;
    let frame = Frame {
        id: std::str::from_utf8(id).ok()?.parse().ok()?,
        kind: EventKind::parse(std::str::from_utf8(kind).ok()?)?,
        data,
        bytes: bytes.get(..bytes.len() - rest.len())?,
    };
    Some((frame, rest))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_core::event::ErrorEvent;

    #[test]
    fn a_frame_reads_back() {
        let event = Event::Error(ErrorEvent {
            ts_ns: 7,
            message: "engine_exited".into(),
            detail: Some("line\r\n\nend\0".into()),
        });
        let mut bytes = Vec::new();
        write_frame(&mut bytes, 41, &event);
        write_frame(&mut bytes, 42, &event);
        let whole = bytes.len();
        bytes.extend_from_slice(b"id: 43\nevent: fill\ndata: {");
        let mut all = frames(&bytes);
        let first = all.next().expect("the first frame");
        assert_eq!((first.id, first.kind), (41, EventKind::Error));
        assert_eq!(Event::decode(first.kind, first.data).expect("decodes"), event);
        assert_eq!(all.next().map(|f| f.id), Some(42));
        assert_eq!(all.next(), None);
        assert_eq!(all.rest(), &bytes[whole..]);
        for none in ["id: 1\nevent: fill\ndata: {}\n", "id: 1\nevent: fill\ndata: {}\ndata: {}\n\n"]
        {
            assert_eq!(frames(none.as_bytes()).next(), None, "{none}");
        }
    }
}
