//! Where the orders rest in their markets.

use super::Engine;
use crate::sim::{OrderKey, RestId};
use crate::store::Blocks;

/// By key, what an order's market said last of where it rests. No part of the state: a restart places the
/// orders anew.
#[derive(Debug, Default)]
pub(super) struct Rests(Blocks<RestId>);

impl Rests {
    pub(super) fn get(&self, key: OrderKey) -> RestId {
        self.0.get(key).copied().unwrap_or(RestId::NONE)
    }

    pub(super) fn look_at(&self, key: OrderKey) -> usize {
        self.0.get(key).map_or(0, RestId::look)
    }

    pub(super) fn set(&mut self, key: OrderKey, at: Option<RestId>) {
        let Some(at) = at else { return };
        if let Some(slot) = self.0.get_mut(key) {
            *slot = at;
            return;
        }
        while self.0.len() < key {
            self.0.push(RestId::NONE);
        }
        self.0.push(at);
    }
}

impl Engine {
    /// Takes an order off the built-in venue.
    pub(super) fn take_off(&mut self, key: OrderKey) {
        let Some(order) = self.state.order_at(key) else { return };
        let index = self.index.get(&order.request.symbol);
        let Some(market) = index.and_then(|index| self.markets.get_mut(index)) else { return };
        if order.is_dormant() {
            market.stops.remove(key, &order.request);
        } else {
            market.sim.cancel(self.rests.get(key), order.ticket(key), order.request.side);
        }
    }
}
