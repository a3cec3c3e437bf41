//! Another quantity or limit of an order that stands.
//!
//! Contract: the quantity is the whole one, what is executed of it included. Less of it keeps the place
//! in the queue; more of it, or another limit, is as a new order: it goes to the back, and may take. A
//! dormant order stays dormant. What would be refused of a new order is refused here, and then the order
//! stands as it did.

use super::sizing::lock_at_price;
use super::{Engine, Step};
use crate::input::{AmendOrder, Answer, NewOrder, Refusal, bad};
use crate::order::{Order, OrderType};
use crate::risk::{self, Reason};
use crate::sim::{Incoming, OrderKey};
use crate::state::{Fact, VenueMail};
use crate::types::{Money, Price, Qty, TsNs};

impl Engine {
    #[inline(never)]
    pub(super) fn amend(
        &mut self,
        ts: TsNs,
        amend: &AmendOrder,
        step: &mut Step,
    ) -> Result<Answer, Refusal> {
        let id = amend.client_order_id;
        let key = self.state.order_key(&id).ok_or(Refusal::NotFound(id))?;
        let order = self.state.order_at(key).ok_or(Refusal::NotFound(id))?.clone();
        if let Some(status) = order.status.filter(|status| status.is_final()) {
            return Err(Refusal::OrderClosed(id, status));
        }
        let largest = self.state.largest_of(&order);
        let (qty, price) = (amend.qty.unwrap_or(largest.0), amend.price.or(largest.1));
        in_domain(amend, &order)?;
        if (qty, price) == (order.qty, order.price) && self.away.is_none() {
            return Ok(Answer::Amended(Box::new(order.state_event())));
        }
        let unknown = || bad("symbol", format!("{} is not traded here", order.request.symbol));
        let index = self.index.get(&order.request.symbol).ok_or_else(unknown)?;
        let lock = self
            .judge_amended((ts, index), key, &order, (qty, price))
            .map_err(|reason| Refusal::Rejected(id, reason))?;
        if self.away.is_some() {
            let &AmendOrder { client_order_id, qty, price } = amend;
            self.send(ts, VenueMail::Amend { client_order_id, qty, price }, step);
            return Ok(Answer::Pending(id));
        }
        let keeps_place = order.is_dormant() || (price == order.price && qty < order.qty);
        let queued_at = if keeps_place { order.queued_at } else { self.state.last_event_id() };
        let client_order_id = id;
        let fact = Fact::Amended { client_order_id, qty, price, lock, ts_ns: ts, queued_at };
        self.tell(fact, step);
        self.put_back(ts, index, key, &order, step);
        let state = self.state.order_at(key).map(|order| Box::new(order.state_event()));
        state.map(Answer::Amended).ok_or(Refusal::NotFound(id))
    }

    /// What the order would lock, if it may become that.
    fn judge_amended(
        &mut self,
        (ts, index): (TsNs, usize),
        key: OrderKey,
        order: &Order,
        (qty, price): (Qty, Option<Price>),
    ) -> Result<Money, Reason> {
        if self.open_other(key).is_some() {
            return Err(Reason::Oco);
        }
        if order.external && self.away.is_none() {
            return Err(Reason::UnsupportedByEngine);
        }
        if qty <= order.executed_qty {
            return Err(Reason::AmendQty);
        }
        let whole = order.amended(qty, price);
        let rest = NewOrder { qty: qty.saturating_sub(order.executed_qty), ..whole.clone() };
        let lock = lock_at_price(&rest, rest.qty).unwrap_or(order.locked);
        let instrument = self.instruments.get(index).ok_or(Reason::UnsupportedByEngine)?;
        let exposure = self.exposure((ts, index, instrument), &whole, (lock, 0), Some(order));
        risk::check(self.state.risk(), instrument, &whole, &exposure)?;
        if let (OrderType::LimitMaker, None, Some(market)) =
            (whole.order_type, &self.away, self.markets.get_mut(index))
            && market.sim.would_take(&Incoming::of(&rest))
        {
            return Err(Reason::WouldTake);
        }
        Ok(lock)
    }

    /// The venue takes the order as it is now; `old` is what it was.
    fn put_back(&mut self, ts: TsNs, index: usize, key: OrderKey, old: &Order, step: &mut Step) {
        let Some(order) = self.state.order_at(key) else { return };
        let (side, remaining) = (order.request.side, order.remaining());
        let keeps_place = order.queued_at == old.queued_at;
        let Some(market) = self.markets.get_mut(index) else { return };
        if old.price.is_none() || order.is_dormant() {
            return self.tell_state(ts, key, step);
        }
        let at = self.rests.get(key);
        if keeps_place {
            market.sim.shrink(at, old.ticket(key), side, remaining);
            return self.tell_state(ts, key, step);
        }
        market.sim.cancel(at, old.ticket(key), side);
        self.place(ts, index, key, step);
    }
}

/// What an amendment of that order must and must not have.
fn in_domain(amend: &AmendOrder, order: &Order) -> Result<(), Refusal> {
    if amend.qty.is_none() && amend.price.is_none() {
        return Err(bad("qty", "or price is required".into()));
    }
    if let Some(qty) = amend.qty.filter(|qty| *qty <= Qty::ZERO) {
        return Err(bad("qty", format!("{qty} must be above zero")));
    }
    match amend.price {
        Some(price) if order.price.is_none() => {
            let kind = order.request.order_type.as_str();
            Err(bad("price", format!("{price} must be left out: a {kind} order has none")))
        }
        Some(price) if price <= Price::ZERO => {
            Err(bad("price", format!("{price} must be above zero")))
        }
        _ => Ok(()),
    }
}
