//! What the stream asks of the service: snapshots and books, cut between two batches.

use bytes::Bytes;
use serde::Serialize;
use veloz_core::engine::Engine;
use veloz_core::event::Event;
use veloz_core::limits::STREAM_BOOK_LEVELS;
use veloz_core::types::{Price, Qty, Symbol, TsNs};

use super::handle::ServiceHandle;
use crate::stream::{BooksReply, Snapshot, SnapshotReply, StateSource};

/// The `data` of a `book` frame.
#[derive(Serialize)]
#[serde(tag = "type", rename = "book")]
struct BookFrame {
    symbol: Symbol,
    ts_ns: TsNs,
    bids: Vec<(Price, Qty)>,
    asks: Vec<(Price, Qty)>,
}

// A look that cannot be queued drops its reply, which is a refusal.
impl StateSource for ServiceHandle {
    fn snapshot(&self, reply: SnapshotReply) {
        let _ = self.read_later(move |engine| reply.send(snapshot(engine)));
    }

    fn books(&self, symbols: &[Symbol], reply: BooksReply) {
        let symbols = symbols.to_vec();
        let _ = self.read_later(move |engine| {
            let books = symbols
                .into_iter()
                .filter_map(|symbol| Some((symbol, book_frame(engine, symbol)?)));
            reply.send(books.collect());
        });
    }

    fn stream_failed(&self) {
        let message = "the event stream has failed: restart the gateway".to_owned();
        self.raise("stream_failed", message);
    }
}

fn snapshot(engine: &Engine) -> Snapshot {
    let state = engine.state();
    let markets = state.markets().cloned().map(Event::Market);
    let account = std::iter::once(Event::Account(state.account()));
    let orders = state.open_orders().map(|order| Event::OrderState(order.state_event()));
    Snapshot {
        last_id: state.last_event_id(),
        events: markets.chain(account).chain(orders).collect(),
    }
}

/// The `data` of a `book` frame: the best levels of the book; `None` for what is not traded.
pub(crate) fn book_frame(engine: &Engine, symbol: Symbol) -> Option<Bytes> {
    let book = engine.book(&symbol)?;
    let (bids, asks) = book.top(STREAM_BOOK_LEVELS);
    let frame = BookFrame { symbol, ts_ns: book.ts_ns(), bids, asks };
    serde_json::to_vec(&frame).ok().map(Bytes::from)
}
