//! The order: its fields, its states, and the ways between them.

use serde::{Deserialize, Serialize};

use crate::event::OrderState;
use crate::input::{NewOrder, OrderAnswer};
use crate::risk::Reason;
use crate::sim::{Incoming, OrderKey, Ticket};
use crate::types::{
    AvgPrice, ClientOrderId, EventId, Money, Price, Qty, Side, Text, TsNs, VenueOrderId,
};
use crate::wire::wire_enum;

wire_enum! {
    /// The state of an order.
    OrderStatus {
        /// On the venue, nothing executed.
        Accepted = "ACCEPTED",
        /// On the venue, some executed.
        PartiallyFilled = "PARTIALLY_FILLED",
        /// All executed.
        Filled = "FILLED",
        /// Taken back by its owner.
        Cancelled = "CANCELLED",
        /// Never taken by the venue.
        Rejected = "REJECTED",
        /// The rest ended by the venue: IOC, FOK, GTD, MARKET, self-trade prevention.
        Expired = "EXPIRED",
    }
}

wire_enum! {
    /// What an order asks for.
    OrderType {
        /// At its limit or better.
        Limit = "LIMIT",
        /// At what the book offers.
        Market = "MARKET",
        /// Post-only: rejected when it would take.
        LimitMaker = "LIMIT_MAKER",
        /// Dormant until the price goes against its owner as far as its stop; then MARKET.
        StopLoss = "STOP_LOSS",
        /// The same, then LIMIT.
        StopLossLimit = "STOP_LOSS_LIMIT",
        /// Dormant until the price comes in its owner's favour as far as its stop; then MARKET.
        TakeProfit = "TAKE_PROFIT",
        /// The same, then LIMIT.
        TakeProfitLimit = "TAKE_PROFIT_LIMIT",
    }
}

impl OrderType {
    /// Whether it has a limit.
    pub const fn has_limit(self) -> bool {
        match self {
            OrderType::Limit
            | OrderType::LimitMaker
            | OrderType::StopLossLimit
            | OrderType::TakeProfitLimit => true,
            OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit => false,
        }
    }

    /// Whether it is dormant until the price reaches its stop.
    pub const fn has_stop(self) -> bool {
        match self {
            OrderType::Limit | OrderType::Market | OrderType::LimitMaker => false,
            OrderType::StopLoss
            | OrderType::StopLossLimit
            | OrderType::TakeProfit
            | OrderType::TakeProfitLimit => true,
        }
    }

    /// What it is once the price has reached its stop.
    const fn woken(self) -> OrderType {
        match self {
            OrderType::StopLoss | OrderType::TakeProfit => OrderType::Market,
            OrderType::StopLossLimit | OrderType::TakeProfitLimit => OrderType::Limit,
            OrderType::Limit | OrderType::Market | OrderType::LimitMaker => self,
        }
    }
}

wire_enum! {
    /// How long an order stands.
    TimeInForce {
        /// Until cancelled.
        Gtc = "GTC",
        /// What it gets at once; the rest expires.
        Ioc = "IOC",
        /// All at once or nothing.
        Fok = "FOK",
        /// Until a time.
        Gtd = "GTD",
    }
}

impl OrderStatus {
    /// Whether nothing more is expected of the order.
    pub const fn is_final(self) -> bool {
        match self {
            OrderStatus::Accepted | OrderStatus::PartiallyFilled => false,
            OrderStatus::Filled
            | OrderStatus::Cancelled
            | OrderStatus::Rejected
            | OrderStatus::Expired => true,
        }
    }
}

/// What can befall an order that exists on a venue, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderChange {
    /// The venue took it.
    Accept,
    /// The venue refused it.
    Reject,
    /// Some of it was executed.
    Execute {
        /// With this, all of it is.
        complete: bool,
    },
    /// It was taken back.
    Cancel,
    /// The venue ended what remained.
    Expire,
}

/// The state that follows, or `None` when that cannot happen to an order in this state: the report is
/// late, doubled or wrong, and changes nothing. `from` is `None` before the venue has said anything.
///
/// The one race: an execution reported after CANCELLED or EXPIRED counts, and the order becomes FILLED
/// only when all of it is executed; otherwise it stays closed as it was.
pub const fn next_status(from: Option<OrderStatus>, change: OrderChange) -> Option<OrderStatus> {
    use OrderChange as C;
    use OrderStatus as S;
    match (from, change) {
        (None, C::Accept) => Some(S::Accepted),
        (None, C::Reject) => Some(S::Rejected),
        (None, C::Execute { .. } | C::Cancel | C::Expire) => None,
        (Some(S::Accepted | S::PartiallyFilled), C::Execute { complete: false }) => {
            Some(S::PartiallyFilled)
        }
        (
            Some(S::Accepted | S::PartiallyFilled | S::Cancelled | S::Expired),
            C::Execute { complete: true },
        ) => Some(S::Filled),
        (Some(S::Accepted | S::PartiallyFilled), C::Cancel) => Some(S::Cancelled),
        (Some(S::Accepted | S::PartiallyFilled), C::Expire) => Some(S::Expired),
        (Some(S::Accepted | S::PartiallyFilled), C::Accept | C::Reject) => None,
        (Some(S::Cancelled), C::Execute { complete: false }) => Some(S::Cancelled),
        (Some(S::Expired), C::Execute { complete: false }) => Some(S::Expired),
        (Some(S::Cancelled | S::Expired), C::Accept | C::Reject | C::Cancel | C::Expire) => None,
        (Some(S::Filled | S::Rejected), _) => None,
    }
}

/// An execution as an external venue told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trade {
    /// The venue's number of it.
    pub(crate) id: u64,
    pub(crate) qty: Qty,
    pub(crate) price: Price,
}

/// How an order stood at the end of the step in which its venue first spoke of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstAnswer {
    pub(crate) status: OrderStatus,
    pub(crate) executed_qty: Qty,
    pub(crate) reason: Text,
}

/// An order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What was asked for.
    pub request: NewOrder,
    /// Base quantity as it is now: amended, or worked out from a quote amount or from what is held.
    pub qty: Qty,
    /// The limit as it is now; none on an order at any price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The price has reached its stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub triggered: bool,
    /// The newest event when it came to its venue, last: its claim among the account's own orders.
    pub(crate) queued_at: EventId,
    /// The venue's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_order_id: Option<VenueOrderId>,
    /// `None`: the venue has not said anything yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<OrderStatus>,
    /// Executed so far.
    pub executed_qty: Qty,
    /// Quote asset paid or received so far, exact.
    pub cum_quote: Money,
    /// What it locks now: quote asset of a BUY, base asset of a SELL.
    pub locked: Money,
    /// Why it was refused or expired; empty otherwise.
    pub reason: Text,
    /// When it last changed.
    pub last_ts_ns: TsNs,
    /// The venue is not the built-in one: its executions may be told twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// It was placed elsewhere, and found on the venue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// When an external venue was told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent_ts_ns: Option<TsNs>,
    /// Executions that an external venue told of, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trades: Vec<Trade>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<FirstAnswer>,
    /// The index of its pair in the state.
    pub(crate) pair: usize,
}

impl Order {
    /// An order of which nothing is known but what was asked for.
    pub(crate) fn new(request: NewOrder) -> Order {
        Order {
            qty: request.qty,
            price: request.price,
            request,
            triggered: false,
            queued_at: 0,
            venue_order_id: None,
            status: None,
            executed_qty: Qty::ZERO,
            cum_quote: Money::ZERO,
            locked: Money::ZERO,
            reason: Text::Borrowed(""),
            last_ts_ns: 0,
            external: false,
            adopted: false,
            sent_ts_ns: None,
            trades: Vec::new(),
            first: None,
            pair: 0,
        }
    }

    /// Makes it such an order, in its place: as a whole it would be made elsewhere and moved.
    #[inline(always)]
    pub(crate) fn begin(&mut self, request: &NewOrder) {
        let Order {
            request: own,
            qty,
            price,
            triggered,
            queued_at,
            venue_order_id,
            status,
            executed_qty,
            cum_quote,
            locked,
            reason,
            last_ts_ns,
            external,
            adopted,
            sent_ts_ns,
            trades,
            first,
            pair,
        } = self;
        own.clone_from(request);
        (*qty, *price) = (request.qty, request.price);
        (*triggered, *external, *adopted) = (false, false, false);
        (*queued_at, *last_ts_ns, *sent_ts_ns, *pair) = (0, 0, None, 0);
        (*venue_order_id, *status, *first) = (None, None, None);
        (*executed_qty, *cum_quote, *locked) = (Qty::ZERO, Money::ZERO, Money::ZERO);
        *reason = Text::Borrowed("");
        *trades = Vec::new();
    }

    /// The client's own name for it.
    pub const fn client_order_id(&self) -> ClientOrderId {
        self.request.client_order_id
    }

    /// Not executed yet.
    pub fn remaining(&self) -> Qty {
        self.qty.checked_sub(self.executed_qty).unwrap_or_default()
    }

    /// Whether more may happen to it.
    pub fn is_open(&self) -> bool {
        !self.status.is_some_and(OrderStatus::is_final)
    }

    /// Whether its venue was asked, and did not say what became of it.
    pub fn is_in_doubt(&self) -> bool {
        self.is_open() && self.reason == Reason::UnknownOutcome.as_str()
    }

    /// What counts as executed because the venue's sum said so: executions that it told of one by one
    /// later are these.
    pub(crate) fn presumed(&self) -> Qty {
        let told = self.trades.iter().fold(Qty::ZERO, |sum, trade| sum.saturating_add(trade.qty));
        self.executed_qty.saturating_sub(told).max(Qty::ZERO)
    }

    /// Whether it waits for the price to reach its stop.
    pub fn is_dormant(&self) -> bool {
        self.request.order_type.has_stop() && !self.triggered && self.is_open()
    }

    /// What is still asked of the venue: the request with its quantity and limit as they are now.
    pub(crate) fn rest(&self) -> NewOrder {
        NewOrder {
            qty: self.remaining(),
            price: self.price,
            quote_qty: None,
            ..self.request.clone()
        }
    }

    /// The same for the built-in venue.
    pub(crate) fn incoming(&self) -> Incoming {
        Incoming { qty: self.remaining(), price: self.price, ..Incoming::of(&self.request) }
    }

    /// What it would ask for as a whole with that quantity and limit. A stop that is woken is behind it: it is as
    /// a MARKET or LIMIT order by now.
    pub fn amended(&self, qty: Qty, price: Option<Price>) -> NewOrder {
        let whole = NewOrder { qty, price, quote_qty: None, ..self.request.clone() };
        if self.triggered {
            NewOrder { order_type: whole.order_type.woken(), stop_price: None, ..whole }
        } else {
            whole
        }
    }

    /// Its claim to its place in the built-in venue.
    pub(crate) const fn ticket(&self, key: OrderKey) -> Ticket {
        Ticket { queued_at: self.queued_at, key }
    }

    /// What it was first answered with; `None` while its venue has not answered.
    #[inline]
    pub fn answer(&self) -> Option<OrderAnswer> {
        self.first.as_ref().map(|first| OrderAnswer {
            client_order_id: self.request.client_order_id,
            venue_order_id: self.venue_order_id,
            status: first.status,
            executed_qty: first.executed_qty,
            reason: first.reason.clone(),
        })
    }

    /// The `order_state` event that tells how it stands.
    // Always, so that it is made in its event, and not copied into it: it is the longest of them.
    #[inline(always)]
    pub fn state_event(&self) -> OrderState {
        // Before the others: while a text is copied, they would have to be kept somewhere.
        let reason = Some(self.reason.clone());
        OrderState {
            client_order_id: self.request.client_order_id,
            status: self.status,
            symbol: Some(self.request.symbol),
            side: Some(self.request.side),
            order_qty: Some(self.qty).filter(|qty| !qty.is_zero()),
            limit_price: self.price,
            venue_order_id: self.venue_order_id,
            executed_qty: self.executed_qty,
            avg_price: AvgPrice::of(self.cum_quote, self.executed_qty).unwrap_or_default(),
            reason,
            last_ts_ns: self.last_ts_ns,
            cum_quote: self.cum_quote,
            order_type: Some(self.request.order_type),
            time_in_force: Some(self.request.time_in_force),
            stop_price: self.request.stop_price,
            triggered: self.request.order_type.has_stop().then_some(self.triggered),
            expire_ts_ns: self.request.expire_ts_ns,
            oco_with: self.request.oco_with,
            adopted: self.adopted,
        }
    }

    /// What an order locks that is executed this far: a BUY its rest at its limit (MARKET: what is left
    /// of `locked` after paying `cost`), a SELL its rest, a closed one nothing.
    pub(crate) fn lock_after(&self, remaining: Qty, cost: Money) -> Money {
        if !self.is_open() || remaining.is_zero() {
            return Money::ZERO;
        }
        match (self.request.side, self.price) {
            (Side::Sell, _) => remaining.into(),
            (Side::Buy, Some(limit)) => Money::notional(limit, remaining),
            (Side::Buy, None) => self.locked.checked_sub(cost).unwrap_or_default().max(Money::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows: from. Columns: accept, reject, part, all, cancel, expire.
    const TABLE: [(&str, [&str; 6]); 7] = [
        ("-", ["ACCEPTED", "REJECTED", "", "", "", ""]),
        ("ACCEPTED", ["", "", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED"]),
        ("PARTIALLY_FILLED", ["", "", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED"]),
        ("FILLED", ["", "", "", "", "", ""]),
        ("CANCELLED", ["", "", "CANCELLED", "FILLED", "", ""]),
        ("REJECTED", ["", "", "", "", "", ""]),
        ("EXPIRED", ["", "", "EXPIRED", "FILLED", "", ""]),
    ];

    #[test]
    fn every_way_between_states_is_in_the_table() {
        let changes = [
            OrderChange::Accept,
            OrderChange::Reject,
            OrderChange::Execute { complete: false },
            OrderChange::Execute { complete: true },
            OrderChange::Cancel,
            OrderChange::Expire,
        ];
        assert_eq!(TABLE.len(), OrderStatus::ALL.len() + 1);
        for (from, row) in TABLE {
            for (change, to) in changes.into_iter().zip(row) {
                let next = next_status(OrderStatus::parse(from), change);
                assert_eq!(next, OrderStatus::parse(to), "{from} {change:?}");
            }
        }
    }
}
