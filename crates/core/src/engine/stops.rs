//! Orders that wait for the price to reach their stop.
//!
//! Contract: the last `market` event's price wakes them, as on Binance. STOP_LOSS wakes when the price goes
//! against its owner (a SELL when it falls to the stop, a BUY when it rises to it), TAKE_PROFIT the other
//! way. One that is woken is placed as MARKET or LIMIT at once, within the same step, and never sleeps
//! again. Those that one price wakes go in the order in which it reached them, then by age.
//!
//! Known limit: a BUY without a limit locks its quantity at its stop; where the book asks more than the
//! account has when it wakes, it expires with `insufficient_balance`.

use std::collections::BTreeSet;

use super::sizing::lock_at_price;
use super::{Engine, Step};
use crate::input::NewOrder;
use crate::order::{OrderChange, OrderType};
use crate::risk::{self, Reason};
use crate::sim::{OrderKey, SimOutcome, SimReport};
use crate::state::Fact;
use crate::types::{Money, Price, Side, TsNs};

/// The dormant orders of one instrument, by side: those that a price at or above theirs wakes, lowest
/// first, and those that a price at or below theirs wakes, highest first.
#[derive(Debug, Default)]
pub(super) struct Stops {
    buys: Dormant,
    sells: Dormant,
}

#[derive(Debug, Default)]
struct Dormant {
    rising: BTreeSet<Rank>,
    /// By the negative price.
    falling: BTreeSet<Rank>,
}

/// How soon an order wakes, the lower the sooner, and which it is.
type Rank = (i64, OrderKey);

impl Stops {
    /// An order falls asleep.
    pub(super) fn insert(&mut self, key: OrderKey, order: &NewOrder) {
        if let Some((set, rank)) = self.place(order) {
            set.insert((rank, key));
        }
    }

    /// An order is taken off.
    pub(super) fn remove(&mut self, key: OrderKey, order: &NewOrder) {
        if let Some((set, rank)) = self.place(order) {
            set.remove(&(rank, key));
        }
    }

    /// Takes off the next order that a price wakes, of the sides that may go.
    fn pop_reached(&mut self, last: Price, may_go: impl Fn(Side) -> bool) -> Option<OrderKey> {
        let Stops { buys, sells } = self;
        let levels = [last.raw(), last.raw().saturating_neg()];
        let sets = [[&mut buys.rising, &mut sells.rising], [&mut buys.falling, &mut sells.falling]];
        for (sides, level) in sets.into_iter().zip(levels) {
            let reached =
                |set: &BTreeSet<Rank>| set.first().copied().filter(|(rank, _)| *rank <= level);
            let of_sides = sides.into_iter().zip([Side::Buy, Side::Sell]);
            let reached = of_sides
                .filter(|(_, side)| may_go(*side))
                .filter_map(|(set, _)| Some((reached(set)?, set)))
                .min_by_key(|(first, _)| *first);
            if let Some(((_, key), set)) = reached {
                set.pop_first();
                return Some(key);
            }
        }
        None
    }

    /// Whether the order waits here.
    pub(super) fn contains(&self, key: OrderKey, order: &NewOrder) -> bool {
        let Some((rises, rank)) = rank(order) else { return false };
        let side = match order.side {
            Side::Buy => &self.buys,
            Side::Sell => &self.sells,
        };
        if rises { &side.rising } else { &side.falling }.contains(&(rank, key))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        let count = |side: &Dormant| side.rising.len() + side.falling.len();
        count(&self.buys) + count(&self.sells)
    }

    fn place(&mut self, order: &NewOrder) -> Option<(&mut BTreeSet<Rank>, i64)> {
        let (rises, rank) = rank(order)?;
        let side = match order.side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        };
        Some((if rises { &mut side.rising } else { &mut side.falling }, rank))
    }
}

/// Whether a price wakes the order.
pub(super) fn is_reached(order: &NewOrder, last: Price) -> bool {
    rank(order).is_some_and(|(rises, rank)| {
        rank <= if rises { last.raw() } else { last.raw().saturating_neg() }
    })
}

/// Whether a rising price wakes the order, and how far off that is: the lower the sooner.
fn rank(order: &NewOrder) -> Option<(bool, i64)> {
    let rises = match (order.order_type, order.side) {
        (OrderType::StopLoss | OrderType::StopLossLimit, side) => side == Side::Buy,
        (OrderType::TakeProfit | OrderType::TakeProfitLimit, side) => side == Side::Sell,
        (OrderType::Limit | OrderType::Market | OrderType::LimitMaker, _) => return None,
    };
    let stop = order.stop_price?.raw();
    Some((rises, if rises { stop } else { stop.saturating_neg() }))
}

impl Engine {
    /// An order that may go comes to the built-in venue.
    pub(super) fn place(&mut self, ts: TsNs, index: usize, key: OrderKey, step: &mut Step) {
        let mut reports = std::mem::take(&mut self.reports);
        if let Some(market) = self.markets.get_mut(index) {
            match self.state.order_at(key) {
                Some(order) if order.is_dormant() => {
                    market.stops.insert(key, &order.request);
                    reports.push(SimReport { key, body: SimOutcome::Accepted });
                }
                Some(order) => {
                    let at = market.sim.place(order.ticket(key), &order.incoming(), &mut reports);
                    self.rests.set(key, at);
                }
                None => {}
            }
        }
        self.take_reports(ts, reports, step);
    }

    /// Places the orders whose stop a price has reached.
    pub(super) fn wake(&mut self, ts: TsNs, index: usize, last: Price, step: &mut Step) {
        loop {
            let state = self.trading_state();
            let may_go = |side| risk::trading_state(state, side).is_ok();
            let market = self.markets.get_mut(index);
            let woken = market.and_then(|market| market.stops.pop_reached(last, may_go));
            let Some(key) = woken else { return };
            let Some(order) = self.state.order_at(key) else { continue };
            let (rest, locked) = (order.rest(), order.locked);
            let client_order_id = order.client_order_id();
            let queued_at = self.state.last_event_id();
            // The other order of its pair has locked a part of what it needs.
            let paired = self.open_other(key).is_some();
            let lock = paired.then(|| lock_at_price(&rest, rest.qty)).flatten();
            self.tell(Fact::Triggered { client_order_id, ts_ns: ts, queued_at, lock }, step);
            self.end_other(ts, key, (OrderChange::Expire, Some(Reason::Oco)), step);
            if self.can_pay(index, &rest, lock.unwrap_or(locked)) {
                self.place(ts, index, key, step);
            } else {
                let reason = Some(Reason::InsufficientBalance);
                self.close(ts, key, (OrderChange::Expire, reason), step);
            }
        }
    }

    /// Whether what is locked and what is free pay for a BUY at any price.
    fn can_pay(&self, index: usize, rest: &NewOrder, locked: Money) -> bool {
        if rest.side == Side::Sell || rest.price.is_some() {
            return true;
        }
        let quote = self.instruments.get(index).map(|instrument| &instrument.quote);
        let free = quote.map(|quote| self.state.free(quote)).unwrap_or_default();
        let market = self.markets.get(index);
        let cost = market.map(|market| market.sim.market_cost(rest.side, rest.qty));
        cost.unwrap_or_default() <= locked.saturating_add(free)
    }
}
