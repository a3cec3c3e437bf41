//! The market's book of one instrument.

use crate::types::{Price, Qty, TsNs};

/// The levels of a book, best first: bids, asks.
pub type Top = (Vec<(Price, Qty)>, Vec<(Price, Qty)>);

/// The market's book of one instrument: empty while it is not known.
#[derive(Debug, Clone, Default)]
pub struct Book {
    ts_ns: TsNs,
}

impl Book {
    /// The best levels of each side, `depth` at most.
    pub fn top(&self, depth: usize) -> Top {
        let _ = depth;
        (Vec::new(), Vec::new())
    }

    /// When it last changed.
    pub fn ts_ns(&self) -> TsNs {
        self.ts_ns
    }
}
