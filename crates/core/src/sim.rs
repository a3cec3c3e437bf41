//! The simulated venue: pure matching of the account's orders against the market's book and its trades.
//!
//! Contract, so that no fill is one that could not have happened:
//! - A taking order walks what the book offers, never worse than its limit, never more than is shown;
//!   what it took stays taken (see [`crate::book`]).
//! - A resting order stands behind what was at its price when it came. Trades at its price use that up
//!   first, a shrinking level shortens it; then trades at its price, trades through its price, and the
//!   book's other side when it reaches its price, fill it, at its own price.
//! - One traded volume, one shown quantity, fills once: it is shared among the account's orders by price,
//!   then time. What others traded is gone for an order that takes, before the book shows it; what a quote showed
//!   to have left the queue has left it once, though the trade that took it is told after the quote.
//! - Where the venue is told that liquidity is replenished, one order, or one word of the source, still
//!   takes no more than is shown, and the next finds all of it again.
//! - Own orders never trade with each other: the incoming one expires.
//! - After a restart it is not known what was taken, but for this: what the book then offers to an order
//!   that rests already was taken by it.
//! - While the book is not known, an order that must take at once gets nothing; one that may rest does, not knowing who
//!   stands before it, and fills at its own price: by trades through it, and by the book that comes.
//!
//! Order: reports of one order come together; those of several come by price, then time.

mod resting;

pub use resting::RestId;
use resting::{First, Node, Place, Resting};

use crate::book::{Book, PriceLevel, price_at, rank};
use crate::event::Liquidity;
use crate::input::{MarketBody, NewOrder};
use crate::limits;
use crate::order::{OrderType, TimeInForce};
use crate::risk::Reason;
use crate::types::{EventId, Money, Price, Qty, Side, TsNs};

/// The venue's handle of an order: orders that came later have higher ones.
pub type OrderKey = usize;

/// An order's claim to its place: at one price the one that came earlier goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// The newest event when it came.
    pub queued_at: EventId,
    /// Whose.
    pub key: OrderKey,
}

/// What the venue must know of an order that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// Which way it goes.
    pub side: Side,
    /// What it asks for: a stop counts as what it becomes.
    pub order_type: OrderType,
    /// How long it stands.
    pub time_in_force: TimeInForce,
    /// How much is still asked.
    pub qty: Qty,
    /// Its limit, if it has one.
    pub price: Option<Price>,
}

impl Incoming {
    /// All of an order.
    pub fn of(order: &NewOrder) -> Incoming {
        let &NewOrder { side, order_type, time_in_force, qty, price, .. } = order;
        Incoming { side, order_type, time_in_force, qty, price }
    }
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimReport {
    /// Whose.
    pub key: OrderKey,
    /// What.
    pub body: SimOutcome,
}

/// What can become of an order here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimOutcome {
    /// It was taken in.
    Accepted,
    /// It was refused.
    Rejected(Reason),
    /// It was executed, in part or in full.
    Fill {
        /// How much.
        qty: Qty,
        /// At what price.
        price: Price,
        /// Whether it rested.
        liquidity: Liquidity,
    },
    /// What remains of it has ended.
    Expired(Reason),
}

/// What becomes of what the account takes from the book of a market that does not know of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Taken {
    /// It is gone until the level leaves or shrinks below it: the same liquidity never fills twice.
    #[default]
    Stays,
    /// It is there again for the next order: as if others filled the gap at once.
    IsReplenished,
}

/// One instrument's market: the source's book and the account's resting orders.
#[derive(Debug, Clone, Default)]
pub struct SimMarket {
    book: Book,
    bids: Resting,
    asks: Resting,
    /// Resting orders whose place in the queue is not known yet.
    unplaced: usize,
    /// Where quotes have shortened the queues before resting orders, until depth updates have told the same.
    shortened: Vec<(Side, i64)>,
    taken: Taken,
    plan: Vec<PriceLevel>,
}

/// Why a taking order stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Filled,
    NothingOffered,
    OwnOrder,
}

impl SimMarket {
    /// A market of which nothing is known.
    pub fn new(taken: Taken) -> SimMarket {
        SimMarket { taken, ..SimMarket::default() }
    }

    /// The market's book.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// How many of the account's orders rest here.
    pub fn resting_count(&self) -> usize {
        self.bids.len() + self.asks.len()
    }

    /// What remains of an order that rests there, at that price.
    pub fn remaining(&self, at: RestId, ticket: Ticket, side: Side, price: Price) -> Option<Qty> {
        let resting = self.resting(side);
        let node = resting.node(at.0);
        let is_it = |node: &&Node| {
            node.ticket == ticket && resting.rank_of(node) == Some(rank(side, price))
        };
        node.filter(is_it).map(|node| node.place.remaining)
    }

    /// What a MARKET order costs at most, in quote: the walk through what is offered.
    pub fn market_cost(&self, side: Side, qty: Qty) -> Money {
        let mut left = qty;
        let mut cost = Money::ZERO;
        for (price, offered) in self.book.offers(side.opposite()) {
            let part = offered.min(left);
            cost = cost.saturating_add(Money::notional(price, part));
            left = left.saturating_sub(part);
            if left.is_zero() {
                break;
            }
        }
        cost
    }

    /// The worst price that a MARKET order would reach.
    pub fn worst_price(&self, side: Side, qty: Qty) -> Option<Price> {
        let mut left = qty;
        let mut worst = None;
        for (price, offered) in self.book.offers(side.opposite()) {
            worst = Some(price);
            left = left.saturating_sub(offered);
            if left <= Qty::ZERO {
                break;
            }
        }
        worst
    }

    /// How much a MARKET order for an amount of quote comes to: the walk through what is offered, and
    /// beyond that at its last price, or at `last` when nothing is offered.
    pub fn market_qty(&self, side: Side, budget: Money, last: Option<Price>) -> Qty {
        let (mut left, mut qty, mut worst) = (budget, Qty::ZERO, last);
        for (price, offered) in self.book.offers(side.opposite()) {
            let part = offered.min(Qty::affordable(left, price));
            left = left.saturating_sub(Money::notional(price, part));
            qty = qty.saturating_add(part);
            if part < offered {
                return qty;
            }
            worst = Some(price);
        }
        qty.saturating_add(worst.map(|price| Qty::affordable(left, price)).unwrap_or_default())
    }

    /// Whether the order would not just rest.
    pub fn would_take(&mut self, order: &Incoming) -> bool {
        self.plan(order) == Stop::OwnOrder || !self.plan.is_empty()
    }

    /// The order that rests there shrinks and keeps its place.
    pub fn shrink(&mut self, at: RestId, ticket: Ticket, side: Side, remaining: Qty) {
        let resting = self.resting_mut(side);
        if resting.is_at(at.0, ticket)
            && let Some(place) = resting.place_mut(at.0)
        {
            place.remaining = place.remaining.min(remaining);
        }
    }

    /// A new order. Where it rests from then on, if it does.
    pub fn place(
        &mut self,
        ticket: Ticket,
        order: &Incoming,
        out: &mut Vec<SimReport>,
    ) -> Option<RestId> {
        let mut report = |body| out.push(SimReport { key: ticket.key, body });
        let stop = self.plan(order);
        if order.order_type == OrderType::LimitMaker
            && (stop == Stop::OwnOrder || !self.plan.is_empty())
        {
            report(SimOutcome::Rejected(Reason::WouldTake));
            return None;
        }
        report(SimOutcome::Accepted);
        if order.time_in_force == TimeInForce::Fok && stop != Stop::Filled {
            let own = stop == Stop::OwnOrder;
            let reason = if own { Reason::SelfTrade } else { Reason::FokUnfilled };
            report(SimOutcome::Expired(reason));
            return None;
        }
        let mut remaining = order.qty;
        let maker = order.side.opposite();
        let own = match maker {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        for &(price, qty) in &self.plan {
            match self.taken {
                Taken::Stays => self.book.take(maker, price, qty),
                Taken::IsReplenished => self.book.borrow(maker, price, qty),
            }
            // It stood before the account's own orders at that price.
            own.for_each_at(rank(maker, price), |place| {
                place.ahead = place.ahead.map(|ahead| ahead.saturating_sub(qty).max(Qty::ZERO));
            });
            remaining = remaining.saturating_sub(qty);
            report(SimOutcome::Fill { qty, price, liquidity: Liquidity::Taker });
        }
        let mut rests = None;
        match (stop, order.price, order.time_in_force) {
            (Stop::Filled, ..) => {}
            (Stop::OwnOrder, ..) => report(SimOutcome::Expired(Reason::SelfTrade)),
            (Stop::NothingOffered, Some(price), TimeInForce::Gtc | TimeInForce::Gtd) => {
                rests = self.rest(ticket, order.side, price, remaining);
            }
            (Stop::NothingOffered, limit, _) => {
                let empty = self.book.offers(order.side.opposite()).next().is_none();
                let nothing = limit.is_none() || (empty && self.plan.is_empty());
                let reason = if nothing { Reason::NoLiquidity } else { Reason::IocRemainder };
                report(SimOutcome::Expired(reason));
            }
        }
        self.book.give_back();
        rests
    }

    /// Puts an order of an earlier run back, at the back of the queue. Where it rests from then on.
    pub fn restore(
        &mut self,
        ticket: Ticket,
        side: Side,
        price: Price,
        remaining: Qty,
    ) -> Option<RestId> {
        self.unplaced += 1;
        let place = Place { remaining, ahead: None, left: Qty::ZERO };
        self.resting_mut(side).insert(rank(side, price), ticket, place).map(RestId)
    }

    /// Has a look at where an order may rest. What a look says means nothing, but that what it looked at is near.
    pub(crate) fn look_at(&self, side: Side, at: RestId) -> usize {
        self.resting(side).node(at.0).map_or(0, |node| node.ticket.key)
    }

    /// Has a look at those that may stand before it and behind it.
    pub(crate) fn look_beside(&self, side: Side, at: RestId) -> usize {
        self.resting(side).look_beside(at.0)
    }

    /// Takes back the order that rests there. Says whether it did.
    pub fn cancel(&mut self, at: RestId, ticket: Ticket, side: Side) -> bool {
        let resting = self.resting_mut(side);
        let place = if resting.is_at(at.0, ticket) { resting.remove(at.0) } else { None };
        self.unplaced -= usize::from(place.is_some_and(|place| place.ahead.is_none()));
        place.is_some()
    }

    /// What the source said before an earlier run ended: it makes the book, and fills nothing. What the
    /// book offers to an order that rests was its own, and taken, in that run.
    pub fn rebuild(&mut self, now: TsNs, body: &MarketBody) {
        if let MarketBody::Trade { price, qty, side, .. } = *body {
            self.book.trade(side.opposite(), price, qty);
        }
        self.update_book(now, body);
        for side in [Side::Buy, Side::Sell] {
            if let Some(level) = self.resting(side).first().map(|first| first.rank) {
                while let Some((best, offered)) = self.reached(side, level) {
                    self.book.take(side.opposite(), best, offered);
                }
            }
        }
    }

    /// What the source says.
    pub fn market(&mut self, now: TsNs, body: &MarketBody, out: &mut Vec<SimReport>) {
        if let MarketBody::Trade { price, qty, side, .. } = *body {
            self.find_places();
            self.trade(price, qty, side, out);
            return self.book.trade(side.opposite(), price, qty);
        }
        let told = self.update_book(now, body);
        // A book that is not known any more shortens no queue.
        if !told || !self.book.is_known() || self.resting_count() == 0 {
            return;
        }
        if self.book.is_settled() || self.shortened.len() >= limits::BOOK_UNSETTLED_COUNT {
            self.settle();
        }
        let is_whole = matches!(body, MarketBody::Snapshot { .. });
        self.shorten_queues(is_whole && !self.book.changes().is_empty());
        self.find_places();
        self.cross(Side::Buy, out);
        self.cross(Side::Sell, out);
        self.book.give_back();
    }
}

impl SimMarket {
    fn resting(&self, side: Side) -> &Resting {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn resting_mut(&mut self, side: Side) -> &mut Resting {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn rest(&mut self, ticket: Ticket, side: Side, price: Price, remaining: Qty) -> Option<RestId> {
        let rank = rank(side, price);
        let (mut ahead, mut left) = (None, Qty::ZERO);
        if self.book.is_known() && self.shortened.is_empty() && !self.book.is_ahead() {
            ahead = Some(self.book.offered_at(side, price));
        } else if self.book.is_known() {
            // It is behind those that are here, whatever of a trade they got, or are yet to be told.
            let last = self.resting(side).last_at(rank);
            let last = last.and_then(|id| self.resting(side).node(id)).map(|node| node.place);
            let stood = last.and_then(|last| last.ahead).unwrap_or_default();
            let behind = self.book.offered_at(side, price).max(stood);
            let waits = stood.saturating_add(last.map(|last| last.left).unwrap_or_default());
            left = waits.saturating_sub(behind).max(self.book.shown_at(side, price));
            ahead = Some(behind);
        }
        self.unplaced += usize::from(ahead.is_none());
        self.shortened.extend((!left.is_zero()).then_some((side, rank)));
        let place = Place { remaining, ahead, left };
        self.resting_mut(side).insert(rank, ticket, place).map(RestId)
    }

    /// Fills `plan` with what the order takes at once: price and quantity, best first.
    fn plan(&mut self, order: &Incoming) -> Stop {
        let maker = order.side.opposite();
        let limit = order.price.map_or(i64::MAX, |price| rank(maker, price));
        let own = self.resting(maker).first().map(|first| (first.rank, first.place));
        let own = own.filter(|(own, _)| *own <= limit);
        let end = if own.is_some() { Stop::OwnOrder } else { Stop::NothingOffered };
        self.plan.clear();
        // Most orders come to rest: even the best level is beyond their limit.
        if self.book.best(maker).is_none_or(|best| rank(maker, best) > limit) {
            return end;
        }
        let mut left = order.qty;
        for (price, mut offered) in self.book.offers(maker) {
            let level = rank(maker, price);
            if level > limit {
                break;
            }
            if let Some((own, place)) = own
                && level >= own
            {
                // Only what stands before the own order at its price can be had.
                let ahead = place.ahead.unwrap_or_default();
                offered = if level == own { offered.min(ahead) } else { Qty::ZERO };
            }
            let part = offered.min(left);
            if part.is_zero() {
                break;
            }
            self.plan.push((price, part));
            left = left.saturating_sub(part);
            if left.is_zero() {
                return Stop::Filled;
            }
        }
        end
    }

    /// Says whether the message was about the book.
    fn update_book(&mut self, now: TsNs, body: &MarketBody) -> bool {
        match body {
            MarketBody::Trade { .. } | MarketBody::Price { .. } => return false,
            MarketBody::Quote { update_id, bid, ask } => {
                self.book.quote(now, *update_id, *bid, *ask);
            }
            MarketBody::Depth { first_id, last_id, bids, asks } => {
                self.book.depth(now, (*first_id, *last_id), bids, asks);
            }
            MarketBody::Snapshot { last_id, bids, asks } => {
                self.book.snapshot(now, *last_id, bids, asks);
            }
        }
        true
    }

    /// What stands before an order is no more than what is offered at its price: at the levels that have
    /// changed, or at all of them, since a snapshot may come after changes that were never told.
    fn shorten_queues(&mut self, all: bool) {
        let SimMarket { book, bids, asks, shortened, .. } = self;
        let mut shorten = |side: Side, rank: i64, place: &mut Place, offered: Qty| {
            let Some(ahead) = place.ahead.filter(|ahead| *ahead > offered) else { return };
            place.ahead = Some(offered);
            if !book.is_settled() {
                place.left = place.left.saturating_add(ahead.saturating_sub(offered));
                if shortened.last() != Some(&(side, rank)) {
                    shortened.push((side, rank));
                }
            }
        };
        for (side, queue) in [(Side::Buy, bids), (Side::Sell, asks)] {
            if all {
                queue.for_each(|rank, place| {
                    shorten(side, rank, place, book.offered_at(side, price_at(side, rank)));
                });
                continue;
            }
            for change in book.changes().iter().filter(|change| change.side == side) {
                let rank = rank(side, change.price);
                let offered = book.offered_at(side, change.price);
                queue.for_each_at(rank, |place| shorten(side, rank, place, offered));
            }
        }
    }

    /// Whatever took from the queues has been told.
    fn settle(&mut self) {
        while let Some((side, rank)) = self.shortened.pop() {
            self.resting_mut(side).for_each_at(rank, |place| place.left = Qty::ZERO);
        }
    }

    /// Orders that came while the book was unknown go to the back of the queue once it is known.
    fn find_places(&mut self) {
        if self.unplaced == 0 || !self.book.is_known() {
            return;
        }
        for (side, queue) in [(Side::Buy, &mut self.bids), (Side::Sell, &mut self.asks)] {
            queue.for_each(|rank, place| {
                if place.ahead.is_none() {
                    place.ahead = Some(self.book.offered_at(side, price_at(side, rank)));
                }
            });
        }
        self.unplaced = 0;
    }

    /// A trade of others, whose taker was on `taker`'s side.
    fn trade(&mut self, price: Price, qty: Qty, taker: Side, out: &mut Vec<SimReport>) {
        if price <= Price::ZERO || qty <= Qty::ZERO {
            return;
        }
        let left = self.traded_through(taker.opposite(), price, qty, out);
        self.traded_at(taker.opposite(), price, left, out);
        // Whoever sold below a bid would have met that bid first. A known book shows such a seller, and
        // fills by it; without one the trade is all there is.
        if !self.book.is_known() {
            self.traded_through(taker, price, left, out);
        }
    }

    /// Fills the orders of a side that are better than the traded price. What is left of the volume.
    fn traded_through(
        &mut self,
        side: Side,
        price: Price,
        mut left: Qty,
        out: &mut Vec<SimReport>,
    ) -> Qty {
        let traded = rank(side, price);
        while !left.is_zero() {
            let resting = self.resting(side);
            let first = resting.first().filter(|first| first.rank < traded);
            let Some(First { id, rank, ticket, .. }) = first else { break };
            let Some(place) = self.resting_mut(side).place_mut(id) else { break };
            let was_placed = place.ahead.replace(Qty::ZERO).is_some();
            place.left = Qty::ZERO;
            let qty = place.remaining.min(left);
            left = left.saturating_sub(qty);
            fill(ticket.key, price_at(side, rank), qty, place, out);
            if place.remaining.is_zero() {
                self.resting_mut(side).remove(id);
            }
            self.unplaced -= usize::from(!was_placed);
        }
        left
    }

    /// Uses up what stands before the orders at the traded price, then fills them.
    fn traded_at(&mut self, side: Side, price: Price, traded: Qty, out: &mut Vec<SimReport>) {
        let resting = self.resting_mut(side);
        let mut left = traded;
        let mut next = resting.first_at(rank(side, price));
        while let Some(id) = next {
            next = resting.after(id);
            let key = resting.node(id).map(|node| node.ticket.key).unwrap_or_default();
            let Some(place) = resting.place_mut(id) else { return };
            let Some(ahead) = place.ahead else { continue };
            let shown = place.left.min(left);
            place.left = place.left.saturating_sub(shown);
            let passed = left.saturating_sub(shown);
            place.ahead = Some(ahead.saturating_sub(passed).max(Qty::ZERO));
            let qty = passed.saturating_sub(ahead).max(Qty::ZERO).min(place.remaining);
            if qty.is_zero() {
                continue;
            }
            left = left.saturating_sub(qty);
            fill(key, price, qty, place, out);
            if place.remaining.is_zero() {
                resting.remove(id);
            }
        }
    }

    /// The best offer, if it has reached an order of `side` at `level`.
    fn reached(&self, side: Side, level: i64) -> Option<PriceLevel> {
        let best = self.book.offers(side.opposite()).next();
        best.filter(|(best, _)| rank(side, *best) >= level)
    }

    /// Fills the orders of a side that the book's other side has reached.
    fn cross(&mut self, side: Side, out: &mut Vec<SimReport>) {
        while let Some(First { id, rank: level, ticket, place }) = self.resting(side).first() {
            let (price, mut left) = (price_at(side, level), place.remaining);
            while !left.is_zero() {
                let Some((best, offered)) = self.reached(side, level) else { break };
                let part = offered.min(left);
                match self.taken {
                    Taken::Stays => self.book.take(side.opposite(), best, part),
                    Taken::IsReplenished => self.book.borrow(side.opposite(), best, part),
                }
                left = left.saturating_sub(part);
            }
            let Some(place) = self.resting_mut(side).place_mut(id) else { return };
            let qty = place.remaining.saturating_sub(left);
            if qty.is_zero() {
                return;
            }
            (place.ahead, place.left) = (Some(Qty::ZERO), Qty::ZERO);
            fill(ticket.key, price, qty, place, out);
            if !left.is_zero() {
                return;
            }
            self.resting_mut(side).remove(id);
        }
    }
}

fn fill(key: OrderKey, price: Price, qty: Qty, place: &mut Place, out: &mut Vec<SimReport>) {
    place.remaining = place.remaining.saturating_sub(qty);
    let body = SimOutcome::Fill { qty, price, liquidity: Liquidity::Maker };
    out.push(SimReport { key, body });
}
