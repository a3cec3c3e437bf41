//! What an order comes to before it is placed: its quantity, what it locks, and whether it may go.
//!
//! Contract: nothing here changes anything. A quote amount becomes the quantity that a walk through the
//! book buys or sells for it, in whole lots: never more than the amount. Where the book ends before the
//! amount does, the rest counts at the book's last price, and expires.

use super::{Engine, Venue, stops};
use crate::input::NewOrder;
use crate::instrument::Instrument;
use crate::order::{Order, TimeInForce};
use crate::risk::{self, Exposure, Reason};
use crate::types::{Asset, Money, Price, Qty, Side, TsNs};

impl Engine {
    /// The order's quantity, worked out, and what it would lock.
    pub(super) fn size(&self, index: usize, order: &NewOrder) -> (Qty, Money) {
        let Some(instrument) = self.instruments.get(index) else { return Default::default() };
        let sim = self.sim(index);
        let mut qty = order.qty;
        if let (Some(quote_qty), Some(sim)) = (order.quote_qty, sim) {
            let last = self.market_price(index, order);
            qty = sim.market_qty(order.side, quote_qty, last).floor_to(instrument.lot);
        }
        if order.reduce_only && order.side == Side::Sell {
            let free = Qty::of(self.state.free(&instrument.base)).floor_to(instrument.lot);
            qty = qty.min(free);
        }
        let at_market = || match (order.quote_qty, self.venue) {
            (Some(quote_qty), _) => quote_qty,
            (None, Venue::Simulated) => {
                sim.map(|sim| sim.market_cost(Side::Buy, qty)).unwrap_or_default()
            }
            (None, Venue::External) => {
                let price = self.market_price(index, order);
                price.map(|price| Money::notional(price, qty)).unwrap_or_default()
            }
        };
        let lock = lock_at_price(order, qty).unwrap_or_else(at_market);
        (qty, lock)
    }

    /// Whether a new order may go that would lock so much: `sized` has its quantity worked out, and `more`
    /// orders go with it.
    pub(super) fn judge(
        &self,
        ts: TsNs,
        index: usize,
        sized: &NewOrder,
        (lock, more): (Money, usize),
    ) -> Result<(), Reason> {
        let instrument = self.instruments.get(index).ok_or(Reason::UnsupportedByEngine)?;
        let by_engine = sized.quote_qty.is_some()
            || sized.order_type.has_stop()
            || sized.time_in_force == TimeInForce::Gtd;
        if by_engine && self.venue == Venue::External {
            return Err(Reason::UnsupportedByEngine);
        }
        let is_unpriced = || self.market_price(index, sized).is_none();
        if sized.quote_qty.is_some() && is_unpriced() {
            return Err(Reason::NoLiquidity);
        }
        let needs_price = sized.side == Side::Buy && sized.price.is_none();
        if self.venue == Venue::External && needs_price && is_unpriced() {
            return Err(Reason::NoPrice);
        }
        let exposure = self.exposure((ts, index, instrument), sized, (lock, more), None);
        risk::check(self.state.risk(), instrument, sized, &exposure)?;
        if self.away.is_some() {
            // What follows depends on when it is there: the venue says it.
            return Ok(());
        }
        if sized.expire_ts_ns.is_some_and(|at| at <= ts) {
            return Err(Reason::Gtd);
        }
        let market = sized.stop_price.and_then(|_| self.state.market(&sized.symbol));
        if market.is_some_and(|market| stops::is_reached(sized, market.price)) {
            return Err(Reason::WouldTrigger);
        }
        Ok(())
    }

    /// What the limits must know, of an order that would lock so much and of `more` orders besides; `old`
    /// is the order whose place it takes.
    #[inline(always)]
    pub(super) fn exposure(
        &self,
        (ts, index, instrument): (TsNs, usize, &Instrument),
        order: &NewOrder,
        (lock, more): (Money, usize),
        old: Option<&Order>,
    ) -> Exposure {
        let settings = self.state.risk();
        let old_open = old.map(|order| self.state.most_of(order)).unwrap_or_default();
        let open = self.state.open_of(&instrument.symbol).without(old_open);
        let released = old.map(|order| order.locked).unwrap_or_default();
        // What is executed of it is held by now, and open no more.
        let executed = old.map(|order| order.executed_qty).unwrap_or_default();
        let own_price = order.price.or(order.stop_price);
        let price = own_price.unwrap_or_default();
        let is_held = settings.max_position.contains_key(&instrument.base);
        let position = || {
            let bought = self.state.bought_of(instrument.base);
            let bought = bought.saturating_sub(old_open.bought);
            let bought = bought.saturating_sub(executed.into());
            self.state.held(instrument.base).saturating_add(bought)
        };
        let sim = self.sim(index);
        let worst = || sim.and_then(|sim| sim.worst_price(order.side, order.qty));
        Exposure {
            lock,
            free: self.state.free(paid(instrument, order.side)).saturating_add(released),
            market_price: match own_price {
                Some(_) => None,
                None => self.market_price(index, order),
            },
            worst_price: settings.price_collar.and_then(|_| worst()),
            last_price: self.state.market(&order.symbol).map(|market| market.price),
            open_orders: self
                .state
                .open_order_count()
                .saturating_sub(old_open.count)
                .saturating_add(more),
            most_open_orders: self.most_open_orders,
            instrument_orders: open.count.saturating_add(more),
            instrument_notional: open.notional.saturating_sub(Money::notional(price, executed)),
            position: if is_held { position() } else { Money::ZERO },
            recent_orders: match settings.max_orders_per_second {
                Some(_) => self.state.sent_within_second(ts).saturating_add(more),
                None => 0,
            },
            loss_is_reached: self.loss_is_reached(),
        }
    }

    /// The price that an order at any price is valued at: what it would meet, or the last one.
    pub(super) fn market_price(&self, index: usize, order: &NewOrder) -> Option<Price> {
        let best = self.sim(index)?.book().best(order.side.opposite());
        best.or_else(|| self.state.market(&order.symbol).map(|market| market.price))
    }
}

/// The asset that an order of that side pays with.
pub(super) fn paid(instrument: &Instrument, side: Side) -> &Asset {
    match side {
        Side::Buy => &instrument.quote,
        Side::Sell => &instrument.base,
    }
}

/// What so much of an order locks whose price is known: of a BUY its limit, or its stop when it has no limit.
pub(super) fn lock_at_price(order: &NewOrder, qty: Qty) -> Option<Money> {
    match order.side {
        Side::Sell => Some(qty.into()),
        Side::Buy => order.price.or(order.stop_price).map(|price| Money::notional(price, qty)),
    }
}
