//! Looks at orders that are about to be asked for, so that they are near by then. What a look says means
//! nothing.

use super::State;
use super::index::Index;
use crate::sim::OrderKey;
use crate::store::look;
use crate::types::{ClientOrderId, Side, Symbol};

impl State {
    pub(crate) fn name_hash(id: &ClientOrderId) -> u32 {
        Index::hash_of(id)
    }

    /// Has a look at where names of those hashes are, at where the orders lie that most likely have them, and at
    /// whether these are open. They are expected to be asked for in that order.
    pub(crate) fn look_at_names(&mut self, hashes: &[u32]) {
        let Index { orders, open, expected, met, .. } = &mut self.index;
        orders.look_at(hashes);
        let guess = |hash: &u32| usize::try_from(orders.guess(*hash)?).ok();
        expected.clear();
        expected.extend(hashes.iter().filter_map(guess));
        met.set(0);
        self.data.orders.look_at(expected);
        look(expected.iter().map(|key| open.look_at(*key)));
    }

    /// The orders that are expected to be asked for.
    pub(crate) fn expected(&self) -> &[OrderKey] {
        &self.index.expected
    }

    /// The instrument of an order that lies packed, and which way it goes.
    pub(crate) fn instrument_of(&self, key: OrderKey) -> Option<(Symbol, Side)> {
        self.data.orders.instrument_of(key)
    }
}
