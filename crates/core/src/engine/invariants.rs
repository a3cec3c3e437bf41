//! What must hold after every step: for tests and the simulator.

use super::Engine;
use crate::order::{Order, OrderStatus};
use crate::types::{Money, Side};

impl Engine {
    /// Checks that the parts agree.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.check_locks()?;
        for order in self.state.orders() {
            check_order(order)?;
        }
        self.check_resting()?;
        for (instrument, market) in self.instruments.iter().zip(&self.markets) {
            let book = market.sim.book();
            if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell))
                && bid >= ask
            {
                return Err(format!("the book of {} is crossed: {bid} {ask}", instrument.symbol));
            }
        }
        Ok(())
    }

    /// What is locked is exactly what the open orders need, and nothing is below zero.
    fn check_locks(&self) -> Result<(), String> {
        let needed = self.state.locks_needed();
        for (balance, (asset, lock)) in self.state.ledger().balances().iter().zip(needed) {
            if balance.locked != lock {
                return Err(format!("{asset}: {} locked, {lock} needed", balance.locked));
            }
            if balance.free < Money::ZERO {
                return Err(format!("{asset}: {} free", balance.free));
            }
        }
        Ok(())
    }

    /// Every open order of the built-in venue rests there, with what remains of it, and no other does.
    fn check_resting(&self) -> Result<(), String> {
        let mut open = 0;
        for (key, order) in self.state.open_keyed().filter(|(_, order)| !order.external) {
            let Some(&index) = self.index.get(&order.request.symbol) else { continue };
            let sim = self.markets.get(index).map(|market| &market.sim);
            let resting = sim
                .zip(order.request.price)
                .and_then(|(sim, price)| sim.remaining(order.request.side, price, key));
            if resting != Some(order.remaining()) {
                return Err(format!("{} rests with {resting:?}", order.client_order_id()));
            }
            open += 1;
        }
        let resting: usize = self.markets.iter().map(|market| market.sim.resting_count()).sum();
        if resting == open {
            Ok(())
        } else {
            Err(format!("{resting} orders rest, {open} are open"))
        }
    }
}

fn check_order(order: &Order) -> Result<(), String> {
    let id = order.client_order_id();
    if order.executed_qty > order.request.qty {
        return Err(format!("{id}: {} executed of {}", order.executed_qty, order.request.qty));
    }
    let complete = order.remaining().is_zero();
    if complete != (order.status == Some(OrderStatus::Filled)) {
        return Err(format!("{id}: {:?} with {} left", order.status, order.remaining()));
    }
    Ok(())
}
