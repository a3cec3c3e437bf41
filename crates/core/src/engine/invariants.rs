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
            check_order(&order)?;
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

    /// Every open order of the built-in venue rests there, with what remains of it, or waits for its stop,
    /// and no other does.
    fn check_resting(&self) -> Result<(), String> {
        let (mut open, mut dormant) = (0, 0);
        for (key, order) in self.state.open_keyed().filter(|(_, order)| !order.external) {
            let Some(index) = self.index.get(&order.request.symbol) else { continue };
            let Some(market) = self.markets.get(index) else { continue };
            if order.is_dormant() {
                if !market.stops.contains(key, &order.request) {
                    return Err(format!("{} does not wait for its stop", order.client_order_id()));
                }
                dormant += 1;
                continue;
            }
            let rests = |price| market.sim.remaining(order.request.side, price, order.ticket(key));
            let resting = order.price.and_then(rests);
            if resting != Some(order.remaining()) {
                return Err(format!("{} rests with {resting:?}", order.client_order_id()));
            }
            open += 1;
        }
        let resting: usize = self.markets.iter().map(|market| market.sim.resting_count()).sum();
        let waiting: usize = self.markets.iter().map(|market| market.stops.len()).sum();
        if (resting, waiting) == (open, dormant) {
            Ok(())
        } else {
            Err(format!("{resting} rest and {waiting} wait, {open} and {dormant} should"))
        }
    }
}

fn check_order(order: &Order) -> Result<(), String> {
    let id = order.client_order_id();
    if order.executed_qty > order.qty {
        return Err(format!("{id}: {} executed of {}", order.executed_qty, order.qty));
    }
    if order.request.quote_qty.is_some_and(|quote_qty| order.cum_quote > quote_qty) {
        return Err(format!("{id}: {} is more than its quote_qty", order.cum_quote));
    }
    // A refused order by quote amount need not come to any quantity.
    let complete = order.remaining().is_zero() && order.status != Some(OrderStatus::Rejected);
    if complete != (order.status == Some(OrderStatus::Filled)) {
        return Err(format!("{id}: {:?} with {} left", order.status, order.remaining()));
    }
    Ok(())
}
