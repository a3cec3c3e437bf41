//! Looks at what inputs that wait are about, all at once.
//!
//! Contract: nothing changes, and nothing depends on it. Of many orders most are far from the processor, and a
//! step that looks for one waits for it several times over: for its name, for itself, for its place in the
//! queue, for its neighbours there. Asked for all together, these waits overlap.

use std::hint::black_box;

use super::Engine;
use crate::input::Input;
use crate::sim::{OrderKey, RestId};
use crate::types::Side;

/// An input that is about an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    name_hash: u32,
    key: Option<OrderKey>,
    /// The market, the side and the place of the order there, or of the one that it will stand behind.
    rests: Option<(usize, Side, RestId)>,
}

impl Engine {
    /// To be called with the inputs of a batch before they are stepped: it makes those of orders faster where
    /// there are several.
    pub fn look_ahead<'a>(&mut self, inputs: impl Iterator<Item = &'a Input>) {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.clear();
        let mut seen = 0_usize;
        for input in inputs {
            let (id, rests) = match input {
                Input::NewOrder(order) => {
                    let last = || {
                        let index = self.index.get(&order.symbol)?;
                        let last =
                            self.markets.get(index)?.sim.last_at(order.side, order.price?)?;
                        Some((index, order.side, last))
                    };
                    (&order.client_order_id, last())
                }
                Input::Cancel(cancel) => (&cancel.client_order_id, None),
                Input::Amend(amend) => (&amend.client_order_id, None),
                _ => continue,
            };
            let name_hash = self.state.name_hash(id);
            seen ^= self.state.look_at_name(name_hash);
            ahead.push(Ahead { name_hash, key: None, rests });
        }
        for one in &mut ahead {
            one.key = self.state.likely_key(one.name_hash);
            seen ^= one.key.map_or(0, |key| self.state.look_at(key));
        }
        for one in &mut ahead {
            if let Some(key) = one.key
                && let Some((symbol, side)) = self.state.instrument_of(key)
            {
                let index = self.index.get(&symbol);
                one.rests = index.map(|index| (index, side, self.rests.get(key)));
            }
        }
        for is_first_look in [true, false] {
            for one in &ahead {
                let Some((index, side, at)) = one.rests else { continue };
                let Some(market) = self.markets.get(index) else { continue };
                seen ^= if is_first_look {
                    market.sim.look_at(side, at)
                } else {
                    market.sim.look_beside(side, at)
                };
            }
        }
        black_box(seen);
        self.ahead = ahead;
    }
}
