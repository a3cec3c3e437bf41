//! Looks at what inputs that wait are about, all at once.
//!
//! Contract: nothing changes, and nothing depends on it. Of many orders most are far from the processor, and a
//! step that looks for one waits for it several times over: for its name, for itself, for its place in the
//! queue, for its neighbours there. Asked for all together, these waits overlap.

use std::hint::black_box;

use super::Engine;
use crate::input::Input;
use crate::sim::OrderKey;
use crate::types::Side;

/// An input that is about an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    name_hash: u32,
    key: Option<OrderKey>,
    /// The market, and the side on which it may rest.
    rests: Option<(usize, Side)>,
}

impl Engine {
    /// To be called with the inputs of a batch before they are stepped: it makes those of orders faster where
    /// there are several.
    pub fn look_ahead<'a>(&mut self, inputs: impl Iterator<Item = &'a Input>) {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.clear();
        let mut seen = 0_usize;
        for input in inputs {
            let id = match input {
                Input::NewOrder(order) => &order.client_order_id,
                Input::Cancel(cancel) => &cancel.client_order_id,
                Input::Amend(amend) => &amend.client_order_id,
                _ => continue,
            };
            let name_hash = self.state.name_hash(id);
            seen += self.state.look_at_name(name_hash);
            ahead.push(Ahead { name_hash, key: None, rests: None });
        }
        for one in &mut ahead {
            one.key = self.state.likely_key(one.name_hash);
            seen += one.key.map_or(0, |key| self.state.look_at(key));
        }
        for one in &mut ahead {
            let Some(key) = one.key else { continue };
            let Some((symbol, side)) = self.state.instrument_of(key) else { continue };
            one.rests = self.index.get(&symbol).map(|index| (index, side));
        }
        for depth in 0..3 {
            for one in &ahead {
                let Some((key, (index, side))) = one.key.zip(one.rests) else { continue };
                let market = self.markets.get(index);
                seen += market.map_or(0, |market| market.sim.look_at(side, key, depth));
            }
        }
        black_box(seen);
        self.ahead = ahead;
    }
}
