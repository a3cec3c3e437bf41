//! What must hold after every step: for tests and the simulator.

use super::Engine;
use crate::event::Balance;
use crate::order::{Order, OrderStatus};
use crate::sim::SimMarket;
use crate::state::State;
use crate::types::{Money, Side};

impl Engine {
    /// Checks that the parts agree.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_invariants(&self) -> Result<(), String> {
        match (&self.away, self.state.venue()) {
            (Some(away), Some(venue)) => {
                // Here what a venue has not said yet may be free no more.
                check_locks(&self.state, false)?;
                check_locks(&venue.state, true).map_err(|what| format!("at the venue: {what}"))?;
                away.engine().check_resting(&venue.state)?;
                if venue.next_mail().is_none() && venue.next_report().is_none() {
                    check_same(&self.state, &venue.state)?;
                }
            }
            _ => {
                check_locks(&self.state, true)?;
                self.check_resting(&self.state)?;
            }
        }
        for order in self.state.orders() {
            check_order(&order)?;
        }
        for (index, instrument) in self.instruments.iter().enumerate() {
            let Some(book) = self.sim(index).map(SimMarket::book) else { continue };
            if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell))
                && bid >= ask
            {
                return Err(format!("the book of {} is crossed: {bid} {ask}", instrument.symbol));
            }
        }
        Ok(())
    }

    /// Every open order of the built-in venue rests there, with what remains of it, or waits for its stop,
    /// and no other does.
    fn check_resting(&self, state: &State) -> Result<(), String> {
        let (mut open, mut dormant) = (0, 0);
        for (key, order) in state.open_keyed().filter(|(_, order)| !order.external) {
            let Some(index) = self.index.get(&order.request.symbol) else { continue };
            let Some(market) = self.markets.get(index) else { continue };
            if order.is_dormant() {
                if !market.stops.contains(key, &order.request) {
                    return Err(format!("{} does not wait for its stop", order.client_order_id()));
                }
                dormant += 1;
                continue;
            }
            let (at, ticket, side) = (self.rests.get(key), order.ticket(key), order.request.side);
            let rests = |price| market.sim.remaining(at, ticket, side, price);
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

/// What is locked is exactly what the open orders need, and nothing is below zero.
fn check_locks(state: &State, all_is_known: bool) -> Result<(), String> {
    for (balance, (asset, lock)) in state.ledger().balances().iter().zip(state.locks_needed()) {
        if balance.locked != lock {
            return Err(format!("{asset}: {} locked, {lock} needed", balance.locked));
        }
        let least = if all_is_known { balance.free } else { balance.free.saturating_add(lock) };
        if least < Money::ZERO {
            return Err(format!("{asset}: {} free", balance.free));
        }
    }
    Ok(())
}

/// Where nothing is on its way, both sides know the same: the same open orders, and the same account.
fn check_same(here: &State, there: &State) -> Result<(), String> {
    let known = |order: &Order| {
        let &Order { qty, price, triggered, status, executed_qty, cum_quote, .. } = order;
        (order.client_order_id(), qty, price, triggered, status, executed_qty, cum_quote)
    };
    let open = |state: &State| state.open_orders().map(|o| known(&o)).collect::<Vec<_>>();
    if open(here) != open(there) {
        return Err(format!("open here {:?}, there {:?}", open(here), open(there)));
    }
    let balances = |state: &State| state.ledger().balances().to_vec();
    let (here, there) = (balances(here), balances(there));
    let same = |balance: &Balance| {
        let zero = balance.free.is_zero() && balance.locked.is_zero();
        zero || there.contains(balance)
    };
    if here.iter().all(same) { Ok(()) } else { Err(format!("balances {here:?}, there {there:?}")) }
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
