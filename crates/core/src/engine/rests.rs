//! Where the orders rest in their markets.

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

    pub(super) fn set(&mut self, key: OrderKey, at: Option<RestId>) {
        let Some(at) = at else { return };
        while self.0.len() <= key {
            self.0.push(RestId::NONE);
        }
        if let Some(slot) = self.0.get_mut(key) {
            *slot = at;
        }
    }
}
