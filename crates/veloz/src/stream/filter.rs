//! What a subscriber wants to see, and in which form.
//!
//! Contract: an event passes when its type is asked for, its symbol is asked for or it has none
//! (`account`, `error`), and its order is the one asked for. Pure.

use veloz_core::event::EventKind;
use veloz_core::types::{ClientOrderId, EventId, Symbol};

use super::index::FrameMeta;

/// The form in which events are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Frames as the journal stores them.
    #[default]
    Sse,
    /// Without the `event:` line, so that every frame reaches a browser's `onmessage`.
    SseUnnamed,
    /// One JSON object a line.
    Ndjson,
}

impl Encoding {
    /// The `Content-Type` of the response.
    pub const fn content_type(self) -> &'static str {
        match self {
            Encoding::Sse | Encoding::SseUnnamed => "text/event-stream; charset=utf-8",
            Encoding::Ndjson => "application/x-ndjson",
        }
    }

    /// Appends one frame; `data` is one line of JSON.
    pub fn write(self, out: &mut Vec<u8>, id: Option<EventId>, name: &str, data: &[u8]) {
        match self {
            Encoding::Sse | Encoding::SseUnnamed => {
                if let Some(id) = id {
                    write_id(out, b"id: ", id);
                    out.push(b'\n');
                }
                if self == Encoding::Sse {
                    out.extend_from_slice(b"event: ");
                    out.extend_from_slice(name.as_bytes());
                    out.push(b'\n');
                }
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(data);
                out.extend_from_slice(b"\n\n");
            }
            Encoding::Ndjson => {
                out.push(b'{');
                if let Some(id) = id {
                    write_id(out, b"\"id\":", id);
                    out.push(b',');
                }
                out.extend_from_slice(b"\"event\":\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\",\"data\":");
                out.extend_from_slice(data);
                out.extend_from_slice(b"}\n");
            }
        }
    }

    /// Appends what moves a client's cursor and is no event.
    pub fn write_cursor(self, out: &mut Vec<u8>, id: EventId) {
        match self {
            Encoding::Sse | Encoding::SseUnnamed => {
                write_id(out, b"id: ", id);
                out.extend_from_slice(b"\n\n");
            }
            Encoding::Ndjson => {
                write_id(out, b"{\"id\":", id);
                out.extend_from_slice(b"}\n");
            }
        }
    }
}

fn write_id(out: &mut Vec<u8>, key: &[u8], id: EventId) {
    out.extend_from_slice(key);
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
}

/// A set of event types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Every type.
    pub const ALL: Kinds = Kinds(u8::MAX);
    /// No type.
    pub const NONE: Kinds = Kinds(0);

    const fn bit(kind: EventKind) -> u8 {
        match kind {
            EventKind::Market => 1,
            EventKind::OrderUpdate => 2,
            EventKind::Fill => 4,
            EventKind::OrderState => 8,
            EventKind::Account => 16,
            EventKind::Error => 32,
        }
    }

    /// This set and one more.
    #[must_use]
    pub const fn with(self, kind: EventKind) -> Kinds {
        Kinds(self.0 | Kinds::bit(kind))
    }

    /// Whether it is in the set.
    pub const fn has(self, kind: EventKind) -> bool {
        self.0 & Kinds::bit(kind) != 0
    }
}

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only these types.
    pub kinds: Kinds,
    /// Only these symbols and events without one; every symbol when empty.
    pub symbols: Vec<Symbol>,
    /// Only this order's.
    pub client_order_id: Option<ClientOrderId>,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { kinds: Kinds::ALL, symbols: Vec::new(), client_order_id: None }
    }
}

impl Filter {
    /// Whether every event passes.
    pub fn is_open(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether any `market` event can pass.
    pub fn wants_market(&self) -> bool {
        self.kinds.has(EventKind::Market) && self.client_order_id.is_none()
    }

    /// Whether an event passes, told by its type, symbol and order.
    pub fn passes(&self, kind: EventKind, symbol: Option<&[u8]>, order: Option<&[u8]>) -> bool {
        self.kinds.has(kind)
            && self.client_order_id.is_none_or(|id| order == Some(id.as_str().as_bytes()))
            && (self.symbols.is_empty()
                || symbol.is_none_or(|name| {
                    self.symbols.iter().any(|wanted| wanted.as_str().as_bytes() == name)
                }))
    }

    /// Whether a frame passes.
    pub fn passes_frame(&self, bytes: &[u8], meta: &FrameMeta) -> bool {
        self.kinds.has(meta.kind) && self.passes(meta.kind, meta.symbol(bytes), meta.order(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::index;
    use crate::stream::testing::log_bytes;

    #[test]
    fn every_form_of_a_frame() {
        let check = |encoding: Encoding, id, wanted: &str| {
            let mut out = Vec::new();
            encoding.write(&mut out, id, "gap", b"{}");
            assert_eq!(String::from_utf8(out).expect("text"), wanted);
        };
        check(Encoding::Sse, Some(7), "id: 7\nevent: gap\ndata: {}\n\n");
        check(Encoding::Sse, None, "event: gap\ndata: {}\n\n");
        check(Encoding::SseUnnamed, Some(7), "id: 7\ndata: {}\n\n");
        check(Encoding::Ndjson, Some(7), "{\"id\":7,\"event\":\"gap\",\"data\":{}}\n");
        check(Encoding::Ndjson, None, "{\"event\":\"gap\",\"data\":{}}\n");
    }

    /// Which of the six kinds of the test log, of orders `o-0..o-2` and symbols `AAA`/`BBB`, pass.
    #[test]
    fn what_passes() {
        let bytes = log_bytes(1..=60);
        let metas = index::index(&bytes).expect("whole frames");
        type Wanted<'a> = &'a dyn Fn(EventKind, Option<&str>, Option<&str>) -> bool;
        let check = |filter: &Filter, wanted: Wanted<'_>| {
            for (meta, frame) in metas.iter().zip(crate::frame::frames(&bytes)) {
                let event =
                    veloz_core::event::Event::decode(frame.kind, frame.data).expect("event");
                let (symbol, order) = (event.symbol(), event.client_order_id());
                let wanted = wanted(
                    frame.kind,
                    symbol.as_ref().map(Symbol::as_str),
                    order.as_ref().map(ClientOrderId::as_str),
                );
                assert_eq!(filter.passes_frame(&bytes, meta), wanted, "{filter:?} {event:?}");
            }
        };
        check(&Filter::default(), &|_, _, _| true);
        let fills = Kinds::NONE.with(EventKind::Fill).with(EventKind::Error);
        check(&Filter { kinds: fills, ..Filter::default() }, &|kind, _, _| {
            matches!(kind, EventKind::Fill | EventKind::Error)
        });
        let aaa = vec![Symbol::parse("AAA").expect("symbol")];
        check(&Filter { symbols: aaa, ..Filter::default() }, &|_, symbol, _| {
            symbol.is_none_or(|s| s == "AAA")
        });
        let order = ClientOrderId::parse("o-1").ok();
        check(&Filter { client_order_id: order, ..Filter::default() }, &|_, _, order| {
            order == Some("o-1")
        });
    }
}
