//! Looks at what inputs that wait are about, all at once.
//!
//! Contract: nothing changes, and nothing depends on it. Of many orders most are far from the processor, and a
//! step that looks for one waits for it several times over: for its name, for itself, for its place in the
//! queue, for its neighbours there. Asked for all together, these waits overlap.

use super::Engine;
use crate::input::Input;
use crate::sim::{OrderKey, RestId};
use crate::state::State;
use crate::store::look;
use crate::types::Side;

/// What the inputs of a batch are about.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The hashes of the names of their orders.
    names: Vec<u32>,
    /// The markets, sides and places of those of these orders that there are, most likely.
    rests: Vec<(usize, Side, RestId)>,
}

impl Engine {
    /// To be called with the inputs of a batch before they are stepped: it makes those of orders faster where
    /// there are several.
    pub fn look_ahead<'a>(&mut self, inputs: impl Iterator<Item = &'a Input>) {
        let mut ahead = std::mem::take(&mut self.ahead);
        let Ahead { names, rests } = &mut ahead;
        names.clear();
        rests.clear();
        for input in inputs {
            let id = match input {
                Input::NewOrder(order) => &order.client_order_id,
                Input::Cancel(cancel) => &cancel.client_order_id,
                Input::Amend(amend) => &amend.client_order_id,
                _ => continue,
            };
            names.push(State::name_hash(id));
        }
        self.state.look_at_names(names);
        let keys = self.state.expected();
        look(keys.iter().map(|key| self.rests.look_at(*key)));
        rests.extend(keys.iter().filter_map(|key| self.rests_at(*key)));
        let market = |index: usize| self.markets.get(index).map(|market| &market.sim);
        look(rests.iter().filter_map(|&(index, side, at)| Some(market(index)?.look_at(side, at))));
        look(
            rests
                .iter()
                .filter_map(|&(index, side, at)| Some(market(index)?.look_beside(side, at))),
        );
        self.ahead = ahead;
    }

    fn rests_at(&self, key: OrderKey) -> Option<(usize, Side, RestId)> {
        let (symbol, side) = self.state.instrument_of(key)?;
        Some((self.index.get(&symbol)?, side, self.rests.get(key)))
    }
}
