//! The part of a capture that an earlier run has played, boiled down to the books that it leads to.
//!
//! Contract: nothing of it may trade again. Handing over its depth line by line would move the book
//! through old prices and fill orders that were placed later, so what comes out is one snapshot an
//! instrument, as of the last line, and the newest quote when that is newer. For a book that is not
//! known yet, the depth updates that still wait for their snapshot come out as they are.

use std::collections::BTreeMap;

use veloz_core::input::{MarketBody, MarketData};
use veloz_core::limits::BUFFERED_DEPTH_UPDATES_COUNT;
use veloz_core::types::{Price, Qty, Symbol};

/// The books on the way.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    books: BTreeMap<Symbol, OldBook>,
}

#[derive(Debug, Default)]
struct OldBook {
    known: Option<Known>,
    waiting: Vec<MarketBody>,
    quote: Option<MarketBody>,
}

#[derive(Debug)]
struct Known {
    last_id: u64,
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
}

impl CatchUp {
    /// Takes what the old line said.
    pub(super) fn take(&mut self, data: MarketData) {
        let book = self.books.entry(data.symbol).or_default();
        match data.body {
            MarketBody::Trade { .. } | MarketBody::Price { .. } => {}
            MarketBody::Quote { .. } => book.quote = Some(data.body),
            MarketBody::Snapshot { last_id, bids, asks } => {
                let (bids, asks) = (bids.into_iter().collect(), asks.into_iter().collect());
                book.known = Some(Known { last_id, bids, asks });
                for waiting in std::mem::take(&mut book.waiting) {
                    book.depth(waiting);
                }
            }
            MarketBody::Depth { .. } => book.depth(data.body),
        }
    }

    /// What the engine has to hear, all of it at the last line that was played.
    pub(super) fn finish(self, played: u64, out: &mut Vec<MarketData>) {
        let message = |symbol, body| MarketData { symbol, position: Some(played), body };
        for (symbol, book) in self.books {
            let mut last_id = None;
            if let Some(known) = book.known {
                last_id = Some(known.last_id);
                out.push(message(
                    symbol,
                    MarketBody::Snapshot {
                        last_id: known.last_id,
                        bids: known.bids.into_iter().rev().collect(),
                        asks: known.asks.into_iter().collect(),
                    },
                ));
            }
            out.extend(book.waiting.into_iter().map(|body| message(symbol, body)));
            if let Some(MarketBody::Quote { update_id, bid, ask }) = book.quote
                && last_id.is_some_and(|last| update_id > last)
            {
                out.push(message(symbol, MarketBody::Quote { update_id, bid, ask }));
            }
        }
    }
}

impl OldBook {
    fn depth(&mut self, body: MarketBody) {
        let MarketBody::Depth { first_id, last_id, bids, asks } = &body else { return };
        match &mut self.known {
            Some(known) if *last_id <= known.last_id => {}
            Some(known) if *first_id <= known.last_id.saturating_add(1) => {
                known.last_id = *last_id;
                set(&mut known.bids, bids);
                set(&mut known.asks, asks);
            }
            _ => {
                self.known = None;
                if self.waiting.len() == BUFFERED_DEPTH_UPDATES_COUNT {
                    self.waiting.remove(0);
                }
                self.waiting.push(body);
            }
        }
    }
}

fn set(side: &mut BTreeMap<Price, Qty>, levels: &[(Price, Qty)]) {
    for (price, qty) in levels {
        if qty.is_zero() {
            side.remove(price);
        } else {
            side.insert(*price, *qty);
        }
    }
}
