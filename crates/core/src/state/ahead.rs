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

    /// Has a look at where names of those hashes are.
    pub(crate) fn look_at_names(&self, hashes: &[u32]) {
        self.index.look_at(hashes);
    }

    /// The key of the order of that name most likely.
    pub(crate) fn likely_key(&self, hash: u32) -> Option<OrderKey> {
        self.index.likely_key(hash)
    }

    /// Has a look at where orders lie, and at whether they are open.
    pub(crate) fn look_at_orders(&self, keys: &[OrderKey]) {
        self.data.orders.look_at(keys);
        look(keys.iter().map(|key| self.index.open.look_at(*key)));
    }

    /// The instrument of an order that lies packed, and which way it goes.
    pub(crate) fn instrument_of(&self, key: OrderKey) -> Option<(Symbol, Side)> {
        self.data.orders.instrument_of(key)
    }
}
